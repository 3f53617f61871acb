/** The group function: its forms of event, and what it refuses. */

import { expect, test } from 'vitest';
import { openMemoryFunctions, readEvent } from './memory-function.ts';

const orders = { action: 'create', topic: 'orders', partitions: 2 };

test('a member joins, commits and asks for what is committed, whatever form carries it', async () => {
  await using functions = openMemoryFunctions();
  await functions.invoke('topics', orders);
  const joined = await functions.invoke('group', readEvent('rest-heartbeat'));
  expect(joined.statusCode).toBe(200);
  expect(JSON.parse(joined.body)).toMatchObject({
    memberId: 'first',
    memberEpoch: 1,
    assignment: [{ topic: 'orders', partitions: [0, 1] }],
  });
  const committed = await functions.invoke('group', readEvent('http-commit-offsets'));
  expect(JSON.parse(committed.body)).toEqual({ results: [{ topic: 'orders', partition: 0 }] });
  const offsets = await functions.invoke('group', readEvent('request-group-offsets'));
  expect(offsets.status).toBe(200);
  expect(JSON.parse(offsets.body).offsets).toMatchObject([
    { topic: 'orders', partition: 0, offset: 7, metadata: 'café' },
  ]);
  const lines = functions.finished.map(({ invoke }) => [invoke.line?.api, invoke.line?.groupId]);
  expect(lines.slice(1)).toEqual([
    ['heartbeat', 'billing'],
    ['commitOffsets', 'billing'],
    ['fetchGroupOffsets', 'billing'],
  ]);
});

test('a group by hand, from its first member to its end', async () => {
  await using functions = openMemoryFunctions();
  const group = (action: string, rest: object = {}) => functions.invoke('group', { action, group: 'billing', ...rest });
  await functions.invoke('topics', orders);
  await functions.invoke('produce', { topic: 'orders', records: [{ value: 'a', partition: 0 }] });
  expect(await functions.invoke('group', readEvent('plain-heartbeat'))).toMatchObject({ memberEpoch: 1 });
  const offsets = [{ topic: 'orders', partition: 0, offset: 1 }];
  expect(await group('commit', { memberId: 'first', memberEpoch: 1, offsets })).toMatchObject({ results: [{}] });
  expect(await group('describe')).toMatchObject({
    groupId: 'billing',
    members: [{ memberId: 'first' }],
    partitions: [{ committedOffset: 1, lag: 0 }, { committedOffset: null }],
  });
  expect(await functions.invoke('group', { action: 'list', limit: 10 })).toEqual({
    groups: [{ groupId: 'billing', groupEpoch: 1, memberCount: 1 }],
  });

  await expect(group('reset', { topic: 'orders', to: 'earliest' })).rejects.toMatchObject({ name: 'NON_EMPTY_GROUP' });
  await group('heartbeat', { memberId: 'first', memberEpoch: -1 });
  expect(await group('reset', { topic: 'orders', partitions: [0], to: 'earliest' })).toMatchObject({
    offsets: [{ partition: 0, offset: 0 }],
  });
  expect(await group('offsets', { topic: 'orders' })).toMatchObject({ offsets: [{ partition: 0, offset: 0 }] });
  expect(await group('delete')).toBeNull();
  await expect(group('describe')).rejects.toMatchObject({ name: 'GROUP_ID_NOT_FOUND' });
});

test('a commit of which one part is refused is thrown under the name of what was refused', async () => {
  await using functions = openMemoryFunctions();
  await functions.invoke('topics', orders);
  const offsets = [
    { topic: 'orders', partition: 0, offset: 1 },
    { topic: 'orders', partition: 9, offset: 1 },
  ];
  await expect(functions.invoke('group', { action: 'commit', group: 'billing', offsets })).rejects.toMatchObject({
    name: 'UNKNOWN_TOPIC_OR_PARTITION',
    message: expect.stringMatching(/^1 of 2 partitions failed/),
  });
});

test('what is wrong with an event by hand is named, and no member is dropped in silence', async () => {
  await using functions = openMemoryFunctions();
  const refusal = async (event: object) =>
    await functions.invoke('group', event).catch((error: Error) => `${error.name}: ${error.message}`);
  expect(await refusal({ action: 'join', group: 'billing' })).toMatch(
    /^INVALID_REQUEST.*\["action","group"\].*heartbeat, commit, offsets, reset, list, describe, delete/,
  );
  expect(await refusal({ action: 'describe' })).toMatch(/^INVALID_GROUP_ID/);
  expect(await refusal({ action: 'describe', group: 'a/../b' })).toMatch(/^INVALID_GROUP_ID.*"a\/\.\.\/b"/);
  expect(await refusal({ action: 'heartbeat', group: 'billing', memberEpoch: 0, epoch: 1 })).toMatch(/epoch/);
  expect(await refusal({ action: 'list', group: 'billing' })).toMatch(/^INVALID_REQUEST.*group/);
  expect(await refusal({ action: 'offsets', group: 'billing', topics: 'orders' })).toMatch(/^INVALID_REQUEST.*topics/);
});
