/** What a member of a group remembers in it when it commits by hand, and what it does not. */

import { expect, test } from 'vitest';
import {
  type ConsumedRecord,
  type GroupConsumer,
  isLogError,
  LogError,
  type Millrace,
} from '../../lib/client/index.ts';
import { fillDensely } from './dense-records.ts';
import { clock, memberIdOf, openGroupWorld, until } from './group-fixture.ts';

const byHand = { group: 'billing', autoCommit: false } as const;
/** No stall of the machine is as long. */
const steadily = { ...byHand, follow: false, sessionTimeoutMs: 1_800_000 } as const;

const told = (error: unknown) => (isLogError(error) ? `${error.code}: ${error.message}` : String(error));

async function committed(client: Millrace): Promise<(number | undefined)[]> {
  return (await client.admin.describeGroup('billing')).partitions.map(({ committedOffset }) => committedOffset);
}

// Everything that was handed out counted as done with the next record, so 9 was committed here.
test('without autoCommit a commit of a record commits up to that one, whatever was handed out since', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 20);
  const { client } = world.openClient();
  const consumer = client.consumer('orders', { ...byHand, follow: false });
  const kept: ConsumedRecord[] = [];
  for await (const record of consumer) {
    kept.push(record);
    if (kept.length < 10) continue;
    for (const [index, offset] of [
      [4, 5],
      [7, 8],
      [6, 7],
    ] as const) {
      await consumer.commit(kept[index]);
      expect(await committed(client)).toEqual([offset]);
    }
    break;
  }
  expect(await committed(client)).toEqual([7]);
});

// The offset from before the reset was higher, and stayed what was committed.
test.each([true, false])(
  'after a reset to less than before a commit of a record counts, autoCommit %s',
  async (autoCommit) => {
    const world = await openGroupWorld('direct');
    await world.fill('orders', 1, 10);
    const { client } = world.openClient();
    const before = client.consumer('orders', byHand);
    for await (const record of before) {
      await before.commit({ ...record, offset: 999 } as ConsumedRecord);
      break;
    }
    expect(await committed(client)).toEqual([1_000]);
    const consumer = client.consumer('orders', { ...byHand, autoCommit });
    for await (const record of consumer) {
      expect(consumer.position('orders', 0)).toBe(record.offset + 1);
      await consumer.commit(record);
      expect(await committed(client)).toEqual([record.offset + 1]);
      if (record.offset === 5) break;
    }
  },
);

// All that had come together was decoded at once, however large that is, and committed at once.
test('of what is handed out in parts each part is committed with itself', async () => {
  const world = await openGroupWorld('direct');
  const { client } = world.openClient();
  await fillDensely(client);
  const read = async (partsMax: number) => {
    const consumer = client.consumer('orders', { ...byHand, follow: false, sessionTimeoutMs: 600_000 });
    const offsets: number[][] = [];
    for await (const batch of consumer.batches()) {
      offsets.push(batch.records.map(({ offset }) => offset));
      expect(consumer.position('orders', 0)).toBe(batch.nextOffset);
      await consumer.commit(batch);
      expect(await committed(client)).toEqual([batch.nextOffset]);
      if (offsets.length === partsMax) break;
    }
    return offsets;
  };
  const all = Array.from({ length: 30 }, (_, index) => index);
  expect(await read(1)).toEqual([all.slice(0, 22)]);
  expect(await read(2)).toEqual([all.slice(22)]);

  // All of it again, and what is paused between two parts goes on with the second.
  const again = client.consumer('orders', { group: 'audit', sessionTimeoutMs: 600_000, follow: false });
  const parts: number[][] = [];
  for await (const batch of again.batches()) {
    parts.push(batch.records.map(({ offset }) => offset));
    if (parts.length > 1) continue;
    again.pause();
    setTimeout(() => again.resume(), 50);
  }
  expect(parts).toEqual([all.slice(0, 22), all.slice(22)]);
});

// The callback runs beside the loop, whose batch was not done: after a crash it was missing.
test('a commit when a partition is revoked leaves out the batch that is at hand in another one', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 2, 20);
  const { client } = world.openClient();
  const revoked: number[] = [];
  const consumer: GroupConsumer = client.consumer('orders', {
    ...byHand,
    onRevoked: async (partitions) => {
      await consumer.commit();
      revoked.push(...partitions.map(({ partition }) => partition));
    },
  });
  const second = world.openClient().client.consumer('orders', byHand);
  const crash = async () => {
    for await (const batch of consumer.batches()) {
      second.each(() => new Promise(() => {})).catch(() => {});
      await until(() => consumer.assignment.length === 1 && revoked.length === 1, 'one partition is given up');
      expect(consumer.assignment).toEqual([{ topic: 'orders', partition: batch.partition }]);
      throw new Error('crash');
    }
  };
  await expect(crash()).rejects.toThrow('crash');
  expect(await committed(client)).not.toContain(10);
  await second.close().catch(() => {});
});

test('a commit of a callback at the end leaves out the batch that is at hand', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 20);
  const { client } = world.openClient();
  const consumer: GroupConsumer = client.consumer('orders', { ...byHand, onRevoked: () => consumer.commit() });
  for await (const _ of consumer.batches()) await consumer.close();
  expect((await committed(client))[0] ?? 0).toBe(0);
});

// The failure was thrown at the handler, which ended with it, and the consumer with that.
test.each([true, false])(
  'a commit that fails is tried again where that can help, autoCommit %s',
  async (autoCommit) => {
    const world = await openGroupWorld('direct');
    await world.fill('orders', 1, 3);
    const { client, failNext } = world.openClient();
    const consumer = client.consumer('orders', { ...steadily, autoCommit, autoCommitIntervalMs: 1_000_000 });
    const failures = [
      () => failNext('/offsets', new LogError('KAFKA_STORAGE_ERROR', 'lost')),
      () => failNext('/offsets', new LogError('KAFKA_STORAGE_ERROR', 'lost'), { isApplied: true }),
      () => failNext('/offsets', new LogError('THROTTLING_QUOTA_EXCEEDED', 'slow down')),
    ];
    await consumer.each(async (record) => {
      failures[record.offset]?.();
      await consumer.commit(record);
      expect(await committed(client)).toEqual([record.offset + 1]);
    });
    expect(await committed(client)).toEqual([3]);
  },
);

test('a commit that is tried again does not come behind a later one', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 3);
  const { client, failNext } = world.openClient();
  const consumer = client.consumer('orders', steadily);
  const kept: ConsumedRecord[] = [];
  for await (const record of consumer) kept.push(record);
  const again = client.consumer('orders', steadily);
  for await (const record of again) {
    if (record.offset < 2) continue;
    failNext('/offsets', new LogError('KAFKA_STORAGE_ERROR', 'lost'));
    await Promise.all([again.commit(kept[0]), again.commit(kept[1])]);
    expect(await committed(client)).toEqual([2]);
  }
});

test('a commit that nobody answers is given up after a while', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 3);
  let isDown = true;
  const { client } = world.openClient({
    through: async (request, log) => {
      if (isDown && request.method === 'POST' && request.path.endsWith('/offsets')) {
        await clock.sleep(request.timeoutMs, request.signal);
        throw new LogError('REQUEST_TIMED_OUT', 'no answer');
      }
      return await log(request);
    },
  });
  const consumer = client.consumer('orders', steadily);
  await expect(consumer.each((record) => consumer.commit(record))).rejects.toMatchObject({ code: 'REQUEST_TIMED_OUT' });
  isDown = false;
});

// It had nothing to commit, and so it did not fail.
test('a commit of all fails when what is at hand was lost', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 20);
  const member = world.openClient();
  const lost: string[] = [];
  const consumer = member.client.consumer('orders', { ...byHand, onLost: () => void lost.push('all') });
  for await (const _ of consumer) {
    await world.throwOut('billing', memberIdOf(member));
    await until(() => lost.length > 0, 'it is lost');
    expect(await consumer.commit().catch(told)).toBe(
      "STALE_MEMBER_EPOCH: partition 0 of topic orders is not this member's, group billing has given it to another",
    );
    break;
  }
});

test('a commit fails when its consumer has left, and says so', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 20);
  const { client } = world.openClient();
  const consumer = client.consumer('orders', byHand);
  const left = 'STALE_MEMBER_EPOCH: this consumer has left group billing and can commit nothing any more';
  for await (const record of consumer) {
    await consumer.close();
    expect(await consumer.commit().catch(told)).toBe(left);
    expect(await consumer.commit(record).catch(told)).toBe(left);
  }
});

// Fetches name the topic, so under the old id the new one was read, for the minute until the group looked at its topics.
test('a topic that was made again is read under its old id only until the next commit', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 10);
  const member = world.openClient();
  const seen: string[] = [];
  const events: string[] = [];
  const consumer = member.client.consumer('orders', {
    group: 'billing',
    onAssigned: () => void events.push('+'),
    onRevoked: () => void events.push('-'),
  });
  const done = consumer.each(({ valueText }) => void seen.push(valueText ?? ''));
  await until(() => seen.length === 10, 'it is read');
  await clock.sleep(6_000);
  seen.length = 0;
  const { client } = world.openClient();
  await client.admin.deleteTopic('orders');
  await client.admin.createTopic('orders', { partitions: 1 });
  const producer = client.producer('orders');
  await producer.send({ value: 'a' });
  const madeAtMs = clock.nowMs();
  await until(() => events.length === 3, 'the group has noticed');
  expect(clock.nowMs() - madeAtMs).toBeLessThan(40_000);
  await producer.send({ value: 'b' });
  await until(() => seen.includes('b'), 'it is read');
  expect(events).toEqual(['+', '-', '+']);
  expect(seen.filter((value) => value === 'b')).toEqual(['b']);
  await consumer.close();
  await done;
});

// The callback waited for the end, and the end for the callback.
test.each(['onAssigned', 'onRevoked', 'onLost'] as const)('a consumer may be closed in %s', async (name) => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 20);
  const member = world.openClient();
  let count = 0;
  let isCalled = false;
  const close = async () => {
    await consumer.close();
    isCalled = true;
  };
  const consumer: GroupConsumer = member.client.consumer('orders', { group: 'billing', [name]: close });
  const done = consumer.each(() => void count++);
  if (name !== 'onAssigned') await until(() => count === 20, 'it is read');
  if (name === 'onLost') await world.throwOut('billing', memberIdOf(member));
  if (name === 'onRevoked') await consumer.close();
  await done;
  expect(isCalled).toBe(true);
  expect((await world.openClient().client.admin.describeGroup('billing')).members).toEqual([]);
});
