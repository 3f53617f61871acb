/**
 * Sends records: batched, in order per partition, each exactly once as far as the log's answers reach.
 *
 * A record waits in its partition's open batch while a batch of that partition is on its way, and goes at once when none
 * is: no timer unless `lingerMs` asks for one. Full batches follow each other without waiting, up to five. Requests may
 * overtake one another; the log then refuses the later batch, which is sent again when the earlier one is settled.
 */

import { randomFraction } from '../clock.ts';
import { isLogError, LogError } from '../errors.ts';
import type { TopicDescription } from '../log.ts';
import { encodeBatch, recordBytesBound } from '../record/encode-batch.ts';
import type { Record } from '../record/record.ts';
import { batchHeaderBytes, type Codec } from '../record/record-batch.ts';
import { partitionForKey } from '../topic/partitioner.ts';
import { callJson, requestTimeoutMs, retryDelayMs, topicPath } from './api-calls.ts';
import type { ClientDeps } from './client-deps.ts';
import { PartitionQueue, type ProducerIdentity, type QueuedBatch } from './partition-queue.ts';
import { type ProducerRecord, toRecord } from './producer-record.ts';
import { sendBatches } from './send-batches.ts';

export interface ProducerOptions {
  /** The log drops resends of the same batch. Without it a lost answer is the caller's to judge. @default true */
  readonly idempotent?: boolean;
  /** How long a batch that is not full waits for more records. @default 0: as long as one is on its way */
  readonly lingerMs?: number;
  /** A batch is full at this size, before compression. @default 131072 */
  readonly batchBytesMax?: number;
  /** @default 'none' */
  readonly compression?: Codec;
  /** Bytes that wait or are on their way; `send` waits when there are more. @default 33554432 */
  readonly bufferBytesMax?: number;
  /** Requests on their way at once. @default 5 */
  readonly requestsInFlightMax?: number;
  /** A record is durable or failed after this. @default 120000 */
  readonly deliveryTimeoutMs?: number;
}

/** Where a record is now, durably. */
export interface RecordPlace {
  readonly partition: number;
  readonly offset: number;
  /** Log append time where the topic says so, else the highest timestamp of the record's batch. */
  readonly timestamp: number;
}

/** The log remembers five batches per producer and partition (Kafka's rule), so no more may be unanswered. */
const batchesInFlightMax = 5;
/** Bytes of one request; the batches of several partitions share one. */
const sendBytesMax = 4 * 1024 * 1024;
/** What is left of a delivery time may be too little for any answer; this much is given all the same. */
const requestTimeoutMsMin = 100;
/** A topic that grew is noticed after this. */
const topicAgeMsMax = 60_000;

/** The records sent between two flushes; done when the last of them has its outcome. */
interface Round {
  count: number;
  readonly done: PromiseWithResolvers<void>;
}

interface TakenRecord {
  readonly sent: ProducerRecord;
  readonly record: Record;
  readonly bytes: number;
  readonly deadlineMs: number;
}

/** Waits for the topic to be read, or for space. */
interface WaitingRecord extends TakenRecord {
  readonly resolve: (place: Promise<RecordPlace>) => void;
  readonly reject: (error: unknown) => void;
}

function newRound(): Round {
  return { count: 0, done: Promise.withResolvers() };
}

export class Producer {
  readonly topic: string;
  readonly #deps: ClientDeps;
  readonly #options: Required<ProducerOptions>;
  readonly #queues = new Map<number, PartitionQueue>();
  /** In the order of the calls of `send`. */
  readonly #waiting = new Set<WaitingRecord>();
  /** The ones that a flush waits for. */
  readonly #openRounds = new Set<Round>();
  #round = newRound();
  #topicRead: { readonly topic: TopicDescription; readonly readAtMs: number } | undefined;
  #identity: Promise<ProducerIdentity> | undefined;
  #stickyPartition: number | undefined;
  #bufferedBytes = 0;
  #spaceFreed = Promise.withResolvers<void>();
  #isAdmitting = false;
  #isClosed = false;
  #flushCount = 0;
  #requestsInFlight = 0;
  #isPumping = false;

  constructor(deps: ClientDeps, topic: string, options: ProducerOptions = {}) {
    this.#deps = deps;
    this.topic = topic;
    this.#options = {
      idempotent: true,
      lingerMs: 0,
      batchBytesMax: 128 * 1024,
      compression: 'none',
      bufferBytesMax: 32 * 1024 * 1024,
      requestsInFlightMax: 5,
      deliveryTimeoutMs: 120_000,
      ...options,
    };
  }

  /**
   * Resolves when the record is durable. Await it, or many at once: records are taken in the order of the calls.
   *
   * Throws the `LogError` of the log: with `effect: none` the record is not there, with `unknown` it may be. Waits, for at
   * most `deliveryTimeoutMs`, while the buffer is full. `signal` ends that wait; a record that was taken is not called back.
   */
  async send(sent: ProducerRecord, options: { readonly signal?: AbortSignal } = {}): Promise<RecordPlace> {
    const { signal } = options;
    signal?.throwIfAborted();
    if (this.#isClosed) throw new LogError('INVALID_REQUEST', `the producer of topic ${this.topic} is closed`);
    const record = toRecord(sent, this.#deps.clock.nowMs());
    const bytes = recordBytesBound(record);
    const deadlineMs = this.#deps.clock.nowMs() + this.#options.deliveryTimeoutMs;
    const taken = { sent, record, bytes, deadlineMs };
    const round = this.#round;
    const topic = this.#freshTopic();
    // Who waits already goes first, whatever its size: the order of the calls is the order of the records.
    if (topic !== undefined && this.#waiting.size === 0 && this.#hasSpaceFor(bytes)) {
      return this.#counted(round, this.#take(taken, topic));
    }
    const { promise, resolve, reject } = Promise.withResolvers<RecordPlace>();
    const waiting: WaitingRecord = { ...taken, resolve, reject };
    this.#waiting.add(waiting);
    const onAbort = () => this.#waiting.delete(waiting) && reject(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    void this.#admit();
    return this.#counted(round, promise).finally(() => signal?.removeEventListener('abort', onAbort));
  }

  /** Resolves when everything sent so far is durable or failed. Throws the signal's reason; sending goes on all the same. */
  async flush(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    signal?.throwIfAborted();
    const settled = this.#settled();
    if (signal === undefined) return settled;
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.race([settled, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Refuses further records, then flushes: within `deliveryTimeoutMs` every record left has its outcome. */
  async close(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#isClosed = true;
    await this.flush(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #settled(): Promise<void> {
    const round = this.#round;
    if (round.count > 0) {
      this.#openRounds.add(round);
      this.#round = newRound();
    }
    if (this.#openRounds.size === 0) return;
    this.#flushCount += 1;
    for (const queue of this.#queues.values()) queue.seal();
    this.#pumpSoon();
    await Promise.all([...this.#openRounds].map(({ done }) => done.promise));
    this.#flushCount -= 1;
  }

  /** Keeps the round open until `place` settles. */
  #counted(round: Round, place: Promise<RecordPlace>): Promise<RecordPlace> {
    round.count += 1;
    const settle = () => {
      round.count -= 1;
      if (round.count > 0 || round === this.#round) return;
      this.#openRounds.delete(round);
      round.done.resolve();
    };
    place.then(settle, settle);
    return place;
  }

  #hasSpaceFor(bytes: number): boolean {
    return this.#bufferedBytes === 0 || this.#bufferedBytes + bytes <= this.#options.bufferBytesMax;
  }

  /** Puts the record into its partition's open batch. Rejects with what is wrong with it before anything is sent. */
  async #take(taken: TakenRecord, topic: TopicDescription): Promise<RecordPlace> {
    const { sent, record, bytes, deadlineMs } = taken;
    const bytesMax = Number(topic.config['max.message.bytes']?.value ?? Number.POSITIVE_INFINITY);
    if (bytes + batchHeaderBytes > bytesMax) this.#checkSize(record, bytesMax);
    const batchBytesMax = Math.min(this.#options.batchBytesMax, bytesMax);
    const choose = () => this.#stickyPartitionFor(bytes, batchBytesMax, topic.partitions.length);
    const queue = this.#queueOf(choosePartition(sent, record.key, topic.partitions.length) ?? choose());
    const place = queue.add({ record, bytes, deadlineMs }, batchBytesMax);
    this.#bufferedBytes += bytes;
    this.#pumpSoon();
    try {
      return await place;
    } finally {
      this.#bufferedBytes -= bytes;
      if (this.#waiting.size > 0) this.#spaceFreed.resolve();
    }
  }

  /** The estimate is on the high side, so the batch is built to see; compression may save it. */
  #checkSize(record: Record, bytesMax: number): void {
    const bytes = encodeBatch({ records: [record], codec: this.#options.compression }).byteLength;
    if (bytes <= bytesMax) return;
    const message = `a record makes a batch of ${bytes} bytes, max.message.bytes of topic ${this.topic} is ${bytesMax}`;
    throw new LogError('MESSAGE_TOO_LARGE', message, { details: { bytes, bytesMax } });
  }

  /** Takes the waiting records one after another, as the topic is known and space comes free. One runs at a time. */
  async #admit(): Promise<void> {
    if (this.#isAdmitting) return;
    this.#isAdmitting = true;
    for (let [first] = this.#waiting; first !== undefined; [first] = this.#waiting) {
      try {
        const topic = this.#freshTopic() ?? (await this.#readTopic(first.deadlineMs));
        for (const waiting of this.#waiting) {
          if (!this.#hasSpaceFor(waiting.bytes)) break;
          this.#waiting.delete(waiting);
          waiting.resolve(this.#take(waiting, topic));
        }
      } catch (error) {
        // Whoever else waits would hear the same.
        for (const waiting of this.#waiting) waiting.reject(error);
        this.#waiting.clear();
      }
      await this.#waitForSpace();
    }
    this.#isAdmitting = false;
  }

  /** Until a record is settled, or the first one has waited for too long and is refused. */
  async #waitForSpace(): Promise<void> {
    const [first] = this.#waiting;
    if (first === undefined || this.#hasSpaceFor(first.bytes)) return;
    this.#spaceFreed = Promise.withResolvers();
    const ended = new AbortController();
    const waitMs = Math.max(first.deadlineMs - this.#deps.clock.nowMs(), 1);
    await Promise.race([this.#spaceFreed.promise, this.#deps.clock.sleep(waitMs, ended.signal)]);
    ended.abort();
    if (this.#hasSpaceFor(first.bytes) || this.#deps.clock.nowMs() < first.deadlineMs) return;
    const { bufferBytesMax, deliveryTimeoutMs } = this.#options;
    const message = `buffer of ${bufferBytesMax} bytes stayed full for ${deliveryTimeoutMs} ms`;
    if (this.#waiting.delete(first)) first.reject(new LogError('REQUEST_TIMED_OUT', message, { effect: 'none' }));
  }

  #queueOf(partition: number): PartitionQueue {
    let queue = this.#queues.get(partition);
    if (queue === undefined) {
      queue = new PartitionQueue(partition, { ...this.#deps, ...this.#options, wake: () => this.#pumpSoon() });
      this.#queues.set(partition, queue);
    }
    return queue;
  }

  /** As Kafka's producers do it: records without a key fill the batch of one partition, then of some other. */
  #stickyPartitionFor(bytes: number, batchBytesMax: number, partitionCount: number): number {
    const sticky = this.#stickyPartition;
    if (sticky !== undefined && this.#queues.get(sticky)?.hasRoomFor(bytes, batchBytesMax)) return sticky;
    const next = Math.floor(randomFraction(this.#deps.randomBytes) * partitionCount);
    this.#stickyPartition = next;
    return next;
  }

  #freshTopic(): TopicDescription | undefined {
    const read = this.#topicRead;
    return read !== undefined && this.#deps.clock.nowMs() - read.readAtMs <= topicAgeMsMax ? read.topic : undefined;
  }

  async #readTopic(deadlineMs: number): Promise<TopicDescription> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const timeoutMs = Math.max(
          Math.min(requestTimeoutMs, deadlineMs - this.#deps.clock.nowMs()),
          requestTimeoutMsMin,
        );
        const topic = await callJson<TopicDescription>(this.#deps.transport, 'GET', topicPath(this.topic), {
          timeoutMs,
        });
        this.#topicRead = { topic, readAtMs: this.#deps.clock.nowMs() };
        return topic;
      } catch (error) {
        // Nothing of the record was sent yet. That the topic is missing will not pass by waiting.
        if (!isLogError(error) || isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION')) throw error;
        const delayMs = retryDelayMs(attempt, error, this.#deps.randomBytes);
        if (!error.retriable || this.#deps.clock.nowMs() + delayMs >= deadlineMs) throw withoutEffect(error);
        await this.#deps.clock.sleep(delayMs);
      }
    }
  }

  /** After the current turn, so that records sent together travel together. */
  #pumpSoon(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    setImmediate(() => {
      this.#isPumping = false;
      this.#pump();
    });
  }

  /** Fills the free requests: at most one batch of each partition in each. */
  #pump(): void {
    while (this.#requestsInFlight < this.#options.requestsInFlightMax) {
      const batches: { queue: PartitionQueue; batch: QueuedBatch }[] = [];
      let bytes = 0;
      for (const queue of this.#queues.values()) {
        if (bytes >= sendBytesMax) break;
        const batch = queue.take(this.#options.idempotent ? batchesInFlightMax : 1, this.#flushCount > 0);
        if (batch === undefined) continue;
        batches.push({ queue, batch });
        bytes += batch.bytes;
      }
      if (batches.length === 0) return;
      // Who was served goes to the back of the line.
      for (const { queue } of batches) {
        this.#queues.delete(queue.partition);
        this.#queues.set(queue.partition, queue);
      }
      this.#requestsInFlight += 1;
      void this.#request(batches);
    }
  }

  async #request(batches: readonly { queue: PartitionQueue; batch: QueuedBatch }[]): Promise<void> {
    const toSettle = new Set(batches);
    try {
      if (this.#options.idempotent) {
        // Only a partition's first batch, or the first after trouble, has to ask.
        for (const { queue } of batches) await queue.identify(() => this.#nextIdentity(queue.isRenewed));
      }
      const results = await sendBatches(
        this.#deps.transport,
        this.topic,
        batches.map(({ queue, batch }) => queue.encode(batch)),
        timeoutOf(
          batches.map(({ batch }) => batch),
          this.#deps.clock.nowMs(),
        ),
      );
      for (const [index, entry] of batches.entries()) {
        toSettle.delete(entry);
        const result = results[index];
        if (result === undefined || result instanceof Error)
          entry.queue.failed(entry.batch, asLogError(result), this.#options.idempotent);
        else entry.queue.succeeded(entry.batch, result);
      }
    } catch (error) {
      for (const { queue, batch } of toSettle) queue.failed(batch, asLogError(error), this.#options.idempotent);
    } finally {
      this.#requestsInFlight -= 1;
      this.#pumpSoon();
    }
  }

  /** The producer's own id, shared by its partitions; after trouble a partition gets one for itself. */
  #nextIdentity(isRenewed: boolean): Promise<ProducerIdentity> {
    const ask = () => callJson<ProducerIdentity>(this.#deps.transport, 'POST', '/v1/producers');
    if (isRenewed) return ask().catch((error: unknown) => Promise.reject(withoutEffect(error)));
    this.#identity ??= ask().catch((error: unknown) => {
      this.#identity = undefined;
      throw withoutEffect(error);
    });
    return this.#identity;
  }
}

/** No request outlives the delivery time of what it carries. */
function timeoutOf(batches: readonly QueuedBatch[], nowMs: number): number {
  const deadlineMs = Math.min(...batches.map(({ records: [first] }) => first?.deadlineMs ?? Number.POSITIVE_INFINITY));
  return Math.max(Math.min(requestTimeoutMs, deadlineMs - nowMs), requestTimeoutMsMin);
}

function asLogError(error: unknown): LogError {
  if (isLogError(error)) return error;
  const message = error instanceof Error ? error.message : 'the answer has no result for a batch';
  return new LogError('UNKNOWN_SERVER_ERROR', message, { cause: error });
}

/** The same failure, of a request that appends nothing. */
function withoutEffect(error: unknown): unknown {
  if (!isLogError(error)) return error;
  const { code, message, retriable, cause } = error;
  return new LogError(code, message, { retriable, effect: 'none', cause });
}

/** Undefined when any partition will do. */
function choosePartition(sent: ProducerRecord, key: Uint8Array | null, partitionCount: number): number | undefined {
  return sent.partition ?? (key === null ? undefined : partitionForKey(key, partitionCount));
}
