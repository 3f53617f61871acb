/** How a member of a group ends, and gives up single partitions: committed if it can be, told to its user, and gone from the group. */

import { expect, test } from 'vitest';
import { LogError, type LostPartition } from '../../lib/client/index.ts';
import type { TransportRequest } from '../../lib/client/transport.ts';
import { clock, memberIdOf, openGroupWorld, until } from './group-fixture.ts';

const isCommit = ({ method, path }: TransportRequest) => method === 'POST' && path.endsWith('/offsets');

// A commit was waited for as long as any request, 30 s, and after 20 s of failures the consumer ended.
test.each([
  ['one commit has no answer', 1, 20],
  ['no commit has an answer', Number.POSITIVE_INFINITY, 0],
])('a partition is given up although %s', async (_, hangs, committedOffset) => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 2, 40);
  let hangsLeft = 0;
  const { client } = world.openClient({
    through: async (request, log) => {
      if (!isCommit(request) || hangsLeft <= 0) return await log(request);
      hangsLeft -= 1;
      await clock.sleep(request.timeoutMs, request.signal);
      throw new LogError('REQUEST_TIMED_OUT', 'no answer');
    },
  });
  let count = 0;
  const revoked: number[] = [];
  const consumer = client.consumer('orders', {
    group: 'billing',
    autoCommitIntervalMs: 1_000_000,
    onRevoked: (partitions) => void revoked.push(...partitions.map(({ partition }) => partition)),
  });
  const done = consumer.each(() => void count++);
  await until(() => count === 40, 'all is read');
  hangsLeft = hangs;
  const second = world.openClient().client.consumer('orders', { group: 'billing', autoCommit: false });
  const seen: number[] = [];
  const secondDone = second.each(({ offset }) => void seen.push(offset));
  await until(() => second.assignment.length === 1, 'it is handed over');
  expect(revoked.length).toBe(1);
  expect(consumer.assignment.length).toBe(1);
  if (committedOffset === 0) await until(() => seen.length === 20, 'what was not committed comes again');
  expect(seen.length).toBe(20 - committedOffset);
  hangsLeft = 0;
  await consumer.close();
  await done;
  await second.close();
  await secondDone;
});

// The end interrupted the commit that was tried again; the partition was gone by the time of the last commit.
test('a close while a partition is given up commits that one as well', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 2, 20);
  const { client, sent, failNext } = world.openClient();
  let count = 0;
  const consumer = client.consumer('orders', { group: 'billing', autoCommitIntervalMs: 1_000_000 });
  const done = consumer.each(() => void count++);
  await until(() => count === 20, 'all is read');
  const slowDown = new LogError('THROTTLING_QUOTA_EXCEEDED', 'slow down', { details: { retryAfterMs: 8_000 } });
  sent.length = 0;
  for (let times = 0; times < 2; times += 1) failNext('/offsets', slowDown);
  const second = world.openClient().client.consumer('orders', { group: 'billing', autoCommit: false });
  const secondDone = second.each(() => {});
  await until(() => sent.some(isCommit), 'the commit was tried');
  await consumer.close();
  await done;
  const { partitions } = await client.admin.describeGroup('billing');
  expect(partitions.map(({ committedOffset }) => committedOffset)).toEqual([10, 10]);
  await second.close();
  await secondDone;
});

// It stayed a member, whose partitions nobody read until its session was over.
test('a consumer whose callback throws at the end leaves all the same, and the error is told', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 20);
  const { client } = world.openClient();
  let count = 0;
  const onRevoked = () => {
    throw new Error('cannot flush');
  };
  const consumer = client.consumer('orders', { group: 'billing', onRevoked });
  const done = consumer.each(() => void count++);
  done.catch(() => {});
  await until(() => count === 20, 'all is read');
  await expect(consumer.close()).rejects.toThrow('cannot flush');
  await expect(done).rejects.toThrow('cannot flush');
  const { members, partitions } = await client.admin.describeGroup('billing');
  expect(members).toEqual([]);
  expect(partitions[0]?.committedOffset).toBe(20);
  expect(consumer.assignment).toEqual([]);
});

// Nothing was told, so that what a user had opened for a partition stayed open.
test.each(['throws', 'hangs'])('of a handler that %s the user is told as of partitions that are lost', async (how) => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 2, 20);
  const { client } = world.openClient();
  const events: string[] = [];
  const lost: LostPartition[] = [];
  const consumer = client.consumer('orders', {
    group: 'billing',
    processingTimeoutMs: 3_000,
    onAssigned: () => void events.push('+'),
    onRevoked: () => void events.push('-'),
    onLost: (partitions, { message }) => {
      events.push(message);
      lost.push(...partitions);
    },
  });
  let failing = -1;
  const done = consumer.each(async ({ partition, offset }) => {
    if (offset !== 3) return;
    failing = partition;
    if (how === 'throws') throw new Error('bad record');
    await new Promise(() => {});
  });
  const error = await done.catch((reason: Error) => reason);
  expect(events).toEqual(['+', error?.message]);
  expect(lost.length).toBe(2);
  expect(lost).toContainEqual({ topic: 'orders', partition: failing, position: 4, committedOffset: 3 });
});

// It ended while they worked: what they did was not committed, and came again.
test('when a handler throws the others end their records, which are committed', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 2, 20);
  const { client } = world.openClient();
  const begun = Promise.withResolvers<void>();
  let hasEnded = false;
  const done = client.consumer('orders', { group: 'billing', concurrency: 2 }).each(async ({ partition }) => {
    if (partition === 1) {
      await begun.promise;
      throw new Error('bad record');
    }
    begun.resolve();
    await clock.sleep(4_000);
    hasEnded = true;
  });
  await expect(done).rejects.toThrow('bad record');
  expect(hasEnded).toBe(true);
  const { partitions, members } = await client.admin.describeGroup('billing');
  expect(partitions.map(({ committedOffset }) => committedOffset ?? 0)).toEqual([1, 0]);
  expect(members).toEqual([]);
});

// It stayed a member whose partitions nobody read, or a close that never came back.
test.each(['onAssigned', 'onRevoked', 'onLost'] as const)('%s that hangs ends its consumer', async (name) => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 20);
  const member = world.openClient();
  let count = 0;
  const hang = () => new Promise<void>(() => {});
  const options = { group: 'billing', processingTimeoutMs: 10_000, [name]: hang };
  const consumer = member.client.consumer('orders', options);
  const done = consumer.each(() => void count++);
  const ended = done.catch((error) => error);
  if (name !== 'onAssigned') await until(() => count === 20, 'it is read');
  if (name === 'onLost') await world.throwOut('billing', memberIdOf(member));
  if (name === 'onRevoked') await consumer.close().catch(() => {});
  expect(await ended).toMatchObject({ code: 'REQUEST_TIMED_OUT', message: expect.stringContaining(`${name} has not`) });
  expect((await world.openClient().client.admin.describeGroup('billing')).members).toEqual([]);
});

// Whoever else was idle took what came behind in the same partition, which was then done up to there: the record that had
// failed, and those behind it, were committed and never came again.
test.each(['each', 'eachBatch'] as const)(
  'when a handler of %s throws nothing behind its record is handed out',
  async (way) => {
    const world = await openGroupWorld('direct');
    await world.fill('orders', 1, 40);
    const { client, sent } = world.openClient();
    const consumer = client.consumer('orders', { group: 'billing', concurrency: 3, maxBytes: 1 });
    const handled: number[] = [];
    const handle = async (offset: number) => {
      handled.push(offset);
      // Until the answer behind it lies ready.
      await until(() => sent.filter(({ path }) => path.endsWith('/fetch')).length >= 2, 'more is asked for');
      await clock.sleep(2_000);
      throw new Error('refused by the handler');
    };
    const done =
      way === 'each'
        ? consumer.each(({ offset }) => handle(offset))
        : consumer.eachBatch(({ records: [first] }) => handle(first?.offset ?? -1));
    await expect(done).rejects.toThrow('refused by the handler');
    expect(handled).toEqual([0]);
    const { partitions } = await client.admin.describeGroup('billing');
    expect(partitions[0]?.committedOffset ?? 0).toBe(0);
  },
);
