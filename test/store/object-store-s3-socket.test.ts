/** The store with its own client, over real connections that break. */

import { randomFillSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { isLogError } from '../../lib/errors.ts';
import { MiB } from '../../lib/limits.ts';
import { openS3ObjectStore, type S3ObjectStore } from '../../lib/store/object-store-s3.ts';
import type { S3Options } from '../../lib/store/requests-s3.ts';
import { noise } from '../contract/object-store.ts';
import type { S3ErrorCode } from '../support/s3-error.ts';
import { type S3Fault, type S3Server, startS3Server } from '../support/s3-server.ts';

let server: S3Server;
let store: S3ObjectStore;
const opened: S3ObjectStore[] = [];

function open(options: Partial<S3Options> = {}): S3ObjectStore {
  const { bucket, endpoint, region } = server;
  const randomBytes = (bytes: Uint8Array) => randomFillSync(bytes);
  const made = openS3ObjectStore({ bucket, endpoint, region, clock: systemClock, randomBytes, ...options });
  opened.push(made);
  return made;
}

beforeEach(async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  server = await startS3Server();
  store = open();
});
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
  await server.close();
  vi.unstubAllEnvs();
});

/** Meets the first request of each of `operations`, and no other. */
function faultOnce(operations: readonly string[], fault: S3Fault): void {
  const left = new Set(operations);
  server.fault = ({ operation }) => (left.delete(operation) ? fault : undefined);
}

const operations = ['PutObject', 'GetObject', 'HeadObject', 'ListObjectsV2', 'DeleteObjects'];
const passing: readonly (readonly [string, S3Fault])[] = [
  ['a lost request', { kind: 'lost request' }],
  ['a lost reply', { kind: 'lost reply' }],
  ['a slow request', { kind: 'slow', ms: 300 }],
  ['a slow reply', { kind: 'slow reply', ms: 300 }],
  ['SlowDown', { kind: 'error', code: 'SlowDown' }],
  ['InternalError', { kind: 'error', code: 'InternalError' }],
  ['ConditionalRequestConflict', { kind: 'error', code: 'ConditionalRequestConflict' }],
];

test.each(passing)('every call outlives %s', async (_, fault) => {
  faultOnce(operations, fault);
  const body = noise(5000);
  const objectId = await store.put([body]);
  expect(body.subarray(7, 4007).equals(await store.read(objectId, 7, 4000))).toBe(true);
  expect(await store.read(objectId, 5000, 0)).toHaveLength(0);
  let listed = 0;
  for await (const object of store.list({ before: Date.now() + 60_000 })) listed += object.byteLength;
  expect(listed).toBeGreaterThanOrEqual(5000);
  expect(await store.delete([objectId])).toEqual([]);
  await expect(store.read(objectId, 0, 1)).rejects.toMatchObject({ retriable: false });
});

test.each([0, 1, 1000, 1 * MiB])('a body that breaks off after %i bytes is read again', async (bytes) => {
  const body = noise(2 * MiB);
  const objectId = await store.put([body]);
  faultOnce(['GetObject'], { kind: 'truncated', bytes });
  expect(body.equals(await store.read(objectId, 0, body.length))).toBe(true);
  expect(server.requests).toHaveLength(3);
});

test('a put of two megabytes whose reply is lost ends with its body stored', async () => {
  const body = noise(2 * MiB);
  faultOnce(['PutObject'], { kind: 'lost reply' });
  const objectId = await store.put([body]);
  expect(body.equals(await store.read(objectId, 0, body.length))).toBe(true);
});

describe('errors that stay', () => {
  const lasting: readonly (readonly [S3ErrorCode, boolean, RegExp])[] = [
    ['ExpiredToken', true, /credentials have expired/],
    ['AccessDenied', false, /was denied; check that the role is allowed s3:/],
    ['NoSuchBucket', false, /bucket millrace-test is not there/],
    ['NotImplemented', false, /was refused: NotImplemented/],
  ];
  test.each(lasting)('%s ends a call at once, without effect', async (code, retriable, message) => {
    const objectId = await store.put([noise(10)]);
    const before = server.requests.length;
    server.fault = () => ({ kind: 'error', code });
    const calls = [() => store.put([noise(10)]), () => store.read(objectId, 0, 5), () => store.delete([objectId])];
    for (const call of calls) {
      const error = await call().catch((reason: unknown) => reason);
      expect(isLogError(error, 'KAFKA_STORAGE_ERROR') ? error : String(error)).toMatchObject({
        retriable,
        effect: 'none',
        message: expect.stringMatching(message),
      });
    }
    expect(server.requests.length - before).toBe(calls.length);
  });

  test('a bucket that is not there is named', async () => {
    await expect(open({ bucket: 'nobody' }).put([noise(1)])).rejects.toThrow(
      /^bucket nobody is not there; check its name, its account and the region \(us-east-1\)$/,
    );
  });

  test('a bucket of another region is told its region', async () => {
    await expect(open({ region: 'eu-west-1' }).put([noise(1)])).rejects.toThrow(
      'bucket millrace-test is not in region eu-west-1 but in us-east-1; check the region',
    );
  });

  test('keys that S3 does not know are denied', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'other');
    await expect(open().put([noise(1)])).rejects.toThrow(/was denied/);
  });

  test('an S3 that cannot be reached ends a call at its deadline', async () => {
    const { endpoint } = server;
    await server.close();
    const startMs = Date.now();
    const call = open({ endpoint, deadline: () => startMs + 500 }).put([noise(1)]);
    await expect(call).rejects.toMatchObject({
      retriable: true,
      effect: 'none',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    expect(Date.now() - startMs).toBeLessThan(4000);
    server = await startS3Server();
  });
});

test('calls one after another share a connection, whatever their size', async () => {
  for (const byteLength of [10, 3 * MiB, 10]) {
    const objectId = await store.put([noise(byteLength)]);
    await store.read(objectId, 0, byteLength);
    await expect(store.read(objectId, 1, byteLength)).rejects.toThrow(`has ${byteLength} bytes`);
  }
  // The last read of each round drops the connection rather than read what it has no use for.
  expect(server.connectionCount).toBeLessThanOrEqual(4);
});

test('a put says once and for all what it puts', async () => {
  const objectId = await store.put([noise(10), noise(20)]);
  const [request] = server.requests;
  expect(request?.key).toBe(`${objectId.slice(-1)}/${objectId}`);
  expect(request?.headers).toMatchObject({ 'if-none-match': '*', 'content-length': '30' });
  expect(request?.headers['x-amz-checksum-crc32']).toMatch(/^.{6}==$/);
  expect(request?.headers).not.toHaveProperty('expect');
});
