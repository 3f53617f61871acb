/** Consumers that share topics as a group, over the doors that have groups, in hurried time. */

import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { GroupMember } from '../../lib/client/group-member.ts';
import {
  type ConsumedRecord,
  type GroupConsumerOptions,
  isLogError,
  LogError,
  type LostPartition,
} from '../../lib/client/index.ts';
import { makeTransport } from '../../lib/client/transport.ts';
import { systemRandomBytes } from '../../lib/clock.ts';
import { doors, openClient } from './doors.ts';
import {
  clock,
  type GroupWorld,
  groupDoors,
  memberIdOf,
  openGroupWorld,
  type TestClient,
  until,
} from './group-fixture.ts';

/** Everything that members of a group were handed, and who was at which partition when. */
class Deliveries {
  readonly values: string[] = [];
  readonly byMember = new Map<string, string[]>();
  readonly overlaps: string[] = [];
  readonly #atHand = new Map<string, string>();

  async handle(member: string, { topic, partition, valueText }: ConsumedRecord, workMs = 0): Promise<void> {
    const place = `${topic}/${partition}`;
    const other = this.#atHand.get(place);
    if (other !== undefined) this.overlaps.push(`${place}: ${member} beside ${other}`);
    this.#atHand.set(place, member);
    this.values.push(valueText ?? '');
    this.byMember.set(member, [...(this.byMember.get(member) ?? []), `${place} ${valueText}`]);
    if (workMs > 0) await clock.sleep(workMs);
    this.#atHand.delete(place);
  }

  get distinct(): string[] {
    return [...new Set(this.values)].sort((a, b) => Number(a) - Number(b));
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index));

function startMember(
  world: GroupWorld,
  name: string,
  deliveries: Deliveries,
  { workMs = 0, ...options }: Partial<GroupConsumerOptions> & { readonly workMs?: number } = {},
) {
  const opened = world.openClient();
  const stopping = new AbortController();
  const consumer = opened.client.consumer('orders', { group: 'billing', signal: stopping.signal, ...options });
  const done = consumer.each((record) => deliveries.handle(name, record, workMs));
  done.catch(() => {});
  return {
    ...opened,
    consumer,
    done,
    async stop() {
      stopping.abort();
      await done;
    },
  };
}

async function isSettled({ client }: TestClient, memberCount: number): Promise<boolean> {
  const group = await client.admin.describeGroup('billing').catch(() => undefined);
  return group?.state === 'STABLE' && group.members.length === memberCount;
}

describe.each(groupDoors)('a group over %s', (door) => {
  test('three members share a topic, one is killed midway, and every record is handed out at least once', async () => {
    const world = await openGroupWorld(door);
    await world.fill('orders', 6, 600);
    const deliveries = new Deliveries();
    const members = ['a', 'b', 'c'].map((name) =>
      startMember(world, name, deliveries, { workMs: 50, sessionTimeoutMs: 6_000 }),
    );
    const [killed, ...others] = members;
    await until(() => deliveries.byMember.size === 3, 'all three are at work');
    killed?.kill();
    const { admin } = world.openClient().client;
    const isRead = async () => (await admin.describeGroup('billing')).partitions.every(({ lag }) => lag === 0);
    await until(isRead, 'every record is committed');
    expect(deliveries.distinct).toEqual(numbers(600));
    expect(deliveries.byMember.get('a')?.length).toBeGreaterThan(0);
    await Promise.all(others.map((member) => member.stop()));
    expect((await admin.describeGroup('billing')).members).toEqual([]);
    await killed?.consumer.close().catch(() => {});
  });

  test('members that come and go in order hand out every record exactly once, and none beside another', async () => {
    const world = await openGroupWorld(door);
    await world.fill('orders', 6, 300);
    const deliveries = new Deliveries();
    // All partitions are at hand at once and nothing is committed in between: a hand-over has to see to both.
    const options = { workMs: 1_000, concurrency: 6, autoCommitIntervalMs: 600_000 };
    const first = startMember(world, 'first', deliveries, options);
    await until(() => deliveries.values.length > 30, 'the first is at work');
    const second = startMember(world, 'second', deliveries, options);
    await until(() => (deliveries.byMember.get('second')?.length ?? 0) > 10, 'the second is at work');
    const third = startMember(world, 'third', deliveries, options);
    await until(() => (deliveries.byMember.get('third')?.length ?? 0) > 10, 'the third is at work');
    await first.stop();
    await until(() => deliveries.distinct.length === 300, 'every record was handed out');
    await Promise.all([second.stop(), third.stop()]);
    expect(deliveries.values.length).toBe(300);
    expect(deliveries.overlaps).toEqual([]);
    for (const list of deliveries.byMember.values()) {
      for (const [, ofPlace] of Map.groupBy(list, (line) => line.split(' ')[0])) {
        const order = ofPlace.map((line) => Number(line.split(' ')[1]));
        expect(order).toEqual(order.toSorted((a, b) => a - b));
      }
    }
  });

  test('who handles a record for longer than a session lasts stays a member, and loses nothing', async () => {
    const world = await openGroupWorld(door);
    await world.fill('orders', 1, 2);
    const lost: LostPartition[] = [];
    const deliveries = new Deliveries();
    const { done } = startMember(world, 'slow', deliveries, {
      workMs: 20_000,
      sessionTimeoutMs: 6_000,
      follow: false,
      onLost: (partitions) => void lost.push(...partitions),
    });
    await done;
    expect(deliveries.values).toEqual(['0', '1']);
    expect(lost).toEqual([]);
  });

  test('who handles a record for longer than it may leaves the group and says so', async () => {
    const world = await openGroupWorld(door);
    await world.fill('orders', 1, 2);
    const slow = startMember(world, 'slow', new Deliveries(), { workMs: 60_000, processingTimeoutMs: 4_000 });
    await expect(slow.done).rejects.toMatchObject({
      code: 'REQUEST_TIMED_OUT',
      message: expect.stringMatching(/^partition 0 of topic orders, from offset 0: .* processingTimeoutMs allows 4000/),
    });
    const { members, partitions } = await world.openClient().client.admin.describeGroup('billing');
    expect(members).toEqual([]);
    expect(partitions.map(({ committedOffset }) => committedOffset)).not.toContain(1);
  });

  test('a loop goes on where the loop before it was left, and the record at hand then comes again', async () => {
    const world = await openGroupWorld(door);
    await world.fill('orders', 1, 10);
    const { client } = world.openClient();
    const read = async (count: number) => {
      const values: (string | null)[] = [];
      for await (const { valueText } of client.consumer('orders', { group: 'billing', follow: false })) {
        values.push(valueText);
        if (values.length === count) break;
      }
      return values;
    };
    expect(await read(4)).toEqual(['0', '1', '2', '3']);
    expect(await read(3)).toEqual(['3', '4', '5']);
    expect(await read(99)).toEqual(['5', '6', '7', '8', '9']);
    expect(await read(99)).toEqual([]);
  });

  test('without autoCommit only what was committed is remembered, the record at hand included', async () => {
    const world = await openGroupWorld(door);
    await world.fill('orders', 2, 20);
    const { client } = world.openClient();
    const options = { group: 'billing', autoCommit: false, follow: false } as const;
    const offsets = async () =>
      (await client.admin.describeGroup('billing')).partitions.map(({ committedOffset }) => committedOffset ?? 0);
    for await (const _ of client.consumer('orders', options)) {
      // Nothing is committed.
    }
    expect(await offsets()).toEqual([]);
    const consumer = client.consumer('orders', options);
    let count = 0;
    for await (const batch of consumer.batches()) {
      count += batch.records.length;
      await consumer.commit(batch);
      break;
    }
    expect((await offsets()).reduce((sum, offset) => sum + offset)).toBe(count);
    const another = client.consumer('orders', options);
    for await (const _ of another) {
      count += 1;
      if (count === 15) {
        await another.commit();
        break;
      }
    }
    expect((await offsets()).reduce((sum, offset) => sum + offset)).toBe(15);
  });
});

test('a member that was thrown out is told what it has not committed, and gets that once more when it is back', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 300);
  const deliveries = new Deliveries();
  const lost: LostPartition[] = [];
  const member = startMember(world, 'a', deliveries, {
    workMs: 100,
    onLost: (partitions) => void lost.push(...partitions),
  });
  await until(() => deliveries.values.length > 5, 'at work');
  await world.throwOut('billing', memberIdOf(member));
  await until(() => deliveries.distinct.length === 300, 'every record was handed out');
  expect(lost.length).toBe(1);
  const { position = 0, committedOffset = 0 } = lost[0] ?? {};
  expect(position).toBeGreaterThan(committedOffset);
  expect(deliveries.values.length).toBe(300 + position - committedOffset);
  await member.stop();
});

test('who cannot reach the log hands out nothing when its session may be over, though much lies ready', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 1_000);
  const deliveries = new Deliveries();
  const lost: LostPartition[] = [];
  const member = startMember(world, 'a', deliveries, {
    workMs: 100,
    sessionTimeoutMs: 6_000,
    onLost: (partitions) => void lost.push(...partitions),
  });
  await until(() => deliveries.values.length > 5, 'at work');
  member.kill();
  const killedAtMs = clock.nowMs();
  await until(() => lost.length > 0, 'it takes its partition for lost');
  expect(clock.nowMs() - killedAtMs).toBeLessThan(15_000);
  const { length } = deliveries.values;
  expect(length).toBeLessThan(1_000);
  await clock.sleep(10_000);
  expect(deliveries.values.length).toBeLessThanOrEqual(length + 1);
  await expect(member.consumer.close()).rejects.toMatchObject({ message: 'killed by the test' });
});

test('a commit of what others have by now fails, and the partitions are lost', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 20);
  const member = world.openClient();
  const lost: string[] = [];
  const options = { group: 'billing', autoCommit: false } as const;
  const consumer = member.client.consumer('orders', {
    ...options,
    onLost: (partitions, reason) => {
      const [one] = partitions;
      lost.push(`${one?.position} ${one?.committedOffset} ${isLogError(reason) && reason.code}`);
    },
  });
  for await (const record of consumer) {
    if (record.offset === 4) await consumer.commit();
    if (record.offset !== 7) continue;
    await world.throwOut('billing', memberIdOf(member));
    await world.join('billing', 'orders');
    await expect(consumer.commit(record)).rejects.toMatchObject({ code: 'UNKNOWN_MEMBER_ID' });
    await expect(consumer.commit(record)).rejects.toMatchObject({ code: 'STALE_MEMBER_EPOCH' });
    break;
  }
  expect(lost).toEqual(['8 5 UNKNOWN_MEMBER_ID']);
});

test('a member whose heartbeats are lost for a while tells what it has, and keeps it', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 4, 400);
  const deliveries = new Deliveries();
  const lost: LostPartition[] = [];
  const onLost = (partitions: readonly LostPartition[]) => void lost.push(...partitions);
  const first = startMember(world, 'a', deliveries, { workMs: 100, onLost });
  const second = startMember(world, 'b', deliveries, { workMs: 100, onLost });
  await until(() => isSettled(first, 2), 'both are there');
  const failure = new LogError('KAFKA_STORAGE_ERROR', 'answer lost');
  for (const isApplied of [true, false, true]) first.failNext('/heartbeat', failure, { isApplied });
  const third = startMember(world, 'c', deliveries, { workMs: 100, onLost });
  second.failNext('/heartbeat', failure, { isApplied: true });
  await until(() => deliveries.distinct.length === 400, 'every record was handed out');
  await Promise.all([first, second, third].map((member) => member.stop()));
  expect(lost).toEqual([]);
  expect(deliveries.values.length).toBe(400);
  expect(deliveries.overlaps).toEqual([]);
});

test('events tell what is assigned and revoked, in order, and a revocation may still commit', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 4, 400);
  const deliveries = new Deliveries();
  const events: string[] = [];
  const tell = (name: string) => (partitions: readonly { partition: number }[]) =>
    void events.push(`${name} ${partitions.map(({ partition }) => partition).sort()}`);
  const first = startMember(world, 'a', deliveries, { workMs: 50, onAssigned: tell('+'), onRevoked: tell('-') });
  await until(() => first.consumer.assignment.length === 4, 'it has all');
  const second = startMember(world, 'b', deliveries, { workMs: 50 });
  await until(() => second.consumer.assignment.length === 2, 'they share');
  await first.stop();
  expect(events[0]).toBe('+ 0,1,2,3');
  expect(events[1]).toMatch(/^- \d,\d$/);
  expect(events[2]).toMatch(/^- \d,\d$/);
  await second.stop();
});

test('a partition that is paused stays with its member and hands out nothing until it is resumed', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 2, 40);
  const deliveries = new Deliveries();
  const { client } = world.openClient();
  const consumer = client.consumer('orders', { group: 'billing' });
  consumer.pause([{ topic: 'orders', partition: 0 }]);
  const done = consumer.each((record) => deliveries.handle('a', record));
  await until(() => deliveries.values.length === 20, 'the other partition is read');
  await clock.sleep(10_000);
  expect(deliveries.values.length).toBe(20);
  expect(await consumer.lag()).toEqual([
    { topic: 'orders', partition: 0, position: 0, highWatermark: 20, lag: 20 },
    { topic: 'orders', partition: 1, position: 20, highWatermark: 20, lag: 0 },
  ]);
  consumer.resume();
  await until(() => deliveries.values.length === 40, 'it goes on');
  await consumer.close();
  await done;
});

test('an instance that is back within its session finds its partitions, and nobody else was given them', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 4, 40);
  const deliveries = new Deliveries();
  const options = { sessionTimeoutMs: 60_000 };
  const stays = startMember(world, 'stays', deliveries, { ...options, instanceId: 'one' });
  const restarts = startMember(world, 'restarts', deliveries, { ...options, instanceId: 'two' });
  await until(() => isSettled(stays, 2), 'both are there');
  await until(() => restarts.consumer.assignment.length === 2, 'they share');
  const before = restarts.consumer.assignment;
  await restarts.stop();
  const back = startMember(world, 'back', deliveries, { ...options, instanceId: 'two' });
  await until(() => back.consumer.assignment.length === 2, 'it is back');
  expect(back.consumer.assignment).toEqual(before);
  expect(stays.consumer.assignment.length).toBe(2);
  await Promise.all([stays.stop(), back.stop()]);
});

test('a pattern reads all topics that match, those that come later included', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('eu-orders', 1, 5);
  await world.fill('returns', 1, 5);
  const { client } = world.openClient();
  const topics: string[] = [];
  const consumer = client.consumer(/-orders$/, { group: 'billing' });
  const done = consumer.each(({ topic }) => void topics.push(topic));
  await until(() => topics.length === 5, 'the first topic is read');
  await world.fill('us-orders', 1, 3);
  await until(() => topics.length === 8, 'the second topic is read');
  expect([...new Set(topics)].sort()).toEqual(['eu-orders', 'us-orders']);
  await consumer.close();
  await done;
});

test('a handler that hangs does not keep a consumer from being closed for longer than it may take', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 2);
  const { client } = world.openClient();
  const consumer = client.consumer('orders', { group: 'billing', processingTimeoutMs: 4_000 });
  const begun = Promise.withResolvers<void>();
  const done = consumer.each(() => {
    begun.resolve();
    return new Promise<void>(() => {});
  });
  await begun.promise;
  const closed = consumer.close();
  await expect(done).rejects.toMatchObject({ code: 'REQUEST_TIMED_OUT' });
  await closed;
  expect((await client.admin.describeGroup('billing')).members).toEqual([]);
});

test('a handler that throws ends it with its error, its record is not done, and those before it are committed', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 10);
  const { client } = world.openClient();
  const consumer = client.consumer('orders', { group: 'billing' });
  const done = consumer.each(({ offset }) => {
    if (offset === 7) throw new Error('cannot bill this');
  });
  await expect(done).rejects.toThrow('cannot bill this');
  const { partitions, members } = await client.admin.describeGroup('billing');
  expect(partitions[0]?.committedOffset).toBe(7);
  expect(members).toEqual([]);
});

test('the end of the client commits what is done and leaves the group', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 10);
  const { client } = world.openClient();
  const values: unknown[] = [];
  const done = client.consumer('orders', { group: 'billing' }).each(({ valueText }) => void values.push(valueText));
  await until(() => values.length === 10, 'all is read');
  await client.close();
  await done;
  const { partitions, members } = await world.openClient().client.admin.describeGroup('billing');
  expect(partitions[0]?.committedOffset).toBe(10);
  expect(members).toEqual([]);
});

test('the end of a client whose member cannot commit says so, and lets go of its connections all the same', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 10);
  const member = world.openClient();
  let count = 0;
  const done = member.client.consumer('orders', { group: 'billing' }).each(() => void count++);
  done.catch(() => {});
  await until(() => count === 10, 'all is read');
  member.kill();
  await expect(member.client.close()).rejects.toMatchObject({ message: 'killed by the test' });
  await expect(done).rejects.toMatchObject({ message: 'killed by the test' });
  expect(member.isClosed()).toBe(true);
});

test('an answer that comes when its member has lost everything does not make it a member again', async () => {
  const answers: (() => void)[] = [];
  const transport = makeTransport(
    'the test',
    async () => {
      await new Promise<void>((resolve) => answers.push(resolve));
      const body = Buffer.from(
        JSON.stringify({ memberId: 'm', memberEpoch: 3, heartbeatIntervalMs: 5_000, assignment: [] }),
      );
      return { status: 200, header: () => undefined, body };
    },
    async () => {},
  );
  const { signal } = new AbortController();
  const deps = { transport, clock, randomBytes: systemRandomBytes, closing: signal, busy: new Set<never>() };
  const member = new GroupMember(deps, { group: 'billing' });
  const joined = member.heartbeat(['orders'], () => [], signal);
  answers.shift()?.();
  await joined;
  expect(member.isMember).toBe(true);
  const late = member.heartbeat(['orders'], () => [], signal);
  member.forget();
  answers.shift()?.();
  expect(await late).toEqual({ heartbeatIntervalMs: 0 });
  expect(member.isMember).toBe(false);
});

test.runIf(doors.includes('aws'))('on S3 and DynamoDB a loop goes on where the loop before it was left', async () => {
  const client = await openClient('aws');
  const topic = `topic-${randomUUID()}`;
  await client.admin.createTopic(topic, { partitions: 3 });
  const producer = client.producer(topic);
  await Promise.all(numbers(9).map((value, index) => producer.send({ value, partition: index % 3 })));
  const group = `group-${randomUUID()}`;
  const read = async () => {
    const values: (string | null)[] = [];
    for await (const { valueText } of client.consumer(topic, { group, follow: false })) values.push(valueText);
    return values.sort();
  };
  expect(await read()).toEqual(numbers(9));
  await producer.send({ value: 'one more', partition: 1 });
  expect(await read()).toEqual(['one more']);
  expect((await client.admin.describeGroup(group)).partitions.map(({ lag }) => lag)).toEqual([0, 0, 0]);
});
