import { describe, expect, it } from 'vitest';
import type { FinishedRequest } from '../../lib/api/app.ts';
import { groupAnswer, heartbeatAnswer } from '../../lib/api/group-schemas.ts';
import { batchOf, type Door, openApp } from './harness.ts';

const heartbeats = '/v1/groups/billing/heartbeat';
const offsets = '/v1/groups/billing/offsets';

async function openGroups(): Promise<Door> {
  const door = openApp();
  await door.call('POST', '/v1/topics', { topic: 'orders', partitions: 2 });
  await door.call('POST', '/v1/topics', { topic: 'returns' });
  return door;
}

const join = (door: Door, memberId: string, more = {}) =>
  door.call('POST', heartbeats, { memberId, memberEpoch: 0, topics: ['orders'], ...more });

describe('a heartbeat', () => {
  it('joins, stays, gives up, is given, and leaves', async () => {
    await using door = await openGroups();
    const first = await join(door, 'm1');
    expect(first.status).toBe(200);
    const [{ topicId }] = first.json.assignment;
    expect(first.json).toEqual({
      memberId: 'm1',
      memberEpoch: 1,
      heartbeatIntervalMs: 5_000,
      assignment: [{ topic: 'orders', topicId, partitions: [0, 1] }],
    });
    heartbeatAnswer.parse(first.json);
    expect((await door.call('POST', heartbeats, { memberId: 'm1', memberEpoch: 1 })).json).toEqual({
      memberId: 'm1',
      memberEpoch: 1,
      heartbeatIntervalMs: 5_000,
    });

    const second = await join(door, 'm2');
    expect(second.json).toMatchObject({ memberEpoch: 2, heartbeatIntervalMs: 1_000, assignment: [] });
    const told = await door.call('POST', heartbeats, { memberId: 'm1', memberEpoch: 1 });
    expect(told.json).toMatchObject({ memberEpoch: 1, assignment: [{ topic: 'orders', partitions: [0] }] });
    const owned = [{ topic: 'orders', partitions: [0] }];
    expect((await door.call('POST', heartbeats, { memberId: 'm1', memberEpoch: 1, owned })).json.memberEpoch).toBe(2);
    const given = await door.call('POST', heartbeats, { memberId: 'm2', memberEpoch: 2 });
    expect(given.json.assignment).toEqual([{ topic: 'orders', topicId, partitions: [1] }]);
    const withIds = [{ topic: 'orders', topicId, partitions: [1] }];
    const quiet = await door.call('POST', heartbeats, { memberId: 'm2', memberEpoch: 2, owned: withIds });
    expect(quiet.json).toEqual({ memberId: 'm2', memberEpoch: 2, heartbeatIntervalMs: 5_000 });

    const left = await door.call('POST', heartbeats, { memberId: 'm1', memberEpoch: -1 });
    expect([left.status, left.json]).toEqual([200, { memberId: 'm1', memberEpoch: -1 }]);
    const all = await door.call('POST', heartbeats, { memberId: 'm2', memberEpoch: 2 });
    expect(all.json).toMatchObject({ memberEpoch: 3, assignment: [{ partitions: [0, 1] }] });
  });

  it('makes a member id, and takes a static member back', async () => {
    await using door = await openGroups();
    const body = { memberEpoch: 0, topics: ['orders'], instanceId: 'i1' };
    const first = await door.call('POST', heartbeats, body);
    const { memberId } = first.json;
    expect(memberId).toMatch(/^[0-9a-f-]{36}$/);
    expect((await door.call('POST', heartbeats, body)).json).toMatchObject({
      status: 409,
      code: 'UNRELEASED_INSTANCE_ID',
    });
    const away = await door.call('POST', heartbeats, { memberId, memberEpoch: -2, instanceId: 'i1' });
    expect(away.json).toEqual({ memberId, memberEpoch: -2 });
    const back = await door.call('POST', heartbeats, body);
    expect(back.json).toMatchObject({ memberEpoch: 1, assignment: [{ partitions: [0, 1] }] });
    const fenced = await door.call('POST', heartbeats, { memberId, memberEpoch: 1, instanceId: 'i1' });
    expect(fenced.json).toMatchObject({ status: 409, code: 'FENCED_INSTANCE_ID', retriable: false, effect: 'none' });
  });

  it('is told of in the log of requests', async () => {
    const lines: FinishedRequest[] = [];
    await using door = openApp({ onRequest: (line) => lines.push(line) });
    await join(door, 'm1');
    await door.call('POST', offsets, {
      memberId: 'm1',
      memberEpoch: 1,
      offsets: [{ topic: 'a', partition: 0, offset: 1 }],
    });
    expect(lines).toMatchObject([
      { api: 'heartbeat', groupId: 'billing', memberEpoch: 0, status: 200 },
      { api: 'commitOffsets', groupId: 'billing', memberEpoch: 1, status: 404 },
    ]);
  });
});

describe('committed offsets', () => {
  it('are committed by a member and read back, 207 when some fail', async () => {
    await using door = await openGroups();
    await join(door, 'm1');
    const member = { memberId: 'm1', memberEpoch: 1 };
    const entry = { topic: 'orders', partition: 0, offset: 42, metadata: 'page 7' };
    const committed = await door.call('POST', offsets, { ...member, offsets: [entry] });
    expect([committed.status, committed.json]).toEqual([200, { results: [{ topic: 'orders', partition: 0 }] }]);

    const other = { topic: 'returns', partition: 0, offset: 1 };
    const some = await door.call('POST', offsets, { ...member, offsets: [{ ...entry, offset: 43 }, other] });
    expect(some.status).toBe(207);
    expect(some.json.results).toMatchObject([
      { topic: 'orders', partition: 0 },
      { topic: 'returns', partition: 0, status: 409, code: 'STALE_MEMBER_EPOCH', effect: 'none' },
    ]);
    const none = await door.call('POST', offsets, { ...member, offsets: [other] });
    expect(none.status).toBe(409);
    expect(none.json).toMatchObject({ code: 'STALE_MEMBER_EPOCH', results: [{ code: 'STALE_MEMBER_EPOCH' }] });

    const read = await door.call('GET', offsets);
    const found = { topicId: expect.any(String), committedAt: expect.any(Number) };
    expect(read.json).toEqual({ offsets: [{ ...entry, offset: 43, ...found }] });
    expect((await door.call('GET', `${offsets}?topic=returns`)).json).toEqual({ offsets: [] });
    expect((await door.call('GET', `${offsets}?topic=returns,orders`)).json.offsets).toHaveLength(1);
    expect((await door.call('GET', '/v1/groups/nobody/offsets')).json).toEqual({ offsets: [] });
  });

  it('are committed without a member while there is none', async () => {
    await using door = await openGroups();
    const body = { offsets: [{ topic: 'orders', partition: 0, offset: 1 }] };
    expect((await door.call('POST', offsets, body)).status).toBe(200);
    await join(door, 'm1');
    const refused = await door.call('POST', offsets, body);
    expect(refused.json).toMatchObject({ status: 404, code: 'UNKNOWN_MEMBER_ID' });
  });
});

describe('groups', () => {
  it('are described with lag, reset while they have no members, listed and deleted', async () => {
    await using door = await openGroups();
    await door.produceBatches('orders', [{ partition: 1, batch: batchOf(['a', 'b', 'c']) }]);
    await join(door, 'm1');
    await door.call('POST', offsets, {
      memberId: 'm1',
      memberEpoch: 1,
      offsets: [{ topic: 'orders', partition: 1, offset: 1 }],
    });
    const { json } = await door.call('GET', '/v1/groups/billing');
    groupAnswer.parse(json);
    expect(json).toMatchObject({
      groupId: 'billing',
      state: 'STABLE',
      groupEpoch: 1,
      assignor: 'uniform',
      members: [{ memberId: 'm1', instanceId: null, state: 'STABLE', topics: ['orders'] }],
      partitions: [
        {
          topic: 'orders',
          partition: 0,
          committedOffset: null,
          metadata: null,
          highWatermark: 0,
          lag: null,
          memberId: 'm1',
        },
        { topic: 'orders', partition: 1, committedOffset: 1, metadata: '', highWatermark: 3, lag: 2, memberId: 'm1' },
      ],
    });
    const reset = (body: object) => door.call('POST', `${offsets}/reset`, { topic: 'orders', ...body });
    expect((await reset({ to: 'earliest' })).json).toMatchObject({ status: 409, code: 'NON_EMPTY_GROUP' });
    expect((await door.call('DELETE', '/v1/groups/billing')).json.code).toBe('NON_EMPTY_GROUP');

    await door.call('POST', heartbeats, { memberId: 'm1', memberEpoch: -1 });
    const placesOf = ({ json }: { json: { offsets: { partition: number; offset: number }[] } }) =>
      json.offsets.map(({ partition, offset }) => [partition, offset]);
    expect(placesOf(await reset({ to: { shift: 1 } }))).toEqual([[1, 2]]);
    expect(placesOf(await reset({ to: 'latest' }))).toEqual([
      [0, 0],
      [1, 3],
    ]);
    expect(placesOf(await reset({ to: 0, partitions: [1] }))).toEqual([[1, 0]]);
    expect((await reset({ to: 'middle' })).json.code).toBe('INVALID_REQUEST');

    await door.call('POST', '/v1/groups/archive/heartbeat', { memberEpoch: 0, topics: ['orders'] });
    const first = await door.call('GET', '/v1/groups?limit=1');
    expect(first.json).toEqual({ groups: [{ groupId: 'archive', groupEpoch: 1, memberCount: 1 }], next: 'archive' });
    const second = await door.call('GET', '/v1/groups?limit=1&after=archive');
    expect(second.json).toEqual({ groups: [{ groupId: 'billing', groupEpoch: 2, memberCount: 0 }] });

    const deleted = await door.call('DELETE', '/v1/groups/billing');
    expect([deleted.status, deleted.bytes.length]).toEqual([204, 0]);
    for (const method of ['GET', 'DELETE']) {
      expect((await door.call(method, '/v1/groups/billing')).json).toMatchObject({
        status: 404,
        code: 'GROUP_ID_NOT_FOUND',
      });
    }
  });
});
