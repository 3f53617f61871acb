/** What the simulation found in groups, each in as few requests as it takes. */

import { expect, test } from 'vitest';
import { systemRandomBytes } from '../../lib/clock.ts';
import { createLog } from '../../lib/create-log.ts';
import { LogError } from '../../lib/errors.ts';
import type { MemberId, TopicId } from '../../lib/ids.ts';
import type { GroupStore } from '../../lib/store/group-store.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';
import { DynamoDbDouble } from '../simulation/aws/dynamodb.ts';
import { connectionLost, denied, isOfOffset, openStore } from '../support/dynamodb-double.ts';
import { billing, openGroupLog, orders, TestConsumer } from './group-fixture.ts';

const openDouble = () => new DynamoDbDouble({ nowMs: Date.now });

/** On DynamoDB; what `isDenied` says is denied, by the operation and the sort key of the first item. */
function openFailingStore(isDenied: (operation: string, sk: string) => boolean) {
  return openStore(openDouble(), (operation, input, request) => {
    const { Key } = input.TransactItems?.[0]?.Delete ?? input;
    if (!isDenied(operation, Key?.sk?.S ?? '')) return request();
    throw denied();
  });
}

/** Commits to partition 1 are denied. */
const openDenyingStore = () =>
  openFailingStore((operation, sk) => operation === 'UpdateItem' && /^offset\/.*\/0*1$/.test(sk));

// A member committed several partitions, DynamoDB turned one of them down, and the whole request was told to have had no
// effect; the others were committed.
test.each(['a member', 'somebody outside'])(
  'a commit of %s that fails in one partition tells that of no other',
  async (who) => {
    const { groups } = await openGroupLog({ metadataStore: openDenyingStore() });
    const member = { memberId: 'm1' as MemberId, memberEpoch: 1 };
    if (who === 'a member') await groups.join({ groupId: billing, topics: [orders], memberId: member.memberId });
    const offsets = [0, 1, 2].map((partition) => ({ topic: orders, partition, offset: 7 }));
    const results = await groups.commitOffsets({
      groupId: billing,
      offsets,
      ...(who === 'a member' ? { member } : {}),
    });
    expect(results.map(({ error }) => error?.code)).toEqual([undefined, 'KAFKA_STORAGE_ERROR', undefined]);
    const committed = await groups.fetchOffsets({ groupId: billing });
    expect(committed.map(({ partition }) => partition)).toEqual([0, 2]);
  },
);

test('a reset that fails in one partition may have been done in others, and says so', async () => {
  const { groups } = await openGroupLog({ metadataStore: openDenyingStore() });
  const reset = groups.resetOffsets({ groupId: billing, topic: orders, to: 'earliest' });
  await expect(reset).rejects.toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'unknown' });
});

// A commit was carried out without an answer, and seen; before it was sent again its member lost the partition, and was told
// that the commit had had no effect. The simulation found it (seeds 4371 and 4870 of profile aws).
test('a commit that is refused when it is sent again may have been done', async () => {
  const double = openDouble();
  const good = await openGroupLog({ metadataStore: openStore(double) });
  let isFirst = true;
  const faulty = openStore(double, async (operation, input, request) => {
    const output = request();
    if (!isOfOffset(operation, input) || !isFirst) return output;
    isFirst = false;
    await good.groups.leave({ groupId: billing, memberId: 'm1' as MemberId, isTemporary: false });
    const next = await good.groups.join({ groupId: billing, topics: [orders], memberId: 'm2' as MemberId });
    const offsets = [{ topic: orders, partition: 0, offset: 9 }];
    const member = { memberId: next.memberId, memberEpoch: next.memberEpoch };
    await good.groups.commitOffsets({ groupId: billing, member, offsets });
    throw connectionLost();
  });
  const { memberId, memberEpoch } = await good.groups.join({
    groupId: billing,
    topics: [orders],
    memberId: 'm1' as MemberId,
  });
  const { topicId } = await good.log.topics.get(orders);
  const commits = [{ topicId, partition: 0, offset: 7, metadata: '' }];
  const [outcome] =
    (await faulty.groupStore?.commitOffsets(billing, { memberId, memberEpoch }, commits, Date.now())) ?? [];
  expect(outcome).toMatchObject({ outcome: 'failed', error: { code: 'KAFKA_STORAGE_ERROR', effect: 'unknown' } });
});

/**
 * On DynamoDB; the first attempt of a commit, or of one that takes an owner out, has no answer, and is carried out only when
 * `late` is called.
 */
function openLateStore({ takesOwnerOut = false } = {}) {
  let late: (() => object) | undefined;
  const metadataStore = openStore(openDouble(), (operation, input, request) => {
    const isAsked = isOfOffset(operation, input) && input.UpdateExpression?.includes('REMOVE') === takesOwnerOut;
    if (!isAsked || late !== undefined) return request();
    late = request;
    throw connectionLost();
  });
  return { metadataStore, late: () => late?.() };
}

// An attempt of a commit had no answer and was sent again; before it was carried out all the same the group was deleted, and
// its member joined it anew. Epochs began at 1 again, so the offset of before was set in the new group. The simulation found
// it (seed 8022 of profile aws).
test.each(['a member', 'somebody outside', 'somebody outside, from an owner who is gone'])(
  'a commit of %s that is carried out after its group was deleted and made again sets nothing',
  async (who) => {
    const hasOwner = who === 'somebody outside, from an owner who is gone';
    const { metadataStore, late } = openLateStore({ takesOwnerOut: hasOwner });
    const { groups, groupStore } = await openGroupLog({ metadataStore, topics: { orders: 1 } });
    const join = async () => await new TestConsumer(groups, 'm1').join();
    const consumer = who === 'somebody outside' ? undefined : await join();
    if (hasOwner) await consumer?.leave();
    const offsets = [{ topic: orders, partition: 0, offset: 7 }];
    if (who === 'a member') expect(await consumer?.commit(['orders/0', 7])).toEqual(['committed']);
    else expect(await groups.commitOffsets({ groupId: billing, offsets })).toEqual([{ topic: orders, partition: 0 }]);
    if (who === 'a member') await consumer?.leave();
    await groups.delete(billing);

    const again = await join();
    expect(again.memberEpoch).toBeGreaterThan(consumer?.memberEpoch ?? 0);
    const before = await groupStore.listOffsets(billing);
    expect(late).toThrow(/condition/i);
    expect(await groupStore.listOffsets(billing)).toEqual(before);
    expect(await groups.fetchOffsets({ groupId: billing })).toEqual([]);
    expect(await again.commit(['orders/0', 1])).toEqual(['committed']);
  },
);

// The same from outside where nobody has claimed the partition yet: what it sets does not count.
test('a commit from outside that is carried out when its group is gone does not count in the next one', async () => {
  const { metadataStore, late } = openLateStore();
  const { groups } = await openGroupLog({ metadataStore });
  await groups.commitOffsets({ groupId: billing, offsets: [{ topic: orders, partition: 0, offset: 7 }] });
  await groups.delete(billing);
  late();
  await groups.commitOffsets({ groupId: billing, offsets: [{ topic: orders, partition: 1, offset: 8 }] });
  expect(await groups.fetchOffsets({ groupId: billing })).toMatchObject([{ partition: 1, offset: 8 }]);
  const consumer = await new TestConsumer(groups, 'm1').join();
  expect(await consumer.commit(['orders/0', 1])).toEqual(['committed']);
});

// Not the store but the member's own request may come that late.
test('a member of a group that was deleted and made again, and that it is in again, does not commit as of before', async () => {
  const { groups } = await openGroupLog();
  const before = await new TestConsumer(groups, 'm1').join();
  await before.leave();
  await groups.delete(billing);
  await new TestConsumer(groups, 'm1').join();
  expect(await before.commit(['orders/0', 7])).toEqual(['STALE_MEMBER_EPOCH']);
  await expect(before.heartbeat()).rejects.toMatchObject({ code: 'FENCED_MEMBER_EPOCH' });
});

/** A log whose group store is `changed` in some methods. */
const openChanged = (changed: (store: GroupStore) => Partial<GroupStore>) =>
  openGroupLog({
    wrap: (store) => {
      const methods = changed(store);
      return new Proxy(store, { get: (target, name) => Reflect.get(methods, name) ?? Reflect.get(target, name) });
    },
  });

// One partition of a commit was refused, and the look for the reason failed: so did the commit as a whole, with no effect.
test('a commit that is refused in one partition is told of the others, whatever the look for the reason says', async () => {
  let isFailing = false;
  const { groups } = await openChanged((store) => ({
    getGroup: async (groupId) => {
      if (isFailing) throw new LogError('KAFKA_STORAGE_ERROR', 'read failed', { effect: 'none' });
      return await store.getGroup(groupId);
    },
  }));
  const consumer = await new TestConsumer(groups, 'm1').join();
  const other = await new TestConsumer(groups, 'm2').join();
  await consumer.heartbeat();
  await consumer.heartbeat();
  await other.heartbeat();
  isFailing = true;
  const [kept = ''] = consumer.holds;
  const [given = ''] = other.holds;
  expect(await consumer.commit([kept, 1], [given, 1])).toEqual(['committed', 'KAFKA_STORAGE_ERROR']);
});

// A commit from outside met an owner, was tried again, met members by then, and was told to be done.
test('a commit from outside that is tried again is told what became of it then', async () => {
  let refusals = 0;
  const { groups } = await openChanged((store) => ({
    commitOffsets: async (groupId, committer, commits, at) => {
      if (committer.memberId !== undefined || refusals++ > 0)
        return await store.commitOffsets(groupId, committer, commits, at);
      await groups.join({ groupId, topics: [orders], memberId: 'm1' as MemberId });
      const items = await store.getOffsets(groupId, commits);
      return items.map((item) => ({ outcome: 'refused' as const, item }));
    },
  }));
  const offsets = [{ topic: orders, partition: 0, offset: 7 }];
  const results = await groups.commitOffsets({ groupId: billing, offsets });
  expect(results.map(({ error }) => error?.code)).toEqual(['UNKNOWN_MEMBER_ID']);
  expect(await groups.fetchOffsets({ groupId: billing })).toEqual([]);
});

// A delete that could not go on after its first step, which makes all offsets void, was told to have had no effect.
test('a group whose deletion is cut short tells that its offsets may be gone', async () => {
  const store = openFailingStore((operation, sk) => operation === 'TransactWriteItems' && sk.startsWith('offset/'));
  const { groups } = await openGroupLog({ metadataStore: store });
  await groups.commitOffsets({ groupId: billing, offsets: [{ topic: orders, partition: 0, offset: 7 }] });
  const deletion = groups.delete(billing);
  await expect(deletion).rejects.toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'unknown' });
  expect(await groups.fetchOffsets({ groupId: billing })).toEqual([]);
});

/** Another process on the stores of `opened`, which remembers topics for itself. */
async function openSecond() {
  const metadataStore = openSqliteMetadataStore(':memory:');
  const first = await openGroupLog({ metadataStore });
  const clock = { nowMs: () => first.clock.nowMs, sleep: async () => {} };
  const objectStore = createMemoryObjectStore({ clock, randomBytes: systemRandomBytes });
  const second = createLog({ objectStore, metadataStore, clock, randomBytes: systemRandomBytes });
  return { first: first.log, second };
}

// A process that remembered a topic from before it was deleted and made again took commits for the one of before, and told
// its committed offsets for those of the new one, whose readers would have skipped as much.
test('a process that knows a topic from before it was made again commits and fetches for the one that is there', async () => {
  const { first, second } = await openSecond();
  const offsets = [{ topic: orders, partition: 0, offset: 7 }];
  await second.groups.commitOffsets({ groupId: billing, offsets });
  await first.topics.delete(orders);
  const { topicId } = await first.topics.create({ topic: orders, partitionCount: 1 });
  expect(await second.groups.fetchOffsets({ groupId: billing, topics: [orders] })).toEqual([]);
  await first.topics.delete(orders);
  const again = await first.topics.create({ topic: orders, partitionCount: 1 });
  const commit = async (id: TopicId) => {
    const offsets = [{ topic: orders, topicId: id, partition: 0, offset: 3 }];
    const results = await second.groups.commitOffsets({ groupId: billing, offsets });
    return results.map(({ error }) => error?.code);
  };
  expect(await commit(again.topicId)).toEqual([undefined]);
  expect(await commit(topicId)).toEqual(['UNKNOWN_TOPIC_ID']);
  expect(await first.groups.fetchOffsets({ groupId: billing })).toMatchObject([{ topicId: again.topicId, offset: 3 }]);
});

test('a process that knows a topic from before it grew commits in its new partitions', async () => {
  const { first, second } = await openSecond();
  await second.topics.get(orders);
  await first.topics.alter({ topic: orders, partitionCount: 8 });
  const results = await second.groups.commitOffsets({
    groupId: billing,
    offsets: [{ topic: orders, partition: 7, offset: 1 }],
  });
  expect(results.map(({ error }) => error?.code)).toEqual([undefined]);
});
