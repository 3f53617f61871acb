/** The S3 test server, asked by the SDK. The first half also runs against the S3 that `MILLRACE_TEST_S3_ENDPOINT` names. */

import { Readable } from 'node:stream';
import {
  type ChecksumAlgorithm,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { KiB, MiB } from '../../lib/limits.ts';
import { noise } from '../contract/object-store.ts';
import { openTestBucket, type TestBucket } from './s3-bucket.ts';
import { checksums } from './s3-checksum.ts';
import { type S3Server, startS3Server } from './s3-server.ts';

/** How a call ended: `200`, or the name S3 gave its error. */
async function outcome(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => '200',
    (error: unknown) => (error as Error).name,
  );
}

const algorithms = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const satisfies ChecksumAlgorithm[];

describe('an S3 server', () => {
  let at: TestBucket;
  let client: S3Client;
  let Bucket: string;
  beforeAll(async () => {
    at = await openTestBucket();
    client = at.createClient();
    Bucket = at.bucket;
  });
  afterAll(async () => {
    client.destroy();
    await at.close();
  });

  const put = (Key: string, Body: Buffer | string | Readable, more: object = {}) =>
    client.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
  const get = (Key: string, more: object = {}) => client.send(new GetObjectCommand({ Bucket, Key, ...more }));
  const bytesOf = async (Key: string, more: object = {}) =>
    Buffer.from((await (await get(Key, more)).Body?.transformToByteArray()) ?? []);

  test('gives back what was put, with its ETag, type, metadata and checksum', async () => {
    const body = noise(100 * KiB);
    const { ETag } = await put('whole', body, { ContentType: 'text/x-test', Metadata: { color: 'blue' } });
    expect(ETag).toMatch(/^"[0-9a-f]{32}"$/);
    expect((await bytesOf('whole', { ChecksumMode: 'ENABLED' })).equals(body)).toBe(true);
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'whole', ChecksumMode: 'ENABLED' }));
    expect(head).toMatchObject({
      ContentLength: body.length,
      ContentType: 'text/x-test',
      ETag,
      Metadata: { color: 'blue' },
      ChecksumCRC32: checksums.crc32?.(body),
    });
    expect(Math.abs(Date.now() - (head.LastModified?.getTime() ?? 0))).toBeLessThan(60_000);
  });

  test.each(algorithms)('takes a right %s of a body and of a stream, and refuses a wrong one', async (algorithm) => {
    const body = noise(70 * KiB);
    await put(`sum-${algorithm}`, body, { ChecksumAlgorithm: algorithm });
    expect((await bytesOf(`sum-${algorithm}`)).equals(body)).toBe(true);
    const pieces = Readable.from([body.subarray(0, 64 * KiB), body.subarray(64 * KiB)]);
    await put(`stream-${algorithm}`, pieces, { ChecksumAlgorithm: algorithm, ContentLength: body.length });
    expect((await bytesOf(`stream-${algorithm}`)).equals(body)).toBe(true);

    const wrong = checksums[algorithm.toLowerCase()]?.(noise(10)) as string;
    expect(await outcome(put('wrong', body, { [`Checksum${algorithm}`]: wrong }))).not.toBe('200');
    expect(await outcome(get('wrong'))).toBe('NoSuchKey');
  });

  test('lets exactly one of 16 writers put a key that is absent', async () => {
    const bodies = Array.from({ length: 16 }, () => noise(64 * KiB));
    const outcomes = await Promise.all(bodies.map((body) => outcome(put('absent', body, { IfNoneMatch: '*' }))));
    expect(outcomes.toSorted()).toEqual(['200', ...new Array(15).fill('PreconditionFailed')]);
    expect((await bytesOf('absent')).equals(bodies[outcomes.indexOf('200')] as Buffer)).toBe(true);
  });

  test('replaces an object only while its ETag is the one named', async () => {
    const { ETag } = await put('match', 'one');
    await put('match', 'two', { IfMatch: ETag });
    expect(await outcome(put('match', 'three', { IfMatch: ETag }))).toBe('PreconditionFailed');
    expect(await outcome(put('match-absent', 'one', { IfMatch: ETag }))).toBe('NoSuchKey');
    expect((await bytesOf('match')).toString()).toBe('two');
  });

  test.each([
    ['bytes=0-3', '0123', 'bytes 0-3/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=8-100', '89', 'bytes 8-9/10'],
    ['bytes=-4', '6789', 'bytes 6-9/10'],
    ['bytes=-100', '0123456789', 'bytes 0-9/10'],
  ])('answers the range %s', async (Range, bytes, ContentRange) => {
    await put('ten', '0123456789');
    const answer = await get('ten', { Range });
    expect(answer).toMatchObject({ ContentRange, ContentLength: bytes.length, $metadata: { httpStatusCode: 206 } });
    expect(await answer.Body?.transformToString()).toBe(bytes);
  });

  test('refuses a range that begins behind the end', async () => {
    await put('ten', '0123456789');
    await put('empty', Buffer.alloc(0));
    expect(await outcome(get('ten', { Range: 'bytes=10-' }))).toBe('InvalidRange');
    expect(await outcome(get('empty', { Range: 'bytes=0-0' }))).toBe('InvalidRange');
    expect(await bytesOf('empty')).toHaveLength(0);
  });

  test('answers reads on condition', async () => {
    const { ETag } = await put('ten', '0123456789');
    expect(await outcome(get('ten', { IfMatch: ETag }))).toBe('200');
    expect(await outcome(get('ten', { IfMatch: '"00000000000000000000000000000000"' }))).toBe('PreconditionFailed');
    const error = await get('ten', { IfNoneMatch: ETag }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ $metadata: { httpStatusCode: 304 } });
  });

  test('says what is not there', async () => {
    expect(await outcome(get('nobody'))).toBe('NoSuchKey');
    expect(await outcome(client.send(new HeadObjectCommand({ Bucket, Key: 'nobody' })))).toBe('NotFound');
    expect(await outcome(client.send(new GetObjectCommand({ Bucket: 'millrace-nobody', Key: 'a' })))).toBe(
      'NoSuchBucket',
    );
    expect(await outcome(client.send(new DeleteObjectCommand({ Bucket, Key: 'nobody' })))).toBe('200');
  });

  test('lists keys in the order of their bytes, by prefix, from a key on, page by page', async () => {
    const keys = ['list/B', 'list/a', 'list/b/1', 'list/b/2', 'list/ä', 'list/c&<d>'];
    for (const key of keys) await put(key, key);
    const list = (more: object) => client.send(new ListObjectsV2Command({ Bucket, Prefix: 'list/', ...more }));
    const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const all = await list({});
    expect(all.Contents?.map((object) => object.Key)).toEqual(sorted);
    expect(all).toMatchObject({ KeyCount: 6, IsTruncated: false });
    expect(all.Contents?.[1]).toMatchObject({ Key: 'list/a', Size: 6 });

    const paged: (string | undefined)[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await list({ MaxKeys: 4, ContinuationToken });
      paged.push(...(page.Contents ?? []).map((object) => object.Key));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    expect(paged).toEqual(sorted);

    const after = await list({ StartAfter: 'list/b/1' });
    expect(after.Contents?.map((object) => object.Key)).toEqual(sorted.slice(sorted.indexOf('list/b/1') + 1));
    const folders = await list({ Delimiter: '/' });
    expect(folders.CommonPrefixes).toEqual([{ Prefix: 'list/b/' }]);
    expect(folders.Contents).toHaveLength(4);
    const rest = await list({ Delimiter: '/', StartAfter: 'list/b/' });
    expect(rest.Contents?.map((object) => object.Key)).toEqual(['list/c&<d>', 'list/ä']);
  });

  test('deletes many objects at once, absent ones too', async () => {
    const keys = Array.from({ length: 12 }, (_, index) => `many/${index}&`);
    for (const key of keys) await put(key, key);
    const Objects = [...keys, 'many/nobody'].map((Key) => ({ Key }));
    const { Deleted, Errors } = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    expect(Deleted).toHaveLength(13);
    expect(Errors ?? []).toEqual([]);
    const { KeyCount } = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'many/' }));
    expect(KeyCount).toBe(0);
  });

  test('joins the parts of a multipart upload, if no object is there', async () => {
    const parts = [noise(5 * MiB), noise(100)];
    const upload = async () => {
      const { UploadId } = await client.send(
        new CreateMultipartUploadCommand({ Bucket, Key: 'parts', ChecksumAlgorithm: 'CRC32' }),
      );
      const sent = await Promise.all(
        parts.map(async (Body, index) => {
          const PartNumber = index + 1;
          const part = { Bucket, Key: 'parts', UploadId, PartNumber, Body, ChecksumAlgorithm: 'CRC32' as const };
          const { ETag, ChecksumCRC32 } = await client.send(new UploadPartCommand(part));
          return { PartNumber, ETag, ChecksumCRC32 };
        }),
      );
      const complete = { Bucket, Key: 'parts', UploadId, MultipartUpload: { Parts: sent }, IfNoneMatch: '*' };
      return await client.send(new CompleteMultipartUploadCommand(complete));
    };
    expect((await upload()).ETag).toMatch(/^"[0-9a-f]{32}-2"$/);
    expect((await bytesOf('parts')).equals(Buffer.concat(parts))).toBe(true);
    expect(await outcome(upload())).toBe('PreconditionFailed');
  });

  test('refuses a signature made with another secret', async () => {
    const other = new S3Client({
      endpoint: at.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      maxAttempts: 1,
      credentials: { ...(await client.config.credentials()), secretAccessKey: 'another-secret' },
    });
    expect(await outcome(other.send(new GetObjectCommand({ Bucket, Key: 'ten' })))).toBe('SignatureDoesNotMatch');
    other.destroy();
  });

  test('refuses a request that is not signed', async () => {
    const answer = await fetch(`${at.endpoint}/${Bucket}/ten`);
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain('<Code>AccessDenied</Code>');
  });

  test('refuses a body that was changed after it was signed', async () => {
    const tampered = at.createClient();
    tampered.middlewareStack.add(
      (next) => (args) => {
        const request = args.request as { body: unknown };
        request.body = Buffer.from('ten other.');
        return next(args);
      },
      { step: 'finalizeRequest', priority: 'low' },
    );
    expect(await outcome(tampered.send(new PutObjectCommand({ Bucket, Key: 'changed', Body: '0123456789' })))).toMatch(
      /XAmzContentSHA256Mismatch|BadDigest/,
    );
    expect(await outcome(get('changed'))).toBe('NoSuchKey');
    tampered.destroy();
  });
});

describe('the S3 test server', () => {
  let server: S3Server;
  let client: S3Client;
  const clients: S3Client[] = [];
  const createClient = (more: object = {}) => {
    const { endpoint, region, credentials } = server;
    const made = new S3Client({ endpoint, region, credentials, forcePathStyle: true, maxAttempts: 1, ...more });
    clients.push(made);
    return made;
  };
  const put = (Key: string, Body: string, more: object = {}) =>
    client.send(new PutObjectCommand({ Bucket: server.bucket, Key, Body, ...more }));
  const get = (Key: string) => client.send(new GetObjectCommand({ Bucket: server.bucket, Key }));

  beforeEach(async () => {
    server = await startS3Server();
    client = createClient();
  });
  afterEach(async () => {
    for (const made of clients.splice(0)) made.destroy();
    await server.close();
  });

  test('tells a client of another region the right one', async () => {
    const error = await createClient({ region: 'eu-west-1' })
      .send(new GetObjectCommand({ Bucket: server.bucket, Key: 'a' }))
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      name: 'AuthorizationHeaderMalformed',
      $response: { headers: { 'x-amz-bucket-region': 'us-east-1' } },
    });
  });

  test('refuses a clock that is a quarter of an hour off, and the client learns the time from that', async () => {
    const late = createClient({ systemClockOffset: 20 * 60_000 });
    const read = () => late.send(new GetObjectCommand({ Bucket: server.bucket, Key: 'a' }));
    expect(await outcome(read())).toBe('RequestTimeTooSkewed');
    expect(await outcome(read())).toBe('NoSuchKey');
  });

  test('can tell contending writers 409 while another is under way', async () => {
    await server.close();
    server = await startS3Server({ contendedStatus: 409, fault: () => ({ kind: 'slow', ms: 50 }) });
    client = createClient();
    const writers = Array.from({ length: 8 }, () => outcome(put('key', 'body', { IfNoneMatch: '*' })));
    const outcomes = await Promise.all(writers);
    expect(outcomes.filter((each) => each === '200')).toHaveLength(1);
    expect(outcomes.filter((each) => each === 'ConditionalRequestConflict')).toHaveLength(7);
    expect(await outcome(put('key', 'body', { IfNoneMatch: '*' }))).toBe('PreconditionFailed');
  });

  test('loses a request, or the reply to one that was carried out', async () => {
    server.fault = () => ({ kind: 'lost request' });
    expect(await outcome(put('request', 'body'))).not.toBe('200');
    server.fault = () => ({ kind: 'lost reply' });
    expect(await outcome(put('reply', 'body'))).not.toBe('200');
    server.fault = undefined;
    expect(await outcome(get('request'))).toBe('NoSuchKey');
    expect(await outcome(get('reply'))).toBe('200');
  });

  test('is slow before or after it has carried out a request', async () => {
    for (const kind of ['slow', 'slow reply'] as const) {
      server.fault = () => ({ kind, ms: 10_000 });
      const abort = new AbortController();
      const slow = outcome(
        client.send(new PutObjectCommand({ Bucket: server.bucket, Key: kind, Body: 'body' }), {
          abortSignal: abort.signal,
        }),
      );
      await expect.poll(() => server.requests.some((request) => request.key === kind)).toBe(true);
      server.fault = undefined;
      await expect.poll(() => outcome(get(kind))).toBe(kind === 'slow' ? 'NoSuchKey' : '200');
      abort.abort();
      expect(await slow).toBe('AbortError');
    }
  });

  test('breaks off in the middle of a body', async () => {
    await put('key', '0123456789');
    server.fault = () => ({ kind: 'truncated', bytes: 4 });
    const { Body, ContentLength } = await get('key');
    expect(ContentLength).toBe(10);
    await expect(Body?.transformToByteArray()).rejects.toThrow();
  });

  test('answers with an error of S3 without carrying the request out', async () => {
    server.fault = (request) => (request.operation === 'PutObject' ? { kind: 'error', code: 'SlowDown' } : undefined);
    expect(await outcome(put('key', 'body'))).toBe('SlowDown');
    expect(await outcome(get('key'))).toBe('NoSuchKey');
    expect(server.requests.map(({ operation, key }) => `${operation} ${key}`)).toEqual([
      'PutObject key',
      'GetObject key',
    ]);
  });
});

test('checksums are right for the digits 1 to 9', () => {
  const digits = Buffer.from('123456789');
  const found = Object.fromEntries(
    Object.entries(checksums).map(([name, sum]) => [name, Buffer.from(sum(digits), 'base64').toString('hex')]),
  );
  expect(found).toMatchObject({ crc32: 'cbf43926', crc32c: 'e3069283', crc64nvme: 'ae8b14860a799888' });
});
