import { expect, test } from 'vitest';
import { encodeAnswer } from '../../functions/events.ts';
import { fetchBytesMax, fitAnswer, responseBytesMax, returnedBytes } from '../../functions/fit-answer.ts';
import { cutToFit } from '../../functions/measured-log.ts';
import { parseTopicName } from '../../lib/ids.ts';
import type { FetchResult, Log } from '../../lib/log.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import { decodeRecords, readBatchHeader } from '../../lib/record/record-batch.ts';
import { decodeFrames, parsePartitions } from '../../lib/wire.ts';
import { openMemoryFunctions } from './memory-function.ts';

const topic = parseTopicName('orders');
const fetchPath = '/v1/topics/orders/partitions/0/records';

function batchOfBytes(bytes: number, value = 'x'): Uint8Array {
  return encodeBatch({
    records: [{ key: null, value: Buffer.alloc(bytes, value), headers: [], timestamp: 1_700_000_000_000 }],
  });
}

async function produce(log: Log, partition: number, batches: readonly Uint8Array[]): Promise<void> {
  const results = await log.produce({ topic, batches: batches.map((batch) => ({ partition, batch })) });
  expect(results.filter((result) => 'error' in result)).toEqual([]);
}

function payloadBytes(result: unknown): number {
  return Buffer.byteLength(JSON.stringify(result));
}

test('the bytes of an answer are known to the byte, in every form', () => {
  const texts = ['', '{}', '{"a":"\\"quoted\\"\\n"}', '{"a":"ä€😀"}', 'id: 1\ndata: {}\n\n', '\u0001\u2028'];
  for (const form of ['rest', 'http', 'request'] as const) {
    for (const text of texts) {
      const headers = new Headers({ 'content-type': 'application/json', 'x-quoted': '"' });
      const answer = { status: 200, headers, body: Buffer.from(text) };
      expect(returnedBytes(form, answer), text).toBe(payloadBytes(encodeAnswer(form, answer)));
    }
    for (const bytes of [1, 2, 3, 4, 1000]) {
      const headers = new Headers({ 'content-type': 'application/vnd.millrace.batches' });
      const answer = { status: 207, headers, body: new Uint8Array(bytes).fill(255) };
      expect(returnedBytes(form, answer)).toBe(payloadBytes(encodeAnswer(form, answer)));
    }
  }
});

test.each(['rest', 'request'])(
  'a fetch of more record batches than a payload holds gives those that fit: %s',
  async (form) => {
    await using functions = openMemoryFunctions();
    await functions.log.topics.create({ topic });
    for (let at = 0; at < 12; at++) await produce(functions.log, 0, [batchOfBytes(1_000_000)]);
    const offsets: number[] = [];
    let invokes = 0;
    for (let offset = 0; offset < 12; invokes++) {
      const headers = { accept: 'application/vnd.millrace.batches' };
      const query = { offset: String(offset), maxBytes: '32000000' };
      const rest = { httpMethod: 'GET', path: fetchPath, headers, queryStringParameters: query };
      const answer = await functions.invoke(
        'fetch',
        form === 'rest' ? rest : { method: 'GET', path: fetchPath, headers, query },
      );
      expect(answer.statusCode ?? answer.status).toBe(200);
      expect(payloadBytes(answer)).toBeLessThanOrEqual(responseBytesMax);
      const batches = decodeFrames(Buffer.from(answer.body, 'base64')).map(({ batch }) => batch);
      offsets.push(...batches.map((batch) => Number(readBatchHeader(batch).baseOffset)));
      offset = parsePartitions(answer.headers['millrace-partitions'])[0]?.nextOffset ?? Number.NaN;
    }
    expect(offsets).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(invokes).toBe(3);
  },
);

test('partitions that find no room in an answer keep their place', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic, partitionCount: 8 });
  for (let partition = 0; partition < 8; partition++)
    await produce(functions.log, partition, [batchOfBytes(1_000_000)]);
  const places = new Map(Array.from({ length: 8 }, (_, partition) => [partition, 0]));
  const seen: number[] = [];
  for (let invokes = 0; invokes < 2; invokes++) {
    const partitions = [...places]
      .filter(([, offset]) => offset === 0)
      .map(([partition, offset]) => ({ partition, offset }));
    const answer = await functions.invoke('fetch', {
      method: 'POST',
      path: '/v1/topics/orders/fetch',
      headers: { accept: 'application/vnd.millrace.batches', 'content-type': 'application/json' },
      body: JSON.stringify({ partitions, maxBytes: 32_000_000 }),
    });
    expect(payloadBytes(answer)).toBeLessThanOrEqual(responseBytesMax);
    seen.push(...decodeFrames(Buffer.from(answer.body, 'base64')).map(({ partition }) => partition));
    for (const entry of parsePartitions(answer.headers['millrace-partitions']))
      places.set(entry.partition, entry.nextOffset);
  }
  expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});

test('a batch that fits no answer even alone is refused with both sizes, and only where it comes first', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic, partitionCount: 2, config: { 'max.message.bytes': 16_000_000 } });
  await produce(functions.log, 0, [batchOfBytes(100)]);
  await produce(functions.log, 0, [batchOfBytes(5_000_000)]);
  await produce(functions.log, 1, [batchOfBytes(100)]);
  const headers = { accept: 'application/vnd.millrace.batches', 'content-type': 'application/json' };
  const before = await functions.invoke('fetch', {
    method: 'GET',
    path: fetchPath,
    headers,
    query: { maxBytes: '32000000' },
  });
  expect(before).toMatchObject({ status: 200, headers: { 'millrace-partitions': '0:1:2:0' } });
  const at = await functions.invoke('fetch', { method: 'GET', path: fetchPath, headers, query: { offset: '1' } });
  expect(at.status).toBe(413);
  const { code, detail, details, effect } = JSON.parse(at.body);
  expect({ code, details, effect }).toEqual({
    code: 'MESSAGE_TOO_LARGE',
    details: { bytes: expect.closeTo(5_000_080, -2), bytesMax: fetchBytesMax },
    effect: 'none',
  });
  expect(detail).toContain(String(details.bytes));
  expect(detail).toContain(String(fetchBytesMax));

  // The other partition of the same fetch does not fail with it, and keeps its place.
  const partitions = [
    { partition: 0, offset: 1 },
    { partition: 1, offset: 0 },
  ];
  const body = JSON.stringify({ partitions });
  const both = await functions.invoke('fetch', { method: 'POST', path: '/v1/topics/orders/fetch', headers, body });
  expect(both.status).toBe(207);
  expect(both.headers['millrace-partitions']).toBe('0:-1:-1:-1:MESSAGE_TOO_LARGE,1:0:1:0');
});

test('the largest batch that fits comes through', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic, config: { 'max.message.bytes': 16_000_000 } });
  const overheadBytes = 8 + batchOfBytes(4_000_000).byteLength - 4_000_000;
  const largest = batchOfBytes(fetchBytesMax - overheadBytes);
  expect(largest.byteLength).toBe(fetchBytesMax - 8);
  await produce(functions.log, 0, [largest]);
  const headers = { accept: 'application/vnd.millrace.batches' };
  const answer = await functions.invoke('fetch', { method: 'GET', path: fetchPath, headers });
  expect(answer.status).toBe(200);
  expect(payloadBytes(answer)).toBeLessThanOrEqual(responseBytesMax);
  expect(payloadBytes(answer)).toBeGreaterThan(responseBytesMax - 70_000);
});

test('cutting goes on where the last batch that fits ends', () => {
  const batches = [batchOfBytes(100), batchOfBytes(100), batchOfBytes(100)];
  const result: FetchResult = { partition: 0, offset: 0, batches, nextOffset: 3, highWatermark: 3, logStartOffset: 0 };
  const frameBytes = 8 + (batches[0]?.byteLength ?? 0);
  const cut = (bytesMax: number) => {
    const [first] = cutToFit([result], bytesMax);
    return first !== undefined && 'batches' in first ? [first.batches.length, first.nextOffset] : first?.error.code;
  };
  expect(cut(3 * frameBytes)).toEqual([3, 3]);
  expect(cut(3 * frameBytes - 1)).toEqual([2, 1]);
  expect(cut(frameBytes)).toEqual([1, 1]);
  expect(cut(frameBytes - 1)).toBe('MESSAGE_TOO_LARGE');
});

test.each(['request', 'plain'])(
  'JSON that outgrows a payload ends with the last record that fits: %s',
  async (form) => {
    await using functions = openMemoryFunctions();
    await functions.log.topics.create({ topic });
    // A control character is 6 bytes as JSON, and 7 when that JSON is text in an event.
    for (let at = 0; at < 10; at++) await produce(functions.log, 0, [batchOfBytes(200_000, '\u0001')]);
    const offsets: number[] = [];
    let invokes = 0;
    for (let offset = 0; offset < 10; invokes++) {
      const query = { offset: String(offset), maxBytes: '32000000' };
      const plain = { topic: 'orders', partition: 0, ...query };
      const answer = await functions.invoke(
        'fetch',
        form === 'plain' ? plain : { method: 'GET', path: fetchPath, query },
      );
      expect(payloadBytes(answer)).toBeLessThanOrEqual(responseBytesMax);
      const { records, nextOffset, highWatermark } = form === 'plain' ? answer : JSON.parse(answer.body);
      expect(highWatermark).toBe(10);
      offsets.push(...records.map((record: { offset: number }) => record.offset));
      offset = nextOffset;
    }
    expect(offsets).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(invokes).toBe(form === 'plain' ? 2 : 3);
  },
);

test('JSON of several partitions is cut in the order asked for', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic, partitionCount: 4 });
  for (let partition = 0; partition < 3; partition++) {
    await produce(functions.log, partition, [batchOfBytes(300_000, '"'), batchOfBytes(300_000, '"')]);
  }
  const partitions = [0, 1, 2, 9, 3].map((partition) => ({ partition, offset: 0 }));
  const answer = await functions.invoke('fetch', {
    method: 'POST',
    path: '/v1/topics/orders/fetch',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ partitions, maxBytes: 32_000_000 }),
  });
  expect(payloadBytes(answer)).toBeLessThanOrEqual(responseBytesMax);
  const entries: { partition: number; nextOffset: number; records: unknown[]; code?: string }[] = JSON.parse(
    answer.body,
  ).partitions;
  // A quote takes 4 bytes: \\\".
  expect(entries.map(({ partition, nextOffset, records }) => [partition, nextOffset, records?.length])).toEqual([
    [0, 2, 2],
    [1, 2, 2],
    [2, 1, 1],
    [9, undefined, undefined],
    [3, 0, 0],
  ]);
  expect(entries[3]?.code).toBe('UNKNOWN_TOPIC_OR_PARTITION');
});

test('a record whose JSON fits no payload is refused with both sizes', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic });
  await produce(functions.log, 0, [batchOfBytes(1_000_000, '\u0001')]);
  const answer = await functions.invoke('fetch', { method: 'GET', path: fetchPath });
  expect(answer.status).toBe(413);
  expect(JSON.parse(answer.body)).toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
    effect: 'none',
    details: { bytes: expect.any(Number), bytesMax: responseBytesMax },
  });
  expect(functions.finished.at(-1)).toMatchObject({ status: 413, code: 'MESSAGE_TOO_LARGE' });
  await expect(functions.invoke('fetch', { topic: 'orders', partition: 0 })).resolves.toMatchObject({ nextOffset: 1 });
});

test('headers that API Gateway would not let through are refused, and by invoke they may be longer', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic });
  const headers = { accept: 'application/vnd.millrace.batches', 'content-type': 'application/json' };
  const partitions = Array.from({ length: 256 }, (_, index) => ({
    partition: index === 0 ? 0 : 2_000_000_000 + index,
    offset: 0,
  }));
  const path = '/v1/topics/orders/fetch';
  const body = JSON.stringify({ partitions });
  const refused = await functions.invoke('fetch', { httpMethod: 'POST', path, headers, body });
  expect(refused.statusCode).toBe(413);
  expect(JSON.parse(refused.body)).toMatchObject({ code: 'MESSAGE_TOO_LARGE', details: { bytesMax: 10_240 } });
  expect((await functions.stream('fetch', { httpMethod: 'POST', path, headers, body })).head).toMatchObject({
    statusCode: 413,
  });
  const answered = await functions.invoke('fetch', { method: 'POST', path, headers, body });
  expect(answered.status).toBe(207);
  expect(parsePartitions(answered.headers['millrace-partitions'])).toHaveLength(256);
});

test('an answer of another kind that does not fit says what it would take', () => {
  const body = Buffer.from(JSON.stringify({ topics: ['x'.repeat(7_000_000)] }));
  const headers = new Headers({ 'content-type': 'application/json' });
  const { status, body: told } = fitAnswer('rest', { status: 200, headers, body }, 'unknown');
  expect(status).toBe(413);
  expect(JSON.parse(Buffer.from(told).toString())).toMatchObject({ code: 'MESSAGE_TOO_LARGE', effect: 'unknown' });
});

test('a request that AWS would not let through is refused where an emulator does', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic });
  const body = JSON.stringify({ records: [{ value: 'x'.repeat(6_300_000) }] });
  const answer = await functions.invoke('produce', { method: 'POST', path: '/v1/topics/orders/records', body });
  expect(answer.status).toBe(413);
  expect(JSON.parse(answer.body)).toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
    effect: 'none',
    details: { bytes: body.length, bytesMax: 6_291_456 },
  });
});

test('what is cut is whole: every record of a large log is read once, in order', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic });
  for (let at = 0; at < 6; at++) {
    const records = Array.from({ length: 900 }, (_, index) => {
      return { key: null, value: Buffer.from(`${at}/${index}`.padEnd(1000, '"')), headers: [], timestamp: 1 };
    });
    await produce(functions.log, 0, [encodeBatch({ records })]);
  }
  const values: string[] = [];
  for (let offset = 0; offset < 5_400; ) {
    const query = { offset: String(offset), maxBytes: '32000000' };
    const answer = await functions.invoke('fetch', { method: 'GET', path: fetchPath, query });
    const json = JSON.parse(answer.body);
    values.push(...json.records.map(({ value }: { value: string }) => value.replace(/"*$/, '')));
    offset = json.nextOffset;
  }
  expect(values).toEqual(Array.from({ length: 5_400 }, (_, index) => `${Math.floor(index / 900)}/${index % 900}`));
  const [result] = await functions.log.fetch({
    topic,
    partitions: [{ partition: 0, offset: 0 }],
    maxBytes: 1,
    minBytes: 0,
    maxWaitMs: 0,
  });
  expect(
    result !== undefined && 'batches' in result && [...decodeRecords(result.batches[0] as Uint8Array)],
  ).toHaveLength(900);
});
