/**
 * The batches of one partition on their way: which goes next, with which sequence, and what a failure means for the others.
 *
 * Sequences are given when a batch is first taken, so they follow the order of the records. After a failure that can be
 * retried the batches go one by one until the trouble is over. When a batch fails for good its sequences are missing and
 * the log would refuse what follows; then the queue takes a new producer id, once nothing is on its way any more.
 */

import type { Clock, RandomBytes } from '../clock.ts';
import { isLogError, LogError, withUnknownEffect } from '../errors.ts';
import { encodeBatch } from '../record/encode-batch.ts';
import type { Record } from '../record/record.ts';
import { batchHeaderBytes, type Codec } from '../record/record-batch.ts';
import type { Frame } from '../wire.ts';
import { retryDelayMs } from './api-calls.ts';
import type { Round } from './flush-rounds.ts';
import type { RecordPlace } from './producer.ts';
import type { BatchPlace } from './send-batches.ts';

export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** One record from `send` to its outcome. */
export interface SentRecord {
  readonly record: Record;
  /** The one the caller asked for. */
  readonly partition: number | undefined;
  readonly bytes: number;
  readonly deadlineMs: number;
  readonly round: Round;
  readonly resolve: (place: RecordPlace) => void;
  readonly reject: (error: unknown) => void;
}

export interface QueuedBatch {
  /** Position among the batches of this partition. */
  readonly order: number;
  readonly records: SentRecord[];
  bytes: number;
  baseSequence: number | undefined;
  attempts: number;
  /** Of the last attempt. */
  failure: LogError | undefined;
  /** An attempt had an unknown effect. */
  maybeAppended: boolean;
  /** Earlier batches had no answer yet when this one was sent, so its request may have overtaken theirs. */
  wasBehind: boolean;
}

export interface PartitionQueueOptions {
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly compression: Codec;
  readonly lingerMs: number;
  /** Called when `take` may have something to give. */
  readonly wake: () => void;
  /** Called with the records of a batch when all of them have their outcome. */
  readonly onSettled: (records: readonly SentRecord[]) => void;
}

export interface TakeOptions {
  readonly inFlightMax: number;
  readonly bytesMax: number;
  /** No batch waits for more records. */
  readonly isFlushing: boolean;
}

/** A topic that is gone is not waited for as long as a store that does not answer. */
const unknownTopicAttemptsMax = 5;

export class PartitionQueue {
  readonly partition: number;
  /** True once this queue needed a producer id of its own. */
  isRenewed = false;
  readonly #options: PartitionQueueOptions;
  #open: QueuedBatch | undefined;
  /** Ends the linger of the open batch. */
  #sealing: AbortController | undefined;
  /** In order. */
  #ready: QueuedBatch[] = [];
  readonly #inFlight = new Set<QueuedBatch>();
  #batchCount = 0;
  #nextSequence = 0;
  #identity: Promise<ProducerIdentity> | undefined;
  #identityInUse: ProducerIdentity | undefined;
  #needsRenewal = false;
  #isRecovering = false;
  /** Of the last batch that had an outcome; undefined: it went well. */
  #lastFailure: LogError | undefined;
  #notBeforeMs = 0;
  #isWaking = false;

  constructor(partition: number, options: PartitionQueueOptions) {
    this.partition = partition;
    this.#options = options;
  }

  /** Whether there is nothing to send. */
  get isEmpty(): boolean {
    return this.#open === undefined && this.#ready.length === 0;
  }

  /** Whether a record of `bytes` would join the open batch. */
  hasRoomFor(bytes: number, batchBytesMax: number): boolean {
    return this.#open !== undefined && this.#open.bytes + bytes <= batchBytesMax;
  }

  add(record: SentRecord, batchBytesMax: number): void {
    if (this.#open !== undefined && this.#open.bytes + record.bytes > batchBytesMax) this.seal();
    const open = this.#open ?? this.#openBatch();
    open.bytes += record.bytes;
    open.records.push(record);
  }

  /** The open batch takes no more records. */
  seal(): void {
    if (this.#open === undefined) return;
    this.#ready.push(this.#open);
    this.#open = undefined;
    this.#sealing?.abort();
  }

  /**
   * The batch to send now, if one may go and has no more than `bytesMax`. `inFlightMax` bounds how far it may be ahead of
   * the oldest batch without an answer: batches settled in between count, since the log would have forgotten the oldest
   * one after so many.
   */
  take({ inFlightMax, bytesMax, isFlushing }: TakeOptions): QueuedBatch | undefined {
    this.#expire();
    if (this.#needsRenewal) {
      if (this.#inFlight.size > 0) return undefined;
      this.#renew();
    }
    const waitMs = this.#notBeforeMs - this.#options.clock.nowMs();
    if (waitMs > 0) {
      this.#wakeAfter(waitMs);
      return undefined;
    }
    if (this.#inFlight.size >= (this.#isRecovering ? 1 : inFlightMax)) return undefined;
    if (this.#ready.length === 0 && this.#inFlight.size === 0 && (isFlushing || this.#options.lingerMs === 0))
      this.seal();
    const [batch] = this.#ready;
    const [oldest] = this.#inFlight;
    if (batch === undefined || batch.bytes > bytesMax) return undefined;
    if (oldest !== undefined && batch.order - oldest.order >= inFlightMax) return undefined;
    this.#ready.shift();
    batch.wasBehind = oldest !== undefined;
    if (batch.baseSequence === undefined) {
      batch.baseSequence = this.#nextSequence;
      this.#nextSequence = (this.#nextSequence + batch.records.length) % 2 ** 31;
    }
    batch.attempts += 1;
    this.#inFlight.add(batch);
    return batch;
  }

  /** Has an identity ready for `encode`. Throws what `ask` throws. */
  async identify(ask: () => Promise<ProducerIdentity>): Promise<void> {
    const asking = this.#identity ?? ask();
    this.#identity = asking;
    try {
      this.#identityInUse = await asking;
    } catch (error) {
      if (this.#identity === asking) this.#identity = undefined;
      throw error;
    }
  }

  encode(batch: QueuedBatch): Frame {
    const { baseSequence, records } = batch;
    const identity = this.#identityInUse;
    const producer =
      identity === undefined || baseSequence === undefined ? {} : { producer: { ...identity, baseSequence } };
    const encoded = encodeBatch({
      records: records.map(({ record }) => record),
      codec: this.#options.compression,
      ...producer,
    });
    return { partition: this.partition, batch: encoded };
  }

  succeeded(batch: QueuedBatch, { baseOffset, timestamp }: BatchPlace): void {
    this.#inFlight.delete(batch);
    this.#lastFailure = undefined;
    if (this.#ready.every(({ attempts }) => attempts === 0)) this.#isRecovering = false;
    for (const [index, { resolve }] of batch.records.entries()) {
      resolve({ partition: this.partition, offset: baseOffset + index, timestamp });
    }
    this.#options.onSettled(batch.records);
  }

  failed(batch: QueuedBatch, error: LogError, isIdempotent: boolean): void {
    this.#inFlight.delete(batch);
    if (error.effect === 'unknown') batch.maybeAppended = true;
    batch.failure = error;
    this.#lastFailure = error;
    const isExpired = this.#isExpired(batch);
    const isOutOfOrder = isIdempotent && isLogError(error, 'OUT_OF_ORDER_SEQUENCE_NUMBER');

    if (isOutOfOrder && batch.wasBehind && !isExpired) {
      // Not a new id: a copy of the refused request may still be under way, and must then count as the same batch.
      this.#sendAgain(batch, 0);
      return;
    }
    if (isOutOfOrder && !batch.maybeAppended && !isExpired) {
      // What came before failed for good, or the log forgot this producer: the batch starts a new row of sequences.
      this.#needsRenewal = true;
      this.#sendAgain(batch, this.#delayMs(batch, error));
      return;
    }
    const isHopeless = isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION') && batch.attempts >= unknownTopicAttemptsMax;
    const isSafe = isIdempotent || error.effect === 'none';
    if (error.retriable && isSafe && !isExpired && !isHopeless) {
      this.#sendAgain(batch, this.#delayMs(batch, error));
      return;
    }
    this.#needsRenewal = isIdempotent;
    this.#giveUp(batch, error);
  }

  #giveUp(batch: QueuedBatch, error: LogError): void {
    this.#isRecovering = false;
    const told =
      batch.maybeAppended && error.effect === 'none'
        ? withUnknownEffect(error, 'an earlier attempt had no answer')
        : error;
    this.#reject(batch, told);
  }

  /** What has no time left is not sent where none has gone well: each would wait for an answer, one after the other. */
  #expire(): void {
    const failure = this.#lastFailure;
    if (failure === undefined) return;
    if (this.#open !== undefined && this.#isExpired(this.#open)) this.seal();
    for (let [first] = this.#ready; first !== undefined && this.#isExpired(first); [first] = this.#ready) {
      this.#ready.shift();
      if (first.baseSequence !== undefined) this.#needsRenewal = true;
      this.#giveUp(first, first.failure ?? notSentInTime(failure));
    }
  }

  /** Its first record is the oldest. */
  #isExpired({ records: [first] }: QueuedBatch): boolean {
    return first !== undefined && this.#options.clock.nowMs() >= first.deadlineMs;
  }

  #reject(batch: QueuedBatch, error: LogError): void {
    for (const { reject } of batch.records) reject(error);
    this.#options.onSettled(batch.records);
  }

  #openBatch(): QueuedBatch {
    const batch: QueuedBatch = {
      order: this.#batchCount++,
      records: [],
      bytes: batchHeaderBytes,
      baseSequence: undefined,
      attempts: 0,
      failure: undefined,
      maybeAppended: false,
      wasBehind: false,
    };
    this.#open = batch;
    if (this.#options.lingerMs > 0) void this.#linger(batch);
    return batch;
  }

  async #linger(batch: QueuedBatch): Promise<void> {
    const { clock, lingerMs, wake } = this.#options;
    this.#sealing = new AbortController();
    await clock.sleep(lingerMs, this.#sealing.signal);
    if (this.#open !== batch) return;
    this.seal();
    wake();
  }

  /** Asked for at every refusal, since a sleep may end a moment before the clock says so. */
  #wakeAfter(waitMs: number): void {
    if (this.#isWaking) return;
    this.#isWaking = true;
    const { clock, wake } = this.#options;
    void clock.sleep(Math.ceil(waitMs)).then(() => {
      this.#isWaking = false;
      wake();
    });
  }

  #delayMs({ attempts }: QueuedBatch, error: LogError): number {
    return retryDelayMs(attempts, error, this.#options.randomBytes);
  }

  #sendAgain(batch: QueuedBatch, delayMs: number): void {
    const behind = this.#ready.findIndex(({ order }) => order > batch.order);
    this.#ready.splice(behind === -1 ? this.#ready.length : behind, 0, batch);
    this.#isRecovering = true;
    this.#notBeforeMs = Math.max(this.#notBeforeMs, this.#options.clock.nowMs() + delayMs);
  }

  /**
   * New sequences under a new producer id, for everything that is still here. Only what may already be in the log is
   * failed: the new id would hide from the log that it is a resend.
   */
  #renew(): void {
    this.#needsRenewal = false;
    this.isRenewed = true;
    this.#identity = undefined;
    this.#nextSequence = 0;
    const kept: QueuedBatch[] = [];
    for (const batch of this.#ready) {
      batch.baseSequence = undefined;
      if (!batch.maybeAppended) kept.push(batch);
      else this.#reject(batch, lostPlace());
    }
    this.#ready = kept;
  }
}

function notSentInTime(cause: LogError): LogError {
  const message = `the delivery time was over before the record was sent; of those before it: ${cause.message}`;
  return new LogError('REQUEST_TIMED_OUT', message, { effect: 'none', cause });
}

function lostPlace(): LogError {
  return new LogError('REQUEST_TIMED_OUT', 'batch had no answer, and one before it failed for good', {
    retriable: false,
  });
}
