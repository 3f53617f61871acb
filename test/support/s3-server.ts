/**
 * An S3 for tests: a real HTTP server, strict where S3 is strict, that can fail in the ways a network and S3 fail.
 *
 * Path-style requests only (`/bucket/key`), which the SDK sends to an IP address. Every request must be signed with
 * `credentials`, name its payload's hash and pass every checksum it carries. Conditional writes have exactly one winner.
 */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { checksums, decodeAwsChunked } from './s3-checksum.ts';
import { S3Error, type S3ErrorCode } from './s3-error.ts';
import { type Bucket, escapeXml, operations, type S3Answer } from './s3-operations.ts';
import { checkSignature, type S3Credentials } from './s3-signature.ts';

/** One request as it arrived, before it was found right or wrong. */
export interface S3Request {
  /** AWS's name: `PutObject`. */
  readonly operation: string;
  readonly bucket: string;
  readonly key: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** How many requests came before this one. */
  readonly number: number;
}

export type S3Fault =
  /** The connection breaks before the request is read. */
  | { readonly kind: 'lost request' }
  /** The request is carried out, then the connection breaks. */
  | { readonly kind: 'lost reply' }
  /** Carried out after `ms`. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** Carried out at once, answered after `ms`. */
  | { readonly kind: 'slow reply'; readonly ms: number }
  /** The connection breaks after so many bytes of the answer's body. */
  | { readonly kind: 'truncated'; readonly bytes: number }
  /** Answered with this error, nothing carried out. */
  | { readonly kind: 'error'; readonly code: S3ErrorCode; readonly headers?: Readonly<Record<string, string>> };

export interface S3ServerOptions {
  /** Buckets that are there from the start; the first is `server.bucket`. @default `['millrace-test']` */
  readonly buckets?: readonly [string, ...string[]];
  /** @default `test` and `test` */
  readonly credentials?: S3Credentials;
  /** @default `us-east-1` */
  readonly region?: string;
  /** Asked for each request; may be replaced while the server runs. */
  readonly fault?: (request: S3Request) => S3Fault | undefined;
  /** A conditional write that begins while another of the same key is under way: 409 at once, or 412 when it lost. @default 412 */
  readonly contendedStatus?: 409 | 412;
}

export interface S3Server {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly credentials: S3Credentials;
  /** Every request so far, in order of arrival. */
  readonly requests: readonly S3Request[];
  /** How many connections were opened so far. */
  readonly connectionCount: number;
  readonly buckets: ReadonlyMap<string, Bucket>;
  fault: ((request: S3Request) => S3Fault | undefined) | undefined;
  close(): Promise<void>;
}

export async function startS3Server(options: S3ServerOptions = {}): Promise<S3Server> {
  const { region = 'us-east-1', credentials = { accessKeyId: 'test', secretAccessKey: 'test' } } = options;
  const { buckets: names = ['millrace-test'] as const, contendedStatus = 412 } = options;
  const buckets = new Map<string, Bucket>(names.map((name) => [name, { objects: new Map(), uploads: new Map() }]));
  const requests: S3Request[] = [];
  /** Conditional writes under way by bucket and key. */
  const writing = new Map<string, number>();

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', 'http://s3.invalid');
    const [, bucketName = '', ...rest] = url.pathname.split('/');
    const key = rest.map(decodeURIComponent).join('/');
    const headers = incoming.headers as S3Request['headers'];
    const operation = operationOf(incoming.method ?? '', key, url.searchParams);
    const request: S3Request = { operation, bucket: bucketName, key, headers, number: requests.length };
    requests.push(request);
    const fault = server.fault?.(request);
    if (fault?.kind === 'lost request') {
      incoming.socket.destroy();
      return;
    }

    const isConditional = headers['if-none-match'] !== undefined || headers['if-match'] !== undefined;
    const place = `${bucketName}/${key}`;
    const writers = writing.get(place) ?? 0;
    if (isConditional) writing.set(place, writers + 1);
    let answer: S3Answer;
    try {
      const body = Buffer.concat(await incoming.toArray());
      if (fault?.kind === 'slow') await sleep(fault.ms);
      checkSignature(incoming, credentials, region);
      const payload = checkPayload(headers, body);
      if (fault?.kind === 'error') throw new S3Error(fault.code, 'injected by the test', fault.headers);
      answer = run(
        operation,
        { ...request, query: url.searchParams, body: payload },
        contendedStatus === 409 && writers > 0,
      );
    } catch (error) {
      if (incoming.socket.destroyed) return;
      answer = errorAnswer(error, operation);
    } finally {
      if (isConditional) writing.set(place, (writing.get(place) ?? 1) - 1);
    }

    if (fault?.kind === 'slow reply') await sleep(fault.ms);
    if (fault?.kind === 'lost reply') {
      incoming.socket.destroy();
      return;
    }
    const { status = 200, body = '', headers: answered } = answer;
    const hasLength = incoming.method !== 'HEAD' && status !== 204 && status !== 304;
    response.writeHead(status, {
      'x-amz-request-id': `${request.number}`,
      ...(hasLength ? { 'content-length': Buffer.byteLength(body) } : {}),
      ...answered,
    });
    if (fault?.kind !== 'truncated') {
      response.end(body);
      return;
    }
    response.write(Buffer.from(body).subarray(0, fault.bytes), () => incoming.socket.destroy());
  }

  function run(
    operation: string,
    request: S3Request & { readonly query: URLSearchParams; readonly body: Buffer },
    isContended: boolean,
  ): S3Answer {
    if (operation === 'CreateBucket') {
      if (buckets.has(request.bucket)) throw new S3Error('BucketAlreadyOwnedByYou', 'the bucket is there');
      buckets.set(request.bucket, { objects: new Map(), uploads: new Map() });
      return { headers: { location: `/${request.bucket}` } };
    }
    const bucket = buckets.get(request.bucket);
    if (bucket === undefined) throw new S3Error('NoSuchBucket', 'the specified bucket does not exist');
    const operate = operations[operation];
    if (operate === undefined) throw new S3Error('NotImplemented', `this server does not do ${operation}`);
    return operate({ ...request, bucket, bucketName: request.bucket, isContended });
  }

  const listener = createServer((incoming, response) => {
    serve(incoming, response).catch((error: unknown) => response.destroy(error as Error));
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  let connectionCount = 0;
  listener.on('connection', () => {
    connectionCount += 1;
  });
  const server: S3Server = {
    endpoint: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    region,
    bucket: names[0],
    credentials,
    requests,
    get connectionCount() {
      return connectionCount;
    },
    buckets,
    fault: options.fault,
    async close() {
      const closed = once(listener, 'close');
      listener.close();
      listener.closeAllConnections();
      await closed;
    },
  };
  return server;
}

function operationOf(method: string, key: string, query: URLSearchParams): string {
  const has = (name: string) => query.has(name);
  if (key === '') {
    if (method === 'POST' && has('delete')) return 'DeleteObjects';
    if (method === 'GET') return query.get('list-type') === '2' ? 'ListObjectsV2' : 'another bucket operation';
    return { HEAD: 'HeadBucket', PUT: 'CreateBucket' }[method] ?? 'another bucket operation';
  }
  if (method === 'POST') return has('uploads') ? 'CreateMultipartUpload' : 'CompleteMultipartUpload';
  if (has('uploadId')) return method === 'PUT' ? 'UploadPart' : 'AbortMultipartUpload';
  return { GET: 'GetObject', HEAD: 'HeadObject', PUT: 'PutObject', DELETE: 'DeleteObject' }[method] ?? method;
}

/** Takes off aws-chunked; compares the hash of the payload, Content-MD5 and every checksum there is. */
function checkPayload(headers: S3Request['headers'], body: Buffer): Buffer {
  const hash = headers['x-amz-content-sha256'] ?? '';
  let payload = body;
  const claimed = new Map(Object.entries(headers));
  if (hash === 'STREAMING-UNSIGNED-PAYLOAD-TRAILER') {
    const { data, trailers } = decodeAwsChunked(body);
    payload = data;
    for (const name of (headers['x-amz-trailer'] ?? '').split(',')) {
      if (!trailers.has(name.trim()))
        throw new S3Error('IncompleteBody', `trailer ${name} was promised and is missing`);
    }
    for (const [name, value] of trailers) claimed.set(name, value);
    if (Number(headers['x-amz-decoded-content-length']) !== data.length) {
      throw new S3Error('IncompleteBody', `x-amz-decoded-content-length is not ${data.length}`);
    }
  } else if (/^[0-9a-f]{64}$/.test(hash)) {
    if (createHash('sha256').update(body).digest('hex') !== hash) {
      throw new S3Error('XAmzContentSHA256Mismatch', 'the payload has another SHA-256');
    }
  } else if (hash !== 'UNSIGNED-PAYLOAD') {
    throw new S3Error('NotImplemented', `x-amz-content-sha256 ${hash} is not known here`);
  }
  const md5 = claimed.get('content-md5');
  if (md5 !== undefined && createHash('md5').update(payload).digest('base64') !== md5) {
    throw new S3Error('BadDigest', 'the Content-MD5 you specified did not match what was received');
  }
  for (const [name, value] of claimed) {
    const algorithm = /^x-amz-checksum-(?!algorithm|type|mode)(.+)$/.exec(name)?.[1];
    if (algorithm === undefined) continue;
    const checksum = checksums[algorithm];
    if (checksum === undefined) throw new S3Error('InvalidRequest', `checksum ${algorithm} is not known`);
    if (checksum(payload) !== value) {
      throw new S3Error('BadDigest', `the ${algorithm} you specified did not match what was received`);
    }
  }
  return payload;
}

function errorAnswer(error: unknown, operation: string): S3Answer {
  if (!(error instanceof S3Error)) throw error;
  const hasBody = !operation.startsWith('Head') && error.status !== 304;
  const text = `<Error><Code>${error.code}</Code><Message>${escapeXml(error.message)}</Message></Error>`;
  return { status: error.status, headers: error.headers, body: hasBody ? text : '' };
}
