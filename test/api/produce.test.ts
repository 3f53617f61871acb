import { describe, expect, it } from 'vitest';
import { partitionForKey } from '../../lib/topic/partitioner.ts';
import { encodeFrames } from '../../lib/wire.ts';
import { batchOf, type Door, openApp } from './harness.ts';

const records = '/v1/topics/orders/records';

async function openOrders(partitions = 1, config: Record<string, string> = {}, options = {}): Promise<Door> {
  const door = openApp(options);
  await door.call('POST', '/v1/topics', { topic: 'orders', partitions, config });
  return door;
}

async function values(door: Door, partition = 0): Promise<(string | null)[]> {
  const { json } = await door.call('GET', `/v1/topics/orders/partitions/${partition}/records?offset=earliest`);
  return json.records.map(({ value }: { value: string | null }) => value);
}

describe('produce of JSON records', () => {
  it('answers one entry per partition, in the order of partition', async () => {
    await using door = await openOrders(4);
    const body = {
      records: [3, 1, 3, 0].map((partition, index) => ({ partition, value: `v${index}`, timestamp: 1000 + index })),
    };
    const { status, json } = await door.call('POST', records, body);
    expect(status).toBe(200);
    expect(json).toEqual({
      results: [
        { partition: 0, baseOffset: 0, recordCount: 1, timestamp: 1003 },
        { partition: 1, baseOffset: 0, recordCount: 1, timestamp: 1001 },
        { partition: 3, baseOffset: 0, recordCount: 2, timestamp: 1002 },
      ],
    });
    expect(await values(door, 3)).toEqual(['v0', 'v2']);
  });

  it('refuses more batches of a producer for one partition than the log remembers', async () => {
    await using door = await openOrders(1, { 'max.message.bytes': '200' });
    const body = (count: number) => ({
      producerId: 1,
      producerEpoch: 0,
      baseSequences: { 0: 0 },
      records: Array.from({ length: count }, () => ({ partition: 0, value: 'x'.repeat(100) })),
    });
    const { status, json } = await door.call('POST', records, body(6));
    expect([status, json.code, json.effect]).toEqual([400, 'INVALID_REQUEST', 'none']);
    expect(await values(door)).toEqual([]);
    expect((await door.call('POST', records, body(5))).status).toBe(200);
    expect((await door.call('POST', records, body(5))).status).toBe(200);
    expect(await values(door)).toHaveLength(5);
  });

  it('sends keys where every Kafka client sends them', async () => {
    await using door = await openOrders(7);
    for (const key of ['customer-7', 'ä', '', 21, { a: 1 }]) {
      const { json } = await door.call('POST', records, { records: [{ key, value: 'v' }] });
      const bytes = Buffer.from(typeof key === 'string' ? key : JSON.stringify(key));
      expect(json.results[0].partition).toBe(partitionForKey(bytes, 7));
    }
  });

  it('sends all keyless records of a request to one partition, chosen by chance', async () => {
    const chance = [5, 2];
    const randomBytes = (bytes: Uint8Array) => bytes.fill(0).fill(chance.shift() ?? 0, 3);
    await using door = await openOrders(4, {}, { randomBytes });
    const body = { records: [{ value: 'a' }, { value: 'b' }, { key: null, value: 'c' }] };
    expect((await door.call('POST', records, body)).json.results).toMatchObject([{ partition: 1, recordCount: 3 }]);
    expect((await door.call('POST', records, body)).json.results).toMatchObject([{ partition: 2, recordCount: 3 }]);
  });

  it('fills batches up to max.message.bytes and answers them as one', async () => {
    await using door = await openOrders(1, { 'max.message.bytes': '1000' });
    const body = { records: Array.from({ length: 20 }, (_, index) => ({ value: `${index}`.padStart(300, '.') })) };
    const { status, json } = await door.call('POST', records, body);
    expect(status).toBe(200);
    expect(json.results).toMatchObject([{ partition: 0, baseOffset: 0, recordCount: 20 }]);
    expect(await values(door)).toEqual(body.records.map(({ value }) => value));
  });

  // 100,000 records with 10 headers each kept the process from everything else for 4 s.
  it('lets others go on between the records of a request with many, of which it has one in hand at a time', async () => {
    await using door = await openOrders();
    const headers = Array.from({ length: 10 }, () => ['name', 'value']);
    const many = Array.from({ length: 6000 }, (_, at) => ({ value: `${at}`, headers }));
    const answered: string[] = [];
    const send = async (what: string, some: object[]) => {
      expect((await door.call('POST', records, { records: some })).status, what).toBe(200);
      answered.push(what);
    };
    const wrong = door.call('POST', records, { records: [...many, 0] });
    await Promise.all([send('many', many), send('many more', many), send('few', [{ value: 'few' }])]);
    expect((await wrong).status).toBe(400);
    expect(answered).toEqual(['few', 'many', 'many more']);
    const expected = many.map(({ value }) => value);
    const { json } = await door.call('GET', '/v1/topics/orders/partitions/0/records?maxBytes=33554432');
    const stored = json.records.map(({ value }: { value: string }) => value);
    expect(stored).toEqual(['few', ...expected, ...expected]);
  });

  it('compresses when the topic says so, and then judges the compressed size', async () => {
    await using door = await openOrders(1, { 'max.message.bytes': '1000', 'compression.type': 'zstd' });
    const value = 'x'.repeat(50_000);
    expect((await door.call('POST', records, { records: [{ value }] })).status).toBe(200);
    expect(await values(door)).toEqual([value]);
  });

  it('refuses a partition whose record fits no batch, and says so with 207 when another partition worked', async () => {
    await using door = await openOrders(2, { 'max.message.bytes': '1000' });
    const large = { partition: 0, value: 'x'.repeat(2000) };
    const alone = await door.call('POST', records, { records: [{ partition: 0, value: 'small' }, large] });
    expect([alone.status, alone.json.code, alone.json.effect]).toEqual([413, 'MESSAGE_TOO_LARGE', 'none']);
    expect(alone.json.details).toMatchObject({ bytesMax: 1000 });
    expect(alone.json.results).toMatchObject([{ partition: 0, code: 'MESSAGE_TOO_LARGE' }]);

    const mixed = await door.call('POST', records, { records: [large, { partition: 1, value: 'small' }] });
    expect(mixed.status).toBe(207);
    expect(mixed.json.results).toMatchObject([
      { partition: 0, code: 'MESSAGE_TOO_LARGE', status: 413 },
      { partition: 1, baseOffset: 0, recordCount: 1 },
    ]);
    expect(await door.highWatermark('orders', 0)).toBe(0);
  });

  it('answers a resend with the first answer, and refuses a gap and an older epoch', async () => {
    await using door = await openOrders(2);
    const { json: producer } = await door.call('POST', '/v1/producers');
    const send = (baseSequence: number, epoch = 0) =>
      door.call('POST', records, {
        ...producer,
        producerEpoch: epoch,
        baseSequences: { 1: baseSequence },
        records: [
          { partition: 1, value: 'a' },
          { partition: 1, value: 'b' },
        ],
      });
    const first = await send(0);
    expect(first.status).toBe(200);
    expect((await send(0)).json).toEqual(first.json);
    expect(await door.highWatermark('orders', 1)).toBe(2);

    const gap = await send(7);
    expect([gap.status, gap.json.code, gap.json.effect]).toEqual([409, 'OUT_OF_ORDER_SEQUENCE_NUMBER', 'none']);
    expect((await send(0, 1)).status).toBe(200);
    const fenced = await send(2, 0);
    expect([fenced.status, fenced.json.code]).toEqual([409, 'INVALID_PRODUCER_EPOCH']);
  });

  it('gives the batches of one idempotent request sequences that follow each other', async () => {
    await using door = await openOrders(1, { 'max.message.bytes': '1000' });
    const { json: producer } = await door.call('POST', '/v1/producers');
    const some = Array.from({ length: 5 }, () => ({ partition: 0, value: 'x'.repeat(400) }));
    const send = (baseSequence: number) =>
      door.call('POST', records, { ...producer, baseSequences: { 0: baseSequence }, records: some });
    expect((await send(0)).json.results).toMatchObject([{ baseOffset: 0, recordCount: 5 }]);
    expect((await send(5)).json.results).toMatchObject([{ baseOffset: 5, recordCount: 5 }]);
    expect((await send(5)).json.results).toMatchObject([{ baseOffset: 5, recordCount: 5 }]);
    expect(await door.highWatermark('orders')).toBe(10);
  });

  it.each([
    ['no records', { records: [] }],
    ['a bare array', [{ value: 'v' }]],
    ['a misspelt field', { records: [{ vlaue: 'v' }] }],
    ['value in both forms', { records: [{ value: 'v', valueBase64: 'dg==' }] }],
    ['a null value beside Base64', { records: [{ value: null, valueBase64: 'dg==' }] }],
    ['key in both forms', { records: [{ key: 'v', keyBase64: 'dg==' }] }],
    ['Base64 without padding', { records: [{ valueBase64: 'dg' }] }],
    ['Base64 with stray bits', { records: [{ valueBase64: 'dh==' }] }],
    ['URL-safe Base64', { records: [{ valueBase64: '_-8=' }] }],
    ['half a surrogate pair', { records: [{ value: '\ud800' }] }],
    ['half a surrogate pair in a key', { records: [{ key: 'a\udc00', value: 'v' }] }],
    ['half a surrogate pair in a header', { records: [{ headers: [['name', '\ud800v']] }] }],
    ['half a surrogate pair in a header name', { records: [{ headers: [['\udc00', 'v']] }] }],
    ['a header that is no pair', { records: [{ headers: [['name']] }] }],
    ['more headers than a record may have', { records: [{ headers: Array(10_001).fill(['', '']) }] }],
    ['a header value that is a number', { records: [{ headers: [['name', 1]] }] }],
    ['a timestamp in words', { records: [{ timestamp: 'now' }] }],
    ['a timestamp before 1970', { records: [{ timestamp: -1 }] }],
    ['a timestamp that is rounded', { records: [{ timestamp: 2 ** 60 }] }],
    ['a negative partition', { records: [{ partition: -1 }] }],
    ['a producer id alone', { records: [{ partition: 0 }], producerId: 1 }],
    [
      'no sequence for a partition',
      { records: [{ partition: 0 }], producerId: 1, producerEpoch: 0, baseSequences: { 1: 0 } },
    ],
    [
      'neither partition nor key with a producer id',
      { records: [{}], producerId: 1, producerEpoch: 0, baseSequences: { 0: 0 } },
    ],
    [
      'an epoch too large',
      { records: [{ partition: 0 }], producerId: 1, producerEpoch: 40_000, baseSequences: { 0: 0 } },
    ],
  ])('refuses %s and stores nothing', async (_what, body) => {
    await using door = await openOrders();
    const { status, json } = await door.call('POST', records, body);
    expect([status, json.code, json.effect, json.retriable]).toEqual([400, 'INVALID_REQUEST', 'none', false]);
    expect(json.detail).toMatch(/^[a-z]/);
    expect(await door.highWatermark('orders')).toBe(0);
    expect(door.errors).toEqual([]);
  });

  it.each([
    [[{ value: 'v' }, 7], 'records[1] 7: invalid input: expected object, received number'],
    [[{ timestamp: -1 }], 'records[0].timestamp -1: too small: expected number to be >=0'],
    [
      [
        {},
        {
          headers: [
            ['name', null],
            ['name', 1],
          ],
        },
      ],
      'records[1].headers[1][1] 1: is neither text nor null nor {"base64":"..."}',
    ],
    [[], 'records of 0 items: too small: expected array to have >=1 items'],
  ])('says where %j is wrong', async (wrong, detail) => {
    await using door = await openOrders();
    expect((await door.call('POST', records, { records: wrong })).json.detail).toBe(detail);
  });

  // Numbers that a double does not hold were told to be objects.
  it.each([
    ['{}', 'records: it is missing'],
    [
      '{"records":[{"partition":12345678901234567890}]}',
      'records[0].partition 12345678901234567890: it is not a number that a double holds',
    ],
    ['{"records":[{}],"producerEpoch":1e400}', 'producerEpoch 1e400: it is not a number that a double holds'],
    ['{"records":[{}],"baseSequences":{"a":0}}', 'baseSequences.a "a": is not a partition'],
  ])('says what is wrong with %s', async (body, detail) => {
    await using door = await openOrders();
    const headers = { 'content-type': 'application/json' };
    const response = await door.fetch(records, { method: 'POST', body, headers });
    expect(await response.json()).toMatchObject({ status: 400, code: 'INVALID_REQUEST', detail });
  });

  it('refuses a value nested so deep that writing it would exhaust the stack', async () => {
    await using door = await openOrders();
    const depth = 200_000;
    const body = `{"records":[{"value":${'['.repeat(depth)}${']'.repeat(depth)}}]}`;
    const response = await door.fetch(records, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 'INVALID_REQUEST' });
    expect(door.errors).toEqual([]);
  });
});

describe('produce of record batches', () => {
  it('answers one entry per frame', async () => {
    await using door = await openOrders(2);
    const { status, json } = await door.produceBatches('orders', [
      { partition: 1, batch: batchOf(['a', 'b']) },
      { partition: 0, batch: batchOf(['c']) },
      { partition: 1, batch: batchOf(['d']) },
    ]);
    expect(status).toBe(200);
    expect(json.results).toMatchObject([
      { partition: 1, baseOffset: 0, recordCount: 2 },
      { partition: 0, baseOffset: 0, recordCount: 1 },
      { partition: 1, baseOffset: 2, recordCount: 1 },
    ]);
    expect(await values(door, 1)).toEqual(['a', 'b', 'd']);
  });

  it('answers 207 when a frame fails, and the first failure when all do', async () => {
    await using door = await openOrders(2);
    const damaged = batchOf(['damaged']);
    damaged[70] = (damaged[70] ?? 0) ^ 1;
    const some = await door.produceBatches('orders', [
      { partition: 0, batch: damaged },
      { partition: 1, batch: batchOf(['fine']) },
    ]);
    expect(some.status).toBe(207);
    expect(some.json.results).toMatchObject([
      { partition: 0, code: 'CORRUPT_MESSAGE', effect: 'none' },
      { baseOffset: 0 },
    ]);

    const all = await door.produceBatches('orders', [
      { partition: 9, batch: batchOf(['nowhere']) },
      { partition: 0, batch: damaged },
    ]);
    expect([all.status, all.json.code]).toEqual([404, 'UNKNOWN_TOPIC_OR_PARTITION']);
    expect(all.json.results).toMatchObject([{ status: 404 }, { status: 400 }]);
    expect(all.headers.get('content-type')).toBe('application/problem+json');
  });

  it.each([
    ['no frame', new Uint8Array()],
    ['half a frame header', new Uint8Array(5)],
    ['a negative partition', frameOf(-1, 0)],
    ['a negative length', frameOf(0, -1)],
    ['a length beyond the body', frameOf(0, 1)],
    ['more frames than allowed', new Uint8Array(8 * 10_001)],
  ])('refuses a body with %s', async (_what, body) => {
    await using door = await openOrders();
    const { status, json } = await door.call('POST', '/v1/topics/orders/batches', body);
    expect([status, json.code, json.effect]).toEqual([400, 'INVALID_REQUEST', 'none']);
  });

  it('refuses a topic that does not exist as a whole', async () => {
    await using door = openApp();
    const { status, json } = await door.produceBatches('none', [{ partition: 0, batch: batchOf(['a']) }]);
    expect([status, json.code, json.retriable]).toEqual([404, 'UNKNOWN_TOPIC_OR_PARTITION', true]);
    expect(json.results).toBeUndefined();
  });

  it('keeps frames apart that lie side by side', () => {
    const [header] = encodeFrames([{ partition: 258, batch: new Uint8Array(3) }]);
    expect([...(header ?? [])]).toEqual([0, 0, 1, 2, 0, 0, 0, 3]);
  });
});

function frameOf(partition: number, byteLength: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, partition);
  view.setInt32(4, byteLength);
  return bytes;
}
