/**
 * Keeps a member in its group: heartbeats beside the work, for as long as those who work are quick enough. What the answers
 * say of partitions is handed on (`group-hand-over.ts`).
 */

import { isLogError, LogError } from '../errors.ts';
import { Admin } from './admin.ts';
import { retryDelayMs } from './api-calls.ts';
import { failingMsMax, type GroupConsumerDeps } from './group-consumer-deps.ts';
import type { GroupHandOver } from './group-hand-over.ts';
import { isFencing } from './group-member.ts';
import { groupDefaults, type Subscription } from './group-options.ts';
import type { OwnedPartition } from './owned-partition.ts';

/** Topics that match a pattern are looked for this often. */
const patternAgeMsMax = 60_000;
/** A member without partitions that does not follow waits for so many heartbeats: others may be about to give some up. */
const heartbeatsInVainMax = 4;
/** An instance that was killed and is back asks this often whether its session is over. */
const unreleasedDelayMs = 1_000;

export class GroupHeartbeats {
  readonly #deps: GroupConsumerDeps;
  readonly #subscription: Subscription;
  readonly #handOver: GroupHandOver;
  #pattern: { readonly topics: readonly string[]; readonly readAtMs: number } | undefined;
  #inVain = 0;

  constructor(deps: GroupConsumerDeps, subscription: Subscription, handOver: GroupHandOver) {
    this.#deps = deps;
    this.#subscription = subscription;
    this.#handOver = handOver;
  }

  /** Whether it had nothing for so long that there is nothing for it. */
  get areInVain(): boolean {
    return this.#inVain >= heartbeatsInVainMax;
  }

  /** Until the member leaves. Throws when it cannot be one any more. */
  async run(): Promise<void> {
    const { clock, randomBytes, member, held, leaving } = this.#deps;
    let failures = 0;
    let failingSinceMs: number | undefined;
    while (!leaving.aborted) {
      let delayMs: number;
      try {
        const topics = await this.#topics();
        const reply = await member.heartbeat(topics, () => held.assignment, leaving);
        failures = 0;
        failingSinceMs = undefined;
        delayMs = reply.heartbeatIntervalMs;
        if (reply.assignment !== undefined) this.#handOver.follow(reply.assignment);
        this.#inVain = held.size === 0 ? this.#inVain + 1 : 0;
        held.bell.ring();
      } catch (error) {
        if (leaving.aborted) return;
        failingSinceMs ??= clock.nowMs();
        failures += 1;
        // An instance that was killed and is back finds itself still active until its session is over; one that was a member
        // in this life finds another.
        const isWaiting = isLogError(error, 'UNRELEASED_INSTANCE_ID') && !member.wasMember;
        const canPass = isFencing(error) || isWaiting || (isLogError(error) && error.retriable);
        const patienceMs = Math.max(failingMsMax, member.sessionTimeoutMs * 2);
        if (!canPass || clock.nowMs() - failingSinceMs >= patienceMs) throw error;
        if (isFencing(error) || (member.isMember && !member.isFresh)) this.#handOver.lose(error as Error);
        delayMs = isWaiting ? unreleasedDelayMs : retryDelayMs(failures, error as LogError, randomBytes);
      }
      await this.#pauseBetween(delayMs);
    }
  }

  /** Until the next heartbeat is due. Throws when somebody has been at a record for too long. */
  async #pauseBetween(delayMs: number): Promise<void> {
    const { clock, held, member, leaving, options } = this.#deps;
    const { processingTimeoutMs = groupDefaults.processingTimeoutMs } = options;
    const dueMs = clock.nowMs() + delayMs;
    while (!leaving.aborted) {
      const woken = member.due.next();
      const nowMs = clock.nowMs();
      for (const { one, sinceMs } of held.atHand) {
        if (nowMs - sinceMs >= processingTimeoutMs) throw this.#tooSlow(one, nowMs - sinceMs);
      }
      if (nowMs >= dueMs || member.isDue) return;
      const oldestMs = Math.min(...held.atHand.map(({ sinceMs }) => sinceMs + processingTimeoutMs));
      const awake = new AbortController();
      const asleep = AbortSignal.any([leaving, awake.signal]);
      await Promise.race([clock.sleep(Math.min(dueMs, oldestMs) - nowMs, asleep), woken]);
      awake.abort();
    }
  }

  #tooSlow({ topic, partition, done }: OwnedPartition, tookMs: number): LogError {
    const { group, processingTimeoutMs = groupDefaults.processingTimeoutMs } = this.#deps.options;
    return new LogError(
      'REQUEST_TIMED_OUT',
      `partition ${partition} of topic ${topic}, from offset ${done}: its handler took ${tookMs} ms, processingTimeoutMs allows ${processingTimeoutMs}; the consumer has left group ${group}`,
      { retriable: false, effect: 'none' },
    );
  }

  async #topics(): Promise<readonly string[]> {
    const subscription = this.#subscription;
    if (typeof subscription === 'string') return [subscription];
    if (!(subscription instanceof RegExp)) return subscription;
    const { clock, transport, leaving } = this.#deps;
    const nowMs = clock.nowMs();
    if (this.#pattern === undefined || nowMs - this.#pattern.readAtMs >= patternAgeMsMax) {
      const topics: string[] = [];
      for await (const { topic } of new Admin(transport).listTopics({ signal: leaving })) {
        if (topic.search(subscription) !== -1) topics.push(topic);
      }
      this.#pattern = { topics, readAtMs: nowMs };
    }
    return this.#pattern.topics;
  }
}
