/** A group of two members, request by request: who gets what, who may commit, and what is kept. */

import { expect } from 'vitest';
import { callJson } from '../../lib/client/api-calls.ts';
import type { Transport } from '../../lib/client/transport.ts';

interface Heartbeat {
  readonly memberEpoch: number;
  readonly assignment?: readonly { readonly topic: string; readonly partitions: readonly number[] }[];
}

const rounds = 6;

/** `topic` has two partitions, and the group is new; it is deleted at the end. */
export async function testGroup(transport: Transport, topic: string, group: string): Promise<void> {
  const call = <T>(method: 'GET' | 'POST' | 'DELETE', path: string, json?: object, query?: Record<string, string>) =>
    callJson<T>(transport, method, `/v1/groups/${group}${path}`, { ...(json && { json }), ...(query && { query }) });
  const members = new Map<string, { epoch: number; partitions: readonly number[] }>();
  const beat = async (memberId: string) => {
    const { epoch, partitions } = members.get(memberId) ?? { epoch: 0, partitions: [] };
    const body = { memberId, memberEpoch: epoch, topics: [topic], owned: [{ topic, partitions }] };
    const { memberEpoch, assignment } = await call<Heartbeat>('POST', '/heartbeat', body);
    members.set(memberId, { epoch: memberEpoch, partitions: assignment?.[0]?.partitions ?? partitions });
  };

  await beat('first');
  expect(members.get('first')?.partitions).toEqual([0, 1]);
  for (let round = 0; round < rounds; round++) {
    await beat('second');
    await beat('first');
  }
  const [first, second] = [members.get('first'), members.get('second')];
  expect([...(first?.partitions ?? []), ...(second?.partitions ?? [])].sort()).toEqual([0, 1]);
  expect(first?.epoch).toBe(second?.epoch);

  const commit = (memberId: string, partition: number | undefined, offset: number) =>
    call<{ results: readonly object[] }>('POST', '/offsets', {
      memberId,
      memberEpoch: members.get(memberId)?.epoch,
      offsets: [{ topic, partition, offset, metadata: memberId }],
    });
  expect(await commit('first', first?.partitions[0], 3)).toMatchObject({ results: [{ topic }] });
  expect(await commit('second', second?.partitions[0], 5)).toMatchObject({ results: [{ topic }] });
  await expect(commit('second', first?.partitions[0], 9)).rejects.toMatchObject({ code: 'STALE_MEMBER_EPOCH' });
  const { offsets } = await call<{ offsets: { partition: number }[] }>('GET', '/offsets', undefined, { topic });
  expect(offsets.map(({ partition, ...rest }) => [partition, rest])).toEqual(
    [
      [first?.partitions[0], expect.objectContaining({ offset: 3, metadata: 'first' })],
      [second?.partitions[0], expect.objectContaining({ offset: 5, metadata: 'second' })],
    ].sort(([one], [other]) => Number(one) - Number(other)),
  );
  expect(await call('GET', '')).toMatchObject({ groupId: group, state: 'STABLE' });
  await expect(call('DELETE', '')).rejects.toMatchObject({ code: 'NON_EMPTY_GROUP' });

  await call('POST', '/heartbeat', { memberId: 'second', memberEpoch: -1 });
  for (let round = 0; round < 2; round++) await beat('first');
  expect([...(members.get('first')?.partitions ?? [])].sort()).toEqual([0, 1]);
  await call('POST', '/heartbeat', { memberId: 'first', memberEpoch: -1 });
  expect(await call('POST', '/offsets/reset', { topic, to: 'earliest' })).toMatchObject({
    offsets: [{ offset: 0 }, { offset: 0 }],
  });
  await call('DELETE', '');
  await expect(call('GET', '')).rejects.toMatchObject({ code: 'GROUP_ID_NOT_FOUND' });
}
