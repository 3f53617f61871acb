import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GroupId, MemberId } from '../../lib/ids.ts';
import { heartbeatIntervalMsMax, heartbeatIntervalMsWaiting, sessionTimeoutMsDefault } from '../../lib/limits.ts';
import { measure, openGroup } from '../bench/groups.ts';
import { type DynamoDb, dynamoDbMissing, startDynoxide } from '../support/dynoxide.ts';
import { orders } from './group-fixture.ts';

describe.skipIf(dynamoDbMissing)(`a group on DynamoDB${dynamoDbMissing ?? ''}`, () => {
  let dynamoDb: DynamoDb;
  beforeAll(async () => {
    dynamoDb = await startDynoxide();
  });
  afterAll(() => dynamoDb.close());

  test.each([1, 3, 30])(
    'of %i pays 1.1 write units at most for a quiet heartbeat, its checks among them',
    async (count) => {
      const group = await openGroup(dynamoDb, 300);
      await group.join(count);
      await group.settle();
      group.take();
      // Past a minute of the clock, so that somebody has to look at the whole group.
      const rounds = 26;
      for (let round = 0; round < rounds; round++) {
        group.clock.atMs += 5_000;
        await group.round();
      }
      const { writeUnits, readUnits } = group.take();
      expect(writeUnits / (rounds * count)).toBeLessThanOrEqual(1.1);
      expect(readUnits / (rounds * count)).toBeLessThanOrEqual(1.3);

      await group.round();
      expect(group.take()).toEqual({ requests: 2 * count, writeUnits: count, readUnits: count });
      await group.log.close();
    },
  );

  test('of 100 pays one write unit and one read unit for a quiet heartbeat, as one of 3 does', async () => {
    for (const count of [3, 100]) {
      const group = await openGroup(dynamoDb, 12);
      await group.join(count);
      await group.settle();
      await group.round();
      group.take();
      group.clock.atMs += heartbeatIntervalMsMax;
      await group.round();
      expect(group.take()).toEqual({ requests: 2 * count, writeUnits: count, readUnits: count });
      await group.log.close();
    }
  }, 30_000);

  test.each([
    [3, 12],
    [30, 300],
  ])(
    'of %i with %i partitions is settled a heartbeat after a member left, joined or was found dead',
    async (...size) => {
      const [memberCount, partitionCount] = size;
      const group = await openGroup(dynamoDb, partitionCount);
      const { leave, join, death } = (await measure(group, memberCount, 1)).handOvers;
      expect(leave.tookMs).toBeLessThanOrEqual(heartbeatIntervalMsMax);
      expect(join.tookMs).toBeLessThanOrEqual(heartbeatIntervalMsMax);
      expect(death.tookMs).toBeLessThanOrEqual(sessionTimeoutMsDefault + heartbeatIntervalMsMax);
      expect(leave.heartbeatsMax).toBeLessThanOrEqual(2);
      expect(death.heartbeatsMax).toBeLessThanOrEqual(2);
      // One tells what to give up, the other that it is done.
      expect(join.heartbeatsMax).toBe(2);
      expect(join.ofNewcomer).toBeLessThanOrEqual(heartbeatIntervalMsMax / heartbeatIntervalMsWaiting);
      await group.log.close();
    },
  );

  test('pays for a rebalance by its members and by the partitions that move', async () => {
    const [memberCount, partitionCount] = [30, 300];
    const group = await openGroup(dynamoDb, partitionCount);
    await group.join(memberCount);
    await group.settle();
    group.take();
    await group.join(1);
    const rounds = await group.settle();
    expect(rounds).toBeLessThanOrEqual(3);
    const { writeUnits } = group.take();
    const moved = Math.floor(partitionCount / (memberCount + 1));
    // Each member's heartbeats, its next epoch and what it is told to give up; the group; the claims.
    expect(writeUnits).toBeLessThanOrEqual(memberCount * (rounds + 2) + 20 + 2 * moved);
    await group.log.close();
  });

  test('whose members all come at once settles, with every partition at one of them', async () => {
    const { log } = await openGroup(dynamoDb, 12);
    const groupId = 'crowd' as GroupId;
    const memberIds = Array.from({ length: 8 }, (_, index) => `m${index}` as MemberId);
    const epochs = new Map<MemberId, number>();
    const holds = new Map<MemberId, readonly number[]>();
    await Promise.all(
      memberIds.map(async (memberId) => {
        const answer = await log.groups.join({ groupId, memberId, topics: [orders] });
        epochs.set(memberId, answer.memberEpoch);
        holds.set(memberId, answer.assignment?.[0]?.partitions ?? []);
      }),
    );
    for (let round = 0; round < 4; round++) {
      await Promise.all(
        memberIds.map(async (memberId) => {
          const owned = [{ topic: orders, partitions: holds.get(memberId) ?? [] }];
          const answer = await log.groups.heartbeat({
            groupId,
            memberId,
            memberEpoch: epochs.get(memberId) ?? 0,
            owned,
          });
          epochs.set(memberId, answer.memberEpoch);
          if (answer.assignment !== undefined) holds.set(memberId, answer.assignment[0]?.partitions ?? []);
        }),
      );
    }
    expect([...holds.values()].flat().toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 12 }, (_, index) => index),
    );
    expect((await log.groups.describe(groupId)).state).toBe('STABLE');
    await log.close();
  });
});
