/**
 * Objects in an S3 bucket, one object each, under `{shard}/{object id}`. The shard is the last digit of the id, which is
 * random: S3 spreads its load by prefix, and a list by age asks each of the 16.
 *
 * Needs s3:PutObject to put, s3:GetObject to read, s3:ListBucket and s3:DeleteObject to sweep, and nothing more.
 */

import type { Readable } from 'node:stream';
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { Clock, RandomBytes } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { ObjectId, Timestamp } from '../ids.ts';
import { KiB } from '../limits.ts';
import { BadAnswer, type S3Operation, s3DelayAfter, s3ErrorKind, s3Failure } from './errors-s3.ts';
import { Hedge } from './hedge.ts';
import { createObjectIds, isObjectId, timestampOf } from './object-id.ts';
import type { ObjectStore } from './object-store.ts';
import { retry } from './retry.ts';
import { Slots } from './slots.ts';
import { deadlineOf, type StoreBounds } from './store-request.ts';

export interface S3ObjectStoreOptions extends StoreBounds {
  readonly bucket: string;
  /** Made with `maxAttempts: 1`, since retries are the store's; the caller's to destroy. @default one of the store's own */
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

export interface StoredObject {
  readonly objectId: ObjectId;
  readonly byteLength: number;
  /** By the clock of S3, in whole seconds. */
  readonly storedAt: Timestamp;
}

export interface S3ObjectStore extends ObjectStore {
  /**
   * Objects older than `before` by the time in their id and by the clock of S3 (the clock of a writer may be slow, and
   * what it has just put must not look old), and not older than `from` by their id. Shard by shard, by age in each.
   */
  list(ages: { readonly from?: Timestamp; readonly before: Timestamp }): AsyncGenerator<StoredObject>;
  /** Deletes what is there of `objectIds`, any number of them; tells which could not be deleted and why. */
  delete(objectIds: readonly ObjectId[]): Promise<readonly DeleteFailure[]>;
}

export interface DeleteFailure {
  readonly objectId: ObjectId;
  /** S3's error code: `AccessDenied`. */
  readonly reason: string;
}

/** What S3 takes in one DeleteObjects. */
const deletesPerRequestMax = 1000;
/** A fetch reads 8 objects at once, and a process may do a few fetches at once. The others wait where no attempt's time runs. */
const callsMax = 32;
/** Each call may be sent twice. A function may have 1,024 files open. */
const socketsMax = 2 * callsMax;
/** Within a region a connection opens in milliseconds; one that does not is lost. */
const connectMsMax = 1000;
/** An attempt is lost after this, and so much more for each byte: 5 MB/s, less than the smallest function has. */
const attemptMsMax = 2000;
const attemptMsPerByte = 1 / 5000;
/** Larger ones take their time because of their size, and a second one would only take bandwidth from the first. */
const hedgedBytesMax = 256 * KiB;

export function openS3ObjectStore(options: S3ObjectStoreOptions): S3ObjectStore {
  return new S3Store(options);
}

function createClient({ region, endpoint }: S3ObjectStoreOptions): S3Client {
  return new S3Client({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_SUPPORTED',
    // S3 has checksums of whole objects only; ranges are checked by the CRC of each batch in them.
    responseChecksumValidation: 'WHEN_REQUIRED',
    // With it the SDK opens a connection of its own for each body from 2 MiB on.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: connectMsMax,
      httpAgent: { keepAlive: true, maxSockets: socketsMax },
      httpsAgent: { keepAlive: true, maxSockets: socketsMax },
    },
  });
}

/** One call to S3: what is sent for it, perhaps several times, and what its failure is called. */
interface Call<T> {
  readonly operation: S3Operation;
  readonly what: string;
  /** Of the body that is sent or asked for. */
  readonly bytes: number;
  readonly hedge?: Hedge | undefined;
  readonly send: (signal: AbortSignal) => Promise<T>;
}

class S3Store implements S3ObjectStore {
  readonly #options: S3ObjectStoreOptions;
  readonly #client: S3Client;
  readonly #objectIds: ReturnType<typeof createObjectIds>;
  readonly #putHedge: Hedge | undefined;
  readonly #readHedge: Hedge | undefined;
  readonly #slots: Slots;
  readonly #underWay = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(options: S3ObjectStoreOptions) {
    this.#options = options;
    this.#client = options.client ?? createClient(options);
    this.#objectIds = createObjectIds(options.clock, options.randomBytes);
    this.#slots = new Slots(options.clock, callsMax);
    const isHedging = options.hedging ?? true;
    this.#putHedge = isHedging ? new Hedge(options.clock) : undefined;
    this.#readHedge = isHedging ? new Hedge(options.clock) : undefined;
  }

  /**
   * A name that is taken (412) is most likely our own: an earlier attempt was carried out and its reply was lost. It may be
   * another writer's too, since ids of one millisecond differ by 39 random bits alone. To tell, a writer would have to be
   * allowed to read every topic's data. So the body is put under another name: what is lost is one rare object of garbage.
   */
  async put(parts: readonly Uint8Array[]): Promise<ObjectId> {
    const [first, ...others] = parts;
    const body = first !== undefined && others.length === 0 ? first : Buffer.concat(parts);
    let nextId = this.#objectIds.unplaced();
    return await this.#call({
      operation: 'PutObject',
      what: `an object of ${body.length} bytes`,
      bytes: body.length,
      hedge: this.#putHedge,
      send: async (abortSignal) => {
        const objectId = nextId;
        const input = { ...this.#place(objectId), Body: body, ContentLength: body.length, IfNoneMatch: '*' };
        try {
          await this.#client.send(new PutObjectCommand(input), { abortSignal });
        } catch (error) {
          if (s3ErrorKind(error) === 'taken' && nextId === objectId) nextId = this.#objectIds.unplaced();
          throw error;
        }
        return objectId;
      },
    });
  }

  async read(objectId: ObjectId, byteStart: number, byteLength: number): Promise<Uint8Array> {
    const what = `object ${objectId}`;
    if (!isObjectId(objectId)) throw lost(`object ${JSON.stringify(objectId)} is not there; that is no object id`);
    if (byteStart < 0 || byteLength < 0) throw lost(`${what} has no ${byteLength} bytes from ${byteStart}`);
    // HTTP cannot ask for no bytes.
    if (byteLength === 0) return await this.#readNothing(objectId, byteStart);
    const range = { Range: `bytes=${byteStart}-${byteStart + byteLength - 1}` };
    return await this.#call({
      operation: 'GetObject',
      what,
      bytes: byteLength,
      hedge: this.#readHedge,
      send: async (abortSignal) => {
        const input = { ...this.#place(objectId), ...range };
        const { Body, ContentRange } = await this.#client.send(new GetObjectCommand(input), { abortSignal });
        const body = Body as Readable;
        const [first, last, objectBytes] = parseContentRange(ContentRange);
        const isCut = first === byteStart && last === objectBytes - 1;
        if (first === byteStart && last === byteStart + byteLength - 1) return await readWhole(body, byteLength);
        // A socket whose answer is not read to its end cannot be used again.
        body.destroy();
        if (isCut) throw tooShort(objectId, objectBytes, byteStart, byteLength);
        throw new BadAnswer(`content-range ${ContentRange} to a request for ${range.Range}`);
      },
    });
  }

  async #readNothing(objectId: ObjectId, byteStart: number): Promise<Uint8Array> {
    const { ContentLength = 0 } = await this.#call({
      operation: 'HeadObject',
      what: `object ${objectId}`,
      bytes: 0,
      hedge: this.#readHedge,
      send: (abortSignal) => this.#client.send(new HeadObjectCommand(this.#place(objectId)), { abortSignal }),
    });
    if (byteStart > ContentLength) throw tooShort(objectId, ContentLength, byteStart, 0);
    return new Uint8Array(0);
  }

  async *list({ from = 0, before }: { from?: Timestamp; before: Timestamp }): AsyncGenerator<StoredObject> {
    for (const shard of shards) {
      // Keys of one shard ascend by time, so a shard ends at the first that is too young.
      let isEnd = false;
      for (let token: string | undefined; !isEnd; ) {
        const { Contents = [], NextContinuationToken } = await this.#listPage(shard, from, token);
        token = NextContinuationToken;
        isEnd = token === undefined;
        for (const { Key = '', Size: byteLength = 0, LastModified } of Contents) {
          const objectId = Key.slice(shard.length + 1);
          // What others put into the bucket is not ours to list.
          if (!isObjectId(objectId)) continue;
          if (timestampOf(objectId) >= before) {
            isEnd = true;
            break;
          }
          const storedAt = LastModified?.getTime() ?? before;
          if (storedAt < before) yield { objectId, byteLength, storedAt };
        }
      }
    }
  }

  async #listPage(shard: string, from: Timestamp, token: string | undefined): Promise<ListObjectsV2CommandOutput> {
    const input = {
      Bucket: this.#options.bucket,
      Prefix: `${shard}/`,
      ...(token === undefined ? { StartAfter: firstKeyOf(shard, from) } : { ContinuationToken: token }),
    };
    return await this.#call({
      operation: 'ListObjectsV2',
      what: `the objects of shard ${shard}`,
      bytes: 0,
      send: (abortSignal) => this.#client.send(new ListObjectsV2Command(input), { abortSignal }),
    });
  }

  async delete(objectIds: readonly ObjectId[]): Promise<readonly DeleteFailure[]> {
    const failures: DeleteFailure[] = [];
    for (let start = 0; start < objectIds.length; start += deletesPerRequestMax) {
      const batch = objectIds.slice(start, start + deletesPerRequestMax);
      const Objects = batch.map((objectId) => ({ Key: keyOf(objectId) }));
      const input = { Bucket: this.#options.bucket, Delete: { Objects, Quiet: true } };
      const { Errors = [] } = await this.#call({
        operation: 'DeleteObjects',
        what: `${batch.length} objects`,
        bytes: 0,
        send: (abortSignal) => this.#client.send(new DeleteObjectsCommand(input), { abortSignal }),
      });
      for (const { Key = '', Code = 'unknown' } of Errors) {
        failures.push({ objectId: Key.slice(Key.indexOf('/') + 1) as ObjectId, reason: Code });
      }
    }
    return failures;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#underWay);
    if (this.#options.client === undefined) this.#client.destroy();
  }

  async #call<T>(call: Call<T>): Promise<T> {
    if (this.#isClosed) throw lost('the object store is closed');
    const answer = this.#attempts(call);
    this.#underWay.add(answer);
    try {
      return await answer;
    } finally {
      this.#underWay.delete(answer);
    }
  }

  async #attempts<T>(call: Call<T>): Promise<T> {
    const { clock, randomBytes, bucket } = this.#options;
    const { hedge, bytes, operation, what } = call;
    const deadline = deadlineOf(this.#options, clock);
    const bounds = {
      clock,
      randomBytes,
      deadline,
      attemptMsMax: attemptMsMax + bytes * attemptMsPerByte,
      delayAfter: s3DelayAfter,
    };
    const send = (signal: AbortSignal) => this.#reported(call, signal);
    // Without one the deadline has passed, which `retry` says.
    const hasSlot = await this.#slots.take(deadline);
    try {
      return await retry(bounds, (signal) =>
        hedge === undefined || bytes > hedgedBytesMax ? send(signal) : hedge.run(send, signal),
      );
    } catch (error) {
      const region = await this.#client.config.region().catch(() => undefined);
      throw s3Failure(error, { operation, bucket, region, what });
    } finally {
      if (hasSlot) this.#slots.give();
    }
  }

  async #reported<T>({ operation, bytes, send }: Call<T>, signal: AbortSignal): Promise<T> {
    const { clock, onRequest } = this.#options;
    const startMs = clock.nowMs();
    let failed = true;
    try {
      const answer = await send(signal);
      failed = false;
      return answer;
    } finally {
      const durationMs = clock.nowMs() - startMs;
      onRequest?.({ service: 's3', operation, readUnits: 0, writeUnits: 0, bytes, durationMs, failed });
    }
  }

  #place(objectId: ObjectId): { Bucket: string; Key: string } {
    return { Bucket: this.#options.bucket, Key: keyOf(objectId) };
  }
}

const shards = '0123456789abcdef';
const keyOf = (objectId: ObjectId) => `${objectId.slice(-1)}/${objectId}`;
/** Below every key of an object that is not older than `from`. */
const firstKeyOf = (shard: string, from: Timestamp) => `${shard}/${from.toString(16).padStart(12, '0')}`;

/** First byte, last byte (inclusive) and length of the whole, or nothing but NaN: an answer to another question. */
function parseContentRange(header: string | undefined): readonly [number, number, number] {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(header ?? '');
  return [Number(match?.[1]), Number(match?.[2]), Number(match?.[3])];
}

/** Rejects with `BadAnswer` when the body has another length. The bytes are the caller's own. */
async function readWhole(body: Readable, byteLength: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(byteLength);
  let byteCount = 0;
  for await (const chunk of body) {
    if (byteCount + chunk.length > byteLength) throw new BadAnswer(`more than the ${byteLength} bytes asked for`);
    bytes.set(chunk, byteCount);
    byteCount += chunk.length;
  }
  if (byteCount < byteLength) throw new BadAnswer(`the answer ended after ${byteCount} of ${byteLength} bytes`);
  return bytes;
}

function tooShort(objectId: ObjectId, objectBytes: number, byteStart: number, byteLength: number): LogError {
  return lost(`object ${objectId} has ${objectBytes} bytes; ${byteLength} bytes from ${byteStart} were asked for`);
}

const lost = (message: string) => new LogError('KAFKA_STORAGE_ERROR', message, { retriable: false, effect: 'none' });
