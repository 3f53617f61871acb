/** How a member of a group fetches what it has: all of it in turn, and nothing held back because of another partition. */

import { expect, onTestFinished, test, vi } from 'vitest';
import { HeldPartitions } from '../../lib/client/held-partitions.ts';
import { LogError } from '../../lib/client/index.ts';
import { partitionsHeader } from '../../lib/wire.ts';
import { bodyOf, clock, openGroupWorld, until } from './group-fixture.ts';

// A request names so many partitions at most, and it was always the same ones: those behind them were never read while the
// first had nothing new.
test('with more partitions than one request may ask for, the last of them is read as well, and soon', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 5, 0);
  const { client, sent } = world.openClient({ fetchPartitionsMax: 2 });
  const seen: string[] = [];
  const consumer = client.consumer('orders', { group: 'billing', maxWaitMs: 30_000 });
  const done = consumer.each(({ partition, valueText }) => void seen.push(`${partition} ${valueText}`));
  await until(() => consumer.assignment.length === 5, 'it has all');
  await clock.sleep(5_000);
  const sentAtMs = clock.nowMs();
  const producer = client.producer('orders');
  for (const partition of [4, 0, 4]) {
    const count = seen.length;
    await producer.send({ value: 'new', partition });
    await until(() => seen.length > count, 'it is read');
  }
  expect(seen).toEqual(['4 new', '0 new', '4 new']);
  expect(clock.nowMs() - sentAtMs).toBeLessThan(60_000);
  // All in turn, and not without a pause: three requests in two seconds.
  const startedAtMs = clock.nowMs();
  sent.length = 0;
  await clock.sleep(20_000);
  const fetches = sent.filter(({ path }) => path.endsWith('/fetch'));
  expect(fetches.length).toBeLessThan((clock.nowMs() - startedAtMs) / 400);
  await consumer.close();
  await done;
});

// With more to read in one partition, the requests for the others held up the next answer of it by a second each.
test('with more partitions than one request may ask for, none waits while there is something to catch up', async () => {
  const world = await openGroupWorld('direct');
  const { client, sent } = world.openClient({ fetchPartitionsMax: 2 });
  await client.admin.createTopic('wide', { partitions: 4 });
  const producer = client.producer('wide', { batchBytesMax: 100 });
  await Promise.all(Array.from({ length: 60 }, () => producer.send({ value: 'old', partition: 3 })));
  let count = 0;
  for await (const _ of client.consumer('wide', { group: 'billing', maxBytes: 1 })) {
    count += 1;
    if (count === 60) break;
  }
  const waiting = sent.filter((one) => one.path.endsWith('/fetch') && Number(bodyOf(one).maxWaitMs) > 0);
  expect(waiting.length).toBeLessThan(10);
});

// All were asked for at once, and all once more when one of them failed: who has too much to do never answered all.
test('a member that begins with many partitions does so where only ten requests are taken at once', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 60, 60);
  let underWay = 0;
  const { client } = world.openClient({
    through: async (request, log) => {
      if (!/\/partitions\/\d+\/offsets$/.test(request.path)) return await log(request);
      if (underWay >= 10) throw new LogError('THROTTLING_QUOTA_EXCEEDED', 'ten are enough');
      underWay += 1;
      try {
        await clock.sleep(20);
        return await log(request);
      } finally {
        underWay -= 1;
      }
    },
  });
  const partitions = new Set<number>();
  const consumer = client.consumer('orders', { group: 'billing', follow: false });
  await consumer.each(({ partition }) => void partitions.add(partition));
  expect(partitions.size).toBe(60);
});

// With every record all partitions were gone through once and more for each topic: 2,000 records of 1,000 topics took two
// minutes, in which no heartbeat was sent.
test('a record takes as many looks at what its member has with fifty topics as with five', async () => {
  const world = await openGroupWorld('direct');
  const looks = vi.spyOn(HeldPartitions.prototype, Symbol.iterator);
  onTestFinished(() => looks.mockRestore());
  const looksOf = async (count: number) => {
    const topics = Array.from({ length: count }, (_, index) => `topic-${count}-${index}`);
    await Promise.all(topics.map((topic) => world.fill(topic, 1, 3)));
    looks.mockClear();
    let records = 0;
    const { client } = world.openClient();
    await client
      .consumer(topics, { group: `group-${count}`, follow: false, sessionTimeoutMs: 1_800_000 })
      .each(() => void records++);
    expect(records).toBe(count * 3);
    return looks.mock.calls.length / records;
  };
  const ofFive = await looksOf(5);
  expect(await looksOf(50)).toBeLessThan(2 * ofFive);
});

// What one partition failed with was thrown before the answers of those behind it were looked at, and counted as a failure of
// all for two more minutes.
test('a partition that fails for two minutes ends its consumer, and until then the others are read', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 2, 2);
  let isFailing = false;
  const { client } = world.openClient({
    through: async (request, log) => {
      const answer = await log(request);
      if (!isFailing || !request.path.endsWith('/fetch')) return answer;
      const failing = (entries: string | undefined) => entries?.replace(/(^|,)(0:[^,]*)/, '$1$2:KAFKA_STORAGE_ERROR');
      const header = (name: string) => (name === partitionsHeader ? failing(answer.header(name)) : answer.header(name));
      return { ...answer, header };
    },
  });
  let lastMs = 0;
  const consumer = client.consumer('orders', { group: 'billing', maxWaitMs: 1_000 });
  const done = consumer.each(() => {
    lastMs = clock.nowMs();
  });
  const ended = done.catch((error) => error);
  await until(() => lastMs > 0, 'it reads');
  isFailing = true;
  const failingSinceMs = clock.nowMs();
  const feeding = new AbortController();
  const feed = async () => {
    const producer = world.openClient().client.producer('orders');
    for (; !feeding.signal.aborted; await clock.sleep(2_000, feeding.signal)) {
      await producer.send({ value: 'more', partition: 1 });
    }
  };
  const fed = feed();
  expect(await ended).toMatchObject({ code: 'KAFKA_STORAGE_ERROR' });
  const endedAtMs = clock.nowMs();
  feeding.abort();
  await fed;
  expect(endedAtMs - failingSinceMs).toBeGreaterThan(115_000);
  expect(endedAtMs - failingSinceMs).toBeLessThan(180_000);
  expect(endedAtMs - lastMs).toBeLessThan(60_000);
});
