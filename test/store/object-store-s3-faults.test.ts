/** What S3 and the network can do to one call of the store, at the SDK's door and in virtual time. */

import { randomFillSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { isLogError, LogError } from '../../lib/errors.ts';
import type { ObjectId } from '../../lib/ids.ts';
import { openS3ObjectStore } from '../../lib/store/object-store-s3.ts';
import type { S3Options } from '../../lib/store/requests-s3.ts';
import type { StoreRequest } from '../../lib/store/store-request.ts';
import { connectionReset, createS3Door, type S3Sent, s3Exception } from '../support/s3-door.ts';

type Fault = <T>(sent: S3Sent, carryOut: () => T) => Promise<T>;

const lostRequest: Fault = async () => {
  throw connectionReset();
};
const lostReply: Fault = async (_, carryOut) => {
  carryOut();
  throw connectionReset();
};
const silence: Fault = ({ signal }) =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(Object.assign(new Error('aborted'), { name: 'AbortError' })));
  });
const silentReply: Fault = (sent, carryOut) => {
  carryOut();
  return silence(sent, carryOut);
};
const answers =
  (name: string, status: number, headers: object = {}): Fault =>
  async () => {
    throw s3Exception(name, status, headers);
  };
const fine: Fault = async (_, carryOut) => carryOut();

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

const body = randomFillSync(Buffer.alloc(1000));

/** A store whose requests meet `faults` one after another, and none after those; `always` for every one. */
function open(faults: readonly Fault[], options: Partial<S3Options> = {}, always: Fault = fine) {
  let count = 0;
  const door = createS3Door({
    bucket: 'orders-log',
    send: (sent, carryOut) => (faults[count++] ?? always)(sent, carryOut),
  });
  const requests: StoreRequest[] = [];
  const store = openS3ObjectStore({
    bucket: 'orders-log',
    client: door.client,
    clock: systemClock,
    randomBytes: (bytes) => randomFillSync(bytes),
    onRequest: (request) => requests.push(request),
    ...options,
  });
  return { ...door, store, requests };
}

/** How the call ended, and after how much virtual time. */
async function end<T>(call: Promise<T>) {
  const startMs = Date.now();
  const ended = call.then(
    (value) => ({ value, error: undefined, ms: Date.now() - startMs }),
    (error: unknown) => ({ value: undefined, error: error as LogError, ms: Date.now() - startMs }),
  );
  await vi.runAllTimersAsync();
  expect(vi.getTimerCount(), 'timers left behind').toBe(0);
  return await ended;
}

/** Faults that pass: name, what happens once, objects there are after a put that met it. */
const passing: readonly (readonly [string, Fault, number])[] = [
  ['a lost request', lostRequest, 1],
  ['a lost reply', lostReply, 2],
  ['a request without an answer', silence, 1],
  ['a reply that never comes', silentReply, 2],
  ['503 SlowDown', answers('SlowDown', 503), 1],
  ['503 ServiceUnavailable', answers('ServiceUnavailable', 503), 1],
  ['500 InternalError', answers('InternalError', 500), 1],
  ['409 ConditionalRequestConflict', answers('ConditionalRequestConflict', 409), 1],
  ['400 RequestTimeout', answers('RequestTimeout', 400), 1],
  ['a body damaged on the way', answers('BadDigest', 400), 1],
  ['a clock that was wrong', answers('RequestTimeTooSkewed', 403), 1],
];

/** Faults that stay: name, what happens each time, whether a later retry can help, what the message must name. */
const lasting: readonly (readonly [string, Fault, boolean, RegExp])[] = [
  ['expired credentials', answers('ExpiredToken', 400), true, /credentials have expired/],
  ['access denied', answers('AccessDenied', 403), false, /denied.*s3:PutObject.*bucket's objects/],
  ['unknown keys', answers('InvalidAccessKeyId', 403), false, /denied/],
  ['a missing bucket', answers('NoSuchBucket', 404), false, /bucket orders-log is not there.*us-east-1/],
  [
    'another region',
    answers('PermanentRedirect', 301, { 'x-amz-bucket-region': 'eu-west-1' }),
    false,
    /not in region us-east-1 but in eu-west-1/,
  ],
  ['no credentials', answersByClient('CredentialsProviderError'), false, /no AWS credentials were found/],
  ['a key that is disabled', answers('KMS.DisabledException', 400), false, /refused: KMS.DisabledException/],
];

function answersByClient(name: string): Fault {
  return async () => {
    throw Object.assign(new Error('Could not load credentials from any providers'), { name, tryNextLink: false });
  };
}

describe('a put', () => {
  test.each(passing)('outlives %s', async (_, fault, objectCount) => {
    const { store, objects } = open([fault]);
    const { value, error } = await end(store.put([body]));
    expect(error).toBeUndefined();
    expect(objects.get(`${value?.slice(-1)}/${value}`)?.body.equals(body)).toBe(true);
    expect(objects.size).toBe(objectCount);
  });

  test.each(passing)('that meets nothing but %s ends before its deadline, without effect', async (_, fault) => {
    const deadline = Date.now() + 5_000;
    const { store, sent } = open([], { deadline: () => deadline }, fault);
    const { error, ms } = await end(store.put([body]));
    expect(isLogError(error, 'KAFKA_STORAGE_ERROR')).toBe(true);
    expect(error).toMatchObject({ retriable: true, effect: 'none' });
    expect(error?.message).toMatch(/^PutObject of an object of 1000 bytes in bucket orders-log in region us-east-1 /);
    expect(ms).toBeLessThanOrEqual(5_000);
    expect(sent.length).toBeGreaterThan(1);
  });

  test.each(lasting)('that meets %s fails at once and says what to check', async (_, fault, retriable, message) => {
    const { store, sent, objects } = open([], {}, fault);
    const { error, ms } = await end(store.put([body]));
    expect(isLogError(error, 'KAFKA_STORAGE_ERROR')).toBe(true);
    expect(error).toMatchObject({ retriable, effect: 'none' });
    expect(error?.message).toMatch(message);
    expect({ ms, sent: sent.length, objects: objects.size }).toEqual({ ms: 0, sent: 1, objects: 0 });
  });

  test('takes another name when its own is taken, and leaves the object there alone', async () => {
    const { store, objects, sent } = open([
      async ({ key }, carryOut) => {
        const stranger = { body: Buffer.from('stranger'), etag: '"1"', storedAt: new Date(), headers: {} };
        objects.set(key, stranger);
        return carryOut();
      },
    ]);
    const { value } = await end(store.put([body]));
    expect(sent).toHaveLength(2);
    expect(sent[1]?.key).toBe(`${value?.slice(-1)}/${value}`);
    expect([...objects.values()].map((object) => object.body.length)).toEqual([8, 1000]);
  });

  test('that is slow is sent a second time, and the name has one object', async () => {
    const { store, sent, objects } = open([silence]);
    const { ms } = await end(store.put([body]));
    expect(ms).toBe(250);
    expect(sent.map(({ key }) => key)).toEqual([sent[0]?.key, sent[0]?.key]);
    expect(sent[0]?.signal.aborted).toBe(true);
    expect(objects.size).toBe(1);
  });

  test('whose second request finds the name taken waits for the first one', async () => {
    const late: Fault = async (_, carryOut) => {
      const answer = carryOut();
      await systemClock.sleep(400);
      return answer;
    };
    const { store, sent, objects } = open([late]);
    const { value, ms } = await end(store.put([body]));
    expect({ ms, sent: sent.length, objects: objects.size }).toEqual({ ms: 400, sent: 2, objects: 1 });
    expect(objects.has(`${value?.slice(-1)}/${value}`)).toBe(true);
  });

  test('that is large is not sent a second time while the first is under way', async () => {
    const { store, sent } = open([
      async (_, carryOut) => {
        await systemClock.sleep(1_000);
        return carryOut();
      },
    ]);
    await end(store.put([Buffer.alloc(257 * 1024)]));
    expect(sent).toHaveLength(1);
  });

  test('after its deadline is not sent', async () => {
    const { store, sent } = open([], { deadline: () => Date.now() - 1 });
    const { error } = await end(store.put([body]));
    expect(error).toMatchObject({ code: 'KAFKA_STORAGE_ERROR', retriable: true, effect: 'none' });
    expect(error?.message).toContain('deadline');
    expect(sent).toEqual([]);
  });

  test('waits for its turn while 32 others run, and the time of its attempt does not run meanwhile', async () => {
    const slow: Fault = async (_, carryOut) => {
      await systemClock.sleep(1_500);
      return carryOut();
    };
    const { store, sent, objects } = open([], { hedging: false }, slow);
    const { ms } = await end(Promise.all(Array.from({ length: 96 }, () => store.put([body]))));
    expect({ ms, sent: sent.length, objects: objects.size }).toEqual({ ms: 4_500, sent: 96, objects: 96 });
  });

  test('that meets a bug throws the bug', async () => {
    const bug = new TypeError('undefined is not a function');
    const { store } = open([
      async () => {
        throw bug;
      },
    ]);
    expect((await end(store.put([body]))).error).toBe(bug);
  });
});

describe('a read', () => {
  async function openWithObject(faults: readonly Fault[], options: Partial<S3Options> = {}, always = fine) {
    const opened = open([fine, ...faults], options, always);
    const { value } = await end(opened.store.put([body]));
    return { ...opened, objectId: value as ObjectId };
  }

  test.each(passing)('outlives %s', async (_, fault) => {
    const { store, objectId } = await openWithObject([fault]);
    const { value } = await end(store.read(objectId, 100, 50));
    expect(body.subarray(100, 150).equals(value ?? Buffer.of())).toBe(true);
  });

  test.each([
    ['half of its bytes', { headers: { 'content-range': 'bytes 100-149/1000' }, keep: 25 }],
    ['bytes too many', { headers: { 'content-range': 'bytes 100-149/1000' }, keep: 51 }],
    ['another range', { headers: { 'content-range': 'bytes 0-49/1000' }, keep: 50 }],
    ['no range', { headers: {}, keep: 50 }],
  ])('that is answered with %s is sent again', async (_, { headers, keep }) => {
    const wrong: Fault = async (_sent, carryOut) => {
      const { Readable } = await import('node:stream');
      return {
        ...carryOut(),
        ContentRange: (headers as Record<string, string>)['content-range'],
        Body: Readable.from([Buffer.alloc(keep)]),
      };
    };
    const { store, objectId, sent } = await openWithObject([wrong]);
    const { value } = await end(store.read(objectId, 100, 50));
    expect(body.subarray(100, 150).equals(value ?? Buffer.of())).toBe(true);
    expect(sent).toHaveLength(3);
  });

  test.each(lasting.map(([name, fault, retriable]) => [name, fault, retriable] as const))(
    'that meets %s fails at once',
    async (_, fault, retriable) => {
      const { store, objectId, sent } = await openWithObject([], {}, fault);
      const { error } = await end(store.read(objectId, 0, 10));
      expect(error).toMatchObject({ code: 'KAFKA_STORAGE_ERROR', retriable, effect: 'none' });
      expect(sent).toHaveLength(2);
    },
  );

  test('that is denied says that the object may be gone', async () => {
    const { store, objectId } = await openWithObject([answers('AccessDenied', 403)]);
    const { error } = await end(store.read(objectId, 0, 10));
    expect(error?.message).toMatch(/s3:GetObject.*gone.*s3:ListBucket/);
  });

  test('that is slow is sent a second time', async () => {
    const { store, objectId, sent } = await openWithObject([silence]);
    const { value, ms } = await end(store.read(objectId, 0, 10));
    expect(value).toHaveLength(10);
    expect({ ms, sent: sent.length }).toEqual({ ms: 250, sent: 3 });
  });
});

describe('what the store tells of its requests', () => {
  test('is one line for each attempt, with its bytes', async () => {
    const { store, requests } = open([answers('SlowDown', 503), lostRequest]);
    const { value } = await end(store.put([body]));
    await end(store.read(value as ObjectId, 0, 10));
    await end(store.read(value as ObjectId, 5, 0));
    expect(requests.map(({ operation, bytes, failed }) => [operation, bytes, failed])).toEqual([
      ['PutObject', 1000, true],
      ['PutObject', 1000, true],
      ['PutObject', 1000, false],
      ['GetObject', 10, false],
      ['HeadObject', 0, false],
    ]);
    expect(requests[0]).toMatchObject({ service: 's3', readUnits: 0, writeUnits: 0, durationMs: expect.any(Number) });
  });

  test('has both requests of a pair, the one that lost among them', async () => {
    const { store, requests } = open([silence]);
    await end(store.put([body]));
    expect(requests.map(({ failed, durationMs }) => [failed, durationMs])).toEqual([
      [false, 0],
      [true, 250],
    ]);
  });
});

describe('a list by age', () => {
  const hourMs = 3_600_000;
  async function collect(list: AsyncGenerator<{ objectId: ObjectId }>): Promise<ObjectId[]> {
    const objectIds: ObjectId[] = [];
    for await (const { objectId } of list) objectIds.push(objectId);
    return objectIds;
  }
  const listed = async (list: AsyncGenerator<{ objectId: ObjectId }>) => (await end(collect(list))).value ?? [];

  test('gives what is older than an instant and not older than another, over all shards', async () => {
    const { store } = open([]);
    const startMs = Date.now();
    const hours: ObjectId[][] = [];
    for (let hour = 0; hour < 3; hour++) {
      vi.setSystemTime(startMs + hour * hourMs);
      const puts = Array.from({ length: 100 }, () => store.put([body]));
      hours.push((await end(Promise.all(puts))).value ?? []);
    }
    const before = await listed(store.list({ before: startMs + hourMs }));
    expect(before.toSorted()).toEqual(hours[0]);
    expect(new Set(before.map((objectId) => objectId.slice(-1))).size).toBeGreaterThan(12);
    expect((await listed(store.list({ from: startMs + hourMs, before: startMs + 2 * hourMs }))).toSorted()).toEqual(
      hours[1],
    );
    expect(await listed(store.list({ before: startMs }))).toEqual([]);
    expect(await listed(store.list({ before: startMs + 3 * hourMs }))).toHaveLength(300);
  });

  test('leaves out what a writer with a slow clock has just put', async () => {
    const slow = { ...systemClock, nowMs: () => Date.now() - hourMs };
    const { store } = open([], { clock: slow });
    await end(store.put([body]));
    expect(await listed(store.list({ before: Date.now() - hourMs / 2 }))).toEqual([]);
    vi.setSystemTime(Date.now() + hourMs);
    expect(await listed(store.list({ before: Date.now() - hourMs / 2 }))).toHaveLength(1);
  });

  test('reads on over pages, stops asking where the rest is too young, and skips what is not ours', async () => {
    const { store, objects, sent } = open([]);
    const put = (key: string) =>
      objects.set(key, { body, etag: '"1"', storedAt: new Date(Date.now() - hourMs), headers: {} });
    const idAt = (ms: number, index: number) =>
      `${(Date.now() - ms).toString(16).padStart(12, '0')}70008000${index.toString(16).padStart(11, '0')}5`;
    for (let index = 0; index < 2500; index++) put(`5/${idAt(hourMs, index)}`);
    for (let index = 0; index < 2500; index++) put(`5/${idAt(0, index)}`);
    put('5/0README');
    put('notes.txt');
    expect(await listed(store.list({ before: Date.now() - 1 }))).toHaveLength(2500);
    expect(sent.map(({ operation }) => operation)).toEqual(new Array(15 + 3).fill('ListObjectsV2'));
  });

  test('outlives faults, and says so when it cannot go on', async () => {
    const { store } = open([lostRequest, answers('SlowDown', 503)]);
    expect(await listed(store.list({ before: Date.now() }))).toEqual([]);
    const denied = open([], {}, answers('AccessDenied', 403));
    const { error } = await end(collect(denied.store.list({ before: Date.now() })));
    expect(error?.message).toMatch(/shard 0.*s3:ListBucket on the bucket/);
  });
});

describe('a delete', () => {
  test('takes a thousand objects at once, and those that are gone', async () => {
    const { store, objects, sent } = open([]);
    const puts = Array.from({ length: 20 }, () => store.put([body]));
    const objectIds = (await end(Promise.all(puts))).value ?? [];
    const gone = Array.from({ length: 1990 }, (_, index) => `${index}`.padStart(32, '0') as ObjectId);
    const before = sent.length;
    expect((await end(store.delete([...objectIds, ...gone]))).value).toEqual([]);
    expect(objects.size).toBe(0);
    expect(sent.length - before).toBe(3);
    expect((await end(store.delete([]))).value).toEqual([]);
  });

  test('tells which objects could not be deleted and why', async () => {
    const partly: Fault = async (_, carryOut) => ({
      ...carryOut(),
      Errors: [{ Key: '5/00000000000000000000000000000005', Code: 'AccessDenied', Message: 'Access Denied' }],
    });
    const { store } = open([partly]);
    const objectId = '00000000000000000000000000000005' as ObjectId;
    expect((await end(store.delete([objectId]))).value).toEqual([{ objectId, reason: 'AccessDenied' }]);
  });

  test('outlives faults, and says so when it is denied', async () => {
    const { store, sent } = open([lostReply, answers('InternalError', 500)]);
    expect((await end(store.delete(['0'.repeat(32) as ObjectId]))).value).toEqual([]);
    expect(sent).toHaveLength(3);
    const denied = open([answers('AccessDenied', 403)]);
    const { error } = await end(denied.store.delete(['0'.repeat(32) as ObjectId]));
    expect(error).toMatchObject({ retriable: false, effect: 'none' });
    expect(error?.message).toContain('s3:DeleteObject');
  });
});

test('a store without a region says so', async () => {
  const { store, client } = open([
    async () => {
      throw new Error('Region is missing');
    },
  ]);
  client.config.region = () => Promise.reject(new Error('Region is missing'));
  const { error } = await end(store.put([body]));
  expect(error).toBeInstanceOf(LogError);
  expect(error?.message).toContain('no AWS region is set');
});

test('a closed store has answered what was under way', async () => {
  const { store } = open([silence]);
  const put = store.put([body]);
  const order: string[] = [];
  const closed = store.close().then(() => order.push('closed'));
  await end(Promise.all([put.then(() => order.push('put')), closed]));
  expect(order).toEqual(['put', 'closed']);
  expect((await end(store.put([body]))).error).toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'none' });
});
