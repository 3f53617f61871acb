import { describe, expect, test } from 'vitest';
import { isLogError, LogError } from '../../lib/errors.ts';
import type { InstanceId, MemberId } from '../../lib/ids.ts';
import { groupCheckMsMax, groupMembersMax, handOverPartitionsMax } from '../../lib/limits.ts';
import { groupOf, memberOf, sessionOf } from '../contract/group-store.ts';
import { billing, openGroupLog, orders, returns, settle, TestConsumer } from './group-fixture.ts';

const all = (count: number) => Array.from({ length: count }, (_, partition) => `orders/${partition}`);
const sorted = (places: readonly string[]) => places.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }));

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return isLogError(error) ? error.code : `no error of the log: ${error}`;
}

describe('members', () => {
  test('the first one has everything at once', async () => {
    const { groups } = await openGroupLog();
    const consumer = await new TestConsumer(groups, 'm1').join();
    expect(consumer.holds).toEqual(all(6));
    expect(consumer.last).toMatchObject({ memberId: 'm1', memberEpoch: 1, heartbeatIntervalMs: 5_000 });
  });

  test('as many as a group may have can come back, and no more can come', async () => {
    const { groups, groupStore, clock } = await openGroupLog();
    const names = Array.from({ length: groupMembersMax }, (_, index) => `m${index}`);
    const members = names.map((name) => memberOf(name)).toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1));
    const group = groupOf({ members, memberCount: members.length, emptySince: undefined, checkAt: 0 });
    const puts = names.map((name) => ({ session: sessionOf(name, { seenAt: clock.nowMs }), seenVersion: undefined }));
    await groupStore.changeGroup({ group, seenVersion: undefined, puts, removes: [] });
    expect(await codeOf(new TestConsumer(groups, 'one-more').join())).toBe('GROUP_MAX_SIZE_REACHED');
    expect((await new TestConsumer(groups, 'm7').join()).memberEpoch).toBe(2);
  });

  test('one without an id is given one', async () => {
    const { groups } = await openGroupLog();
    const { memberId } = await groups.join({ groupId: billing, topics: [orders] });
    expect(memberId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test('a second one has its share as soon as the first has given it up, and not before', async () => {
    const { groups } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1').join();
    const second = await new TestConsumer(groups, 'm2').join();
    expect(second.holds).toEqual([]);
    expect(second.last).toMatchObject({ memberEpoch: 2, heartbeatIntervalMs: 1_000, assignment: [] });

    await first.heartbeat({ slow: true });
    expect([first.memberEpoch, first.told.length, first.holds.length]).toEqual([1, 3, 6]);
    await second.heartbeat();
    expect(second.holds).toEqual([]);
    first.letGo();
    await first.heartbeat();
    expect(first.memberEpoch).toBe(2);
    await second.heartbeat();
    expect([...first.holds, ...second.holds].toSorted()).toEqual(all(6));
    expect(second.holds.length).toBe(3);
  });

  test('one that leaves hands everything over at the next heartbeat of another', async () => {
    const { groups } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1').join();
    const second = await new TestConsumer(groups, 'm2').join();
    await settle(first, second);
    await first.leave();
    await second.heartbeat();
    expect(second.holds).toEqual(all(6));
    expect(await codeOf(first.heartbeat())).toBe('UNKNOWN_MEMBER_ID');
    expect(await codeOf(first.leave())).toBe('UNKNOWN_MEMBER_ID');
  });

  test('one that was not heard of for its session timeout is ended by the next who comes', async () => {
    const { groups, clock } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1').join();
    const second = await new TestConsumer(groups, 'm2').join();
    await settle(first, second);
    clock.nowMs += 45_000;
    await second.heartbeat();
    expect(second.holds.length).toBe(3);
    clock.nowMs += 1;
    await second.heartbeat();
    expect(second.holds).toEqual(all(6));
    expect(await codeOf(first.heartbeat())).toBe('UNKNOWN_MEMBER_ID');
    expect(await first.commit(['orders/0', 1])).toEqual(['UNKNOWN_MEMBER_ID']);
  });

  test('one with a session timeout of its own lives as long as that', async () => {
    const { groups, clock } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1', { sessionTimeoutMs: 6_000 }).join();
    expect(first.last?.heartbeatIntervalMs).toBe(2_000);
    const second = await new TestConsumer(groups, 'm2', { sessionTimeoutMs: 100_000 }).join();
    await settle(first, second);
    clock.nowMs += 6_001;
    await second.heartbeat();
    expect(second.holds).toEqual(all(6));
  });

  test('one that changes its timeouts is judged by the new ones', async () => {
    const { groups, clock } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1').join();
    const second = await new TestConsumer(groups, 'm2', { sessionTimeoutMs: 100_000 }).join();
    await settle(first, second);
    const { memberId, memberEpoch } = first;
    const shorter = await groups.heartbeat({ groupId: billing, memberId, memberEpoch, sessionTimeoutMs: 9_000 });
    expect(shorter).toEqual({ memberId, memberEpoch, heartbeatIntervalMs: 3_000 });
    clock.nowMs += 9_001;
    await second.heartbeat();
    expect(second.holds).toEqual(all(6));
  });

  test('one that does not give up in time what it must is ended, though it goes on with its heartbeats', async () => {
    const { groups, clock } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1', { rebalanceTimeoutMs: 10_000 }).join();
    const second = await new TestConsumer(groups, 'm2').join();
    await first.heartbeat({ slow: true });
    clock.nowMs += 10_000;
    await first.heartbeat({ slow: true });
    expect(first.memberEpoch).toBe(1);
    clock.nowMs += 1;
    expect(await codeOf(first.heartbeat({ slow: true }))).toBe('FENCED_MEMBER_EPOCH');
    expect(await codeOf(first.heartbeat({ slow: true }))).toBe('UNKNOWN_MEMBER_ID');
    await second.heartbeat();
    expect(second.holds).toEqual(all(6));
  });

  test('one that gives up in the last moment, though late, stays', async () => {
    const { groups, clock } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1', { rebalanceTimeoutMs: 10_000 }).join();
    await new TestConsumer(groups, 'm2').join();
    await first.heartbeat();
    clock.nowMs += 10_001;
    await first.heartbeat();
    expect([first.memberEpoch, first.holds.length]).toEqual([2, 3]);
  });

  test('one that comes back under its id begins anew with the same target', async () => {
    const { groups } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1').join();
    const second = await new TestConsumer(groups, 'm2').join();
    await settle(first, second);
    const had = sorted(first.holds);
    await first.join();
    expect(sorted(first.holds)).toEqual(had);
    expect(first.memberEpoch).toBe(2);
    await second.heartbeat();
    expect(second.memberEpoch).toBe(2);
  });

  test('a member that was frozen and wakes is fenced, and what it commits is refused', async () => {
    const { groups, clock } = await openGroupLog();
    const frozen = await new TestConsumer(groups, 'm1').join();
    const second = await new TestConsumer(groups, 'm2').join();
    await settle(frozen, second);
    const held = frozen.holds[0] ?? '';
    clock.nowMs += 40_000;
    await second.heartbeat();
    clock.nowMs += 5_001;
    await second.heartbeat();
    expect(await frozen.commit([held, 7])).toEqual(['UNKNOWN_MEMBER_ID']);
    expect(await second.commit([held, 9])).toEqual(['committed']);
    expect(await codeOf(frozen.heartbeat())).toBe('UNKNOWN_MEMBER_ID');
  });

  test('an epoch that the member never had, or had long ago, is fenced and renews nothing', async () => {
    const { groups, clock } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1').join();
    for (const id of ['m2', 'm3']) await settle(first, await new TestConsumer(groups, id).join());
    expect(first.memberEpoch).toBe(3);
    for (const memberEpoch of [1, 4, 99]) {
      first.memberEpoch = memberEpoch;
      expect(await codeOf(first.heartbeat())).toBe('FENCED_MEMBER_EPOCH');
    }
    first.memberEpoch = 1;
    clock.nowMs += 45_001;
    await codeOf(first.heartbeat());
    const { members } = await groups.describe(billing);
    expect(members).toEqual([]);
  });

  test('a heartbeat whose answer was lost is answered again, with the assignment', async () => {
    const { groups } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1').join();
    const second = await new TestConsumer(groups, 'm2').join();
    await first.heartbeat();
    const [told, owned] = [first.told, first.owned()];
    await first.heartbeat();
    expect(first.memberEpoch).toBe(2);
    const again = { groupId: billing, memberId: first.memberId, memberEpoch: 1 };
    const answer = await groups.heartbeat({ ...again, owned });
    expect(answer.memberEpoch).toBe(2);
    expect(answer.assignment?.[0]?.partitions.map((one) => `orders/${one}`)).toEqual(told);
    expect(await codeOf(groups.heartbeat(again))).toBe('FENCED_MEMBER_EPOCH');
    const more = [{ topic: orders, partitions: [0, 1, 2, 3, 4, 5] }];
    expect(await codeOf(groups.heartbeat({ ...again, owned: more }))).toBe('FENCED_MEMBER_EPOCH');
    await settle(first, second);
  });

  test('a lost answer that gave more partitions at the same epoch is made up when the member says what it holds', async () => {
    const { groups } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1').join();
    const second = await new TestConsumer(groups, 'm2').join();
    await first.heartbeat();
    await first.heartbeat();
    const lost = await groups.heartbeat({ groupId: billing, memberId: second.memberId, memberEpoch: 2 });
    expect(lost.assignment?.[0]?.partitions.length).toBe(3);
    const unsaid = await groups.heartbeat({ groupId: billing, memberId: second.memberId, memberEpoch: 2 });
    expect(unsaid.assignment).toBeUndefined();
    const said = await groups.heartbeat({ groupId: billing, memberId: second.memberId, memberEpoch: 2, owned: [] });
    expect(said.assignment).toEqual(lost.assignment);
  });

  test('more partitions than one step hands over change hands in one heartbeat all the same', async () => {
    const count = handOverPartitionsMax * 2 + 5;
    const { groups } = await openGroupLog({ topics: { orders: count } });
    const first = await new TestConsumer(groups, 'm1').join();
    expect(first.holds.length).toBe(count);
    const second = await new TestConsumer(groups, 'm2').join();
    expect(await settle(first, second)).toBeLessThanOrEqual(3);
    expect(sorted([...first.holds, ...second.holds])).toEqual(all(count));
    await first.leave();
    await second.heartbeat();
    expect(second.holds.length).toBe(count);
  });
});

describe('static members', () => {
  const instanceId = 'i1' as InstanceId;

  test('one that leaves for a while finds its partitions when it comes back, under any id, and nobody else moves', async () => {
    const { groups, clock } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1', { instanceId }).join();
    const second = await new TestConsumer(groups, 'm2').join();
    await settle(first, second);
    const had = sorted(first.holds);
    await first.leave(true);
    clock.nowMs += 30_000;
    await second.heartbeat();
    expect(second.holds.length).toBe(3);
    const back = await new TestConsumer(groups, 'm3', { instanceId }).join();
    expect(sorted(back.holds)).toEqual(had);
    expect(await second.heartbeat()).toMatchObject({ memberEpoch: 2 });
    await back.leave(true);
    const again = await new TestConsumer(groups, 'm3', { instanceId }).join();
    expect(sorted(again.holds)).toEqual(had);
  });

  test('one that is away heartbeats no more, and its session ends as any other', async () => {
    const { groups, clock } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1', { instanceId }).join();
    const second = await new TestConsumer(groups, 'm2').join();
    await settle(first, second);
    await first.leave(true);
    expect(await codeOf(first.heartbeat())).toBe('FENCED_MEMBER_EPOCH');
    clock.nowMs += 45_001;
    await second.heartbeat();
    expect(second.holds).toEqual(all(6));
    expect(await codeOf(first.heartbeat())).toBe('UNKNOWN_MEMBER_ID');
  });

  test('what others are given while it is away they have at once', async () => {
    const { groups } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1', { instanceId }).join();
    await first.leave(true);
    const second = await new TestConsumer(groups, 'm2').join();
    expect(second.holds.length).toBe(3);
    const back = await new TestConsumer(groups, 'm1', { instanceId }).join();
    expect(sorted([...back.holds, ...second.holds])).toEqual(all(6));
  });

  test('an instance that is active is not released, unless its session is over', async () => {
    const { groups, clock } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1', { instanceId }).join();
    const second = new TestConsumer(groups, 'm2', { instanceId });
    expect(await codeOf(second.join())).toBe('UNRELEASED_INSTANCE_ID');
    clock.nowMs += 45_001;
    await second.join();
    expect(second.holds).toEqual(all(6));
    expect(second.memberEpoch).toBe(1);
    expect(await codeOf(first.heartbeat())).toBe('FENCED_INSTANCE_ID');
    expect(await first.commit(['orders/0', 5])).toEqual(['UNKNOWN_MEMBER_ID']);
    expect(await second.commit(['orders/0', 6])).toEqual(['committed']);
  });

  test('only a static member leaves for a while', async () => {
    const { groups } = await openGroupLog();
    const first = await new TestConsumer(groups, 'm1').join();
    expect(await codeOf(first.leave(true))).toBe('INVALID_REQUEST');
  });
});

describe('what a group consumes', () => {
  test('a topic that grows, comes or goes is noticed within a minute', async () => {
    const { log, groups, clock } = await openGroupLog({ topics: { orders: 2 } });
    const consumer = await new TestConsumer(groups, 'm1', { topics: [orders, returns] }).join();
    expect(consumer.holds).toEqual(all(2));
    await log.topics.alter({ topic: orders, partitionCount: 4 });
    await log.topics.create({ topic: returns, partitionCount: 1 });
    const heartbeatsFor = async (ms: number) => {
      for (let at = 0; at < ms; at += 5_000) {
        clock.nowMs += 5_000;
        await consumer.heartbeat();
      }
    };
    await heartbeatsFor(groupCheckMsMax);
    expect(consumer.holds).toEqual([...all(4), 'returns/0']);
    await log.topics.delete(orders);
    await heartbeatsFor(groupCheckMsMax + 5_000);
    expect(consumer.holds).toEqual(['returns/0']);
    await log.topics.create({ topic: orders, partitionCount: 1 });
    await heartbeatsFor(groupCheckMsMax + 5_000);
    expect(consumer.holds).toEqual(['orders/0', 'returns/0']);
  });

  test('a member that changes its subscription gives up the one topic and is given the other', async () => {
    const { groups } = await openGroupLog({ topics: { orders: 2, returns: 2 } });
    const consumer = await new TestConsumer(groups, 'm1').join();
    const { memberId, memberEpoch } = consumer;
    const told = await groups.heartbeat({ groupId: billing, memberId, memberEpoch, topics: [returns] });
    expect(told).toMatchObject({ memberEpoch: 1, assignment: [] });
    const given = await groups.heartbeat({ groupId: billing, memberId, memberEpoch, owned: [] });
    expect(given).toMatchObject({ memberEpoch: 2, assignment: [{ topic: 'returns', partitions: [0, 1] }] });
    const same = await groups.heartbeat({ groupId: billing, memberId, memberEpoch: 2, topics: [returns] });
    expect([same.memberEpoch, same.assignment]).toEqual([2, undefined]);
  });

  test('the assignor that most members ask for is used', async () => {
    const { groups } = await openGroupLog({ topics: { orders: 4, returns: 4 } });
    const join = async (id: string, assignor: string) =>
      await new TestConsumer(groups, id, { topics: [orders, returns], assignor }).join();
    const members = [await join('m1', 'range'), await join('m2', 'range'), await join('m3', 'uniform')];
    await settle(...members);
    expect((await groups.describe(billing)).assignor).toBe('range');
    for (const { holds } of members) {
      const partitions = (topic: string) =>
        holds.filter((one) => one.startsWith(topic)).map((one) => one.split('/')[1]);
      expect(partitions('orders')).toEqual(partitions('returns'));
    }
    expect(await codeOf(join('m4', 'sticky'))).toBe('UNSUPPORTED_ASSIGNOR');
    const [first] = members;
    const other = { groupId: billing, memberId: 'm1' as MemberId, memberEpoch: first?.memberEpoch ?? 0 };
    expect(await codeOf(groups.heartbeat({ ...other, assignor: 'sticky' }))).toBe('UNSUPPORTED_ASSIGNOR');
  });
});

describe('a quiet heartbeat', () => {
  test('is one call to the store, whoever else is in the group', async () => {
    const { groups, calls } = await openGroupLog({ topics: { orders: 60 } });
    const consumers: TestConsumer[] = [];
    for (let index = 0; index < 20; index++) consumers.push(await new TestConsumer(groups, `m${index}`).join());
    await settle(...consumers);
    calls();
    for (const consumer of consumers) await consumer.heartbeat();
    for (const consumer of consumers) await consumer.heartbeat({ says: false });
    expect(calls()).toEqual(Array.from({ length: 40 }, () => 'renewSession'));
  });

  test('of one member in a minute looks at the whole group', async () => {
    const { groups, calls, clock } = await openGroupLog();
    const consumer = await new TestConsumer(groups, 'm1').join();
    calls();
    for (let at = 0; at < 10 * groupCheckMsMax; at += 5_000) {
      clock.nowMs += 5_000;
      await consumer.heartbeat();
    }
    const made = calls();
    expect(made.filter((name) => name === 'renewSession').length).toBe(120);
    expect(made.filter((name) => name === 'getGroup').length).toBe(10);
    expect(made.filter((name) => name === 'scheduleCheck').length).toBe(10);
    expect(made.length).toBe(140);
  });
});

test('a group that others change all the time is told to try again, and nothing is half done', async () => {
  const { groups } = await openGroupLog({
    wrap: (store) => ({ ...methodsOf(store), changeGroup: async () => 'conflict' }),
  });
  const error = await new TestConsumer(groups, 'm1').join().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(LogError);
  expect(error).toMatchObject({ code: 'KAFKA_STORAGE_ERROR', retriable: true, effect: 'none' });
  expect(await codeOf(groups.describe(billing))).toBe('GROUP_ID_NOT_FOUND');
});

function methodsOf<Store extends object>(store: Store): Store {
  return Object.fromEntries(Object.keys(store).map((name) => [name, Reflect.get(store, name)])) as Store;
}
