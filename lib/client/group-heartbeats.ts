/**
 * Keeps a member in its group: heartbeats beside the work. What the answers say of partitions is handed on
 * (`group-hand-over.ts`).
 */

import { isLogError, type LogError } from '../errors.ts';
import { retryDelayMs } from './api-calls.ts';
import { failingMsMax, type GroupConsumerDeps } from './group-consumer-deps.ts';
import type { GroupHandOver } from './group-hand-over.ts';
import { isFencing } from './group-member.ts';
import type { Subscription } from './group-options.ts';
import { SubscribedTopics } from './subscribed-topics.ts';

/** A member without partitions that does not follow waits for so long: others may be about to give some up. */
const inVainMsMax = 20_000;
/** An instance that was killed and is back asks this often whether its session is over. */
const unreleasedDelayMs = 1_000;
/** Who leaves while it joins waits for so long for the answer. */
const joinMsMax = 5_000;

export class GroupHeartbeats {
  readonly #deps: GroupConsumerDeps;
  readonly #topics: SubscribedTopics;
  readonly #handOver: GroupHandOver;
  /** Aborted when a join is not waited for any longer. */
  readonly #joining = new AbortController();
  /** Since when it is a member that has nothing. */
  #emptySinceMs: number | undefined;

  constructor(deps: GroupConsumerDeps, subscription: Subscription, handOver: GroupHandOver) {
    this.#deps = deps;
    this.#topics = new SubscribedTopics(deps, subscription);
    this.#handOver = handOver;
  }

  /** Whether it had nothing for so long that there is nothing for it. */
  get areInVain(): boolean {
    return this.#emptySinceMs !== undefined && this.#deps.clock.nowMs() - this.#emptySinceMs >= inVainMsMax;
  }

  /** Until the member leaves. Throws when it cannot be one any more. */
  async run(): Promise<void> {
    const { clock, leaving } = this.#deps;
    const ended = new AbortController();
    const giveUpJoin = async () => {
      await clock.sleep(joinMsMax, ended.signal);
      this.#joining.abort();
    };
    leaving.addEventListener('abort', giveUpJoin, { once: true });
    try {
      await this.#beats();
    } finally {
      ended.abort();
    }
  }

  async #beats(): Promise<void> {
    const { clock, randomBytes, member, leaving } = this.#deps;
    let failures = 0;
    let failingSinceMs: number | undefined;
    while (!leaving.aborted) {
      try {
        const intervalMs = await this.#beat();
        failures = 0;
        failingSinceMs = undefined;
        await clock.sleep(intervalMs, AbortSignal.any([leaving, member.due]));
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
        const delayMs = isWaiting ? unreleasedDelayMs : retryDelayMs(failures, error as LogError, randomBytes);
        // Also where one is due: a log that fails is not to be hurried.
        await clock.sleep(delayMs, leaving);
      }
    }
  }

  /** Gives the time until the next one. */
  async #beat(): Promise<number> {
    const { clock, member, held, leaving } = this.#deps;
    const topics = await this.#topics.names();
    // A join is waited for even by who leaves: else the log may have a member that nobody is, until its session is over.
    const signal = member.isMember ? leaving : this.#joining.signal;
    const reply = await member.heartbeat(topics, () => held.assignment, signal);
    if (leaving.aborted) return 0;
    if (reply.assignment !== undefined) this.#handOver.follow(reply.assignment);
    this.#emptySinceMs = held.size === 0 ? (this.#emptySinceMs ?? clock.nowMs()) : undefined;
    held.bell.ring();
    return reply.heartbeatIntervalMs;
  }
}
