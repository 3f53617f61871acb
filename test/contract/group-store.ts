/** What every group store must do. Knows nothing but the door: `GroupStore`. */

import { randomBytes, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { beforeEach, describe, expect, test } from 'vitest';
import type { GroupId, InstanceId, MemberId } from '../../lib/ids.ts';
import { parseTopicName, type TopicId } from '../../lib/ids.ts';
import { handOverPartitionsMax, offsetMetadataBytesMax } from '../../lib/limits.ts';
import { type Assignment, assignmentOf, noPartitions } from '../../lib/store/assignment.ts';
import type { GroupStore, HandOver } from '../../lib/store/group-store.ts';
import type { Group, GroupHead, GroupMember, MemberSession } from '../../lib/store/items.ts';
import type { MetadataStore } from '../../lib/store/metadata-store.ts';

/** `open` gives a store with nothing in it; what it opened is the caller's to remove. */
export function testGroupStore(name: string, open: () => Promise<MetadataStore>): void {
  describe(`group store: ${name}`, () => {
    let store: GroupStore;
    beforeEach(async () => {
      const metadataStore = await open();
      if (metadataStore.groupStore === undefined) throw new Error('the store keeps groups');
      store = metadataStore.groupStore;
      return () => metadataStore.close();
    });
    const opened = () => store;
    describe('groups', () => testGroups(opened));
    describe('sessions', () => testSessions(opened));
    describe('hand-overs', () => testHandOvers(opened));
    describe('offsets', () => testOffsets(opened));
    describe('deletes', () => testDeletes(opened));
  });
}

export const topicId = '11111111-2222-4333-8444-555555555555' as TopicId;
export const otherTopicId = 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee' as TopicId;
const billing = 'billing' as GroupId;
const of = (...partitions: number[]): Assignment => assignmentOf([[topicId, partitions]]);

export function groupOf(given: Partial<Group> = {}): Group {
  const epochs = { version: 1, groupEpoch: 1, offsetsFromEpoch: 0 };
  const empty = { memberCount: 0, checkAt: 1_000, emptySince: 900, members: [], topics: [] };
  return { groupId: billing, ...epochs, ...empty, ...given };
}

export function memberOf(memberId: string, given: Partial<GroupMember> = {}): GroupMember {
  const topics = [parseTopicName('orders')];
  const id = memberId as MemberId;
  return { memberId: id, instanceId: undefined, topics, assignor: 'uniform', targetAssignment: noPartitions, ...given };
}

export function sessionOf(memberId: string, given: Partial<MemberSession> = {}): MemberSession {
  return {
    memberId: memberId as MemberId,
    version: 7,
    memberEpoch: 1,
    previousMemberEpoch: 0,
    state: 'STABLE',
    seenAt: 1_000,
    sessionTimeoutMs: 45_000,
    rebalanceTimeoutMs: 60_000,
    revokeBy: undefined,
    currentAssignment: noPartitions,
    partitionsPendingRevocation: noPartitions,
    ...given,
  };
}

/** A group with these members, who own nothing. */
async function makeGroup(store: GroupStore, ...memberIds: string[]): Promise<Group> {
  const members = memberIds.map((memberId) => memberOf(memberId));
  const group = groupOf({ members, memberCount: members.length, emptySince: undefined });
  const puts = memberIds.map((memberId) => ({ session: sessionOf(memberId), seenVersion: undefined }));
  expect(await store.changeGroup({ group, seenVersion: undefined, puts, removes: [] })).toBe('changed');
  return group;
}

function headOf({ members: _, topics: __, ...head }: Group): GroupHead {
  return head;
}

function testGroups(store: () => GroupStore): void {
  test('a group is read as it was written, with members, targets, topics and sessions', async () => {
    const member = memberOf('m1', {
      instanceId: 'i1' as InstanceId,
      topics: [parseTopicName('orders'), parseTopicName('not.there-yet')],
      assignor: 'range',
      targetAssignment: assignmentOf([
        [topicId, [0, 7, 9_999]],
        [otherTopicId, [3]],
      ]),
    });
    const topics = [
      { topic: parseTopicName('orders'), topicId, partitionCount: 10_000 },
      { topic: parseTopicName('returns'), topicId: otherTopicId, partitionCount: 4 },
    ];
    const group = groupOf({
      members: [member, memberOf('m2')],
      topics,
      memberCount: 2,
      emptySince: undefined,
      offsetsFromEpoch: 5,
    });
    const sessions = [
      sessionOf('m1', {
        state: 'UNREVOKED_PARTITIONS',
        revokeBy: 99_000,
        currentAssignment: of(0, 1),
        partitionsPendingRevocation: of(8),
      }),
      sessionOf('m2'),
    ];
    const puts = sessions.map((session) => ({ session, seenVersion: undefined }));
    expect(await store().changeGroup({ group, seenVersion: undefined, puts, removes: [] })).toBe('changed');
    expect(await store().getGroup(billing)).toEqual({ group, sessions });
    expect(await store().getGroupHead(billing)).toEqual(headOf(group));
  });

  test('a group that nobody made is undefined, head and all', async () => {
    expect(await store().getGroup(billing)).toBeUndefined();
    expect(await store().getGroupHead(billing)).toBeUndefined();
    const renewal = await store().renewSession(billing, 'm1' as MemberId, 1, 5_000);
    expect(renewal).toEqual({ isRenewed: false, head: undefined, session: undefined });
  });

  test('a change of another version is a conflict and changes nothing', async () => {
    const group = await makeGroup(store(), 'm1');
    const next = { ...group, version: 2, groupEpoch: 2 };
    const change = { group: next, puts: [], removes: [] };
    for (const seenVersion of [undefined, 0, 2]) {
      expect(await store().changeGroup({ ...change, seenVersion })).toBe('conflict');
    }
    expect(await store().getGroupHead(billing)).toEqual(headOf(group));
    expect(await store().changeGroup({ ...change, seenVersion: 1 })).toBe('changed');
    expect(await store().getGroupHead(billing)).toEqual(headOf(next));
  });

  test('of many changes of one version exactly one is done', async () => {
    const group = await makeGroup(store(), 'm1');
    const outcomes = await Promise.all(
      [2, 3, 4, 5].map((groupEpoch) => {
        const next = { ...group, version: 2, groupEpoch };
        return store().changeGroup({ group: next, seenVersion: 1, puts: [], removes: [] });
      }),
    );
    expect(outcomes.toSorted()).toEqual(['changed', 'conflict', 'conflict', 'conflict']);
  });

  test('sessions come and go with the change of their group, or not at all', async () => {
    const group = await makeGroup(store(), 'm1', 'm2');
    const next = { ...group, version: 2 };
    const change = (
      puts: [string, number | undefined][],
      removes: { memberId: string; seenVersion: number; seenAt?: number }[],
    ) =>
      store().changeGroup({
        group: next,
        seenVersion: 1,
        puts: puts.map(([memberId, seenVersion]) => ({ session: sessionOf(memberId, { version: 50 }), seenVersion })),
        removes: removes.map((one) => ({ ...one, memberId: one.memberId as MemberId })),
      });
    expect(await change([['m1', undefined]], [])).toBe('conflict');
    expect(await change([['m1', 8]], [])).toBe('conflict');
    expect(await change([['m3', 7]], [])).toBe('conflict');
    expect(await change([['m3', undefined]], [{ memberId: 'm2', seenVersion: 6 }])).toBe('conflict');
    expect(await change([['m3', undefined]], [{ memberId: 'm2', seenVersion: 7, seenAt: 999 }])).toBe('conflict');
    expect(await change([['m3', undefined]], [{ memberId: 'm4', seenVersion: 7 }])).toBe('conflict');
    expect((await store().getGroup(billing))?.sessions.map(({ memberId }) => memberId)).toEqual(['m1', 'm2']);
    const done = change(
      [
        ['m1', 7],
        ['m3', undefined],
      ],
      [{ memberId: 'm2', seenVersion: 7, seenAt: 1_000 }],
    );
    expect(await done).toBe('changed');
    expect((await store().getGroup(billing))?.sessions).toEqual([
      sessionOf('m1', { version: 50 }),
      sessionOf('m3', { version: 50 }),
    ]);
  });

  test('ninety sessions go in one change', async () => {
    const names = Array.from({ length: 90 }, (_, index) => `m${index}`);
    const group = await makeGroup(store(), ...names);
    const removes = names.map((memberId) => ({ memberId: memberId as MemberId, seenVersion: 7, seenAt: 1_000 }));
    const empty = { ...group, version: 2, members: [], memberCount: 0, emptySince: 2_000 };
    expect(await store().changeGroup({ group: empty, seenVersion: 1, puts: [], removes })).toBe('changed');
    expect(await store().getGroup(billing)).toEqual({ group: empty, sessions: [] });
  });

  test('a check is scheduled when the one before is the one seen, and changes no version', async () => {
    const group = await makeGroup(store(), 'm1');
    await store().scheduleCheck(billing, 999, 5_000);
    expect((await store().getGroupHead(billing))?.checkAt).toBe(1_000);
    await store().scheduleCheck(billing, 1_000, 5_000);
    await store().scheduleCheck(billing, 1_000, 6_000);
    expect(await store().getGroupHead(billing)).toEqual({ ...headOf(group), checkAt: 5_000 });
    expect((await store().getGroup(billing))?.group).toEqual({ ...group, checkAt: 5_000 });
    await store().scheduleCheck('nobody' as GroupId, 1_000, 5_000);
    expect(await store().getGroupHead('nobody' as GroupId)).toBeUndefined();
  });

  test('a list goes by id, begins behind after, and ends at limit', async () => {
    for (const id of ['b', 'a', 'd', 'C']) {
      const group = groupOf({ groupId: id as GroupId });
      await store().changeGroup({ group, seenVersion: undefined, puts: [], removes: [] });
    }
    const ids = async (page: { after?: string; limit: number }) => {
      const after = page.after === undefined ? {} : { after: page.after as GroupId };
      return (await store().listGroups({ ...after, limit: page.limit })).map(({ groupId }) => groupId);
    };
    expect(await ids({ limit: 10 })).toEqual(['C', 'a', 'b', 'd']);
    expect(await ids({ limit: 2 })).toEqual(['C', 'a']);
    expect(await ids({ after: 'a', limit: 2 })).toEqual(['b', 'd']);
    expect(await ids({ after: 'd', limit: 2 })).toEqual([]);
    expect(await store().listGroups({ limit: 1 })).toEqual([headOf(groupOf({ groupId: 'C' as GroupId }))]);
  });

  test('a group of 300 members with 10,000 partitions scattered among them is read as it was written', async () => {
    const members = Array.from({ length: 300 }, (_, index) =>
      memberOf(`${crypto.randomUUID()}`, {
        targetAssignment: of(...Array.from({ length: 33 }, (_, at) => index + 300 * at)),
      }),
    ).toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1));
    const topics = [{ topic: parseTopicName('orders'), topicId, partitionCount: 10_000 }];
    const group = groupOf({ members, topics, memberCount: 300, emptySince: undefined });
    await store().changeGroup({ group, seenVersion: undefined, puts: [], removes: [] });
    expect((await store().getGroup(billing))?.group).toEqual(group);
  });

  // Three of them were more than an item of DynamoDB has room for.
  test('a group of 1,000 members that subscribe to 1,000 topics with long names is read as it was written', async () => {
    const letters = 'abcdefghijklmnopqrstuvwxyz0123456789._-';
    const longName = () => parseTopicName([...randomBytes(249)].map((byte) => letters[byte % letters.length]).join(''));
    const topics = Array.from({ length: 1_000 }, () => ({
      topic: longName(),
      topicId: randomUUID() as TopicId,
      partitionCount: 10,
    }));
    const names = topics.map(({ topic }) => topic);
    const members = topics
      .map((_, index) =>
        memberOf(randomUUID(), {
          topics: index % 2 === 0 ? names : names.slice(1),
          targetAssignment: assignmentOf(topics.slice(0, 10).map((__, at) => [idAt(topics, index + at * 97), [at]])),
        }),
      )
      .toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1));
    const group = groupOf({ members, topics, memberCount: 1_000, emptySince: undefined });
    await store().changeGroup({ group, seenVersion: undefined, puts: [], removes: [] });
    expect(isDeepStrictEqual((await store().getGroup(billing))?.group, group)).toBe(true);
  });
}

const idAt = (topics: Group['topics'], index: number) => topics[index % topics.length]?.topicId as TopicId;

function testSessions(store: () => GroupStore): void {
  test('a session is renewed at its epoch, with what the head says, and nothing else of it changes', async () => {
    const group = await makeGroup(store(), 'm1', 'm2');
    const session = sessionOf('m1', { seenAt: 5_000 });
    const renewal = await store().renewSession(billing, 'm1' as MemberId, 1, 5_000);
    expect(renewal).toEqual({ isRenewed: true, head: headOf(group), session });
    expect((await store().getGroup(billing))?.sessions).toEqual([session, sessionOf('m2')]);
  });

  test('a session is not renewed at another epoch, and is shown', async () => {
    const group = await makeGroup(store(), 'm1');
    for (const memberEpoch of [0, 2]) {
      const renewal = await store().renewSession(billing, 'm1' as MemberId, memberEpoch, 5_000);
      expect(renewal).toEqual({ isRenewed: false, head: headOf(group), session: sessionOf('m1') });
    }
    const unknown = await store().renewSession(billing, 'm9' as MemberId, 1, 5_000);
    expect(unknown).toEqual({ isRenewed: false, head: headOf(group), session: undefined });
    expect((await store().getGroup(billing))?.sessions).toEqual([sessionOf('m1')]);
  });

  test('a renewal that comes late takes nothing back', async () => {
    await makeGroup(store(), 'm1');
    await store().renewSession(billing, 'm1' as MemberId, 1, 5_000);
    const late = await store().renewSession(billing, 'm1' as MemberId, 1, 4_000);
    expect(late).toMatchObject({ isRenewed: true, session: { seenAt: 5_000 } });
    expect((await store().getGroup(billing))?.sessions[0]?.seenAt).toBe(5_000);
  });
}

function testHandOvers(store: () => GroupStore): void {
  const claim = async (memberId: string, seenVersion: number, partitions: [number, number | undefined][], epoch = 1) =>
    await store().handOver({
      groupId: billing,
      session: sessionOf(memberId, {
        version: seenVersion + 1,
        memberEpoch: epoch,
        currentAssignment: of(...partitions.map(([partition]) => partition)),
      }),
      seenVersion,
      claims: partitions.map(([partition, version]) => ({ topicId, partition, seenVersion: version })),
    });
  const places = (...partitions: number[]) => partitions.map((partition) => ({ topicId, partition }));

  test('claimed partitions are with the member, in its session and in their items', async () => {
    await makeGroup(store(), 'm1');
    expect(
      await claim(
        'm1',
        7,
        [
          [0, undefined],
          [9_999, undefined],
        ],
        3,
      ),
    ).toBe('done');
    const owner = { memberId: 'm1', memberEpoch: 3 };
    const [first, second, third] = await store().getOffsets(billing, places(9_999, 0, 1));
    expect(first).toEqual({ topicId, partition: 9_999, version: 1, owner, committed: undefined });
    expect(second).toEqual({ topicId, partition: 0, version: 1, owner, committed: undefined });
    expect(third).toBeUndefined();
    expect((await store().getGroup(billing))?.sessions).toEqual([
      sessionOf('m1', { version: 8, memberEpoch: 3, currentAssignment: of(0, 9_999) }),
    ]);
  });

  test('of two who claim one partition one gets it, and the other gets nothing at all', async () => {
    await makeGroup(store(), 'm1', 'm2');
    const outcomes = await Promise.all([
      claim('m1', 7, [
        [0, undefined],
        [1, undefined],
      ]),
      claim('m2', 7, [
        [1, undefined],
        [2, undefined],
      ]),
    ]);
    expect(outcomes.toSorted()).toEqual(['conflict', 'done']);
    const [winner, loser] = outcomes[0] === 'done' ? ['m1', 'm2'] : ['m2', 'm1'];
    const items = await store().getOffsets(billing, places(0, 1, 2));
    expect(items[1]?.owner?.memberId).toBe(winner);
    expect(items.map((item) => item?.owner?.memberId)).not.toContain(loser);
    const { sessions = [] } = (await store().getGroup(billing)) ?? {};
    expect(sessions.find(({ memberId }) => memberId === loser)).toEqual(sessionOf(loser ?? ''));
  });

  test('a hand-over of a session that has changed, or is gone, is a conflict', async () => {
    await makeGroup(store(), 'm1');
    expect(await claim('m1', 6, [[0, undefined]])).toBe('conflict');
    expect(await claim('m1', 5, [])).toBe('conflict');
    expect(await claim('m1', 6, [], 4)).toBe('conflict');
    expect(await claim('m9', 7, [[0, undefined]])).toBe('conflict');
    expect(await claim('m9', 7, [])).toBe('conflict');
    expect(await store().listOffsets(billing)).toEqual([]);
    expect((await store().getGroup(billing))?.sessions).toEqual([sessionOf('m1')]);
  });

  test('a session changes without partitions, and a heartbeat meanwhile stays', async () => {
    await makeGroup(store(), 'm1');
    await store().renewSession(billing, 'm1' as MemberId, 1, 5_000);
    expect(await claim('m1', 7, [], 4)).toBe('done');
    expect((await store().getGroup(billing))?.sessions).toEqual([
      sessionOf('m1', { version: 8, memberEpoch: 4, seenAt: 5_000 }),
    ]);
    expect(await claim('m1', 8, [[0, undefined]], 5)).toBe('done');
    expect((await store().getGroup(billing))?.sessions[0]?.seenAt).toBe(5_000);
  });

  test('a session lists no longer what it gives up; the item stays, with its offset, until the next owner claims it', async () => {
    await makeGroup(store(), 'm1', 'm2');
    await claim('m1', 7, [[0, undefined]]);
    const member = { memberId: 'm1' as MemberId, memberEpoch: 1 };
    await store().commitOffsets(billing, member, [{ topicId, partition: 0, offset: 42, metadata: 'x' }], 6_000);
    const before = await store().getOffsets(billing, places(0));
    const given: HandOver = { groupId: billing, session: sessionOf('m1', { version: 9 }), seenVersion: 8, claims: [] };
    expect(await store().handOver(given)).toBe('done');
    expect(await store().getOffsets(billing, places(0))).toEqual(before);
    expect((await store().getGroup(billing))?.sessions[0]?.currentAssignment).toEqual(noPartitions);

    expect(await claim('m2', 7, [[0, undefined]], 2)).toBe('conflict');
    expect(await claim('m2', 7, [[0, 2]], 2)).toBe('conflict');
    expect(await claim('m2', 7, [[0, 1]], 2)).toBe('done');
    const committed = { offset: 42, metadata: 'x', committedAt: 6_000, epoch: 1 };
    const owner = { memberId: 'm2', memberEpoch: 2 };
    expect(await store().getOffsets(billing, places(0))).toEqual([
      { topicId, partition: 0, version: 2, owner, committed },
    ]);
  });

  test('a partition is taken from an owner who is gone at the version that was seen', async () => {
    await makeGroup(store(), 'm1', 'm2');
    await claim('m1', 7, [[0, undefined]]);
    expect(await claim('m2', 7, [[0, undefined]])).toBe('conflict');
    expect(await claim('m2', 7, [[0, 1]])).toBe('done');
    const [item] = await store().getOffsets(billing, places(0));
    expect(item).toMatchObject({ version: 2, owner: { memberId: 'm2' } });
  });

  test('as many partitions as are allowed are claimed in one step', async () => {
    await makeGroup(store(), 'm1');
    const all = Array.from({ length: handOverPartitionsMax }, (_, partition): [number, undefined] => [
      partition,
      undefined,
    ]);
    expect(await claim('m1', 7, all)).toBe('done');
    const items = await store().listOffsets(billing);
    expect(items.map(({ partition, owner }) => [partition, owner?.memberId])).toEqual(all.map(([one]) => [one, 'm1']));
  });
}

function testOffsets(store: () => GroupStore): void {
  const own = async (memberId: string, memberEpoch: number, ...partitions: number[]) => {
    await makeGroup(store(), memberId);
    const claims = partitions.map((partition) => ({ topicId, partition, seenVersion: undefined }));
    const session = sessionOf(memberId, { version: 8, memberEpoch, currentAssignment: of(...partitions) });
    await store().handOver({ groupId: billing, session, seenVersion: 7, claims });
  };
  const commitOf = (partition: number, offset: number, metadata = '') => ({ topicId, partition, offset, metadata });
  const committedAt = async (partition: number) =>
    (await store().getOffsets(billing, [{ topicId, partition }]))[0]?.committed;

  test('a member commits what it owns, partition by partition, and what it commits is read back', async () => {
    await own('m1', 3, 0, 1);
    const metadata = 'é'.repeat(offsetMetadataBytesMax / 2);
    const commits = [commitOf(1, 42, metadata), commitOf(2, 7), commitOf(0, 0)];
    const outcomes = await store().commitOffsets(
      billing,
      { memberId: 'm1' as MemberId, memberEpoch: 3 },
      commits,
      5_000,
    );
    expect(outcomes).toEqual([
      { outcome: 'committed' },
      { outcome: 'refused', item: undefined },
      { outcome: 'committed' },
    ]);
    expect(await committedAt(1)).toEqual({ offset: 42, metadata, committedAt: 5_000, epoch: 3 });
    expect(await committedAt(0)).toEqual({ offset: 0, metadata: '', committedAt: 5_000, epoch: 3 });
    expect(await committedAt(2)).toBeUndefined();
  });

  test('an epoch from before the partition was given is refused, a later one is not', async () => {
    await own('m1', 3, 0);
    const commit = (memberEpoch: number) =>
      store().commitOffsets(billing, { memberId: 'm1' as MemberId, memberEpoch }, [commitOf(0, memberEpoch)], 5_000);
    const item = { topicId, partition: 0, version: 1, owner: { memberId: 'm1', memberEpoch: 3 }, committed: undefined };
    expect(await commit(2)).toEqual([{ outcome: 'refused', item }]);
    expect(await commit(5)).toEqual([{ outcome: 'committed' }]);
    // What is kept is where the partition was given: nobody tells whether the member ever was at the other.
    expect((await committedAt(0))?.epoch).toBe(3);
  });

  test('another member is refused, and so is nobody', async () => {
    await own('m1', 3, 0);
    const [other] = await store().commitOffsets(
      billing,
      { memberId: 'm2' as MemberId, memberEpoch: 9 },
      [commitOf(0, 1)],
      5_000,
    );
    expect(other).toMatchObject({ outcome: 'refused', item: { owner: { memberId: 'm1' } } });
    const [nobody] = await store().commitOffsets(billing, { groupEpoch: 9 }, [commitOf(0, 1)], 5_000);
    expect(nobody).toMatchObject({ outcome: 'refused', item: { owner: { memberId: 'm1' } } });
    expect(await committedAt(0)).toBeUndefined();
  });

  test('without members offsets are committed as they come, and taken from an owner who is gone', async () => {
    expect(await store().commitOffsets(billing, { groupEpoch: 0 }, [commitOf(5, 11)], 5_000)).toEqual([
      { outcome: 'committed' },
    ]);
    expect(await committedAt(5)).toEqual({ offset: 11, metadata: '', committedAt: 5_000, epoch: 0 });
    await own('m1', 3, 0);
    const take = (ownerGoneAtVersion: number) =>
      store().commitOffsets(billing, { groupEpoch: 4 }, [{ ...commitOf(0, 8), ownerGoneAtVersion }], 6_000);
    expect(await take(9)).toMatchObject([{ outcome: 'refused' }]);
    expect(await take(1)).toEqual([{ outcome: 'committed' }]);
    const [item] = await store().getOffsets(billing, [{ topicId, partition: 0 }]);
    const committed = { offset: 8, metadata: '', committedAt: 6_000, epoch: 4 };
    expect(item).toEqual({ topicId, partition: 0, version: 2, owner: undefined, committed });
    // Who was taken out commits no longer.
    const [late] = await store().commitOffsets(
      billing,
      { memberId: 'm1' as MemberId, memberEpoch: 3 },
      [commitOf(0, 1)],
      7_000,
    );
    expect(late).toMatchObject({ outcome: 'refused' });
  });

  test('without a member nothing is committed over a later epoch, nor taken from an owner of one', async () => {
    await own('m1', 4, 0);
    await store().commitOffsets(billing, { groupEpoch: 4 }, [commitOf(1, 7)], 5_000);
    const late = [
      commitOf(1, 3),
      { ...commitOf(0, 3), ownerGoneAtVersion: 1 },
      { ...commitOf(1, 3), ownerGoneAtVersion: 0 },
    ];
    for (const commit of late) {
      const [outcome] = await store().commitOffsets(billing, { groupEpoch: 3 }, [commit], 9_000);
      expect(outcome?.outcome).toBe('refused');
    }
    const [owned, free] = await store().getOffsets(billing, [commitOf(0, 0), commitOf(1, 0)]);
    expect(owned).toMatchObject({ owner: { memberId: 'm1', memberEpoch: 4 }, committed: undefined });
    expect(free?.committed).toMatchObject({ offset: 7, epoch: 4 });
  });

  test('the last of many commits stays, whatever the clocks say, and its time rises', async () => {
    await own('m1', 3, 0);
    const times: number[] = [];
    for (const [offset, at] of [
      [10, 5_000],
      [20, 5_000],
      [20, 5_000],
      [15, 4_000],
      [30, 9_000],
    ] as const) {
      const commits = [commitOf(0, offset)];
      const outcomes = await store().commitOffsets(
        billing,
        { memberId: 'm1' as MemberId, memberEpoch: 3 },
        commits,
        at,
      );
      expect(outcomes).toEqual([{ outcome: 'committed' }]);
      const committed = await committedAt(0);
      expect(committed?.offset).toBe(offset);
      times.push(committed?.committedAt ?? 0);
    }
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times.at(-1)).toBe(9_000);
  });

  test('offsets of many partitions come in the order asked for, and all of them by topic and partition', async () => {
    const partitions = Array.from({ length: 250 }, (_, index) => index * 3);
    await store().commitOffsets(
      billing,
      { groupEpoch: 0 },
      partitions.map((partition) => commitOf(partition, partition + 1)),
      5_000,
    );
    await store().commitOffsets(billing, { groupEpoch: 0 }, [{ ...commitOf(1, 77), topicId: otherTopicId }], 5_000);
    const asked = partitions.toReversed().flatMap((partition) => [partition, partition + 1]);
    const found = await store().getOffsets(
      billing,
      asked.map((partition) => ({ topicId, partition })),
    );
    expect(found.map((item) => item?.committed?.offset)).toEqual(
      asked.map((one) => (one % 3 === 0 ? one + 1 : undefined)),
    );
    const all = await store().listOffsets(billing);
    expect(all.map((item) => [item.topicId, item.partition])).toEqual([
      ...partitions.map((partition) => [topicId, partition]),
      [otherTopicId, 1],
    ]);
    expect(await store().listOffsets('nobody' as GroupId)).toEqual([]);
  });
}

function testDeletes(store: () => GroupStore): void {
  test('a deleted group is gone with its offsets, and others are not', async () => {
    const group = groupOf();
    await store().changeGroup({ group, seenVersion: undefined, puts: [], removes: [] });
    const other = groupOf({ groupId: 'billing-2' as GroupId });
    await store().changeGroup({ group: other, seenVersion: undefined, puts: [], removes: [] });
    const commits = Array.from({ length: 130 }, (_, partition) => ({ topicId, partition, offset: 1, metadata: '' }));
    await store().commitOffsets(billing, { groupEpoch: 1 }, commits, 5_000);
    await store().commitOffsets(other.groupId, { groupEpoch: 1 }, commits, 5_000);
    expect(await store().deleteGroup(headOf(group), 6_000)).toBe('deleted');
    expect(await store().getGroup(billing)).toBeUndefined();
    expect(await store().listOffsets(billing)).toEqual([]);
    expect((await store().listGroups({ limit: 10 })).map(({ groupId }) => groupId)).toEqual(['billing-2']);
    expect((await store().listOffsets(other.groupId)).length).toBe(130);
  });

  test('a group is made again at a higher epoch than it was deleted at, and no lower', async () => {
    const group = groupOf({ groupEpoch: 5 });
    await store().changeGroup({ group, seenVersion: undefined, puts: [], removes: [] });
    expect(await store().getDeletedEpoch(billing)).toBeUndefined();
    await store().deleteGroup(headOf(group), 6_000);
    expect(await store().getGroup(billing)).toBeUndefined();
    expect(await store().getGroupHead(billing)).toBeUndefined();
    const deletedEpoch = (await store().getDeletedEpoch(billing)) ?? 0;
    expect(deletedEpoch).toBeGreaterThanOrEqual(5);
    expect(await store().getDeletedEpoch('billing-2' as GroupId)).toBeUndefined();

    const makeAt = async (groupEpoch: number) => {
      const again = groupOf({ groupEpoch, version: 77 });
      return await store().changeGroup({ group: again, seenVersion: undefined, puts: [], removes: [] });
    };
    expect(await makeAt(1)).toBe('conflict');
    expect(await makeAt(deletedEpoch)).toBe('conflict');
    expect(await store().getGroup(billing)).toBeUndefined();
    expect(await makeAt(deletedEpoch + 1)).toBe('changed');
    expect(await store().getGroupHead(billing)).toMatchObject({ groupEpoch: deletedEpoch + 1, version: 77 });
    expect(await store().getDeletedEpoch(billing)).toBeUndefined();
    expect(await makeAt(deletedEpoch + 2)).toBe('conflict');
  });

  test('nothing that was seen of a group is written to it when it is deleted', async () => {
    const group = groupOf({ memberCount: 0 });
    const session = sessionOf('m1');
    const puts = [{ session, seenVersion: undefined }];
    await store().changeGroup({ group, seenVersion: undefined, puts, removes: [] });
    await store().deleteGroup(headOf(group), 6_000);
    const next = { ...group, version: 2 };
    expect(await store().changeGroup({ group: next, seenVersion: 1, puts: [], removes: [] })).toBe('conflict');
    await store().scheduleCheck(billing, group.checkAt, 9_000);
    expect(await store().deleteGroup(headOf(group), 7_000)).toBe('conflict');
    expect((await store().renewSession(billing, session.memberId, 1, 2_000)).head).toBeUndefined();
    expect(await store().getGroup(billing)).toBeUndefined();
    expect(await store().listGroups({ limit: 10 })).toEqual([]);
  });

  test('a group that has changed since it was seen stays as it is', async () => {
    const group = groupOf();
    await store().changeGroup({ group, seenVersion: undefined, puts: [], removes: [] });
    await store().commitOffsets(
      billing,
      { groupEpoch: 1 },
      [{ topicId, partition: 0, offset: 1, metadata: '' }],
      5_000,
    );
    expect(await store().deleteGroup({ ...headOf(group), version: 0 }, 6_000)).toBe('conflict');
    expect(await store().getGroup(billing)).toEqual({ group, sessions: [] });
    expect((await store().listOffsets(billing)).length).toBe(1);
    expect(await store().deleteGroup({ ...headOf(group), groupId: 'nobody' as GroupId }, 6_000)).toBe('conflict');
  });
}
