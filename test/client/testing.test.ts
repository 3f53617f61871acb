import { afterAll, beforeEach, expect, test } from 'vitest';
import { isLogError, LogError, type Millrace } from '../../lib/client/index.ts';
import { openTestLog } from '../../lib/client/testing.ts';

const log = await openTestLog({ topics: { orders: 3 } });
beforeEach(() => log.reset());
afterAll(() => log.close());

/** A program to be tested, as one of a user's would be. */
async function placeOrder(store: Millrace, { customer, total }: { customer: string; total: number }): Promise<string> {
  await using orders = store.producer('orders');
  const { partition, offset } = await orders.send({ key: customer, value: JSON.stringify({ total }) });
  return `${partition}:${offset}`;
}

test('a program that takes a Millrace takes a test log, and what it stored can be looked at', async () => {
  await placeOrder(log, { customer: 'customer-7', total: 12 });
  const [record] = await log.records('orders');
  expect(record?.keyText).toBe('customer-7');
  expect(JSON.parse(record?.valueText ?? '')).toEqual({ total: 12 });
});

test('records come in the order in which they were acknowledged, over all partitions', async () => {
  const values = Array.from({ length: 30 }, (_, index) => `${index}`);
  const producer = log.producer('orders');
  for (const [index, value] of values.entries()) await producer.send({ partition: (index * 7) % 3, value });
  expect((await log.records('orders')).map(({ valueText }) => valueText)).toEqual(values);
});

test("a failure comes about once, and the client meets it as the log's own", async () => {
  log.failNext('produce', new LogError('MESSAGE_TOO_LARGE', 'refused by the test'));
  const failure = await placeOrder(log, { customer: 'a', total: 1 }).catch((error: unknown) => error);
  expect(isLogError(failure, 'MESSAGE_TOO_LARGE') && failure.message).toBe('refused by the test');
  expect(await placeOrder(log, { customer: 'b', total: 2 })).toMatch(/:0$/);
  expect(await log.records('orders')).toHaveLength(1);
});

test('a failure that passes is healed by the client, and an answer that is lost appends once', async () => {
  log.failNext('produce', new LogError('KAFKA_STORAGE_ERROR', 'store is away', { effect: 'none' }), { times: 2 });
  log.failNext('produce', new LogError('REQUEST_TIMED_OUT', 'answer lost'), { isApplied: true });
  await placeOrder(log, { customer: 'a', total: 1 });
  expect(await log.records('orders')).toHaveLength(1);
});

test('an outcome that nobody knows reaches the program, and the record may be there', async () => {
  const error = new LogError('KAFKA_STORAGE_ERROR', 'answer lost', { retriable: false, effect: 'unknown' });
  log.failNext('produce', error, { isApplied: true });
  await expect(placeOrder(log, { customer: 'a', total: 1 })).rejects.toMatchObject({ effect: 'unknown' });
  expect(await log.records('orders')).toHaveLength(1);
});

test('a fetch fails for the program alone, and not for the one who looks inside', async () => {
  await placeOrder(log, { customer: 'a', total: 1 });
  log.failNext('fetch', new LogError('TOPIC_AUTHORIZATION_FAILED', 'not yours'));
  expect(await log.records('orders')).toHaveLength(1);
  const reading = log.consumer('orders', { follow: false })[Symbol.asyncIterator]();
  await expect(reading.next()).rejects.toMatchObject({ code: 'TOPIC_AUTHORIZATION_FAILED' });
});

test('waiting ends when there are enough records, also of a topic that is made meanwhile', async () => {
  const waiting = log.waitForRecords('payments', 2);
  await log.admin.createTopic('payments');
  const producer = log.producer('payments');
  await producer.send({ value: 'a' });
  await producer.send({ value: 'b' });
  expect((await waiting).map(({ valueText }) => valueText)).toEqual(['a', 'b']);
});

test('waiting in vain ends with the numbers', async () => {
  await placeOrder(log, { customer: 'a', total: 1 });
  await expect(log.waitForRecords('orders', 2, { timeoutMs: 30 })).rejects.toThrow(
    'topic orders has 1 records after 30 ms, not 2',
  );
});

test('a reset leaves the topics it was opened with, empty, and a producer that is older goes on', async () => {
  const producer = log.producer('orders');
  await producer.send({ partition: 0, value: 'before' });
  await producer.send({ partition: 0, value: 'before' });
  await log.admin.createTopic('payments');
  log.failNext('produce', new LogError('MESSAGE_TOO_LARGE', 'never met'));
  await log.reset();
  const topics: string[] = [];
  for await (const { topic } of log.admin.listTopics()) topics.push(topic);
  expect(topics).toEqual(['orders']);
  expect(await log.records('orders')).toEqual([]);
  expect(await producer.send({ partition: 0, value: 'after' })).toMatchObject({ offset: 0 });
  expect((await log.records('orders')).map(({ valueText }) => valueText)).toEqual(['after']);
});

// Who was away since the test before had its share of the partitions for 45 s, and nobody read them.
test('a reset leaves no group, whatever became of its members', async () => {
  const read = async (options: { readonly instanceId?: string }) => {
    const producer = log.producer('orders');
    await Promise.all([0, 1, 2].map((partition) => producer.send({ partition, value: 'x' })));
    const partitions = new Set<number>();
    const consumer = log.consumer('orders', { group: 'billing', follow: false, ...options });
    for await (const { partition } of consumer) partitions.add(partition);
    return [...partitions].sort();
  };
  expect(await read({ instanceId: 'one' })).toEqual([0, 1, 2]);
  await log.reset();
  for await (const group of log.admin.listGroups()) expect(group).toBe(undefined);
  expect(await read({})).toEqual([0, 1, 2]);
});
