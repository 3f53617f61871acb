import { describe, expect, it } from 'vitest';
import { LogError } from '../../lib/errors.ts';
import { recordHeadersMax } from '../../lib/limits.ts';
import type { FetchRequest, FetchResult } from '../../lib/log.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import type { RecordHeader } from '../../lib/record/record.ts';
import { decodeRecords } from '../../lib/record/record-batch.ts';
import { batchesContentType, decodeFrames, parsePartitions, partitionsHeader } from '../../lib/wire.ts';
import { batchOf, type Door, openApp, openLog } from './harness.ts';

const records = '/v1/topics/orders/partitions/0/records';
const batches = { accept: batchesContentType };

/** Partition 0 has offsets 0 to 4 in two batches; partition 1 is empty. */
async function openOrders(options = {}): Promise<Door> {
  const door = openApp(options);
  await door.call('POST', '/v1/topics', { topic: 'orders', partitions: 2 });
  await door.produceBatches('orders', [
    { partition: 0, batch: batchOf(['a', 'b', 'c']) },
    { partition: 0, batch: batchOf(['d', 'e']) },
  ]);
  return door;
}

function valuesOf(json: { records: { value: string }[] }): string {
  return json.records.map(({ value }) => value).join('');
}

describe('fetch of one partition', () => {
  it('gives the records from the offset asked for, also from the midst of a batch', async () => {
    await using door = await openOrders();
    const { status, json } = await door.call('GET', `${records}?offset=1`);
    expect(status).toBe(200);
    expect(valuesOf(json)).toBe('bcde');
    expect(json).toMatchObject({ nextOffset: 5, highWatermark: 5, logStartOffset: 0 });
    expect(json.records[0]).toEqual({ offset: 1, timestamp: expect.any(Number), key: null, value: 'b', headers: [] });
  });

  it('knows earliest (also when nothing is said) and latest', async () => {
    await using door = await openOrders();
    expect(valuesOf((await door.call('GET', `${records}?offset=earliest`)).json)).toBe('abcde');
    expect(valuesOf((await door.call('GET', records)).json)).toBe('abcde');
    expect(valuesOf((await door.call('GET', `${records}?offset=&maxBytes=`)).json)).toBe('abcde');
    const { json } = await door.call('GET', `${records}?offset=latest`);
    expect(json).toMatchObject({ records: [], nextOffset: 5 });
  });

  it('gives at least one batch, however small maxBytes is', async () => {
    await using door = await openOrders();
    const { json } = await door.call('GET', `${records}?offset=0&maxBytes=1`);
    expect(valuesOf(json)).toBe('abc');
    expect(json.nextOffset).toBe(3);
  });

  it('gives frames of whole batches with the watermarks in a header', async () => {
    await using door = await openOrders();
    const answer = await door.call('GET', `${records}?offset=1`, undefined, batches);
    expect(answer.headers.get('content-type')).toBe(batchesContentType);
    const frames = decodeFrames(answer.bytes);
    expect(frames.map(({ batch }) => [...decodeRecords(batch)].map(({ offset }) => offset))).toEqual([
      [0, 1, 2],
      [3, 4],
    ]);
    expect(parsePartitions(answer.headers.get(partitionsHeader) ?? '')).toEqual([
      { partition: 0, nextOffset: 5, highWatermark: 5, logStartOffset: 0 },
    ]);
  });

  it('waits for records that are not there yet', async () => {
    await using door = await openOrders();
    const waiting = door.call('GET', `${records}?offset=5&maxWaitMs=20000`);
    await new Promise((resolve) => setTimeout(resolve, 30));
    await door.produceBatches('orders', [{ partition: 0, batch: batchOf(['f']) }]);
    expect(valuesOf((await waiting).json)).toBe('f');
  });

  it('ends its wait when the caller goes or the process stops', async () => {
    const stopping = new AbortController();
    await using door = await openOrders({ stopping: stopping.signal });
    const caller = new AbortController();
    const gone = door.fetch(`${records}?offset=5&maxWaitMs=20000`, { signal: caller.signal });
    caller.abort();
    expect((await gone).status).toBe(200);
    const stopped = door.call('GET', `${records}?offset=5&maxWaitMs=20000`);
    stopping.abort();
    expect((await stopped).json.records).toEqual([]);
  });

  it('cuts a JSON answer in the midst of a batch when its records are far larger than the batch', async () => {
    await using door = openApp();
    const config = { 'compression.type': 'gzip', 'max.message.bytes': '10000000' };
    await door.call('POST', '/v1/topics', { topic: 'orders', partitions: 1, config });
    const value = 'x'.repeat(4 << 20);
    const some = Array.from({ length: 12 }, () => ({ value, partition: 0 }));
    for (let from = 0; from < 12; from += 6) {
      const { status } = await door.call('POST', '/v1/topics/orders/records', { records: some.slice(from, from + 6) });
      expect(status).toBe(200);
    }
    const first = (await door.call('GET', `${records}?offset=0`)).json;
    expect([first.records.length, first.nextOffset]).toEqual([7, 7]);
    const second = (await door.call('GET', `${records}?offset=7`)).json;
    expect([second.records.length, second.nextOffset]).toEqual([5, 12]);
  });

  it('cuts a JSON answer when its records have many headers, though these are empty', async () => {
    await using door = await openOrders();
    const headers = Array<RecordHeader>(recordHeadersMax).fill(['', null]);
    const record = { key: null, value: null, headers, timestamp: Date.now() };
    const batch = encodeBatch({ records: Array(60).fill(record), codec: 'zstd' });
    expect((await door.produceBatches('orders', [{ partition: 1, batch }])).status).toBe(200);
    const { json } = await door.call('GET', '/v1/topics/orders/partitions/1/records');
    expect([json.records.length, json.nextOffset]).toEqual([52, 52]);
  });

  it.each([
    ['offset=-4', 416, 'OFFSET_OUT_OF_RANGE'],
    ['offset=6', 416, 'OFFSET_OUT_OF_RANGE'],
    ['offset=first', 400, 'INVALID_REQUEST'],
    ['offset=1.5', 400, 'INVALID_REQUEST'],
    ['offset=9007199254740993', 400, 'INVALID_REQUEST'],
    ['offset=0&maxBytes=-1', 400, 'INVALID_REQUEST'],
    ['offset=0&maxBytes=99999999999', 400, 'INVALID_REQUEST'],
    ['offset=0&maxWaitMs=30001', 400, 'INVALID_REQUEST'],
    ['offset=0&minBytes=one', 400, 'INVALID_REQUEST'],
    ['ofset=0', 400, 'INVALID_REQUEST'],
  ])('answers ?%s with %i %s', async (query, status, code) => {
    await using door = await openOrders();
    const answer = await door.call('GET', `${records}?${query}`);
    expect([answer.status, answer.json.code, answer.json.effect]).toEqual([status, code, 'none']);
    if (code === 'OFFSET_OUT_OF_RANGE') {
      expect(answer.json.details).toMatchObject({ logStartOffset: 0, highWatermark: 5 });
    }
  });

  it.each([
    ['/v1/topics/none/partitions/0/records', 404],
    ['/v1/topics/orders/partitions/2/records', 404],
    ['/v1/topics/orders/partitions/x/records', 400],
    ['/v1/topics/orders/partitions/-1/records', 400],
    ['/v1/topics/orders/partitions/0/offsets', 400],
    ['/v1/topics/orders/partitions/0/offsets?timestamp=soon', 400],
    ['/v1/topics/orders/partitions/2/offsets?timestamp=max', 404],
  ])('answers GET %s with %i', async (path, status) => {
    await using door = await openOrders();
    const answer = await door.call('GET', path);
    expect([answer.status, answer.json.status]).toEqual([status, status]);
  });
});

describe('fetch of many partitions', () => {
  const ask = (...offsets: unknown[]) => ({ partitions: offsets.map((offset, partition) => ({ partition, offset })) });

  it('answers in the order asked for, with 200, 207 or the first failure', async () => {
    await using door = await openOrders();
    const fine = await door.call('POST', '/v1/topics/orders/fetch', ask(3, 'earliest'));
    expect(fine.status).toBe(200);
    expect(fine.json.partitions).toMatchObject([
      { partition: 0, records: [{ value: 'd' }, { value: 'e' }], nextOffset: 5, highWatermark: 5, logStartOffset: 0 },
      { partition: 1, records: [], nextOffset: 0, highWatermark: 0, logStartOffset: 0 },
    ]);
    const some = await door.call('POST', '/v1/topics/orders/fetch', ask(9, 0));
    expect(some.status).toBe(207);
    expect(some.json.partitions).toMatchObject([
      { partition: 0, code: 'OFFSET_OUT_OF_RANGE', status: 416 },
      { records: [] },
    ]);
    const none = await door.call('POST', '/v1/topics/orders/fetch', ask(9, -1));
    expect([none.status, none.json.code]).toEqual([416, 'OFFSET_OUT_OF_RANGE']);
    expect(none.json.partitions).toHaveLength(2);
  });

  it('tells failures of batch answers in the header', async () => {
    await using door = await openOrders();
    const some = await door.call('POST', '/v1/topics/orders/fetch', ask('earliest', 7), batches);
    expect(some.status).toBe(207);
    expect(some.headers.get(partitionsHeader)).toBe('0:5:5:0,1:-1:0:0:OFFSET_OUT_OF_RANGE');
    expect(decodeFrames(some.bytes)).toHaveLength(2);
    const none = await door.call('POST', '/v1/topics/orders/fetch', ask(9, 7), batches);
    expect([none.status, none.headers.get('content-type')]).toEqual([416, 'application/problem+json']);
    expect(none.headers.get(partitionsHeader)).toBe('0:-1:5:0:OFFSET_OUT_OF_RANGE,1:-1:0:0:OFFSET_OUT_OF_RANGE');
  });

  // An object that was lost failed the whole fetch, and the log of the server told of it; since it fails its own partition, and
  // frames have room for its code alone, nobody was told which it was.
  it.each([{}, batches])('has the server told of what a partition fails with, asked for %j', async (headers) => {
    const stored = openLog();
    const lost = new LogError('KAFKA_STORAGE_ERROR', 'object 1 is not there', { retriable: false });
    const gone = new LogError('UNKNOWN_TOPIC_OR_PARTITION', 'no such partition');
    const fetch = async (request: FetchRequest): Promise<readonly FetchResult[]> => [
      ...(await stored.fetch(request)),
      { partition: 1, error: lost },
      { partition: 2, error: gone },
    ];
    await using door = await openOrders({ log: { ...stored, fetch } });
    expect((await door.call('POST', '/v1/topics/orders/fetch', ask(0), headers)).status).toBe(207);
    expect(door.errors).toEqual([lost]);
  });

  it('tells of a batch that cannot be read in the entry of its partition', async () => {
    const stored = openLog();
    await using door = await openOrders({
      log: { ...stored, fetch: (request: FetchRequest) => stored.fetch(request).then(damaged) },
    });
    const damaged = (results: readonly FetchResult[]) =>
      results.map((result) => {
        if (!('error' in result))
          for (const batch of result.batches) new DataView(batch.buffer, batch.byteOffset).setInt32(57, 7);
        return result;
      });
    const { status, json } = await door.call('POST', '/v1/topics/orders/fetch', ask(0, 0));
    expect(status).toBe(207);
    expect(json.partitions).toMatchObject([{ partition: 0, code: 'INVALID_RECORD', status: 400 }, { records: [] }]);
  });

  it.each([
    [{ partitions: [] }],
    [{ partitions: [{ partition: 0 }] }],
    [{ partitions: [{ partition: 0, offset: 'newest' }] }],
    [{ ...ask(0), maxBytes: 1e9 }],
    [
      {
        partitions: [
          { partition: 0, offset: 0 },
          { partition: 0, offset: 1 },
        ],
      },
    ],
    [{ partitions: Array.from({ length: 257 }, (_, partition) => ({ partition, offset: 0 })) }],
  ])('refuses %j', async (body) => {
    await using door = await openOrders();
    const answer = await door.call('POST', '/v1/topics/orders/fetch', body);
    expect([answer.status, answer.json.code]).toEqual([400, 'INVALID_REQUEST']);
  });
});

describe('offsets and producers', () => {
  it('finds offsets by timestamp and by name', async () => {
    await using door = openApp();
    await door.call('POST', '/v1/topics', { topic: 'orders' });
    const offset = async (timestamp: string | number) =>
      (await door.call('GET', `/v1/topics/orders/partitions/0/offsets?timestamp=${timestamp}`)).json;
    expect(await offset('max')).toEqual({ offset: null, timestamp: null });
    await door.call('POST', '/v1/topics/orders/records', {
      records: [1000, 3000, 2000].map((timestamp) => ({ timestamp })),
    });
    expect(await offset('earliest')).toEqual({ offset: 0, timestamp: null });
    expect(await offset('latest')).toEqual({ offset: 3, timestamp: null });
    expect(await offset('max')).toEqual({ offset: 1, timestamp: 3000 });
    expect(await offset(1001)).toEqual({ offset: 1, timestamp: 3000 });
    expect(await offset(3001)).toEqual({ offset: null, timestamp: null });
  });

  it('gives every producer an id of its own', async () => {
    await using door = openApp();
    const ids = await Promise.all([1, 2, 3].map(async () => (await door.call('POST', '/v1/producers')).json));
    expect(new Set(ids.map(({ producerId }) => producerId)).size).toBe(3);
    expect(ids[0].producerEpoch).toBe(0);
  });
});
