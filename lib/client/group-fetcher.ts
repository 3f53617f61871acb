/**
 * Fetches the partitions that a member of a group has, one loop for each topic, ahead of whoever handles them: at most two
 * answers of a partition lie here, the one at hand included.
 */

import { type ErrorCode, isLogError, LogError } from '../errors.ts';
import { MiB } from '../limits.ts';
import { callJson, retryDelayMs, topicPath } from './api-calls.ts';
import { type FetchedPartition, fetchBatches, waitMsOf } from './fetch-batches.ts';
import { failingMsMax, type GroupConsumerDeps } from './group-consumer-deps.ts';
import { groupDefaults } from './group-options.ts';
import type { OwnedPartition } from './owned-partition.ts';
import { logLimits } from './transport.ts';

const answersHeldMax = 2;
/** Nothing more is fetched while this much waits; soft by one answer for each topic. */
const queuedBytesMax = 32 * MiB;

export class GroupFetcher {
  readonly #deps: GroupConsumerDeps;
  readonly #partitionsMax: number;
  /** The fetch that is under way, by topic. */
  readonly #polls = new Map<
    string,
    { readonly ended: AbortController; readonly isWhole: boolean; readonly asked: ReadonlySet<OwnedPartition> }
  >();
  /** The topics of which something is wanted. */
  readonly #loops = new Set<string>();
  /** Whether so much waits that nothing is wanted. */
  #isFull = false;
  /** Counts the requests. */
  #turn = 0;
  #maxBytes: number;

  constructor(deps: GroupConsumerDeps) {
    const { fetchBytesMax, fetchPartitionsMax } = deps.transport.limits ?? logLimits;
    this.#deps = deps;
    this.#partitionsMax = fetchPartitionsMax;
    this.#maxBytes = Math.min(deps.options.maxBytes ?? 4 * MiB, fetchBytesMax);
  }

  /**
   * To be called when what is owned, held or paused has changed, of `one` alone or of any: a fetch that waits without one that
   * is wanted starts over. Of one it is quick, since that comes with every record, however many partitions there are.
   */
  update(one?: OwnedPartition): void {
    const { held, stopped } = this.#deps;
    const wasFull = this.#isFull;
    if (stopped.aborted || this.#checkFull()) return;
    const changed = one === undefined || wasFull ? held : [one];
    for (const [topic, list] of Map.groupBy(changed, (each) => each.topic)) {
      const wanted = list.filter((each) => this.#isWanted(each));
      if (wanted.length === 0) continue;
      const poll = this.#polls.get(topic);
      if (!this.#loops.has(topic)) this.#start(topic);
      else if (poll?.isWhole && wanted.some((each) => !poll.asked.has(each))) poll.ended.abort();
    }
  }

  #start(topic: string): void {
    this.#loops.add(topic);
    this.#run(topic).catch(this.#deps.fail);
  }

  /** Those not asked for the longest come first: where a request may not ask for all, each has its turn. */
  #wanted(topic: string): OwnedPartition[] {
    if (this.#checkFull()) return [];
    const wanted = [...this.#deps.held].filter((one) => one.topic === topic && this.#isWanted(one));
    return wanted.sort((a, b) => a.turn - b.turn);
  }

  #isWanted(one: OwnedPartition): boolean {
    const { held, options } = this.#deps;
    const { follow = true } = options;
    return (
      one.state === 'active' &&
      !held.isPaused(one) &&
      (follow || !one.isAtEnd) &&
      one.queue.length + (one.isHeld ? 1 : 0) < answersHeldMax
    );
  }

  /** What is paused does not count: it would keep the others from going on. */
  #checkFull(): boolean {
    let bytes = 0;
    for (const one of this.#deps.held)
      if (one.queuedBytes > 0 && !this.#deps.held.isPaused(one)) bytes += one.queuedBytes;
    this.#isFull = bytes >= queuedBytesMax;
    return this.#isFull;
  }

  /** Until nothing of the topic is wanted. */
  async #run(topic: string): Promise<void> {
    const { stopped, clock, randomBytes } = this.#deps;
    let failures = 0;
    let failingSinceMs: number | undefined;
    for (let wanted = this.#wanted(topic); wanted.length > 0 && !stopped.aborted; wanted = this.#wanted(topic)) {
      try {
        const failure = await this.#fetch(topic, wanted);
        failures = failure === undefined ? 0 : failures + 1;
        failingSinceMs = undefined;
        if (failure !== undefined) await clock.sleep(retryDelayMs(failures, failure, randomBytes), stopped);
      } catch (error) {
        if (stopped.aborted) break;
        if (isLogError(error, 'MESSAGE_TOO_LARGE') && this.#maxBytes > 1) {
          this.#maxBytes = Math.ceil(this.#maxBytes / 8);
          continue;
        }
        failingSinceMs ??= clock.nowMs();
        failures += 1;
        if (!isLogError(error) || !error.retriable || clock.nowMs() - failingSinceMs >= failingMsMax) throw error;
        await clock.sleep(retryDelayMs(failures, error, randomBytes), stopped);
      }
    }
    this.#loops.delete(topic);
  }

  /** Gives a failure of a single partition that can pass. */
  async #fetch(topic: string, wanted: readonly OwnedPartition[]): Promise<LogError | undefined> {
    const { follow = true, maxWaitMs = groupDefaults.maxWaitMs } = this.#deps.options;
    const asked = wanted.slice(0, this.#partitionsMax);
    const isAnyBehind = wanted.some(({ next, highWatermark }) => next < highWatermark);
    const waitMs = follow ? waitMsOf(maxWaitMs, Math.ceil(wanted.length / asked.length), isAnyBehind) : 0;
    this.#turn += 1;
    for (const one of asked) one.turn = this.#turn;
    const ended = new AbortController();
    const signal = AbortSignal.any([ended.signal, this.#deps.stopped]);
    this.#polls.set(topic, { ended, isWhole: asked.length === wanted.length, asked: new Set(asked) });
    const partitions = asked.map(({ partition, next }) => [partition, next] as const);
    const fetch = { partitions, maxBytes: this.#maxBytes, maxWaitMs: waitMs, signal };
    let answers: Awaited<ReturnType<typeof fetchBatches>>;
    try {
      answers = await fetchBatches(this.#deps.transport, topic, fetch);
    } catch (error) {
      if (ended.signal.aborted) return undefined;
      throw error;
    } finally {
      this.#polls.delete(topic);
    }
    // Where others have filled the answer, nothing is known of those behind them.
    const isEmpty = answers.every((answer) => !('error' in answer) && answer.batches.length === 0);
    const failed: { readonly one: OwnedPartition; readonly error: LogError }[] = [];
    for (const answer of answers) {
      const one = asked.find(({ partition }) => partition === answer.partition);
      if (one === undefined || one.state !== 'active') continue;
      if ('error' in answer) failed.push({ one, error: answer.error });
      else this.#take(one, answer, isEmpty);
    }
    this.#deps.held.bell.ring();
    // What the others have given is here by now, whatever becomes of these.
    let failure: LogError | undefined;
    for (const { one, error } of failed) failure = (await this.#failed(one, error)) ?? failure;
    return failure;
  }

  #take(one: OwnedPartition, answer: FetchedPartition, isEmpty: boolean): void {
    if (answer.offset !== one.next) return;
    one.failingSinceMs = undefined;
    one.isAtEnd = isEmpty && answer.nextOffset === one.next;
    one.next = answer.nextOffset;
    one.highWatermark = answer.highWatermark;
    if (answer.batches.length > 0) one.enqueue(answer);
  }

  async #failed(one: OwnedPartition, error: LogError): Promise<LogError | undefined> {
    if (isLogError(error, 'OFFSET_OUT_OF_RANGE')) {
      const offset = await this.startOf(one);
      if (one.state !== 'active') return undefined;
      one.skipTo(offset);
      // What it drops may have been what the other topics wait for.
      this.update();
      return undefined;
    }
    const nowMs = this.#deps.clock.nowMs();
    one.failingSinceMs ??= nowMs;
    // Of a topic that was deleted the group hears within a minute.
    if (error.retriable && nowMs - one.failingSinceMs < failingMsMax) return error;
    throw new LogError<ErrorCode>(error.code, error.message, { retriable: false, effect: 'none', cause: error });
  }

  /** Where `from` begins. */
  async startOf({ topic, partition }: OwnedPartition): Promise<number> {
    const { transport, stopped, options } = this.#deps;
    const { from = 'earliest' } = options;
    const path = topicPath(topic, `/partitions/${partition}/offsets`);
    const ask = (timestamp: string) =>
      callJson<{ offset: number | null }>(transport, 'GET', path, { query: { timestamp }, signal: stopped });
    const { offset } = await ask(from instanceof Date ? String(from.getTime()) : from);
    if (offset !== null) return offset;
    const { offset: latest } = await ask('latest');
    return latest ?? 0;
  }
}
