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
  type S3Client,
} from '@aws-sdk/client-s3';
import { LogError } from '../errors.ts';
import type { ObjectId, Timestamp } from '../ids.ts';
import { BadAnswer, s3ErrorKind } from './errors-s3.ts';
import { createObjectIds, isObjectId, type ObjectIds, timestampOf } from './object-id.ts';
import type { ObjectStore } from './object-store.ts';
import { type S3Options, S3Requests } from './requests-s3.ts';

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

export function openS3ObjectStore(options: S3Options): S3ObjectStore {
  return new S3Store(options);
}

class S3Store implements S3ObjectStore {
  readonly #bucket: string;
  readonly #requests: S3Requests;
  readonly #client: S3Client;
  readonly #objectIds: ObjectIds;

  constructor(options: S3Options) {
    this.#bucket = options.bucket;
    this.#requests = new S3Requests(options);
    this.#client = this.#requests.client;
    this.#objectIds = createObjectIds(options.clock, options.randomBytes);
  }

  /**
   * A name that is taken (412) is most likely our own: an earlier attempt was carried out and its reply was lost. It may be
   * another writer's too, since ids of one millisecond differ by 39 random bits alone. To tell, a writer would have to be
   * allowed to read every topic's data. So the body is put under another name: what is lost is one rare object of garbage.
   */
  async put(parts: readonly Uint8Array[]): Promise<ObjectId> {
    const body = Buffer.concat(parts);
    let nextId = this.#objectIds.unplaced();
    return await this.#requests.send({
      operation: 'PutObject',
      what: `an object of ${body.length} bytes`,
      bytes: body.length,
      attempt: async (abortSignal) => {
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
    return await this.#requests.send({
      operation: 'GetObject',
      what,
      bytes: byteLength,
      attempt: async (abortSignal) => {
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
    const { ContentLength = 0 } = await this.#requests.send({
      operation: 'HeadObject',
      what: `object ${objectId}`,
      bytes: 0,
      attempt: (abortSignal) => this.#client.send(new HeadObjectCommand(this.#place(objectId)), { abortSignal }),
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
      Bucket: this.#bucket,
      Prefix: `${shard}/`,
      ...(token === undefined ? { StartAfter: firstKeyOf(shard, from) } : { ContinuationToken: token }),
    };
    return await this.#requests.send({
      operation: 'ListObjectsV2',
      what: `the objects of shard ${shard}`,
      bytes: 0,
      attempt: (abortSignal) => this.#client.send(new ListObjectsV2Command(input), { abortSignal }),
    });
  }

  async delete(objectIds: readonly ObjectId[]): Promise<readonly DeleteFailure[]> {
    const failures: DeleteFailure[] = [];
    for (let start = 0; start < objectIds.length; start += deletesPerRequestMax) {
      const batch = objectIds.slice(start, start + deletesPerRequestMax);
      const Objects = batch.map((objectId) => ({ Key: keyOf(objectId) }));
      const input = { Bucket: this.#bucket, Delete: { Objects, Quiet: true } };
      const { Errors = [] } = await this.#requests.send({
        operation: 'DeleteObjects',
        what: `${batch.length} objects`,
        bytes: 0,
        attempt: (abortSignal) => this.#client.send(new DeleteObjectsCommand(input), { abortSignal }),
      });
      for (const { Key = '', Code = 'unknown' } of Errors) {
        failures.push({ objectId: Key.slice(Key.indexOf('/') + 1) as ObjectId, reason: Code });
      }
    }
    return failures;
  }

  close(): Promise<void> {
    return this.#requests.close();
  }

  #place(objectId: ObjectId): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: keyOf(objectId) };
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
