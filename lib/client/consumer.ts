/**
 * Reads records from positions the caller chooses, in order per partition. Nothing is remembered on the other side: to go
 * on later, keep `position` and start from there.
 */

import { isLogError, LogError } from '../errors.ts';
import { KiB, MiB } from '../limits.ts';
import type { TopicDescription, TopicSummary } from '../log.ts';
import { callJson, retryDelayMs, topicPath } from './api-calls.ts';
import type { ClientDeps } from './client-deps.ts';
import { type ConsumedBatch, type ConsumedRecord, readBatches, readRecords } from './consumed-record.ts';
import { type FetchedPartition, fetchBatches, waitMsOf } from './fetch-batches.ts';
import { logLimits, type TransportLimits } from './transport.ts';

export interface ConsumerOptions {
  /**
   * Where to begin: the first record there is, behind the last one, at a time (the first record in offset order that is not
   * older), or at an offset of each partition (those not named begin at the earliest). @default 'earliest'
   */
  readonly from?: 'earliest' | 'latest' | Date | { readonly offsets: Readonly<Record<number, number>> };
  /** @default all, new ones included */
  readonly partitions?: readonly number[];
  /** Wait for more at the end; else stop at the high watermarks found at the start. @default true */
  readonly follow?: boolean;
  /** Of one answer; soft, one batch is always given. @default 4194304 */
  readonly maxBytes?: number;
  /** A fetch at the end waits this long for records; shorter where one cannot ask for all partitions. @default 5000 */
  readonly maxWaitMs?: number;
  /** Where to go on when an offset is no longer, or not yet, there. @default 'error' */
  readonly offsetReset?: 'earliest' | 'latest' | 'error';
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
}

/** A consumer that follows gives up after it could not fetch for this long. */
const failingMsMax = 120_000;
/** A topic that grew is noticed after this. */
const topicAgeMsMax = 60_000;
/** Partitions that are asked at once where a time is in them. */
const timesAtOnceMax = 16;
/** Less than this is not worth asking for: then it is one batch at a time. */
const maxBytesMin = 64 * KiB;

/** One partition of an answer, on its way to the caller. */
interface Delivery {
  readonly fetched: FetchedPartition;
  /** No record from here on is wanted; exclusive. */
  readonly end: number;
}

export class Consumer implements AsyncIterable<ConsumedRecord> {
  readonly topic: string;
  readonly #deps: ClientDeps;
  readonly #options: ConsumerOptions;
  readonly #limits: TransportLimits;
  readonly #closing = new AbortController();
  /** Aborted by whatever ends this consumer from outside: `close`, the caller's signal, the end of the client. */
  readonly #signal: AbortSignal;
  readonly #positions = new Map<number, number>();
  /** Where to fetch next: ahead of the positions by what was fetched and not handed out yet. */
  readonly #next = new Map<number, number>();
  /** Since when a partition has failed while others answered. */
  readonly #failingSinceMs = new Map<number, number>();
  /** Falls when something on the way refuses answers as too large. */
  #maxBytes: number;

  constructor(deps: ClientDeps, topic: string, options: ConsumerOptions = {}) {
    this.#deps = deps;
    this.topic = topic;
    this.#options = options;
    this.#limits = deps.transport.limits ?? logLimits;
    this.#maxBytes = Math.min(options.maxBytes ?? 4 * MiB, this.#limits.fetchBytesMax);
    const given = options.signal === undefined ? [] : [options.signal];
    this.#signal = AbortSignal.any([this.#closing.signal, deps.closing, ...given]);
  }

  /** The next offset this consumer hands out; undefined before the iteration began. */
  position(partition: number): number | undefined {
    return this.#positions.get(partition);
  }

  get positions(): ReadonlyMap<number, number> {
    return this.#positions;
  }

  /** Goes on with `offset`, also in the midst of an iteration. Throws for a partition that is not read. */
  seek(partition: number, offset: number): void {
    if (!this.#positions.has(partition)) {
      throw new LogError('INVALID_REQUEST', `partition ${partition} is not read, or the iteration has not begun`);
    }
    if (!(Number.isSafeInteger(offset) && offset >= 0)) {
      throw new LogError('INVALID_REQUEST', `offset is ${offset}, allowed is a whole number from 0 on`);
    }
    // What is at hand goes on with it anyway, and a second answer from there would cross with that.
    if (this.#positions.get(partition) === offset) return;
    this.#positions.set(partition, offset);
    this.#next.set(partition, offset);
  }

  /** Ends the iteration. */
  async close(): Promise<void> {
    this.#closing.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Throws the log's error; ends quietly when closed or aborted, or at the end when it does not follow. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ConsumedRecord, void, undefined> {
    for await (const { fetched, end } of this.#deliveries()) {
      const { partition, nextOffset } = fetched;
      let position = fetched.offset;
      const isSought = () => this.#positions.get(partition) !== position;
      for (const record of readRecords(this.topic, fetched, end)) {
        if (this.#signal.aborted) return;
        position = record.offset + 1;
        this.#positions.set(partition, position);
        yield record;
        if (isSought()) break;
      }
      if (!isSought()) this.#positions.set(partition, Math.min(nextOffset, end));
    }
  }

  /**
   * The same records, as many together as came together for one partition, up to 64 MiB in memory: for work that is better
   * done on many, such as one write to a database for all. `position` is behind a batch as soon as it is handed out.
   */
  async *batches(): AsyncGenerator<ConsumedBatch, void, undefined> {
    for await (const { fetched, end } of this.#deliveries()) {
      const { partition, nextOffset } = fetched;
      let position = fetched.offset;
      const isSought = () => this.#positions.get(partition) !== position;
      for (const batch of readBatches(this.topic, fetched, end)) {
        if (this.#signal.aborted) return;
        position = batch.nextOffset;
        this.#positions.set(partition, position);
        yield batch;
        if (isSought()) break;
      }
      if (!isSought()) this.#positions.set(partition, Math.min(nextOffset, end));
    }
  }

  /** What was fetched, partition by partition, while the next fetch is under way. Whoever takes it moves the positions. */
  async *#deliveries(): AsyncGenerator<Delivery, void, undefined> {
    const { follow = true, maxWaitMs = 5_000 } = this.#options;
    const { clock } = this.#deps;
    const { fetchPartitionsMax } = this.#limits;
    const iteration = new AbortController();
    const stopped = AbortSignal.any([this.#signal, iteration.signal]);
    try {
      // The high watermarks of the beginning; of one that follows, the last that it was told.
      const ends = await this.#begin(stopped);
      const next = this.#next;
      next.clear();
      for (const [partition, position] of this.#positions) next.set(partition, position);
      const isBehind = ([partition, offset]: readonly [number, number]) => offset < (ends.get(partition) ?? 0);
      const fetchMore = () => {
        const wanted = follow ? [...next] : [...next].filter(isBehind);
        if (wanted.length === 0) return undefined;
        const requestCount = Math.ceil(wanted.length / fetchPartitionsMax);
        const waitMs = follow ? waitMsOf(maxWaitMs, requestCount, wanted.some(isBehind)) : 0;
        return this.#fetch(wanted.slice(0, fetchPartitionsMax), waitMs, stopped);
      };
      let readTopicAtMs = clock.nowMs();
      let fetching = fetchMore();
      while (fetching !== undefined && !stopped.aborted) {
        // After a seek the answer to an older fetch is of no use.
        const answers = (await fetching).filter(({ partition, offset }) => next.get(partition) === offset);
        // Whoever was asked for goes to the back, those that were given most the farthest, so that no partition starves.
        const inTurn = answers.toSorted((a, b) => a.batches.length - b.batches.length);
        for (const { partition, nextOffset, highWatermark } of inTurn) {
          next.delete(partition);
          next.set(partition, nextOffset);
          if (follow) ends.set(partition, highWatermark);
        }
        if (follow && clock.nowMs() - readTopicAtMs > topicAgeMsMax) {
          readTopicAtMs = clock.nowMs();
          await this.#addNewPartitions(next, stopped);
        }
        fetching = fetchMore();
        // Prefetched: its failure is met when its turn comes.
        fetching?.catch(() => {});
        for (const fetched of answers) {
          const position = this.#positions.get(fetched.partition);
          if (position !== fetched.offset) {
            // Sought while the records of another partition were handed out; or sought and back, and they went on.
            if (position !== undefined) next.set(fetched.partition, position);
            continue;
          }
          if (stopped.aborted) return;
          yield { fetched, end: follow ? Number.POSITIVE_INFINITY : (ends.get(fetched.partition) ?? 0) };
        }
        // At the end already, unless a seek has gone back from it.
        fetching ??= fetchMore();
      }
    } catch (error) {
      if (!stopped.aborted) throw error;
    } finally {
      iteration.abort();
    }
  }

  /** Sets the positions; gives the high watermarks of this moment. */
  async #begin(signal: AbortSignal): Promise<Map<number, number>> {
    const info = await this.#readTopic<TopicDescription>(signal);
    const { partitions } = this.#options;
    for (const wanted of partitions ?? []) {
      if (info.partitions[wanted] === undefined) {
        const message = `partition ${wanted} does not exist, topic ${this.topic} has ${info.partitions.length} partitions`;
        throw new LogError('UNKNOWN_TOPIC_OR_PARTITION', message);
      }
    }
    const read = info.partitions.filter(({ partition }) => partitions === undefined || partitions.includes(partition));
    const left = read.filter(({ partition }) => !this.#positions.has(partition));
    while (left.length > 0) {
      const asked = left.splice(0, timesAtOnceMax);
      const begins = await Promise.all(asked.map((bounds) => this.#startOf(bounds, signal)));
      for (const [partition, offset] of begins) this.#positions.set(partition, offset);
    }
    return new Map(read.map(({ partition, highWatermark }) => [partition, highWatermark]));
  }

  /** Where `from` begins. */
  async #startOf(
    { partition, logStartOffset, highWatermark }: TopicDescription['partitions'][number],
    signal: AbortSignal,
  ): Promise<readonly [partition: number, offset: number]> {
    const { from = 'earliest' } = this.#options;
    if (from instanceof Date) return [partition, (await this.#offsetAt(partition, from, signal)) ?? highWatermark];
    if (typeof from === 'object') return [partition, from.offsets[partition] ?? logStartOffset];
    return [partition, from === 'latest' ? highWatermark : logStartOffset];
  }

  async #addNewPartitions(next: Map<number, number>, signal: AbortSignal): Promise<void> {
    if (this.#options.partitions !== undefined) return;
    const { partitionCount } = await this.#readTopic<TopicSummary>(signal, { offsets: 'false' });
    if (partitionCount <= next.size) return;
    const info = await this.#readTopic<TopicDescription>(signal);
    for (const { partition, logStartOffset } of info.partitions) {
      if (next.has(partition)) continue;
      next.set(partition, logStartOffset);
      this.#positions.set(partition, logStartOffset);
    }
  }

  async #fetch(
    partitions: readonly (readonly [number, number])[],
    maxWaitMs: number,
    signal: AbortSignal,
  ): Promise<FetchedPartition[]> {
    return this.#retrying(signal, async () => {
      const fetch = { partitions, maxBytes: this.#maxBytes, maxWaitMs, signal };
      const answers: FetchedPartition[] = [];
      let failure: LogError | undefined;
      for (const one of await fetchBatches(this.#deps.transport, this.topic, fetch)) {
        if (!('error' in one)) {
          this.#failingSinceMs.delete(one.partition);
          answers.push(one);
        } else if (isLogError(one.error, 'OFFSET_OUT_OF_RANGE')) {
          answers.push(await this.#reset(one.partition, one.error, signal));
        } else {
          if (!this.#canPass(one)) throw one.error;
          failure = one.error;
        }
      }
      // What was read is handed out before the failed ones are asked again; with nothing read that would not wait at all.
      if (failure !== undefined && answers.every(({ batches }) => batches.length === 0)) throw failure;
      return answers;
    });
  }

  /** What stands before a log may give less than the transport knows of. False when there is no less. */
  #asksForLess(): boolean {
    if (this.#maxBytes <= 1) return false;
    this.#maxBytes = this.#maxBytes > 8 * maxBytesMin ? Math.ceil(this.#maxBytes / 8) : 1;
    return true;
  }

  #canPass({ partition, error }: { readonly partition: number; readonly error: LogError }): boolean {
    const nowMs = this.#deps.clock.nowMs();
    const sinceMs = this.#failingSinceMs.get(partition) ?? nowMs;
    this.#failingSinceMs.set(partition, sinceMs);
    return error.retriable && !isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION') && nowMs - sinceMs < failingMsMax;
  }

  async #reset(partition: number, error: LogError, signal: AbortSignal): Promise<FetchedPartition> {
    const { offsetReset = 'error' } = this.#options;
    if (offsetReset === 'error') throw error;
    const path = topicPath(this.topic, `/partitions/${partition}/offsets`);
    const { offset } = await callJson<{ offset: number }>(this.#deps.transport, 'GET', path, {
      query: { timestamp: offsetReset },
      signal,
    });
    const asked = this.#next.get(partition) ?? offset;
    return { partition, offset: asked, batches: [], nextOffset: offset, highWatermark: offset };
  }

  async #offsetAt(partition: number, time: Date, signal: AbortSignal): Promise<number | undefined> {
    const path = topicPath(this.topic, `/partitions/${partition}/offsets`);
    const query = { timestamp: String(time.getTime()) };
    // So many at once may be too many for the log.
    const { offset } = await this.#retrying(signal, () =>
      callJson<{ offset: number | null }>(this.#deps.transport, 'GET', path, { query, signal }),
    );
    return offset ?? undefined;
  }

  #readTopic<T extends TopicSummary>(signal: AbortSignal, query: Record<string, string> = {}): Promise<T> {
    const path = topicPath(this.topic);
    return this.#retrying(signal, () =>
      callJson<T>(this.#deps.transport, 'GET', path, { role: 'consumer', query, has: 'partitionCount', signal }),
    );
  }

  /** Reading has no effect, so whatever can pass is tried again, for a bounded time. */
  async #retrying<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    const { clock, randomBytes } = this.#deps;
    const deadlineMs = clock.nowMs() + failingMsMax;
    for (let attempt = 1; ; attempt++) {
      try {
        return await call();
      } catch (error) {
        if (isLogError(error, 'MESSAGE_TOO_LARGE') && this.#asksForLess()) continue;
        const canPass = isLogError(error) && error.retriable && !isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION');
        if (!canPass || signal.aborted || clock.nowMs() >= deadlineMs) throw error;
        await clock.sleep(retryDelayMs(attempt, error, randomBytes), signal);
      }
    }
  }
}
