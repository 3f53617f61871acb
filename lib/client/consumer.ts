/**
 * Reads records from positions the caller chooses, in order per partition. Nothing is remembered on the other side: to go
 * on later, keep `position` and start from there.
 */

import { isLogError, LogError } from '../errors.ts';
import { fetchPartitionsMax } from '../limits.ts';
import type { TopicDescription } from '../log.ts';
import type { RecordHeader } from '../record/record.ts';
import { checkCrc, decodeRecords, readBatchHeader } from '../record/record-batch.ts';
import { callJson, retryDelayMs, topicPath } from './api-calls.ts';
import type { ClientDeps } from './client-deps.ts';
import { type FetchedPartition, fetchBatches } from './fetch-batches.ts';

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
  /** A fetch at the end waits this long for records. @default 5000 */
  readonly maxWaitMs?: number;
  /** Where to go on when an offset is no longer, or not yet, there. @default 'error' */
  readonly offsetReset?: 'earliest' | 'latest' | 'error';
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
}

/** A record as it was read. Bytes are views into its batch: copy them to keep one record of many. */
export class ConsumedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since the Unix epoch. */
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];

  constructor(fields: Omit<ConsumedRecord, 'keyText' | 'valueText'>) {
    this.topic = fields.topic;
    this.partition = fields.partition;
    this.offset = fields.offset;
    this.timestamp = fields.timestamp;
    this.key = fields.key;
    this.value = fields.value;
    this.headers = fields.headers;
  }

  /** The key as UTF-8 text. */
  get keyText(): string | null {
    return toText(this.key);
  }

  /** The value as UTF-8 text. */
  get valueText(): string | null {
    return toText(this.value);
  }
}

/** A consumer that follows gives up after it could not fetch for this long. */
const failingMsMax = 120_000;
/** A topic that grew is noticed after this. */
const topicAgeMsMax = 60_000;

export class Consumer implements AsyncIterable<ConsumedRecord> {
  readonly topic: string;
  readonly #deps: ClientDeps;
  readonly #options: ConsumerOptions;
  readonly #closing = new AbortController();
  readonly #positions = new Map<number, number>();
  /** Where to fetch next: ahead of the positions by what was fetched and not handed out yet. */
  readonly #next = new Map<number, number>();
  /** Since when a partition has failed while others answered. */
  readonly #failingSinceMs = new Map<number, number>();

  constructor(deps: ClientDeps, topic: string, options: ConsumerOptions = {}) {
    this.#deps = deps;
    this.topic = topic;
    this.#options = options;
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
    const { follow = true, signal: given } = this.#options;
    const { clock } = this.#deps;
    const signal = given === undefined ? this.#closing.signal : AbortSignal.any([this.#closing.signal, given]);
    const iteration = new AbortController();
    const stopped = AbortSignal.any([signal, iteration.signal]);
    try {
      const ends = await this.#begin(stopped);
      const next = this.#next;
      next.clear();
      for (const [partition, position] of this.#positions) next.set(partition, position);
      const isWanted = (partition: number) => follow || (next.get(partition) ?? 0) < (ends.get(partition) ?? 0);
      const fetchMore = () => {
        const partitions = [...next].filter(([partition]) => isWanted(partition));
        return partitions.length === 0 ? undefined : this.#fetch(partitions.slice(0, fetchPartitionsMax), stopped);
      };
      let readTopicAtMs = clock.nowMs();
      let fetching = fetchMore();
      while (fetching !== undefined && !stopped.aborted) {
        // After a seek the answer to an older fetch is of no use.
        const fetched = (await fetching).filter(({ partition, offset }) => next.get(partition) === offset);
        for (const { partition, nextOffset, batches } of fetched) {
          // Whoever was served goes to the back, so that no partition starves behind another.
          if (batches.length > 0 || next.size > fetchPartitionsMax) next.delete(partition);
          next.set(partition, nextOffset);
        }
        if (follow && clock.nowMs() - readTopicAtMs > topicAgeMsMax) {
          readTopicAtMs = clock.nowMs();
          await this.#addNewPartitions(next, stopped);
        }
        fetching = fetchMore();
        // Prefetched: its failure is met when its turn comes.
        fetching?.catch(() => {});
        for (const one of fetched) {
          const end = follow ? Number.POSITIVE_INFINITY : (ends.get(one.partition) ?? 0);
          let position = this.#positions.get(one.partition);
          // Else sought while the records of another partition were handed out.
          if (position !== one.offset) continue;
          for (const record of this.#records(one, end)) {
            if (signal.aborted) return;
            position = record.offset + 1;
            this.#positions.set(one.partition, position);
            yield record;
            if (this.#positions.get(one.partition) !== position) break;
          }
          if (this.#positions.get(one.partition) !== position) continue;
          this.#positions.set(one.partition, Math.min(one.nextOffset, end));
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

  *#records(fetched: FetchedPartition, end: number): Generator<ConsumedRecord> {
    const { topic } = this;
    const { partition } = fetched;
    for (const batch of fetched.batches) {
      checkCrc(batch);
      if (readBatchHeader(batch).isControl) continue;
      for (const { offset: offset64, timestamp, key, value, headers } of decodeRecords(batch)) {
        const offset = Number(offset64);
        if (offset < fetched.offset || offset >= end) continue;
        yield new ConsumedRecord({ topic, partition, offset, timestamp: Number(timestamp), key, value, headers });
      }
    }
  }

  /** Sets the positions; gives the high watermarks of this moment. */
  async #begin(signal: AbortSignal): Promise<Map<number, number>> {
    const info = await this.#describe(signal);
    const ends = new Map<number, number>();
    const { from = 'earliest', partitions } = this.#options;
    for (const wanted of partitions ?? []) {
      if (info.partitions[wanted] === undefined) {
        const message = `partition ${wanted} does not exist, topic ${this.topic} has ${info.partitions.length} partitions`;
        throw new LogError('UNKNOWN_TOPIC_OR_PARTITION', message);
      }
    }
    for (const { partition, logStartOffset, highWatermark } of info.partitions) {
      if (partitions !== undefined && !partitions.includes(partition)) continue;
      ends.set(partition, highWatermark);
      if (this.#positions.has(partition)) continue;
      let position = from === 'latest' ? highWatermark : logStartOffset;
      if (from instanceof Date) position = (await this.#offsetAt(partition, from, signal)) ?? highWatermark;
      else if (typeof from === 'object') position = from.offsets[partition] ?? logStartOffset;
      this.#positions.set(partition, position);
    }
    return ends;
  }

  async #addNewPartitions(next: Map<number, number>, signal: AbortSignal): Promise<void> {
    if (this.#options.partitions !== undefined) return;
    const info = await this.#describe(signal);
    for (const { partition, logStartOffset } of info.partitions) {
      if (next.has(partition)) continue;
      next.set(partition, logStartOffset);
      this.#positions.set(partition, logStartOffset);
    }
  }

  async #fetch(partitions: readonly (readonly [number, number])[], signal: AbortSignal): Promise<FetchedPartition[]> {
    const { follow = true, maxBytes = 4 * 1024 * 1024, maxWaitMs = 5_000 } = this.#options;
    const fetch = { partitions, maxBytes, maxWaitMs: follow ? maxWaitMs : 0, signal };
    return this.#retrying(signal, async () => {
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
    return { partition, offset: this.#next.get(partition) ?? offset, batches: [], nextOffset: offset };
  }

  async #offsetAt(partition: number, time: Date, signal: AbortSignal): Promise<number | undefined> {
    const path = topicPath(this.topic, `/partitions/${partition}/offsets`);
    const query = { timestamp: String(time.getTime()) };
    const { offset } = await callJson<{ offset: number | null }>(this.#deps.transport, 'GET', path, { query, signal });
    return offset ?? undefined;
  }

  #describe(signal: AbortSignal): Promise<TopicDescription> {
    return this.#retrying(signal, () =>
      callJson<TopicDescription>(this.#deps.transport, 'GET', topicPath(this.topic), { signal }),
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
        const canPass = isLogError(error) && error.retriable && !isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION');
        if (!canPass || signal.aborted || clock.nowMs() >= deadlineMs) throw error;
        await clock.sleep(retryDelayMs(attempt, error, randomBytes), signal);
      }
    }
  }
}

const decoder = new TextDecoder();

function toText(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : decoder.decode(bytes);
}
