import { expect, test } from 'vitest';
import { parseTopicName } from '../../lib/ids.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import { batchOf } from '../api/harness.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import { openMemoryFunctions } from './memory-function.ts';

const topic = parseTopicName('orders');
/** Records are of now. */
const startMs = Date.now();
const path = '/v1/topics/orders/partitions/0/records';
const rest = (query: Record<string, string> = {}, headers: Record<string, string> = {}) => ({
  httpMethod: 'GET',
  path,
  headers: { accept: 'text/event-stream', ...headers },
  queryStringParameters: query,
});

function offsetsOf(text: string): number[] {
  return [...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]));
}

test('without streaming an event stream is the records there are, at once', async () => {
  const clock = createVirtualClock(startMs);
  await using functions = openMemoryFunctions(undefined, clock);
  await functions.log.topics.create({ topic });
  await functions.log.produce({ topic, batches: [{ partition: 0, batch: batchOf(['a', 'b']) }] });
  const answer = await clock.run(functions.invoke('fetch', rest()));
  // But for the pause that tells that no more is on its way.
  expect(clock.nowMs() - startMs).toBe(100);
  expect(answer).toMatchObject({
    statusCode: 200,
    isBase64Encoded: false,
    headers: { 'content-type': 'text/event-stream' },
  });
  expect(answer.body).toMatch(/^retry: 1000\n\n/);
  expect(offsetsOf(answer.body)).toEqual([0, 1]);
});

test('it waits for the first record, and the reader comes back behind the last', async () => {
  const clock = createVirtualClock(startMs);
  await using functions = openMemoryFunctions(undefined, clock);
  await functions.log.topics.create({ topic });
  await functions.log.produce({ topic, batches: [{ partition: 0, batch: batchOf(['a']) }] });
  const answer = functions.invoke('fetch', rest({}, { 'last-event-id': '0' }));
  const later = clock
    .sleep(10_000)
    .then(() => functions.log.produce({ topic, batches: [{ partition: 0, batch: batchOf(['b']) }] }));
  expect(offsetsOf((await clock.run(answer)).body)).toEqual([1]);
  await later;
});

test('it ends without records while there is time to answer', async () => {
  const clock = createVirtualClock(startMs);
  await using functions = openMemoryFunctions(undefined, clock);
  await functions.log.topics.create({ topic });
  const answer = await clock.run(functions.invoke('fetch', rest(), 2_000));
  expect(clock.nowMs() - startMs).toBe(300);
  expect(answer).toMatchObject({ statusCode: 200, body: expect.stringMatching(/^retry: 1000\n\n/) });
  expect(offsetsOf(answer.body)).toEqual([]);
});

test('it ends before it outgrows a payload, and an event too large for any is told', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic });
  const value = (bytes: number) =>
    encodeBatch({ records: [{ key: null, value: Buffer.alloc(bytes, 1), headers: [], timestamp: 1 }] });
  for (let at = 0; at < 10; at++)
    await functions.log.produce({ topic, batches: [{ partition: 0, batch: value(200_000) }] });
  await functions.log.produce({ topic, batches: [{ partition: 0, batch: value(1_000_000) }] });
  const seen: number[] = [];
  for (let invokes = 0; invokes < 3; invokes++) {
    const { body } = await functions.invoke('fetch', rest({ offset: String(seen.length) }));
    seen.push(...offsetsOf(body));
  }
  expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const { body } = await functions.invoke('fetch', rest({ offset: '10' }));
  expect(body).toMatch(/^event: error\ndata: \{.*"code":"MESSAGE_TOO_LARGE"/m);
});

test('with streaming the head comes first, the records as they come, and the end in time', async () => {
  const clock = createVirtualClock(startMs);
  await using functions = openMemoryFunctions(undefined, clock);
  await functions.log.topics.create({ topic });
  await functions.log.produce({ topic, batches: [{ partition: 0, batch: batchOf(['a']) }] });
  const later = clock
    .sleep(200)
    .then(() => functions.log.produce({ topic, batches: [{ partition: 0, batch: batchOf(['b']) }] }));
  const { head, bytes } = await clock.run(functions.stream('fetch', rest(), 2_500));
  await later;
  expect(clock.nowMs() - startMs).toBe(800);
  expect(head).toMatchObject({ statusCode: 200, headers: { 'content-type': 'text/event-stream' } });
  expect(offsetsOf(bytes.toString())).toEqual([0, 1]);
  expect(functions.finished.at(-1)).toMatchObject({ status: 200, answerBytes: bytes.byteLength });
});

test('with streaming a fetch may take more than a payload', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic });
  for (let at = 0; at < 9; at++) {
    const batch = encodeBatch({
      records: [{ key: null, value: Buffer.alloc(1_000_000, at), headers: [], timestamp: 1 }],
    });
    await functions.log.produce({ topic, batches: [{ partition: 0, batch }] });
  }
  const event = rest({ maxBytes: '32000000' }, { accept: 'application/vnd.millrace.batches' });
  const { head, bytes } = await functions.stream('fetch', event);
  expect(head).toMatchObject({ statusCode: 200, headers: { 'millrace-partitions': '0:9:9:0' } });
  expect(bytes.byteLength).toBeGreaterThan(9_000_000);
});

test('with streaming a failure is a problem, and an invoke by hand has one payload as ever', async () => {
  await using functions = openMemoryFunctions();
  const missing = await functions.stream('fetch', rest());
  expect(missing.head).toMatchObject({ statusCode: 404, headers: { 'content-type': 'application/problem+json' } });
  expect(JSON.parse(missing.bytes.toString())).toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' });
  expect(functions.finished.at(-1)).toMatchObject({ status: 404, code: 'UNKNOWN_TOPIC_OR_PARTITION' });
  await functions.log.topics.create({ topic });
  const request = await functions.stream('fetch', { method: 'GET', path });
  expect(JSON.parse(request.bytes.toString())).toMatchObject({ status: 200, isBase64Encoded: false });
  const plain = await functions.stream('fetch', { topic: 'orders', partition: 0 });
  expect(JSON.parse(plain.bytes.toString())).toMatchObject({ nextOffset: 0 });
  await expect(functions.stream('fetch', { topic: 'gone', partition: 0 })).rejects.toMatchObject({
    name: 'UNKNOWN_TOPIC_OR_PARTITION',
  });
});
