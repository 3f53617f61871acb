/** What the user of a consumer in a group can ask for: topics, where to begin, batches, concurrency, commits by hand. */

import { describe, expect, test } from 'vitest';
import {
  type GroupConsumer,
  type GroupConsumerOptions,
  LogError,
  Millrace,
  type Subscription,
} from '../../lib/client/index.ts';
import { makeTransport } from '../../lib/client/transport.ts';
import { clock, memberIdOf, openGroupWorld, until } from './group-fixture.ts';

const toItsEnd = { group: 'billing', follow: false } as const;

test('a list of topics is read as one, and what is committed is told of each', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 2, 6);
  await world.fill('returns', 1, 4);
  const { client, sent } = world.openClient();
  const seen: string[] = [];
  const consumer = client.consumer(['orders', 'returns'], { ...toItsEnd, assignor: 'range' });
  for await (const { topic, valueText } of consumer) seen.push(`${topic} ${valueText}`);
  expect(seen.toSorted()).toEqual([
    ...[0, 1, 2, 3, 4, 5].map((value) => `orders ${value}`),
    ...[0, 1, 2, 3].map((value) => `returns ${value}`),
  ]);
  const joined = sent.find(({ path }) => path.endsWith('/heartbeat'))?.body ?? [];
  expect(JSON.parse(Buffer.concat(joined).toString())).toMatchObject({
    topics: ['orders', 'returns'],
    assignor: 'range',
  });
  const { partitions } = await client.admin.describeGroup('billing');
  expect(partitions.map(({ topic, partition, committedOffset }) => [topic, partition, committedOffset])).toEqual([
    ['orders', 0, 3],
    ['orders', 1, 3],
    ['returns', 0, 4],
  ]);
});

// A topic was deleted after it was assigned and before its first offset was found. Until the group noticed nothing else was
// read either, and a minute later the consumer ended with UNKNOWN_TOPIC_OR_PARTITION.
test('a topic that goes before it is begun with keeps nobody from the others, and ends nothing', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 5);
  await world.fill('returns', 1, 5);
  const { client, failNext, sent } = world.openClient();
  const gone = new LogError('UNKNOWN_TOPIC_OR_PARTITION', 'topic returns does not exist');
  for (let count = 0; count < 1_000; count += 1) failNext('returns/partitions/0/offsets', gone);
  const seen: string[] = [];
  const consumer = client.consumer(['orders', 'returns'], { group: 'billing' });
  const done = consumer.each(({ topic, valueText }) => void seen.push(`${topic} ${valueText}`));
  done.catch(() => {});
  const startedAtMs = clock.nowMs();
  await until(() => seen.length === 5, 'the other topic is read');
  expect(clock.nowMs() - startedAtMs).toBeLessThan(20_000);
  expect(sent.some(({ path }) => path.endsWith('returns/partitions/0/offsets'))).toBe(true);
  await client.admin.deleteTopic('returns');
  await clock.sleep(150_000);
  expect(seen.filter((value) => value.startsWith('orders')).length).toBe(5);
  expect(consumer.assignment).toEqual([{ topic: 'orders', partition: 0 }]);
  await consumer.close();
  await done;
});

describe('where nothing is committed', () => {
  test.each<[string, (at: Date) => GroupConsumerOptions['from'], string[]]>([
    ['from the earliest', () => 'earliest', ['0', '1', '2', '3', '4', '5']],
    ['from a time', (at) => at, ['3', '4', '5']],
    ['from a time that none is as young as', (at) => new Date(at.getTime() + 3_600_000_000), []],
    ['from the latest', () => 'latest', []],
  ])('it is read %s', async (_, from, values) => {
    const world = await openGroupWorld('direct');
    await world.fill('orders', 1, 3);
    const { client } = world.openClient();
    const at = new Date(clock.nowMs() + 1_000);
    const producer = client.producer('orders');
    for (const value of ['3', '4', '5']) await producer.send({ value, timestamp: at.getTime() + Number(value) });
    const seen: (string | null)[] = [];
    const options = { ...toItsEnd, from: from(at) ?? 'earliest' };
    for await (const { valueText } of client.consumer('orders', options)) seen.push(valueText);
    expect(seen).toEqual(values);
    // From then on it is what was committed that counts.
    await producer.send({ value: '6' });
    for await (const { valueText } of client.consumer('orders', { ...options, from: 'earliest' })) seen.push(valueText);
    expect(seen.slice(values.length)).toEqual(['6']);
  });
});

test('as many partitions are worked on at once as are asked for, and each by one handler at a time', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 6, 60);
  const { client } = world.openClient();
  const atHand: number[] = [];
  let most = 0;
  const beside: string[] = [];
  await client.consumer('orders', { ...toItsEnd, concurrency: 3 }).each(async ({ partition }) => {
    if (atHand.includes(partition)) beside.push(`two at partition ${partition}`);
    atHand.push(partition);
    most = Math.max(most, atHand.length);
    await clock.sleep(200);
    atHand.splice(atHand.indexOf(partition), 1);
  });
  expect(most).toBe(3);
  expect(beside).toEqual([]);
});

test('batches are handled in order, and one that fails is not done', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 40);
  const { client } = world.openClient();
  const offsets: number[] = [];
  let nextOffset = 0;
  const consumer = client.consumer('orders', { ...toItsEnd, maxBytes: 1 });
  const done = consumer.eachBatch((batch) => {
    if (batch.records[0]?.offset !== nextOffset) throw new Error('a gap');
    if (nextOffset >= 20) throw new Error('enough');
    offsets.push(...batch.records.map(({ offset }) => offset));
    nextOffset = batch.nextOffset;
  });
  await expect(done).rejects.toThrow('enough');
  expect(offsets).toEqual(Array.from({ length: nextOffset }, (_, index) => index));
  expect((await client.admin.describeGroup('billing')).partitions).toMatchObject([{ committedOffset: nextOffset }]);
});

test('who commits by hand does so when partitions are revoked, and nothing of them comes twice', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 4, 80);
  const seen: string[] = [];
  const start = () => {
    const { client } = world.openClient();
    const consumer: GroupConsumer = client.consumer('orders', {
      group: 'billing',
      autoCommit: false,
      onRevoked: () => consumer.commit(),
    });
    const done = consumer.each(async ({ valueText }) => {
      seen.push(valueText ?? '');
      await clock.sleep(500);
    });
    return { consumer, done };
  };
  const first = start();
  await until(() => seen.length > 10, 'the first is at work');
  const second = start();
  await until(() => second.consumer.assignment.length === 2, 'they share');
  await until(() => new Set(seen).size === 80, 'every record was handed out');
  await Promise.all([first, second].map(({ consumer, done }) => Promise.all([consumer.close(), done])));
  expect(seen.length).toBe(80);
});

// The older one is told by a heartbeat, or by a commit and then when it joins again: it then waited two minutes for the newer
// one to end, as one does that was killed and is back.
test.each([
  [
    'a heartbeat',
    false,
    /^FENCED_INSTANCE_ID: instance one of group billing is another member now, not [0-9a-f-]{36}$/,
  ],
  [
    'a commit',
    true,
    /^UNRELEASED_INSTANCE_ID: instance one of group billing is member [0-9a-f-]{36}, which is still active$/,
  ],
])('of two under one instance id the older one ends at once and says so, told by %s', async (_, commits, told) => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 20);
  const options = { group: 'billing', instanceId: 'one', autoCommit: false } as const;
  const [first, second] = [world.openClient(), world.openClient()];
  let count = 0;
  const older = first.client.consumer('orders', options);
  const replaced = older.each(() => void count++).catch((error) => `${error.code}: ${error.message}`);
  await until(() => count === 20, 'the first is at work');
  // Frozen for as long as its session lasts.
  first.kill();
  await world.throwOut('billing', memberIdOf(first));
  const newer = second.client.consumer('orders', options);
  const done = newer.each(() => {});
  await until(() => newer.assignment.length === 1, 'the second has its place');
  first.revive();
  const revivedAtMs = clock.nowMs();
  if (commits) await expect(older.commit()).rejects.toMatchObject({ code: 'UNKNOWN_MEMBER_ID' });
  expect(await replaced).toMatch(told);
  expect(clock.nowMs() - revivedAtMs).toBeLessThan(30_000);
  expect(newer.assignment.length).toBe(1);
  await newer.close();
  await done;
});

test('a member may pause a partition while it handles a record of it, and go on there later', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 10);
  const { client } = world.openClient();
  const consumer = client.consumer('orders', { group: 'billing' });
  const seen: number[] = [];
  const done = consumer.each(({ topic, partition, offset }) => {
    seen.push(offset);
    if (offset === 3) consumer.pause([{ topic, partition }]);
  });
  await until(() => seen.length === 4, 'it is paused');
  await clock.sleep(8_000);
  expect(seen).toEqual([0, 1, 2, 3]);
  expect(consumer.position('orders', 0)).toBe(4);
  expect(consumer.position('orders', 1)).toBeUndefined();
  expect((await client.admin.describeGroup('billing')).partitions).toMatchObject([{ committedOffset: 4 }]);
  consumer.resume([{ topic: 'orders', partition: 0 }]);
  await until(() => seen.length === 10, 'it goes on');
  expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await consumer.close();
  await done;
});

describe('what a consumer of a group cannot be', () => {
  const nowhere = makeTransport(
    'nowhere',
    () => Promise.reject(new Error('asked')),
    async () => {},
  );
  test.each<[Subscription, Partial<GroupConsumerOptions>, string, string | RegExp]>([
    ['orders', { group: '' }, 'INVALID_GROUP_ID', /^group id "" is not allowed/],
    ['orders', { instanceId: 'a b' }, 'INVALID_REQUEST', /^instanceId "a b" is not allowed/],
    [[], {}, 'INVALID_REQUEST', 'a consumer of group billing reads no topic; name at least one'],
    ['a b', {}, 'INVALID_TOPIC_EXCEPTION', /^topic name "a b" is not allowed/],
    [['orders', ''], {}, 'INVALID_TOPIC_EXCEPTION', /^topic name "" is not allowed/],
    ['orders', { concurrency: 0 }, 'INVALID_REQUEST', 'concurrency is 0, allowed is a whole number from 1 on'],
    ['orders', { concurrency: 1.5 }, 'INVALID_REQUEST', 'concurrency is 1.5, allowed is a whole number from 1 on'],
    [
      'orders',
      { autoCommitIntervalMs: 0 },
      'INVALID_REQUEST',
      'autoCommitIntervalMs is 0, allowed is a whole number from 1 to 2147483647',
    ],
    [
      'orders',
      { processingTimeoutMs: -1 },
      'INVALID_REQUEST',
      'processingTimeoutMs is -1, allowed is a whole number from 1 to 2147483647',
    ],
    // A timer for longer than that ends at once.
    [
      'orders',
      { autoCommitIntervalMs: 2 ** 31 },
      'INVALID_REQUEST',
      'autoCommitIntervalMs is 2147483648, allowed is a whole number from 1 to 2147483647',
    ],
    [
      'orders',
      { processingTimeoutMs: 2 ** 31 },
      'INVALID_REQUEST',
      'processingTimeoutMs is 2147483648, allowed is a whole number from 1 to 2147483647',
    ],
    [
      'orders',
      { from: new Date('yesterday') },
      'INVALID_REQUEST',
      'from is Invalid Date, allowed is earliest, latest or a Date from 1970 on',
    ],
    [
      'orders',
      { from: new Date(-1) },
      'INVALID_REQUEST',
      /^from is .*, allowed is earliest, latest or a Date from 1970 on$/,
    ],
    ['orders', { from: 'first' as 'earliest' }, 'INVALID_REQUEST', /^from is first, allowed is earliest/],
    ['orders', { maxBytes: Number.NaN }, 'INVALID_REQUEST', 'maxBytes is NaN, allowed is a whole number from 1 on'],
    [
      'orders',
      { sessionTimeoutMs: 5_000 },
      'INVALID_REQUEST',
      'sessionTimeoutMs is 5000, allowed is a whole number from 6000 to 1800000',
    ],
    [
      'orders',
      { maxWaitMs: 30_001 },
      'INVALID_REQUEST',
      'maxWaitMs is 30001, allowed is a whole number from 0 to 30000',
    ],
  ])('%j with %j is refused where it is made, as %s', async (topics, options, code, message) => {
    await using log = new Millrace({ transport: nowhere });
    const make = () => log.consumer(topics, { group: 'billing', ...options });
    expect(make).toThrow(
      expect.objectContaining({
        code,
        effect: 'none',
        message: typeof message === 'string' ? message : expect.stringMatching(message),
      }),
    );
  });
});
