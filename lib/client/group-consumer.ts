/**
 * Reads as one of a group: each partition is read by one member at a time, and the group remembers how far it was read.
 * Every record is handed out at least once; again only what was not committed when its partition changed hands.
 *
 * ```ts
 * const consumer = log.consumer('orders', { group: 'billing', signal });
 * for await (const record of consumer) await bill(record);
 * ```
 *
 * Heartbeats go on beside the work. When the group takes a partition away, the record at hand is finished, what is done is
 * committed, and only then does the next member get it. Leaving the loop leaves the group.
 */

import { LogError } from '../errors.ts';
import type { TopicDescription } from '../log.ts';
import { callJson, topicPath } from './api-calls.ts';
import type { ClientDeps } from './client-deps.ts';
import type { ConsumedBatch, ConsumedRecord } from './consumed-record.ts';
import { GroupCommits } from './group-commits.ts';
import { lastCommitMsMax, retrying } from './group-consumer-deps.ts';
import { GroupDeliveries } from './group-deliveries.ts';
import { GroupFetcher } from './group-fetcher.ts';
import { GroupHandOver } from './group-hand-over.ts';
import { GroupHeartbeats } from './group-heartbeats.ts';
import { GroupMember } from './group-member.ts';
import {
  checkGroupConsumer,
  type GroupConsumerOptions,
  type PartitionLag,
  type Subscription,
  type TopicPartition,
} from './group-options.ts';
import { HeldPartitions } from './held-partitions.ts';
import { watchProcessing } from './processing-watch.ts';

export class GroupConsumer implements AsyncIterable<ConsumedRecord> {
  readonly group: string;
  readonly #deps: ClientDeps;
  readonly #options: GroupConsumerOptions;
  readonly #member: GroupMember;
  readonly #held: HeldPartitions;
  readonly #commits: GroupCommits;
  readonly #handOver: GroupHandOver;
  readonly #heartbeats: GroupHeartbeats;
  readonly #deliveries: GroupDeliveries;
  readonly #watch: () => Promise<void>;
  /** Nothing is handed out any more. */
  readonly #stopping = new AbortController();
  /** Nothing is done any more but the last commit and to leave. */
  readonly #leaving = new AbortController();
  readonly #busy = { flush: () => this.#close() };
  #mode: 'idle' | 'iterates' | 'handles' = 'idle';
  #failure: { readonly error: unknown } | undefined;
  /** Resolved when handlers are not waited for any longer. */
  readonly #abandoned = Promise.withResolvers<void>();
  #staying: Promise<void> = Promise.resolve();
  #handlers: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;

  constructor(deps: ClientDeps, subscription: Subscription, options: GroupConsumerOptions) {
    checkGroupConsumer(subscription, options);
    this.#deps = deps;
    this.group = options.group;
    this.#options = options;
    this.#member = new GroupMember(deps, options);
    this.#held = new HeldPartitions((one) => fetcher.update(one));
    const parts = {
      ...deps,
      options,
      member: this.#member,
      held: this.#held,
      stopped: this.#stopping.signal,
      leaving: this.#leaving.signal,
      fail: (error: unknown) => this.#fail(error),
    };
    const fetcher = new GroupFetcher(parts);
    this.#commits = new GroupCommits(parts, (reason) => this.#handOver.lose(reason));
    this.#handOver = new GroupHandOver(parts, this.#commits, fetcher);
    this.#heartbeats = new GroupHeartbeats(parts, subscription, this.#handOver);
    this.#deliveries = new GroupDeliveries(parts, this.#heartbeats, () => this.#stop());
    this.#watch = () => watchProcessing(parts);
    for (const signal of [options.signal, deps.closing]) {
      if (signal?.aborted) this.#stop();
      signal?.addEventListener('abort', () => this.#stop(), { signal: this.#leaving.signal });
    }
  }

  /** What this member has at the moment. */
  get assignment(): readonly TopicPartition[] {
    return this.#held.active.map(({ place }) => place);
  }

  /** The next offset that is handed out; undefined when the partition is not this member's. */
  position(topic: string, partition: number): number | undefined {
    const found = this.#held.find(topic, partition);
    return found?.done === undefined ? undefined : found.handed;
  }

  /** Hands out nothing of these, or of any, until `resume`; they stay this member's. */
  pause(partitions?: readonly TopicPartition[]): void {
    this.#held.pause(partitions);
  }

  resume(partitions?: readonly TopicPartition[]): void {
    this.#held.resume(partitions);
  }

  /** How far this member is behind, by what the log has at this moment. */
  async lag(): Promise<PartitionLag[]> {
    const { active } = this.#held;
    const topics = [...new Set(active.map(({ topic }) => topic))];
    const described = await Promise.all(
      topics.map((topic) =>
        callJson<TopicDescription>(this.#deps.transport, 'GET', topicPath(topic), { role: 'consumer' }),
      ),
    );
    return active.flatMap(({ topic, partition, handed: position }) => {
      const bounds = described.find((one) => one.topic === topic)?.partitions[partition];
      if (bounds === undefined) return [];
      const { highWatermark } = bounds;
      return [{ topic, partition, position, highWatermark, lag: Math.max(0, highWatermark - position) }];
    });
  }

  /**
   * Remembers in the group how far this member is: up to `last` and with it; without it all that is done, which in a loop is
   * all that was handed out, and in a callback all but what is at hand. With `autoCommit` what is done beyond `last` is
   * remembered too. What can pass is tried again for 20 s. Throws when the log refuses, or what was to be committed is
   * another's already, or this consumer has left: STALE_MEMBER_EPOCH, UNKNOWN_MEMBER_ID.
   */
  async commit(last?: ConsumedRecord | ConsumedBatch): Promise<void> {
    if (last !== undefined) return await this.#commits.commitUpTo(last);
    // A callback runs beside whoever has the record at hand, and cannot know whether that is done.
    const atHand = this.#handOver.isInCallback ? [] : this.#held.atHand.map(({ one }) => one);
    if (this.#mode === 'iterates') for (const one of atHand) one.done = one.handed;
    await this.#commits.commitAll(atHand);
  }

  /**
   * Leaves the group, once handlers of `each` have ended; do not wait for it inside of one. In a callback, which it waits for,
   * it only begins; do not wait there for its client to close. In a loop it does not wait for the record at hand: to have that
   * one counted as done, abort `signal` and let the loop end. Throws when the last commit fails.
   */
  async close(): Promise<void> {
    const closed = this.#close();
    if (!this.#handOver.isInCallback) return await closed;
    // A failure is told to whoever reads, or closes as well.
    closed.catch(() => {});
  }

  #close(): Promise<void> {
    // A failure to leave is told here, and not once more when its client closes.
    this.#closed ??= this.#leave().finally(() => this.#deps.busy.delete(this.#busy));
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Record by record, in order per partition. The one at hand when the loop is left is not done, unless `commit` was called.
   * Of the iterator itself, `return` waits for a `next` that waits, as that of every generator: `close` or the signal ends it.
   */
  [Symbol.asyncIterator](): AsyncGenerator<ConsumedRecord, void, undefined> {
    return this.#iterate(this.#deliveries.records());
  }

  /** The same, as many together as came together for one partition, up to 64 MiB in memory. */
  batches(): AsyncGenerator<ConsumedBatch, void, undefined> {
    return this.#iterate(this.#deliveries.batches());
  }

  /**
   * Has every record handled, up to `concurrency` partitions at once and in order within each. Ends as a loop would; a handler
   * that throws ends it with its error, and its record is not done.
   */
  each(handle: (record: ConsumedRecord) => void | Promise<void>): Promise<void> {
    return this.#handle(() => this.#deliveries.records(), handle);
  }

  /** As `each`, batch by batch. */
  eachBatch(handle: (batch: ConsumedBatch) => void | Promise<void>): Promise<void> {
    return this.#handle(() => this.#deliveries.batches(), handle);
  }

  async *#iterate<T>(source: AsyncGenerator<T, void, undefined>): AsyncGenerator<T, void, undefined> {
    this.#start('iterates');
    try {
      yield* source;
    } finally {
      await this.#closeAfter();
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #handle<T>(source: () => AsyncIterable<T>, handle: (value: T) => void | Promise<void>): Promise<void> {
    this.#start('handles');
    const work = async () => {
      try {
        for await (const value of source()) await handle(value);
      } catch (error) {
        this.#fail(error);
      }
    };
    this.#handlers = Promise.all(Array.from({ length: this.#options.concurrency ?? 1 }, work));
    await Promise.race([this.#handlers, this.#abandoned.promise]);
    await this.#closeAfter();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** What went wrong first is the one to tell. */
  async #closeAfter(): Promise<void> {
    await this.#close().catch((error) => {
      throw this.#failure?.error ?? error;
    });
  }

  #start(mode: 'iterates' | 'handles'): void {
    if (this.#mode !== 'idle') {
      throw new LogError('INVALID_REQUEST', `this consumer of group ${this.group} is being read already, or was`);
    }
    this.#mode = mode;
    if (this.#stopping.signal.aborted) return;
    this.#deps.busy.add(this.#busy);
    this.#staying = this.#heartbeats.run().catch((error) => this.#abandon(error));
    this.#watch().catch((error) => this.#abandon(error));
    if (this.#options.autoCommit !== false) this.#commits.run().catch((error) => this.#fail(error));
  }

  #stop(): void {
    this.#stopping.abort();
    this.#held.bell.ring();
  }

  /** Ends it with an error, which whoever asks for the next record is told. Other handlers end what they are at. */
  #fail(error: unknown): void {
    this.#failure ??= { error };
    // Its partitions are to be others' without delay, however long a loop is at its record.
    this.#close().catch(() => {});
  }

  /** The same, where a handler hangs or the group has given its partitions to others: no handler is waited for. */
  #abandon(error: unknown): void {
    this.#fail(error);
    this.#abandoned.resolve();
  }

  async #leave(): Promise<void> {
    this.#stop();
    await Promise.race([this.#handlers, this.#abandoned.promise]);
    this.#leaving.abort();
    this.#held.bell.ring();
    await this.#staying;
    await this.#handOver.settled();
    try {
      if (this.#options.autoCommit !== false) await this.#commits.commitLast([...this.#held]);
    } finally {
      await this.#end();
    }
  }

  /** Leaves also when a callback throws: else it would be a member until its session is over. */
  async #end(): Promise<void> {
    try {
      await this.#handOver.end(this.#failure);
    } finally {
      await retrying(this.#deps, { timeMsMax: lastCommitMsMax }, () => this.#member.leave());
    }
  }
}
