/**
 * Sends records: batched, in order per partition, each exactly once as far as the log's answers reach.
 *
 * A record waits in its partition's open batch while a batch of that partition is on its way, and goes at once when none
 * is: no timer unless `lingerMs` asks for one. Full batches follow each other without waiting, up to five. Requests may
 * overtake one another; the log then refuses the later batch, which is sent again when the earlier one is settled.
 */

import { isLogError, LogError } from '../errors.ts';
import type { TopicDescription } from '../log.ts';
import { recordBytesBound } from '../record/encode-batch.ts';
import type { Codec } from '../record/record-batch.ts';
import { partitionForKey } from '../topic/partitioner.ts';
import { callJson, retryDelayMs, topicPath } from './api-calls.ts';
import { PartitionQueue, type ProducerIdentity, type QueuedBatch } from './partition-queue.ts';
import { type ProducerRecord, toRecord } from './producer-record.ts';
import { sendBatches } from './send-batches.ts';
import type { Transport } from './transport.ts';
import { deadlineSignal, sleep } from './waiting.ts';

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
/** A topic that grew is noticed after this. */
const topicAgeMsMax = 60_000;

export class Producer {
  readonly topic: string;
  readonly #transport: Transport;
  readonly #options: Required<ProducerOptions>;
  readonly #queues = new Map<number, PartitionQueue>();
  readonly #closing = new AbortController();
  #topicInfo: { readonly info: Promise<TopicDescription>; readonly readAtMs: number } | undefined;
  #identity: Promise<ProducerIdentity> | undefined;
  #stickyPartition: number | undefined;
  #bufferedBytes = 0;
  #waitingForSpace: (() => void)[] = [];
  #requestsInFlight = 0;
  #isPumping = false;
  #unsettled = new Set<Promise<unknown>>();

  constructor(transport: Transport, topic: string, options: ProducerOptions = {}) {
    this.#transport = transport;
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
  send(record: ProducerRecord, options: { readonly signal?: AbortSignal } = {}): Promise<RecordPlace> {
    const sending = this.#send(record, options.signal);
    this.#unsettled.add(sending);
    const settled = () => void this.#unsettled.delete(sending);
    sending.then(settled, settled);
    return sending;
  }

  /** Resolves when everything sent so far is durable or failed. */
  async flush(): Promise<void> {
    for (const queue of this.#queues.values()) queue.seal();
    this.#pumpSoon();
    await Promise.allSettled(this.#unsettled);
  }

  /** Flushes; then `send` is refused. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #send(sent: ProducerRecord, signal: AbortSignal | undefined): Promise<RecordPlace> {
    if (this.#closing.signal.aborted)
      throw new LogError('INVALID_REQUEST', `the producer of topic ${this.topic} is closed`);
    const record = toRecord(sent);
    const bytes = recordBytesBound(record);
    const deadlineMs = Date.now() + this.#options.deliveryTimeoutMs;
    const topic = await this.#readTopic(signal, deadlineMs);
    const bytesMax = Number(topic.config['max.message.bytes']?.value ?? Number.POSITIVE_INFINITY);
    if (bytes > bytesMax && this.#options.compression === 'none') {
      throw new LogError(
        'MESSAGE_TOO_LARGE',
        `record of ${bytes} bytes, max.message.bytes of topic ${this.topic} is ${bytesMax}`,
        {
          details: { bytes, bytesMax },
        },
      );
    }
    await this.#waitForSpace(bytes, signal, deadlineMs);
    const partition = this.#choosePartition(sent, record.key, topic.partitions.length);
    this.#bufferedBytes += bytes;
    try {
      const queue = this.#queueOf(partition);
      const place = queue.add({ record, bytes, deadlineMs }, Math.min(this.#options.batchBytesMax, bytesMax));
      this.#pumpSoon();
      return await place;
    } finally {
      this.#bufferedBytes -= bytes;
      while (this.#waitingForSpace.length > 0 && this.#bufferedBytes < this.#options.bufferBytesMax) {
        this.#waitingForSpace.shift()?.();
        break;
      }
    }
  }

  #queueOf(partition: number): PartitionQueue {
    let queue = this.#queues.get(partition);
    if (queue === undefined) {
      queue = new PartitionQueue(partition, this.#options.compression, this.#options.lingerMs, () => this.#pumpSoon());
      this.#queues.set(partition, queue);
    }
    return queue;
  }

  #choosePartition(sent: ProducerRecord, key: Uint8Array | null, partitionCount: number): number {
    if (sent.partition !== undefined) return sent.partition;
    if (key !== null) return partitionForKey(key, partitionCount);
    // Sticky, as Kafka's producers are: records without a key fill one partition's batch, then move on.
    const sticky = this.#stickyPartition;
    if (sticky === undefined || sticky >= partitionCount || this.#queues.get(sticky)?.hasOpenBatch !== true) {
      this.#stickyPartition = Math.floor(Math.random() * partitionCount);
    }
    return this.#stickyPartition ?? 0;
  }

  async #waitForSpace(bytes: number, signal: AbortSignal | undefined, deadlineMs: number): Promise<void> {
    const { bufferBytesMax } = this.#options;
    while (this.#bufferedBytes > 0 && this.#bufferedBytes + bytes > bufferBytesMax) {
      signal?.throwIfAborted();
      if (Date.now() >= deadlineMs) {
        const message = `buffer of ${bufferBytesMax} bytes stayed full for ${this.#options.deliveryTimeoutMs} ms`;
        throw new LogError('REQUEST_TIMED_OUT', message, { effect: 'none' });
      }
      const ended = deadlineSignal(deadlineMs, signal);
      await new Promise<void>((resolve) => {
        this.#waitingForSpace.push(resolve);
        ended.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    // One waiter is woken at a time; the next one's turn comes when this one did not use up the space.
    if (this.#bufferedBytes + bytes < bufferBytesMax) queueMicrotask(() => this.#waitingForSpace.shift()?.());
  }

  async #readTopic(signal: AbortSignal | undefined, deadlineMs: number): Promise<TopicDescription> {
    if (this.#topicInfo === undefined || Date.now() - this.#topicInfo.readAtMs > topicAgeMsMax) {
      const info = callJson<TopicDescription>(this.#transport, 'GET', topicPath(this.topic));
      const entry = { info, readAtMs: Date.now() };
      this.#topicInfo = entry;
      info.catch(() => {
        if (this.#topicInfo === entry) this.#topicInfo = undefined;
      });
    }
    for (let attempt = 1; ; attempt++) {
      try {
        return await (this.#topicInfo?.info ??
          callJson<TopicDescription>(this.#transport, 'GET', topicPath(this.topic)));
      } catch (error) {
        // Nothing of the record was sent yet. That the topic is missing will not pass by waiting.
        if (!isLogError(error) || isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION')) throw error;
        if (!error.retriable || Date.now() >= deadlineMs) throw withoutEffect(error);
        await sleep(retryDelayMs(attempt, error), signal);
        signal?.throwIfAborted();
      }
    }
  }

  /** After the current turn, so that records sent together travel together. */
  #pumpSoon(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    queueMicrotask(() => {
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
        const batch = queue.take(this.#options.idempotent ? batchesInFlightMax : 1);
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
        this.#transport,
        this.topic,
        batches.map(({ queue, batch }) => queue.encode(batch)),
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
    const ask = () => callJson<ProducerIdentity>(this.#transport, 'POST', '/v1/producers');
    if (isRenewed) return ask().catch((error: unknown) => Promise.reject(withoutEffect(error)));
    this.#identity ??= ask().catch((error: unknown) => {
      this.#identity = undefined;
      throw withoutEffect(error);
    });
    return this.#identity;
  }
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
