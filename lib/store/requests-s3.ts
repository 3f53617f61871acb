/**
 * How requests to S3 are sent: each attempt counted and bounded, a slow one sent twice, a lost one again, all of it before
 * the caller's deadline. The SDK's own retries are off (`maxAttempts: 1`), since they know of no deadline.
 */

import { S3Client } from '@aws-sdk/client-s3';
import type { Clock, RandomBytes } from '../clock.ts';
import { LogError } from '../errors.ts';
import { KiB } from '../limits.ts';
import { Connections } from './connections.ts';
import { type S3Operation, s3DelayAfter, s3Failure } from './errors-s3.ts';
import { Hedge } from './hedge.ts';
import { retry } from './retry.ts';
import { Slots } from './slots.ts';
import { deadlineOf, type StoreBounds } from './store-request.ts';

export interface S3Options extends StoreBounds {
  readonly bucket: string;
  /** Made with `maxAttempts: 1`; the caller's to destroy. @default one of the store's own */
  readonly client?: S3Client | undefined;
  /** @default what the SDK finds in the environment */
  readonly region?: string | undefined;
  /** Of an S3 that is not AWS's; asked with the bucket in the path. */
  readonly endpoint?: string | undefined;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  /** Whether a request that is slow is sent a second time. @default true */
  readonly hedging?: boolean | undefined;
}

/** One call: what is sent for it, perhaps several times, and what it is called when it fails. */
export interface S3Call<T> {
  readonly operation: S3Operation;
  /** As the user would say it: `object 0190...`. */
  readonly what: string;
  /** Of the body that is sent or asked for. */
  readonly bytes: number;
  /** Ends when its signal is aborted. */
  readonly attempt: (abortSignal: AbortSignal) => Promise<T>;
}

/** A fetch reads 8 objects at once, and a process may do a few fetches at once. The others wait where no attempt's time runs. */
const callsMax = 32;
/** Each call may be sent twice. A function may have 1,024 files open. */
const socketsMax = 2 * callsMax;
/** An attempt is lost after this, and so much more for each byte: 5 MB/s, less than the smallest function has. */
const attemptMsMax = 2_000;
const attemptMsPerByte = 1 / 5_000;
/** Larger ones take their time because of their size, and a second one would only take bandwidth from the first. */
const hedgedBytesMax = 256 * KiB;

export class S3Requests {
  readonly client: S3Client;
  readonly #options: S3Options;
  readonly #slots: Slots;
  readonly #connections = new Connections(socketsMax);
  /** By operation, since each has latencies of its own. */
  readonly #hedges: Partial<Record<S3Operation, Hedge>>;
  readonly #underWay = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(options: S3Options) {
    const { clock, hedging = true } = options;
    this.client = options.client ?? createClient(options, this.#connections);
    this.#options = options;
    this.#slots = new Slots(clock, callsMax);
    this.#hedges = hedging
      ? { PutObject: new Hedge(clock), GetObject: new Hedge(clock), HeadObject: new Hedge(clock) }
      : {};
  }

  /** Throws what `s3Failure` makes of it. */
  async send<T>(call: S3Call<T>): Promise<T> {
    if (this.#isClosed) {
      const options = { retriable: false, effect: 'none' } as const;
      throw new LogError('KAFKA_STORAGE_ERROR', 'the object store is closed', options);
    }
    const answer = this.#sendInTurn(call);
    this.#underWay.add(answer);
    try {
      return await answer;
    } finally {
      this.#underWay.delete(answer);
    }
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#underWay);
    if (this.#options.client === undefined) this.client.destroy();
  }

  async #sendInTurn<T>(call: S3Call<T>): Promise<T> {
    const { clock, randomBytes, bucket } = this.#options;
    const { operation, what, bytes } = call;
    const deadline = deadlineOf(this.#options, clock);
    const bounds = {
      clock,
      randomBytes,
      deadline,
      attemptMsMax: attemptMsMax + bytes * attemptMsPerByte,
      delayAfter: (error: unknown) => {
        this.#connections.failed(error);
        return s3DelayAfter(error);
      },
    };
    const hedge = bytes <= hedgedBytesMax ? this.#hedges[operation] : undefined;
    const attempt = (signal: AbortSignal) => this.#reported(call, signal);
    // Without one the deadline has passed, which `retry` says.
    const hasSlot = await this.#slots.take(deadline);
    try {
      return await retry(bounds, (signal) => (hedge === undefined ? attempt(signal) : hedge.run(attempt, signal)));
    } catch (error) {
      const region = await this.client.config.region().catch(() => undefined);
      throw s3Failure(error, { operation, bucket, region, what });
    } finally {
      if (hasSlot) this.#slots.give();
    }
  }

  async #reported<T>({ operation, bytes, attempt }: S3Call<T>, signal: AbortSignal): Promise<T> {
    const { clock, onRequest } = this.#options;
    const startMs = clock.nowMs();
    let failed = true;
    try {
      const answer = await attempt(signal);
      failed = false;
      return answer;
    } finally {
      const durationMs = clock.nowMs() - startMs;
      onRequest?.({ service: 's3', operation, readUnits: 0, writeUnits: 0, bytes, durationMs, failed });
    }
  }
}

function createClient({ region, endpoint }: S3Options, { requestHandler }: Connections): S3Client {
  return new S3Client({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_SUPPORTED',
    // S3 has checksums of whole objects only; ranges are checked by the CRC of each batch in them.
    responseChecksumValidation: 'WHEN_REQUIRED',
    // With it the SDK opens a connection of its own for each body from 2 MiB on.
    expectContinueHeader: false,
    requestHandler,
  });
}
