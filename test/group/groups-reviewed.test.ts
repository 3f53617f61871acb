/** What a review found in groups, each in as few requests as it takes. */

import { describe, expect, test } from 'vitest';
import { systemRandomBytes } from '../../lib/clock.ts';
import { createLog } from '../../lib/create-log.ts';
import { LogError } from '../../lib/errors.ts';
import type { InstanceId, MemberId } from '../../lib/ids.ts';
import {
  groupUsedAgainMsMin,
  handOverPartitionsMax,
  heartbeatIntervalMsWaiting,
  offsetsRetentionMs,
  partitionCountMax,
} from '../../lib/limits.ts';
import type { CommitOffsetsResult } from '../../lib/log.ts';
import { noPartitions } from '../../lib/store/assignment.ts';
import { groupHeadKey } from '../../lib/store/group-items-dynamodb.ts';
import type { GroupStore } from '../../lib/store/group-store.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';
import { DynamoDbDouble } from '../simulation/aws/dynamodb.ts';
import { connectionLost, denied, isOfOffset, openStore, type Send } from '../support/dynamodb-double.ts';
import { billing, openGroupLog, orders, TestConsumer } from './group-fixture.ts';

const longAfterMs = offsetsRetentionMs + groupUsedAgainMsMin + 1;

/** A log whose requests to DynamoDB go through `send.now`, from when a test sets it. */
async function openOnDynamoDb(partitionCount = 1) {
  const send: { now: Send } = { now: (_operation, _input, request) => request() };
  const double = new DynamoDbDouble({ nowMs: Date.now });
  const metadataStore = openStore(double, (...request) => send.now(...request));
  return { ...(await openGroupLog({ metadataStore, topics: { orders: partitionCount } })), send, double };
}

/** A log on either store whose calls of the group store named `name` do `before` first. */
const openHooked = (
  name: keyof GroupStore,
  before: () => Promise<void>,
  on: Partial<Parameters<typeof openGroupLog>[0]>,
) =>
  openGroupLog({
    ...on,
    wrap: (store) =>
      new Proxy(store, {
        get: (target, asked) => {
          if (asked !== name) return Reflect.get(target, asked);
          return async (...args: unknown[]) => {
            await before();
            return await (Reflect.get(target, asked) as (...args: unknown[]) => unknown).apply(target, args);
          };
        },
      }),
  });

const outside = (partition: number, offset: number) => {
  return { groupId: billing, offsets: [{ topic: orders, partition, offset }] };
};
const codesOf = (results: readonly CommitOffsetsResult[]) => results.map(({ error }) => error?.code ?? 'committed');

// A delete took the offsets away that it found, by then also those of who had joined after its first step: a commit that was
// acknowledged was gone, and the member could not commit again.
describe('who joins a group that is being deleted on DynamoDB keeps what it is given and commits', () => {
  test('behind the first step', async () => {
    const { groups, send } = await openOnDynamoDb();
    await (await new TestConsumer(groups, 'm1').join()).leave();
    let next: TestConsumer | undefined;
    send.now = async (operation, input, request) => {
      const isList = operation === 'Query' && input.ExpressionAttributeValues?.[':from']?.S === 'offset/';
      if (isList && next === undefined) {
        next = new TestConsumer(groups, 'm2');
        await next.join();
        expect(await next.commit(['orders/0', 5])).toEqual(['committed']);
      }
      return request();
    };
    await expect(groups.delete(billing)).rejects.toMatchObject({ code: 'NON_EMPTY_GROUP', effect: 'unknown' });
    expect(await groups.fetchOffsets({ groupId: billing })).toMatchObject([{ offset: 5 }]);
    expect(await next?.commit(['orders/0', 6])).toEqual(['committed']);
  });

  test('and that another has deleted meanwhile', async () => {
    const { groups, send } = await openOnDynamoDb();
    await (await new TestConsumer(groups, 'm1').join()).leave();
    let next: TestConsumer | undefined;
    send.now = async (operation, input, request) => {
      const isDelete = operation === 'TransactWriteItems' && input.TransactItems?.[0]?.Delete !== undefined;
      if (isDelete && next === undefined) {
        next = new TestConsumer(groups, 'm2');
        await groups.delete(billing);
        await next.join();
      }
      return request();
    };
    await expect(groups.delete(billing)).rejects.toMatchObject({ code: 'NON_EMPTY_GROUP' });
    expect(await next?.commit(['orders/0', 5])).toEqual(['committed']);
  });
});

describe.each(['SQLite', 'DynamoDB'])('on %s', (kind) => {
  const open = async (partitionCount = 1) =>
    kind === 'SQLite'
      ? await openGroupLog({ topics: { orders: partitionCount } })
      : await openOnDynamoDb(partitionCount);

  // The epoch that a commit named was kept with it, and no later commit from outside could replace it.
  test('an epoch that a member makes up blocks nobody, and does not keep its offset for ever', async () => {
    const { groups, clock } = await open(2);
    const { memberId } = await new TestConsumer(groups, 'm1').join();
    await groups.commitOffsets({ ...outside(0, 7), member: { memberId, memberEpoch: 2 ** 31 - 1 } });
    await groups.leave({ groupId: billing, memberId, isTemporary: false });
    expect(codesOf(await groups.commitOffsets(outside(0, 3)))).toEqual(['committed']);
    expect(await groups.resetOffsets({ groupId: billing, topic: orders, to: 'earliest' })).toHaveLength(2);
    clock.nowMs += longAfterMs;
    await groups.commitOffsets(outside(1, 3));
    expect(await groups.fetchOffsets({ groupId: billing })).toMatchObject([{ partition: 1, offset: 3 }]);
  });

  // A commit from outside that overlapped a delete left an offset, which counted once the epoch of before was forgotten.
  test('an offset that was committed while its group went does not come back, however late', async () => {
    const double = new DynamoDbDouble({ nowMs: Date.now });
    const metadataStore = kind === 'SQLite' ? openSqliteMetadataStore(':memory:') : openStore(double);
    let isFirst = true;
    const deleteOnce = async () => {
      if (isFirst) await groups.delete(billing);
      isFirst = false;
    };
    const { groups, clock, groupStore } = await openHooked('commitOffsets', deleteOnce, { metadataStore });
    await (await new TestConsumer(groups, 'm1').join()).leave();
    expect(codesOf(await groups.commitOffsets(outside(0, 7)))).toEqual(['committed']);
    expect(await groupStore.listOffsets(billing)).toHaveLength(1);

    clock.nowMs += longAfterMs;
    if (kind === 'SQLite') {
      const other = { ...outside(0, 1), groupId: 'other' as typeof billing };
      await groups.commitOffsets(other);
      await groups.delete(other.groupId);
    } else {
      const Key = groupHeadKey(billing);
      double.request('BatchWriteItem', { RequestItems: { table: [{ DeleteRequest: { Key } }] } } as never);
    }
    expect(await groupStore.getDeletedEpoch(billing)).toBeUndefined();
    expect(codesOf(await groups.commitOffsets(outside(1, 1)))).toEqual(['committed']);
    expect(await groups.fetchOffsets({ groupId: billing })).toMatchObject([{ partition: 1, offset: 1 }]);
    expect(codesOf(await groups.commitOffsets(outside(0, 1)))).toEqual(['committed']);
  });

  // On DynamoDB one of the two was tried again and again by a version that had gone with the owner.
  test('two who commit from outside take out an owner who is gone, and both commit', async () => {
    const arrived: (() => void)[] = [];
    let count = 0;
    const metadataStore =
      kind === 'SQLite' ? openSqliteMetadataStore(':memory:') : openStore(new DynamoDbDouble({ nowMs: Date.now }));
    // Both are refused by the owner before either goes on.
    const together = async () => {
      if (++count < 3 || count > 4) return;
      await new Promise<void>((resolve) => {
        arrived.push(resolve);
        if (arrived.length === 2) for (const go of arrived) go();
      });
    };
    const { groups } = await openHooked('commitOffsets', together, { metadataStore });
    await (await new TestConsumer(groups, 'm1').join()).leave();
    const both = await Promise.all([groups.commitOffsets(outside(0, 3)), groups.commitOffsets(outside(0, 4))]);
    expect(both.map(codesOf)).toEqual([['committed'], ['committed']]);
  });

  test('who commits or resets nothing makes no group, and keeps none alive', async () => {
    const { groups, clock } = await open();
    const typo = { ...outside(9, 1), groupId: 'typo' as typeof billing };
    expect(codesOf(await groups.commitOffsets(typo))).toEqual(['UNKNOWN_TOPIC_OR_PARTITION']);
    expect(await groups.resetOffsets({ groupId: typo.groupId, topic: orders, to: { shift: -5 } })).toEqual([]);
    expect(await groups.list({ limit: 9 })).toEqual([]);
    await groups.commitOffsets(outside(0, 1));
    for (let days = 0; days < 9; days++) {
      clock.nowMs += groupUsedAgainMsMin;
      await groups.commitOffsets(outside(9, 1));
    }
    expect(await groups.fetchOffsets({ groupId: billing })).toEqual([]);
  });
});

// A commit that was carried out without an answer was sent again behind a later one, and undid it.
test('a commit that is sent again never undoes the one that came after it', async () => {
  const { groups, clock, send } = await openOnDynamoDb();
  const consumer = await new TestConsumer(groups, 'm1').join();
  let isFirst = true;
  send.now = async (operation, input, request) => {
    if (!isOfOffset(operation, input) || !isFirst) return request();
    isFirst = false;
    request();
    clock.nowMs += 1;
    expect(await consumer.commit(['orders/0', 9])).toEqual(['committed']);
    throw connectionLost();
  };
  const member = { memberId: consumer.memberId, memberEpoch: consumer.memberEpoch };
  const [result] = await groups.commitOffsets({ ...outside(0, 7), member });
  expect(result?.error).toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'unknown' });
  expect(await groups.fetchOffsets({ groupId: billing })).toMatchObject([{ offset: 9 }]);
});

// Each changed back what the other had changed, with every heartbeat.
test('processes of which one remembers a topic from before it grew do not undo what the other does', async () => {
  const metadataStore = openSqliteMetadataStore(':memory:');
  const first = await openGroupLog({ metadataStore, topics: { orders: 4 } });
  const clock = { nowMs: () => first.clock.nowMs, sleep: async () => {} };
  const objectStore = createMemoryObjectStore({ clock, randomBytes: systemRandomBytes });
  const second = createLog({ objectStore, metadataStore, clock, randomBytes: systemRandomBytes });
  const members = [first.groups, second.groups].map((groups, index) => new TestConsumer(groups, `m${index}`));
  for (const member of members) await member.join();
  for (let round = 0; round < 3; round++) for (const member of members) await member.heartbeat();
  await second.topics.get(orders);
  await first.log.topics.alter({ topic: orders, partitionCount: 8 });
  await new TestConsumer(first.groups, 'm9').join();
  const { groupEpoch } = await first.groups.describe(billing);
  for (let round = 0; round < 5; round++) for (const member of members) await member.heartbeat();
  expect((await first.groups.describe(billing)).groupEpoch).toBe(groupEpoch);
});

describe('an error says that something may be done', () => {
  test('of a reset whose one partition is refused and whose other has no answer', async () => {
    const failed = (effect: 'none' | 'unknown') => {
      return { outcome: 'failed' as const, error: new LogError('KAFKA_STORAGE_ERROR', 'no', { effect }) };
    };
    const { groups } = await openGroupLog({
      topics: { orders: 2 },
      wrap: (store) => ({
        ...Object.assign({}, store),
        commitOffsets: async () => [failed('none'), failed('unknown')],
      }),
    });
    const reset = groups.resetOffsets({ groupId: billing, topic: orders, to: 'earliest' });
    await expect(reset).rejects.toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'unknown' });
  });

  test('of a heartbeat that renewed the session and could not read the group', async () => {
    const { groups, send, clock } = await openOnDynamoDb();
    const consumer = await new TestConsumer(groups, 'm1').join();
    await consumer.heartbeat();
    clock.nowMs += 5_000;
    send.now = (operation, _input, request) => {
      if (operation === 'GetItem') throw denied();
      return request();
    };
    await expect(consumer.heartbeat()).rejects.toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'unknown' });
  });

  test('of a member that meets changes all the time while it leaves for a while', async () => {
    const { groups } = await openGroupLog({
      wrap: (store) => ({ ...Object.assign({}, store), handOver: async () => 'conflict' as const }),
    });
    const joined = groups.join({
      groupId: billing,
      topics: [],
      memberId: 'm1' as MemberId,
      instanceId: 'i' as InstanceId,
    });
    await joined.catch(() => {});
    const leave = groups.leave({ groupId: billing, memberId: 'm1' as MemberId, isTemporary: true });
    await expect(leave).rejects.toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'unknown' });
  });
});

// The head was read at the same time: it said that the offsets count, of which the first hundred were gone.
test('offsets that are read while their group is deleted are all there or none', async () => {
  const { groups, send } = await openOnDynamoDb(150);
  const offsets = Array.from({ length: 150 }, (_, partition) => ({ topic: orders, partition, offset: 1 }));
  await groups.commitOffsets({ groupId: billing, offsets });
  const half = Promise.withResolvers<void>();
  const read = Promise.withResolvers<void>();
  let isDeleting = false;
  let deletion: Promise<void> | undefined;
  let chunks = 0;
  send.now = async (operation, input, request) => {
    if (operation === 'Query' && !isDeleting) {
      isDeleting = true;
      deletion = groups.delete(billing);
      await half.promise;
    } else if (operation === 'TransactWriteItems' && input.TransactItems?.[0]?.Delete !== undefined && chunks++ === 1) {
      half.resolve();
      await read.promise;
    }
    return request();
  };
  expect(await groups.fetchOffsets({ groupId: billing })).toEqual([]);
  read.resolve();
  await deletion;
});

// Each change ends ninety of them, and counted as one that was overtaken.
test('a group of a thousand dead members is deleted by one call', async () => {
  const { groups, groupStore, clock } = await openGroupLog();
  const ids = Array.from({ length: 1_000 }, (_, index) => `m${index}` as MemberId);
  const timeouts = { sessionTimeoutMs: 45_000, rebalanceTimeoutMs: 60_000, revokeBy: undefined };
  const nothing = { currentAssignment: noPartitions, partitionsPendingRevocation: noPartitions };
  const session = {
    version: 1,
    memberEpoch: 1,
    previousMemberEpoch: 0,
    state: 'STABLE' as const,
    ...timeouts,
    ...nothing,
  };
  const member = {
    instanceId: undefined,
    topics: [orders],
    assignor: 'uniform' as const,
    targetAssignment: noPartitions,
  };
  await groupStore.changeGroup({
    group: {
      groupId: billing,
      ...{ version: 1, groupEpoch: 1, offsetsFromEpoch: 0 },
      ...{ memberCount: ids.length, checkAt: clock.nowMs, emptySince: undefined, topics: [] },
      members: ids.map((memberId) => ({ memberId, ...member })),
    },
    seenVersion: undefined,
    puts: ids.map((memberId) => ({ session: { memberId, seenAt: clock.nowMs, ...session }, seenVersion: undefined })),
    removes: [],
  });
  clock.nowMs += 60_000;
  await groups.delete(billing);
  expect(await groups.list({ limit: 9 })).toEqual([]);
});

// Adding one partition to a set copied the set: a minute of all the process had.
test('one member is given all partitions of the largest topic, commits in them and is described', async () => {
  const { groups } = await openGroupLog({ topics: { orders: partitionCountMax } });
  const consumer = await new TestConsumer(groups, 'm1').join();
  expect(consumer.holds).toHaveLength(partitionCountMax);
  expect(await consumer.commit([`orders/${partitionCountMax - 1}`, 1])).toEqual(['committed']);
  const { partitions } = await groups.describe(billing);
  expect(partitions.every(({ memberId }) => memberId === 'm1')).toBe(true);
});

// Its join was answered when all was claimed. A member that did not wait for so long joined again, and began from nothing.
test('a member that is given thousands of partitions is answered after some of them, and goes on from there', async () => {
  let handOvers = 0;
  const { groups, clock } = await openGroupLog({
    topics: { orders: 2_500 },
    wrap: (store) => ({
      ...store,
      handOver: (step) => {
        handOvers++;
        clock.nowMs += 200;
        return store.handOver(step);
      },
    }),
  });
  const sessionTimeoutMs = 6_000;
  const consumer = new TestConsumer(groups, 'm1', { sessionTimeoutMs });
  const counts: number[] = [];
  for (let beat = 0; beat < 6; beat++) {
    const startMs = clock.nowMs;
    await (beat === 0 ? consumer.join() : consumer.heartbeat());
    expect(clock.nowMs - startMs).toBeLessThanOrEqual(sessionTimeoutMs / 3);
    counts.push(consumer.holds.length);
    if (beat < 4) expect(consumer.last?.heartbeatIntervalMs).toBe(heartbeatIntervalMsWaiting);
  }
  expect(counts).toEqual([594, 1_188, 1_782, 2_376, 2_500, 2_500]);
  expect(handOvers).toBe(Math.ceil(2_500 / handOverPartitionsMax));
  expect((await groups.describe(billing)).state).toBe('STABLE');
});

test('a member does not leave under the name of another instance', async () => {
  const { groups } = await openGroupLog();
  await new TestConsumer(groups, 'm1', { instanceId: 'i1' as InstanceId }).join();
  for (const isTemporary of [false, true]) {
    const leave = { groupId: billing, memberId: 'm1' as MemberId, instanceId: 'i2' as InstanceId, isTemporary };
    await expect(groups.leave(leave)).rejects.toMatchObject({
      code: 'UNKNOWN_MEMBER_ID',
      message: 'member m1 of group billing is instance i1, and not i2',
    });
  }
  expect((await groups.describe(billing)).members).toHaveLength(1);
});
