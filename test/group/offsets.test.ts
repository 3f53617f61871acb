import { describe, expect, test } from 'vitest';
import { isLogError } from '../../lib/errors.ts';
import type { GroupId, InstanceId, MemberId } from '../../lib/ids.ts';
import { parseTopicName } from '../../lib/ids.ts';
import { groupUsedAgainMsMin, offsetMetadataBytesMax, offsetsRetentionMs, sessionsEndedMax } from '../../lib/limits.ts';
import type { CommitOffsetsRequest, Groups } from '../../lib/log.ts';
import { batchOf } from '../log-fixture.ts';
import { billing, openGroupLog, orders, returns, settle, TestConsumer } from './group-fixture.ts';

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return isLogError(error) ? error.code : `no error of the log: ${error}`;
}

/** What a consumer in no group commits; codes, or `committed`. */
async function commitOutside(groups: Groups, ...offsets: CommitOffsetsRequest['offsets'][number][]) {
  const results = await groups.commitOffsets({ groupId: billing, offsets });
  return results.map(({ error }) => error?.code ?? 'committed');
}

const committedIn = async (groups: Groups, groupId = billing) =>
  (await groups.fetchOffsets({ groupId })).map(({ topic, partition, offset }) => `${topic}/${partition}=${offset}`);

describe('a commit', () => {
  test('of a member is read back with its metadata, for any of its topics or for all', async () => {
    const { groups, clock, log } = await openGroupLog({ topics: { orders: 2, returns: 1 } });
    const consumer = await new TestConsumer(groups, 'm1', { topics: [orders, returns] }).join();
    const member = { memberId: consumer.memberId, memberEpoch: 1 };
    const results = await groups.commitOffsets({
      groupId: billing,
      member,
      offsets: [
        { topic: returns, partition: 0, offset: 3, metadata: 'page 7 §' },
        { topic: orders, partition: 1, offset: 42 },
      ],
    });
    expect(results).toEqual([
      { topic: 'returns', partition: 0 },
      { topic: 'orders', partition: 1 },
    ]);
    const committedAt = clock.nowMs;
    const { topicId } = await log.topics.get(orders);
    const ofReturns = (await log.topics.get(returns)).topicId;
    const inOrders = { topic: 'orders', topicId, partition: 1, offset: 42, metadata: '', committedAt };
    const inReturns = {
      topic: 'returns',
      topicId: ofReturns,
      partition: 0,
      offset: 3,
      metadata: 'page 7 §',
      committedAt,
    };
    expect(await groups.fetchOffsets({ groupId: billing })).toEqual([inOrders, inReturns]);
    expect(await groups.fetchOffsets({ groupId: billing, topics: [returns] })).toEqual([inReturns]);
    expect(await groups.fetchOffsets({ groupId: billing, topics: [parseTopicName('other')] })).toEqual([]);
    expect(await groups.fetchOffsets({ groupId: 'nobody' as GroupId })).toEqual([]);
  });

  test('of a member is one call to the store', async () => {
    const { groups, calls } = await openGroupLog();
    const consumer = await new TestConsumer(groups, 'm1').join();
    calls();
    expect(await consumer.commit(['orders/0', 1], ['orders/1', 2], ['orders/5', 3])).toEqual(
      Array(3).fill('committed'),
    );
    expect(calls()).toEqual(['commitOffsets']);
  });

  test('says of each partition what is wrong, and the others are committed', async () => {
    const { groups } = await openGroupLog({ topics: { orders: 2, returns: 1 } });
    const { memberId } = await new TestConsumer(groups, 'm1').join();
    const results = await groups.commitOffsets({
      groupId: billing,
      member: { memberId, memberEpoch: 1 },
      offsets: [
        { topic: orders, partition: 2, offset: 1 },
        { topic: orders, partition: 0, offset: 1, metadata: 'x'.repeat(offsetMetadataBytesMax + 1) },
        { topic: orders, partition: 1, offset: 1, metadata: 'x'.repeat(offsetMetadataBytesMax) },
        { topic: parseTopicName('other'), partition: 0, offset: 1 },
        { topic: returns, partition: 0, offset: 1 },
      ],
    });
    expect(results.map(({ error }) => error?.code)).toEqual([
      'UNKNOWN_TOPIC_OR_PARTITION',
      'OFFSET_METADATA_TOO_LARGE',
      undefined,
      'UNKNOWN_TOPIC_OR_PARTITION',
      'STALE_MEMBER_EPOCH',
    ]);
    expect(results.map(({ topic, partition }) => `${topic}/${partition}`)).toEqual([
      'orders/2',
      'orders/0',
      'orders/1',
      'other/0',
      'returns/0',
    ]);
    expect(await committedIn(groups)).toEqual(['orders/1=1']);
  });

  test('that names a partition twice is refused whole', async () => {
    const { groups } = await openGroupLog();
    const { memberId } = await new TestConsumer(groups, 'm1').join();
    const offsets = [1, 2].map((offset) => ({ topic: orders, partition: 0, offset }));
    const commit = groups.commitOffsets({ groupId: billing, member: { memberId, memberEpoch: 1 }, offsets });
    expect(await codeOf(commit)).toBe('INVALID_REQUEST');
    expect(await committedIn(groups)).toEqual([]);
  });

  test('of an earlier epoch is taken for what the member had already then, and for nothing else', async () => {
    const { groups } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1').join();
    const second = await new TestConsumer(groups, 'm2').join();
    await settle(first, second);
    const [kept = ''] = first.holds;
    const [given = ''] = second.holds;
    first.memberEpoch = 1;
    expect(await first.commit([kept, 5], [given, 5])).toEqual(['committed', 'STALE_MEMBER_EPOCH']);
    second.memberEpoch = 1;
    expect(await second.commit([given, 5])).toEqual(['STALE_MEMBER_EPOCH']);
    second.memberEpoch = 2;
    expect(await second.commit([given, 6])).toEqual(['committed']);
  });

  test('of an epoch that the member has not reached is taken, since it comes from the owner', async () => {
    const { groups } = await openGroupLog();
    const member = await new TestConsumer(groups, 'm1').join();
    member.memberEpoch = 9;
    expect(await member.commit(['orders/0', 1])).toEqual(['committed']);
  });

  test('of a partition that was given up is taken until someone else has it, who then reads on from there', async () => {
    const { groups } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1').join();
    const second = await new TestConsumer(groups, 'm2').join();
    await first.heartbeat({ slow: true });
    const [lost = ''] = first.holds.filter((one) => !first.told.includes(one));
    expect(await first.commit([lost, 10])).toEqual(['committed']);
    first.letGo();
    await first.heartbeat();
    expect(await first.commit([lost, 20])).toEqual(['committed']);
    await second.heartbeat();
    expect(await first.commit([lost, 30])).toEqual(['STALE_MEMBER_EPOCH']);
    expect(await committedIn(groups)).toEqual([`${lost}=20`]);
    expect(await second.commit([lost, 21])).toEqual(['committed']);
  });

  test('without a member is taken while the group has none, and makes the group', async () => {
    const { groups, calls } = await openGroupLog();
    expect(await commitOutside(groups, { topic: orders, partition: 3, offset: 8 })).toEqual(['committed']);
    expect(await groups.list({ limit: 10 })).toEqual([{ groupId: 'billing', groupEpoch: 0, memberCount: 0 }]);
    calls();
    expect(await commitOutside(groups, { topic: orders, partition: 3, offset: 9 })).toEqual(['committed']);
    expect(calls()).toEqual(['getGroupHead', 'commitOffsets']);
    expect(await committedIn(groups)).toEqual(['orders/3=9']);

    const member = await new TestConsumer(groups, 'm1', { topics: [returns] }).join();
    expect(await commitOutside(groups, { topic: orders, partition: 3, offset: 10 })).toEqual(['UNKNOWN_MEMBER_ID']);
    await member.leave();
    expect(await commitOutside(groups, { topic: orders, partition: 3, offset: 10 })).toEqual(['committed']);
  });

  test('without a member takes a partition from an owner who left, and that one commits no more', async () => {
    const { groups } = await openGroupLog();
    const member = await new TestConsumer(groups, 'm1').join();
    await member.commit(['orders/0', 5]);
    await member.leave();
    const offsets = [0, 1].map((partition) => ({ topic: orders, partition, offset: 7 }));
    expect(await commitOutside(groups, ...offsets)).toEqual(['committed', 'committed']);
    expect(await member.commit(['orders/0', 6])).toEqual(['UNKNOWN_MEMBER_ID']);
    expect(await committedIn(groups)).toEqual(['orders/0=7', 'orders/1=7']);
  });

  test('without a member is taken when all members turn out to be dead', async () => {
    const { groups, clock } = await openGroupLog();
    await new TestConsumer(groups, 'm1').join();
    clock.nowMs += 45_000;
    expect(await commitOutside(groups, { topic: orders, partition: 0, offset: 1 })).toEqual(['UNKNOWN_MEMBER_ID']);
    clock.nowMs += 1;
    expect(await commitOutside(groups, { topic: orders, partition: 0, offset: 1 })).toEqual(['committed']);
  });
});

describe('committed offsets', () => {
  test('expire a week and a day after the group became empty, and do not come back with the next member', async () => {
    const { groups, clock } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1').join();
    await first.commit(['orders/0', 5], ['orders/1', 6]);
    clock.nowMs += 40_000;
    await first.leave();
    clock.nowMs += offsetsRetentionMs + groupUsedAgainMsMin;
    expect(await committedIn(groups)).toEqual(['orders/0=5', 'orders/1=6']);
    clock.nowMs += 1;
    expect(await committedIn(groups)).toEqual([]);
    const second = await new TestConsumer(groups, 'm2').join();
    expect(await committedIn(groups)).toEqual([]);
    expect(await second.commit(['orders/0', 1])).toEqual(['committed']);
    expect(await committedIn(groups)).toEqual(['orders/0=1']);
  });

  test('stay as long as the group has a member', async () => {
    const { groups, clock } = await openGroupLog();
    const member = await new TestConsumer(groups, 'm1', { sessionTimeoutMs: 30 * 60_000 }).join();
    await member.commit(['orders/0', 5]);
    for (let passedMs = 0; passedMs < offsetsRetentionMs + 3_600_000; passedMs += 1_700_000) {
      clock.nowMs += 1_700_000;
      await member.heartbeat();
    }
    await member.leave();
    expect(await committedIn(groups)).toEqual(['orders/0=5']);
  });

  test.each([false, true])('expire as well when the last member died (left for a while: %s)', async (isTemporary) => {
    const { groups, clock } = await openGroupLog();
    const member = await new TestConsumer(groups, 'm1', { instanceId: 'i' as InstanceId }).join();
    await member.commit(['orders/0', 5]);
    if (isTemporary) await member.leave(true);
    clock.nowMs += offsetsRetentionMs;
    expect(await committedIn(groups)).toEqual(['orders/0=5']);
    clock.nowMs += groupUsedAgainMsMin + 3_600_000;
    expect(await committedIn(groups)).toEqual([]);
    await new TestConsumer(groups, 'm2').join();
    expect(await committedIn(groups)).toEqual([]);
  });

  // A machine that slept for nine days: what the member committed from then on was acknowledged, and counted no more.
  test('of a member that was frozen with others for longer than they are kept count all the same', async () => {
    const { groups, clock } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1').join();
    const second = await new TestConsumer(groups, 'm2').join();
    await settle(first, second);
    const [kept = ''] = first.holds;
    await first.commit([kept, 5]);
    clock.nowMs += offsetsRetentionMs + 2 * groupUsedAgainMsMin;
    await first.heartbeat();
    expect(first.holds).toHaveLength(6);
    expect(await committedIn(groups)).toEqual([`${kept}=5`]);
    expect(await first.commit([kept, 7])).toEqual(['committed']);
    expect(await committedIn(groups)).toEqual([`${kept}=7`]);
    await first.leave();
    expect(await committedIn(groups)).toEqual([`${kept}=7`]);
  });

  test.each(['m1', 'm2'])('that expired do not come back with the static member that had them, now %s', async (id) => {
    const { groups, clock } = await openGroupLog();
    const instanceId = 'i1' as InstanceId;
    const before = await new TestConsumer(groups, 'm1', { instanceId }).join();
    await before.commit(['orders/0', 5]);
    clock.nowMs += offsetsRetentionMs + 2 * groupUsedAgainMsMin;
    expect(await committedIn(groups)).toEqual([]);
    const again = await new TestConsumer(groups, id, { instanceId }).join();
    expect(await committedIn(groups)).toEqual([]);
    expect(await again.commit(['orders/1', 6])).toEqual(['committed']);
    expect(await committedIn(groups)).toEqual(['orders/1=6']);
  });

  // One change ends 90 dead members. Until the last of a crowd was ended, nothing counted that the next one committed.
  test('count from the first member on that comes to a crowd of dead ones', async () => {
    const { groups, clock } = await openGroupLog({ topics: { orders: 300 } });
    // A join and what it does as the first heartbeat end twice as many.
    for (let index = 0; index < 2 * sessionsEndedMax + 5; index++)
      await new TestConsumer(groups, `dead${index}`).join();
    clock.nowMs += offsetsRetentionMs + 2 * groupUsedAgainMsMin;
    const member = await new TestConsumer(groups, 'm1').join();
    const [held = ''] = member.holds;
    expect(await member.commit([held, 5])).toEqual(['committed']);
    expect(await committedIn(groups)).toEqual([`${held}=5`]);
    await member.leave();
    expect(await committedIn(groups)).toEqual([`${held}=5`]);
  });

  test('of a group that only outsiders use stay while it is used, and what expired stays so', async () => {
    const { groups, clock } = await openGroupLog();
    const commit = (partition: number) => commitOutside(groups, { topic: orders, partition, offset: 1 });
    await commit(0);
    for (let day = 0; day < 10; day++) {
      clock.nowMs += 24 * 3_600_000;
      await commit(1);
    }
    expect(await committedIn(groups)).toEqual(['orders/0=1', 'orders/1=1']);
    // The last use may be a day younger than the last one that was written down.
    clock.nowMs += groupUsedAgainMsMin - 1;
    await commit(1);
    clock.nowMs += offsetsRetentionMs;
    expect(await committedIn(groups)).toEqual(['orders/0=1', 'orders/1=1']);
    clock.nowMs += groupUsedAgainMsMin;
    expect(await committedIn(groups)).toEqual([]);
    await commit(2);
    expect(await committedIn(groups)).toEqual(['orders/2=1']);
  });

  test('of a topic that was deleted and made again are not those of the new one', async () => {
    const { log, groups, clock } = await openGroupLog();
    await commitOutside(groups, { topic: orders, partition: 0, offset: 5 });
    await log.topics.delete(orders);
    expect(await committedIn(groups)).toEqual([]);
    await log.topics.create({ topic: orders, partitionCount: 1 });
    clock.nowMs += 10_000;
    expect(await committedIn(groups)).toEqual([]);
  });
});

describe('a description', () => {
  test('tells state, epochs, members, what each has and how far behind it is', async () => {
    const { log, groups, clock } = await openGroupLog({ topics: { orders: 3, returns: 1 } });
    for (const [partition, count] of [
      [0, 5],
      [1, 2],
    ] as const) {
      await log.produce({
        topic: orders,
        batches: [{ partition, batch: batchOf({ timestamps: Array(count).fill(1) }) }],
      });
    }
    await commitOutside(
      groups,
      { topic: orders, partition: 0, offset: 1 },
      { topic: returns, partition: 0, offset: 0 },
    );
    expect(await groups.describe(billing)).toMatchObject({ state: 'EMPTY', groupEpoch: 0, members: [] });

    const instanceId = 'i1' as InstanceId;
    const first = await new TestConsumer(groups, 'm1', { instanceId }).join();
    const second = await new TestConsumer(groups, 'm2').join();
    expect((await groups.describe(billing)).state).toBe('RECONCILING');
    await settle(first, second);
    await first.commit(...first.holds.map((place): [string, number] => [place, 1]));
    const description = await groups.describe(billing);
    expect(description).toMatchObject({ groupId: 'billing', state: 'STABLE', groupEpoch: 2, assignor: 'uniform' });
    const { topicId } = await log.topics.describe(orders);
    const numbersOf = (consumer: TestConsumer) => consumer.holds.map((one) => Number(one.split('/')[1]));
    const assignmentOf = (consumer: TestConsumer) => [{ topic: 'orders', topicId, partitions: numbersOf(consumer) }];
    expect(description.members).toEqual([
      {
        memberId: 'm1',
        instanceId: 'i1',
        memberEpoch: 2,
        state: 'STABLE',
        topics: ['orders'],
        seenAt: clock.nowMs,
        assignment: assignmentOf(first),
        targetAssignment: assignmentOf(first),
      },
      expect.objectContaining({ memberId: 'm2', instanceId: undefined, assignment: assignmentOf(second) }),
    ]);
    const ownerOf = (partition: number) => (first.holds.includes(`orders/${partition}`) ? 'm1' : 'm2');
    const committedOf = (partition: number) => (ownerOf(partition) === 'm1' ? 1 : undefined);
    const lagOf = (partition: number, end: number) => (ownerOf(partition) === 'm1' ? Math.max(0, end - 1) : undefined);
    expect(
      description.partitions.map(({ topic, partition, committedOffset, highWatermark, lag, memberId }) => {
        return [topic, partition, committedOffset, highWatermark, lag, memberId];
      }),
    ).toEqual([
      ['orders', 0, 1, 5, 4, ownerOf(0)],
      ['orders', 1, committedOf(1), 2, lagOf(1, 2), ownerOf(1)],
      ['orders', 2, committedOf(2), 0, lagOf(2, 0), ownerOf(2)],
      ['returns', 0, 0, 0, 0, undefined],
    ]);
    await first.leave(true);
    expect((await groups.describe(billing)).members[0]).toMatchObject({ state: 'AWAY', assignment: [] });
    clock.nowMs += 45_001;
    expect(await groups.describe(billing)).toMatchObject({ state: 'EMPTY', members: [] });
  });

  test('of a group that does not exist is refused', async () => {
    const { groups } = await openGroupLog();
    expect(await codeOf(groups.describe(billing))).toBe('GROUP_ID_NOT_FOUND');
  });
});

describe('a reset', () => {
  const reset = async (groups: Groups, to: Parameters<Groups['resetOffsets']>[0]['to'], partitions?: number[]) => {
    const found = await groups.resetOffsets({ groupId: billing, topic: orders, to, ...(partitions && { partitions }) });
    return found.map(({ partition, offset }) => `${partition}=${offset}`);
  };

  test('goes to the earliest, the latest, a time, or on from what is committed, within what can be read', async () => {
    const { log, groups } = await openGroupLog({ topics: { orders: 2 } });
    await log.produce({ topic: orders, batches: [{ partition: 0, batch: batchOf({ timestamps: [100, 200, 300] }) }] });
    expect(await reset(groups, 'latest')).toEqual(['0=3', '1=0']);
    expect(await committedIn(groups)).toEqual(['orders/0=3', 'orders/1=0']);
    expect(await reset(groups, 'earliest', [0])).toEqual(['0=0']);
    expect(await reset(groups, 150)).toEqual(['0=1', '1=0']);
    expect(await reset(groups, 301)).toEqual(['0=3', '1=0']);
    expect(await reset(groups, { shift: -1 }, [0])).toEqual(['0=2']);
    expect(await reset(groups, { shift: -10 })).toEqual(['0=0', '1=0']);
    expect(await reset(groups, { shift: 10 })).toEqual(['0=3', '1=0']);
    expect(await committedIn(groups)).toEqual(['orders/0=3', 'orders/1=0']);
  });

  test('has nothing to shift where nothing is committed', async () => {
    const { groups } = await openGroupLog({ topics: { orders: 2 } });
    await commitOutside(groups, { topic: orders, partition: 1, offset: 0 });
    expect(await reset(groups, { shift: 1 })).toEqual(['1=0']);
  });

  test('is refused while there are members, and for what does not exist', async () => {
    const { groups, clock } = await openGroupLog();
    await new TestConsumer(groups, 'm1').join();
    expect(await codeOf(reset(groups, 'earliest'))).toBe('NON_EMPTY_GROUP');
    expect(await codeOf(reset(groups, 'earliest', [6]))).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    const other = groups.resetOffsets({ groupId: billing, topic: returns, to: 'latest' });
    expect(await codeOf(other)).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    clock.nowMs += 45_001;
    expect(await reset(groups, 'earliest', [0])).toEqual(['0=0']);
  });
});

describe('a delete', () => {
  test('takes the group and its offsets, and a new one of this name begins anew', async () => {
    const { groups } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1').join();
    await first.commit(['orders/0', 5]);
    expect(await codeOf(groups.delete(billing))).toBe('NON_EMPTY_GROUP');
    await first.leave();
    await groups.delete(billing);
    expect(await groups.list({ limit: 10 })).toEqual([]);
    expect(await codeOf(groups.delete(billing))).toBe('GROUP_ID_NOT_FOUND');
    expect(await committedIn(groups)).toEqual([]);
    expect(await first.commit(['orders/0', 9])).toEqual(['UNKNOWN_MEMBER_ID']);
    const second = await new TestConsumer(groups, 'm2').join();
    expect(await committedIn(groups)).toEqual([]);
    expect(await second.commit(['orders/0', 1])).toEqual(['committed']);
  });

  test('is refused as long as a member may be alive', async () => {
    const { groups, clock } = await openGroupLog();
    await new TestConsumer(groups, 'm1').join();
    clock.nowMs += 45_000;
    expect(await codeOf(groups.delete(billing))).toBe('NON_EMPTY_GROUP');
    clock.nowMs += 1;
    await groups.delete(billing);
    expect(await codeOf(groups.heartbeat({ groupId: billing, memberId: 'm1' as MemberId, memberEpoch: 1 }))).toBe(
      'UNKNOWN_MEMBER_ID',
    );
  });
});

test('a list goes by name in pages', async () => {
  const { groups } = await openGroupLog();
  for (const groupId of ['b', 'a', 'c'] as GroupId[]) await groups.join({ groupId, topics: [orders] });
  const first = await groups.list({ limit: 2 });
  expect(first).toEqual([
    { groupId: 'a', groupEpoch: 1, memberCount: 1 },
    { groupId: 'b', groupEpoch: 1, memberCount: 1 },
  ]);
  expect((await groups.list({ after: 'b' as GroupId, limit: 2 })).map(({ groupId }) => groupId)).toEqual(['c']);
});
