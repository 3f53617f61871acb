/**
 * Sends records: batched, in order per partition, each exactly once as far as the log's answers reach.
 *
 * A record waits in its partition's open batch while a batch of that partition is on its way, and goes at once when none
 * is: no timer unless `lingerMs` asks for one. Full batches follow each other without waiting, up to five. Requests may
 * overtake one another; the log then refuses the later batch, which is sent again when the earlier one is settled.
 */

import { randomFraction } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { TopicSummary } from '../log.ts';
import { encodeBatch, recordBytesBound } from '../record/encode-batch.ts';
import type { Record } from '../record/record.ts';
import { batchHeaderBytes } from '../record/record-batch.ts';
import { partitionForKey } from '../topic/partitioner.ts';
import { frameHeaderBytes } from '../wire.ts';
import { BatchSender } from './batch-sender.ts';
import type { ClientDeps } from './client-deps.ts';
import { FlushRounds } from './flush-rounds.ts';
import type { SentRecord } from './partition-queue.ts';
import { completeProducerOptions, type ProducerOptions } from './producer-options.ts';
import { type ProducerRecord, toRecord } from './producer-record.ts';
import { TopicReader } from './topic-reader.ts';
import { logLimits } from './transport.ts';

/** Where a record is now, durably. */
export interface RecordPlace {
  readonly partition: number;
  readonly offset: number;
  /** Log append time where the topic says so, else the highest timestamp of the record's batch. */
  readonly timestamp: number;
}

export class Producer {
  readonly topic: string;
  readonly #deps: ClientDeps;
  readonly #options: Required<ProducerOptions>;
  readonly #topicReader: TopicReader;
  readonly #sender: BatchSender;
  readonly #rounds = new FlushRounds();
  /** In the order of the calls of `send`. */
  readonly #waiting = new Set<SentRecord>();
  #stickyPartition: number | undefined;
  #bufferedBytes = 0;
  #spaceFreed = Promise.withResolvers<void>();
  #isAdmitting = false;
  #isClosed = false;

  constructor(deps: ClientDeps, topic: string, options: ProducerOptions = {}) {
    this.#deps = deps;
    this.topic = topic;
    this.#options = completeProducerOptions(options);
    this.#topicReader = new TopicReader(deps, topic);
    this.#sender = new BatchSender(deps, topic, {
      ...this.#options,
      onSettled: (records) => this.#settled(records),
      onMisfit: () => this.#topicReader.forget(),
    });
  }

  /**
   * Resolves when the record is durable. Await it, or many at once: records are taken in the order of the calls.
   *
   * Throws the `LogError` of the log: with `effect: none` the record is not there, with `unknown` it may be. Waits, for at
   * most `deliveryTimeoutMs`, while the buffer is full. `signal` ends that wait; a record that was taken is not called back.
   */
  send(sent: ProducerRecord, { signal }: { readonly signal?: AbortSignal } = {}): Promise<RecordPlace> {
    const { promise, resolve, reject } = Promise.withResolvers<RecordPlace>();
    try {
      signal?.throwIfAborted();
      if (this.#isClosed || this.#deps.closing.aborted) {
        throw new LogError('INVALID_REQUEST', `the producer of topic ${this.topic} is closed`);
      }
      const nowMs = this.#deps.clock.nowMs();
      const record = toRecord(sent, nowMs);
      const bytes = recordBytesBound(record);
      const deadlineMs = nowMs + this.#options.deliveryTimeoutMs;
      const round = this.#rounds.enter();
      this.#deps.busy.add(this);
      const entry = { record, partition: sent.partition, bytes, deadlineMs, round, resolve, reject };
      this.#enter(entry);
      if (signal === undefined) return promise;
      const onAbort = () => this.#waiting.delete(entry) && this.#refuse(entry, signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      return promise.finally(() => signal.removeEventListener('abort', onAbort));
    } catch (error) {
      reject(error);
      return promise;
    }
  }

  /** Resolves when everything sent so far is durable or failed. Throws the signal's reason; sending goes on all the same. */
  async flush(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    signal?.throwIfAborted();
    const outcomes = this.#rounds.settled();
    if (outcomes === undefined) return;
    const settled = this.#sender.flush(outcomes);
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

  /** Who waits already goes first, whatever its size: the order of the calls is the order of the records. */
  #enter(entry: SentRecord): void {
    const topic = this.#topicReader.fresh();
    if (topic !== undefined && this.#waiting.size === 0 && this.#hasSpaceFor(entry.bytes)) {
      this.#take(entry, topic);
      return;
    }
    this.#waiting.add(entry);
    void this.#admit();
  }

  /** Nothing of this record was sent. */
  #refuse(entry: SentRecord, error: unknown): void {
    entry.reject(error);
    this.#leave(entry);
  }

  #settled(records: readonly SentRecord[]): void {
    for (const entry of records) {
      this.#bufferedBytes -= entry.bytes;
      this.#leave(entry);
    }
    if (this.#waiting.size > 0) this.#spaceFreed.resolve();
  }

  /** Flushes wait for this record no longer, and the client closes without it. */
  #leave({ round }: SentRecord): void {
    this.#rounds.leave(round);
    if (this.#rounds.isEmpty) this.#deps.busy.delete(this);
  }

  #hasSpaceFor(bytes: number): boolean {
    return this.#bufferedBytes === 0 || this.#bufferedBytes + bytes <= this.#options.bufferBytesMax;
  }

  /** Puts the record into its partition's open batch, or refuses it for what is wrong with it. */
  #take(entry: SentRecord, topic: TopicSummary): void {
    const { record, bytes } = entry;
    try {
      const bytesMax = this.#batchBytesMax(topic);
      if (bytes + batchHeaderBytes > bytesMax) this.#checkSize(record, topic);
      const batchBytesMax = Math.min(this.#options.batchBytesMax, bytesMax);
      const partition = this.#partitionFor(entry, batchBytesMax, topic.partitionCount);
      this.#sender.add(partition, entry, batchBytesMax);
      this.#bufferedBytes += bytes;
    } catch (error) {
      this.#refuse(entry, error);
    }
  }

  /** What the topic takes, and a request on the way to it. */
  #batchBytesMax({ config }: TopicSummary): number {
    return Math.min(Number(config['max.message.bytes']?.value ?? Number.POSITIVE_INFINITY), this.#frameBytesMax());
  }

  #frameBytesMax(): number {
    return (this.#deps.transport.limits ?? logLimits).requestBytesMax - frameHeaderBytes;
  }

  /** The estimate is on the high side, so the batch is built to see; compression may save it. */
  #checkSize(record: Record, topic: TopicSummary): void {
    const bytes = encodeBatch({ records: [record], codec: this.#options.compression }).byteLength;
    const bytesMax = this.#batchBytesMax(topic);
    if (bytes <= bytesMax) return;
    const limit =
      bytesMax === this.#frameBytesMax()
        ? `a request to ${this.#deps.transport.endpoint} has room for`
        : `max.message.bytes of topic ${this.topic} is`;
    const message = `a record makes a batch of ${bytes} bytes, ${limit} ${bytesMax}`;
    throw new LogError('MESSAGE_TOO_LARGE', message, { details: { bytes, bytesMax } });
  }

  /** Takes the waiting records one after another, as the topic is known and space comes free. One runs at a time. */
  async #admit(): Promise<void> {
    if (this.#isAdmitting) return;
    this.#isAdmitting = true;
    for (let [first] = this.#waiting; first !== undefined; [first] = this.#waiting) {
      try {
        const topic = this.#topicReader.fresh() ?? (await this.#topicReader.read(first.deadlineMs));
        for (const waiting of this.#waiting) {
          if (!this.#hasSpaceFor(waiting.bytes)) break;
          this.#waiting.delete(waiting);
          this.#take(waiting, topic);
        }
      } catch (error) {
        // Whoever else waits would hear the same.
        const refused = [...this.#waiting];
        this.#waiting.clear();
        for (const waiting of refused) this.#refuse(waiting, error);
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
    if (!this.#waiting.delete(first)) return;
    this.#refuse(first, new LogError('REQUEST_TIMED_OUT', message, { effect: 'none' }));
  }

  /** By the key, or as Kafka's producers do it: records without one fill the batch of one partition, then of some other. */
  #partitionFor({ partition, record, bytes }: SentRecord, batchBytesMax: number, partitionCount: number): number {
    if (partition !== undefined) return partition;
    if (record.key !== null) return partitionForKey(record.key, partitionCount);
    const sticky = this.#stickyPartition;
    if (sticky !== undefined && this.#sender.queueOf(sticky).hasRoomFor(bytes, batchBytesMax)) return sticky;
    const next = Math.floor(randomFraction(this.#deps.randomBytes) * partitionCount);
    this.#stickyPartition = next;
    return next;
  }
}
