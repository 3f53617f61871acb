/**
 * Takes batches from the queues of the partitions, packs them into requests, and gives each queue its outcomes.
 *
 * A request has at most one batch of each partition and, unless one batch alone is larger, no more bytes than the way to
 * the log allows. Partitions take turns.
 */

import { isLogError, LogError } from '../errors.ts';
import { MiB } from '../limits.ts';
import type { Codec } from '../record/record-batch.ts';
import { frameHeaderBytes } from '../wire.ts';
import { callJson, requestTimeoutMs, requestTimeoutMsMin, withoutEffect } from './api-calls.ts';
import type { ClientDeps } from './client-deps.ts';
import { PartitionQueue, type ProducerIdentity, type QueuedBatch, type SentRecord } from './partition-queue.ts';
import { sendBatches } from './send-batches.ts';
import { logLimits } from './transport.ts';

export interface BatchSenderOptions {
  readonly idempotent: boolean;
  readonly lingerMs: number;
  readonly compression: Codec;
  readonly requestsInFlightMax: number;
  /** Called with records that have their outcome. */
  readonly onSettled: (records: readonly SentRecord[]) => void;
  /** Called when the topic takes no such batch, or has no such partition: it may have changed. */
  readonly onMisfit: () => void;
}

/** The log remembers five batches per producer and partition (Kafka's rule), so no more may be unanswered. */
const batchesInFlightMax = 5;
/** A request of more is not quicker, and holds up what comes behind it. */
const sendBytesMax = 4 * MiB;

interface TakenBatch {
  readonly queue: PartitionQueue;
  readonly batch: QueuedBatch;
}

export class BatchSender {
  readonly #deps: ClientDeps;
  readonly #topic: string;
  readonly #options: BatchSenderOptions;
  readonly #queues = new Map<number, PartitionQueue>();
  /** Those that have something to send, in the order in which their turn comes: few of all that were ever used. */
  readonly #waiting = new Set<PartitionQueue>();
  /** Falls when something on the way refuses requests as too large. */
  #requestBytesMax: number;
  #identity: Promise<ProducerIdentity> | undefined;
  #flushCount = 0;
  #requestsInFlight = 0;
  #isPumping = false;

  constructor(deps: ClientDeps, topic: string, options: BatchSenderOptions) {
    this.#deps = deps;
    this.#topic = topic;
    this.#options = options;
    this.#requestBytesMax = Math.min(sendBytesMax, (deps.transport.limits ?? logLimits).requestBytesMax);
  }

  queueOf(partition: number): PartitionQueue {
    let queue = this.#queues.get(partition);
    if (queue === undefined) {
      queue = new PartitionQueue(partition, { ...this.#deps, ...this.#options, wake: () => this.#wake() });
      this.#queues.set(partition, queue);
    }
    return queue;
  }

  /** Puts the record into the open batch of its partition. */
  add(partition: number, record: SentRecord, batchBytesMax: number): void {
    const queue = this.queueOf(partition);
    queue.add(record, batchBytesMax);
    this.#waiting.add(queue);
    this.#wake();
  }

  /** A queue has got something to send. Sent after the current turn, so that records sent together travel together. */
  #wake(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    setImmediate(() => {
      this.#isPumping = false;
      this.#pump();
    });
  }

  /** Until `settled` no batch waits for more records. */
  async flush(settled: Promise<unknown>): Promise<void> {
    this.#flushCount += 1;
    for (const queue of this.#waiting) queue.seal();
    this.#wake();
    await settled;
    this.#flushCount -= 1;
  }

  /** Fills the free requests. */
  #pump(): void {
    while (this.#requestsInFlight < this.#options.requestsInFlightMax) {
      const batches = this.#takeBatches();
      if (batches.length === 0) return;
      // Who was served goes to the back of the line.
      for (const { queue } of batches) if (this.#waiting.delete(queue)) this.#waiting.add(queue);
      this.#requestsInFlight += 1;
      void this.#request(batches);
    }
  }

  #takeBatches(): TakenBatch[] {
    const inFlightMax = this.#options.idempotent ? batchesInFlightMax : 1;
    const batches: TakenBatch[] = [];
    let bytesLeft = this.#requestBytesMax;
    for (const queue of this.#waiting) {
      const bytesMax = batches.length === 0 ? Number.POSITIVE_INFINITY : bytesLeft - frameHeaderBytes;
      const batch = queue.take({ inFlightMax, bytesMax, isFlushing: this.#flushCount > 0 });
      if (queue.isEmpty) this.#waiting.delete(queue);
      if (batch === undefined) continue;
      batches.push({ queue, batch });
      bytesLeft -= batch.bytes + frameHeaderBytes;
      if (bytesLeft <= 0) break;
    }
    return batches;
  }

  async #request(batches: readonly TakenBatch[]): Promise<void> {
    const { transport, clock } = this.#deps;
    const { idempotent } = this.#options;
    const toSettle = new Set(batches);
    try {
      if (idempotent) {
        // Only a partition's first batch, or the first after trouble, has to ask.
        const ask = (queue: PartitionQueue) => this.#nextIdentity(queue.isRenewed, timeoutOf(batches, clock.nowMs()));
        for (const { queue } of batches) await queue.identify(() => ask(queue));
      }
      const frames = batches.map(({ queue, batch }) => queue.encode(batch));
      const timeoutMs = timeoutOf(batches, clock.nowMs());
      const results = await sendBatches(transport, this.#topic, frames, timeoutMs);
      for (const [index, entry] of batches.entries()) {
        toSettle.delete(entry);
        const result = results[index];
        if (result === undefined || result instanceof Error) this.#failed(entry, asLogError(result));
        else entry.queue.succeeded(entry.batch, result);
      }
    } catch (error) {
      const failure = this.#smallerRequestsAfter(asLogError(error), batches);
      for (const entry of toSettle) this.#failed(entry, failure);
    } finally {
      this.#requestsInFlight -= 1;
      // What failed may have to be sent again.
      for (const { queue } of batches) if (!queue.isEmpty) this.#waiting.add(queue);
      this.#wake();
    }
  }

  #failed({ queue, batch }: TakenBatch, error: LogError): void {
    if (isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION') || isLogError(error, 'MESSAGE_TOO_LARGE'))
      this.#options.onMisfit();
    queue.failed(batch, error, this.#options.idempotent);
  }

  /** What stands before a log may take less than the transport knows of; then the same batches go in more requests. */
  #smallerRequestsAfter(error: LogError, batches: readonly TakenBatch[]): LogError {
    if (!isLogError(error, 'MESSAGE_TOO_LARGE') || error.effect !== 'none' || batches.length === 1) return error;
    const sentBytes = batches.reduce((sum, { batch }) => sum + batch.bytes + frameHeaderBytes, 0);
    this.#requestBytesMax = Math.min(this.#requestBytesMax, Math.ceil(sentBytes / 2));
    const { code, message, cause } = error;
    return new LogError(code, message, { retriable: true, effect: 'none', cause });
  }

  /** The producer's own id, shared by its partitions; after trouble a partition gets one for itself. */
  #nextIdentity(isRenewed: boolean, timeoutMs: number): Promise<ProducerIdentity> {
    const ask = () => callJson<ProducerIdentity>(this.#deps.transport, 'POST', '/v1/producers', { timeoutMs });
    if (isRenewed) return ask().catch((error: unknown) => Promise.reject(withoutEffect(error)));
    this.#identity ??= ask().catch((error: unknown) => {
      this.#identity = undefined;
      throw withoutEffect(error);
    });
    return this.#identity;
  }
}

/** No request outlives the delivery time of what it carries. */
function timeoutOf(batches: readonly TakenBatch[], nowMs: number): number {
  const deadlineMs = Math.min(
    ...batches.map(({ batch: { records } }) => records[0]?.deadlineMs ?? Number.POSITIVE_INFINITY),
  );
  return Math.max(Math.min(requestTimeoutMs, deadlineMs - nowMs), requestTimeoutMsMin);
}

function asLogError(error: unknown): LogError {
  if (isLogError(error)) return error;
  const message = error instanceof Error ? error.message : 'the answer has no result for a batch';
  return new LogError('UNKNOWN_SERVER_ERROR', message, { cause: error });
}
