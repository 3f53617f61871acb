/** An S3 client whose `send` goes to S3 in memory: the SDK's door without network, so that virtual time can own it. */

import { Readable } from 'node:stream';
import { type S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { S3Error } from './s3-error.ts';
import { type Bucket, operations, type S3Answer } from './s3-operations.ts';

export interface S3Sent {
  /** AWS's name: `PutObject`. */
  readonly operation: string;
  readonly key: string;
  /** How many requests came before this one. */
  readonly number: number;
  readonly signal: AbortSignal;
}

export interface S3DoorOptions {
  readonly bucket: string;
  /** Carries the request out by calling `carryOut`, or does not, or does and then throws. @default carries it out */
  readonly send?: <T>(sent: S3Sent, carryOut: () => T) => Promise<T>;
}

export interface S3Door {
  readonly client: S3Client;
  readonly objects: Bucket['objects'];
  readonly sent: readonly S3Sent[];
}

/** What `object-store-s3.ts` sends: PutObject, GetObject, HeadObject, ListObjectsV2, DeleteObjects. */
export function createS3Door({ bucket: bucketName, send = async (_, carryOut) => carryOut() }: S3DoorOptions): S3Door {
  const bucket: Bucket = { objects: new Map(), uploads: new Map() };
  const sent: S3Sent[] = [];

  const client = {
    config: { region: async () => 'us-east-1' },
    destroy: () => {},
    async send(command: Command, { abortSignal }: { abortSignal: AbortSignal }) {
      abortSignal.throwIfAborted();
      const operation = command.constructor.name.replace(/Command$/, '');
      const request: S3Sent = { operation, key: command.input.Key ?? '', number: sent.length, signal: abortSignal };
      sent.push(request);
      return await send(request, () => carryOut(operation, command.input));
    },
  };

  function carryOut(operation: string, input: Command['input']): object {
    try {
      if (input.Bucket !== bucketName) throw new S3Error('NoSuchBucket', 'the specified bucket does not exist');
      const body = operation === 'DeleteObjects' ? deletesXml(input) : Buffer.from(input.Body ?? '');
      const answer = operations[operation]?.({
        bucket,
        bucketName,
        key: input.Key ?? '',
        query: queryOf(input),
        headers: headersOf(input, operation),
        body,
        isContended: false,
      });
      return outputOf(answer as S3Answer, operation);
    } catch (error) {
      throw error instanceof S3Error ? s3Exception(error.code, error.status, error.headers) : error;
    }
  }

  return { client: client as unknown as S3Client, objects: bucket.objects, sent };
}

/** What the SDK makes of an error of S3. */
export function s3Exception(name: string, httpStatusCode: number, headers: object = {}): S3ServiceException {
  const error = new S3ServiceException({ name, $fault: 'client', $metadata: { httpStatusCode }, message: name });
  return Object.assign(error, { $response: { headers } });
}

/** What the SDK makes of a connection that breaks. */
export function connectionReset(): Error {
  return Object.assign(new Error('socket hang up'), { code: 'ECONNRESET', $metadata: { attempts: 1 } });
}

interface Command {
  readonly input: {
    readonly Bucket: string;
    readonly Key?: string;
    readonly Body?: Uint8Array;
    readonly IfNoneMatch?: string;
    readonly Range?: string;
    readonly Prefix?: string;
    readonly StartAfter?: string;
    readonly ContinuationToken?: string;
    readonly Delete?: { readonly Objects: readonly { readonly Key: string }[] };
  };
}

function headersOf({ IfNoneMatch, Range, Body }: Command['input'], operation: string) {
  return {
    'if-none-match': IfNoneMatch,
    range: Range,
    'content-length': `${Body?.length ?? 0}`,
    ...(operation === 'DeleteObjects' ? { 'content-md5': 'of no interest without a wire' } : {}),
  };
}

function queryOf({ Prefix, StartAfter, ContinuationToken }: Command['input']): URLSearchParams {
  const given = Object.entries({ prefix: Prefix, 'start-after': StartAfter, 'continuation-token': ContinuationToken });
  return new URLSearchParams(given.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

function deletesXml({ Delete }: Command['input']): Buffer {
  const keys = Delete?.Objects.map(({ Key }) => `<Key>${Key}</Key>`) ?? [];
  return Buffer.from(`<Quiet>true</Quiet>${keys.join('')}`);
}

function outputOf({ headers = {}, body = '' }: S3Answer, operation: string): object {
  if (operation === 'ListObjectsV2') {
    const text = body.toString();
    const textOf = (tag: string, from: string) => new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(from)?.[1];
    const Contents = [...text.matchAll(/<Contents>.*?<\/Contents>/g)].map(([object]) => ({
      Key: textOf('Key', object),
      Size: Number(textOf('Size', object)),
      LastModified: new Date(textOf('LastModified', object) ?? 0),
    }));
    return { Contents, NextContinuationToken: textOf('NextContinuationToken', text) };
  }
  return {
    ContentLength: Number(headers['content-length'] ?? body.length),
    ContentRange: headers['content-range'],
    Body: Readable.from([Buffer.from(body)]),
  };
}
