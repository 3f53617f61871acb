import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { classifyEpoch, isOver, moveTo, nextStep, overAt } from '../../lib/group/reconcile.ts';
import type { MemberId } from '../../lib/ids.ts';
import { noPartitions } from '../../lib/store/assignment.ts';
import type { MemberSession } from '../../lib/store/items.ts';
import { namedAssignment as named } from './assignors.ts';
import { type Consumer, GroupModel } from './model.ts';

const now = 5_000;

function sessionOf(given: Partial<MemberSession>): MemberSession {
  return {
    memberId: 'm1' as MemberId,
    version: 7,
    memberEpoch: 3,
    previousMemberEpoch: 2,
    state: 'STABLE',
    seenAt: now,
    sessionTimeoutMs: 45_000,
    rebalanceTimeoutMs: 60_000,
    revokeBy: undefined,
    currentAssignment: noPartitions,
    partitionsPendingRevocation: noPartitions,
    ...given,
  };
}

describe('a member', () => {
  const had = named({ a: [0, 1, 2] });
  const goal = (groupEpoch: number, a: number[]) => ({ groupEpoch, targetAssignment: named({ a }) });

  test("that has its target at the group's epoch is settled", () => {
    expect(nextStep(sessionOf({ currentAssignment: had }), goal(3, [0, 1, 2]), had, now)).toEqual({ step: 'settled' });
  });

  test('is told to give up what its target lacks, at its old epoch, and has a time for it', () => {
    const step = nextStep(sessionOf({ currentAssignment: had }), goal(4, [1, 5]), had, now);
    expect(step).toMatchObject({
      step: 'revokes',
      session: {
        version: 8,
        memberEpoch: 3,
        state: 'UNREVOKED_PARTITIONS',
        currentAssignment: named({ a: [1] }),
        partitionsPendingRevocation: named({ a: [0, 2] }),
        revokeBy: now + 60_000,
      },
    });
  });

  test('that says nothing of what it holds may hold it all', () => {
    const given = sessionOf({ currentAssignment: had });
    expect(nextStep(given, goal(4, [1]), undefined, now).step).toBe('revokes');
    expect(nextStep(given, goal(4, [1]), named({ a: [1] }), now).step).toBe('moves');
  });

  test('waits at its old epoch until it holds nothing of what is pending', () => {
    const given = sessionOf({
      state: 'UNREVOKED_PARTITIONS',
      currentAssignment: named({ a: [1] }),
      partitionsPendingRevocation: named({ a: [0, 2] }),
      revokeBy: now + 1,
    });
    for (const owned of [undefined, had, named({ a: [1, 2] })]) {
      expect(nextStep(given, goal(5, [1]), owned, now)).toEqual({ step: 'waits' });
    }
    const step = nextStep(given, goal(5, [1, 6]), named({ a: [1] }), now);
    if (step.step !== 'moves') throw new Error(step.step);
    const move = moveTo(given, goal(5, [1, 6]), step, named({ a: [6] }));
    expect(move).toMatchObject({
      claims: named({ a: [6] }),
      session: {
        memberEpoch: 5,
        previousMemberEpoch: 3,
        state: 'STABLE',
        currentAssignment: named({ a: [1, 6] }),
        partitionsPendingRevocation: noPartitions,
        revokeBy: undefined,
      },
    });
  });

  test('is told of more to give up when the target has changed meanwhile, and lists no longer what it gave up', () => {
    const given = sessionOf({
      state: 'UNREVOKED_PARTITIONS',
      currentAssignment: named({ a: [1, 3] }),
      partitionsPendingRevocation: named({ a: [0] }),
    });
    expect(nextStep(given, goal(5, [3]), named({ a: [1, 3] }), now)).toMatchObject({
      step: 'revokes',
      session: { memberEpoch: 3, currentAssignment: named({ a: [3] }), partitionsPendingRevocation: named({ a: [1] }) },
    });
  });

  test('claims again what it gave up when the target has it back', () => {
    const given = sessionOf({ state: 'UNREVOKED_PARTITIONS', partitionsPendingRevocation: named({ a: [0, 1] }) });
    const step = nextStep(given, goal(5, [1]), noPartitions, now);
    if (step.step !== 'moves') throw new Error(step.step);
    expect(moveTo(given, goal(5, [1]), step, named({ a: [1] }))).toMatchObject({
      claims: named({ a: [1] }),
      session: { currentAssignment: named({ a: [1] }), partitionsPendingRevocation: noPartitions },
    });
  });

  test('whose target others still hold moves on with what is free, and then waits without a change', () => {
    const given = sessionOf({ currentAssignment: named({ a: [0] }) });
    const step = nextStep(given, goal(4, [0, 1, 2]), undefined, now);
    if (step.step !== 'moves') throw new Error(step.step);
    const move = moveTo(given, goal(4, [0, 1, 2]), step, named({ a: [2] }));
    expect(move?.session).toMatchObject({
      memberEpoch: 4,
      state: 'UNRELEASED_PARTITIONS',
      currentAssignment: named({ a: [0, 2] }),
    });
    const waiting = move?.session ?? given;
    const again = nextStep(waiting, goal(4, [0, 1, 2]), undefined, now);
    if (again.step !== 'moves') throw new Error(again.step);
    expect(moveTo(waiting, goal(4, [0, 1, 2]), again, noPartitions)).toBeUndefined();
    expect(moveTo(waiting, goal(4, [0, 1, 2]), again, named({ a: [1] }))?.session).toMatchObject({
      state: 'STABLE',
      previousMemberEpoch: 3,
      currentAssignment: named({ a: [0, 1, 2] }),
    });
  });
});

describe('a heartbeat', () => {
  const session = sessionOf({ currentAssignment: named({ a: [0] }) });

  test("with the member's epoch is from the member", () => {
    expect(classifyEpoch(session, 3, undefined)).toBe('current');
  });

  test('with the epoch before is from the member when it holds no more than it has, else it is fenced', () => {
    expect(classifyEpoch(session, 2, named({ a: [0] }))).toBe('answer was lost');
    expect(classifyEpoch(session, 2, noPartitions)).toBe('answer was lost');
    expect(classifyEpoch(session, 2, named({ a: [0, 1] }))).toBe('fenced');
    expect(classifyEpoch(session, 2, undefined)).toBe('fenced');
  });

  test('with any other epoch is fenced, and so is one of a member that is away', () => {
    expect(classifyEpoch(session, 1, noPartitions)).toBe('fenced');
    expect(classifyEpoch(session, 4, noPartitions)).toBe('fenced');
    expect(classifyEpoch({ ...session, state: 'AWAY' }, 3, noPartitions)).toBe('fenced');
  });
});

test('a session is over after its timeout, or when what is pending was not given up in time', () => {
  const quiet = sessionOf({ seenAt: now, sessionTimeoutMs: 100 });
  expect([isOver(quiet, now + 100), isOver(quiet, now + 101), overAt(quiet)]).toEqual([false, true, now + 101]);
  const slow = sessionOf({ seenAt: now, revokeBy: now + 50 });
  expect([isOver(slow, now + 50), isOver(slow, now + 51), overAt(slow)]).toEqual([false, true, now + 51]);
  expect(isOver(sessionOf({ seenAt: now + 1_000_000 }), now), 'a clock that was set back ends nothing').toBe(false);
});

describe('a group of members', () => {
  const event = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('heartbeat' as const), who: fc.nat(9) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('letGo' as const), who: fc.nat(9) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('join' as const), who: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), who: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const), who: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('grow' as const), who: fc.nat(9) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), who: fc.nat(30) }) },
  );

  test('never has a partition twice, whoever joins, leaves, dies, dawdles, and settles in 3 rounds afterwards', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), fc.constantFrom('uniform', 'range'), (events, assignor) => {
        const model = new GroupModel({ a: 5, b: 3 }, assignor as 'uniform' | 'range');
        for (const { kind, who } of events) {
          const alive = model.consumers.filter(({ isAlive }) => isAlive);
          const consumer = alive[who % Math.max(1, alive.length)];
          if (kind === 'join' && alive.length < 6) model.join(`m${model.consumers.length}`);
          if (kind === 'grow') model.grow('a', Math.max(who, model.topics[0]?.partitionCount ?? 0));
          if (kind === 'wait') model.nowMs += who * 1_000;
          if (consumer === undefined) continue;
          if (kind === 'heartbeat') model.heartbeat(consumer);
          if (kind === 'letGo') model.letGo(consumer);
          if (kind === 'leave') model.leave(consumer);
          if (kind === 'crash') consumer.isAlive = false;
          expect(model.violation()).toBeUndefined();
        }
        // One more member makes the others live, so that the dead are found; then everyone answers.
        model.nowMs += 100_000;
        model.join('last');
        expect(roundsToSettle(model)).toBeLessThanOrEqual(3);
      }),
      { numRuns: 400 },
    );
  });

  test.each([3, 30, 100])(
    'of %i settles in 3 rounds when one joins, and in 2 when one leaves or is found dead',
    (count) => {
      for (const partitionCount of [12, 300]) {
        const model = new GroupModel({ a: partitionCount });
        for (let index = 0; index < count; index++) model.join(`m${String(index).padStart(3, '0')}`);
        roundsToSettle(model);
        model.join('newcomer');
        expect(roundsToSettle(model)).toBeLessThanOrEqual(3);
        model.leave(firstAlive(model));
        expect(roundsToSettle(model)).toBeLessThanOrEqual(2);
        firstAlive(model).isAlive = false;
        model.nowMs += 40_000;
        for (const one of model.consumers) if (one.isAlive) model.heartbeat(one);
        model.nowMs += 6_000;
        expect(roundsToSettle(model)).toBeLessThanOrEqual(2);
        expect(model.group.members.length).toBe(count - 1);
      }
    },
  );
});

function firstAlive(model: GroupModel): Consumer {
  const found = model.consumers.find(({ isAlive }) => isAlive);
  if (found === undefined) throw new Error('nobody is alive');
  return found;
}

/** Rounds in which everyone alive sends one heartbeat and lets go at once of what it is told to. */
function roundsToSettle(model: GroupModel): number {
  for (let round = 0; round < 10; round++) {
    if (model.isSettled()) return round;
    for (const consumer of model.consumers) {
      if (!consumer.isAlive) continue;
      model.heartbeat(consumer);
      model.letGo(consumer);
      expect(model.violation()).toBeUndefined();
    }
  }
  throw new Error('the group did not settle in 10 rounds');
}
