import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assignRange } from '../../lib/group/assign-range.ts';
import { isSameAssignment } from '../../lib/store/assignment.ts';
import {
  expectComplete,
  goldenRebalances,
  inputOf,
  isHeld,
  measure,
  namedAssignment,
  rebalances,
  repeated,
} from './assignors.ts';

const golden = goldenRebalances('range');
const isFresh = (rebalance: (typeof golden)[number]) =>
  rebalance.members.every(({ before }) => Object.keys(before).length === 0);

describe("next to Kafka's own range assignor", () => {
  test.each(golden.filter(isFresh))('$name, where nobody had anything before, is the same', (rebalance) => {
    const answer = assignRange(inputOf(rebalance));
    for (const [memberId, names] of Object.entries(rebalance.assignment)) {
      expect(answer.get(memberId)).toEqual(namedAssignment(names));
    }
  });

  test.each(golden)('$name ($step) is as even, and keeps as much', (rebalance) => {
    const input = inputOf(rebalance);
    const answer = assignRange(input);
    expectComplete(input, answer);
    const { least, most, kept } = measure(input, answer);
    expect(most - least).toBeLessThanOrEqual(rebalance.metrics.most - rebalance.metrics.least);
    expect(kept).toBeGreaterThanOrEqual(rebalance.metrics.kept);
  });
});

describe('the range assignor', () => {
  const many = rebalances({ members: 7, topics: 4, partitions: 5 });

  test('gives every partition to exactly one of its subscribers', () => {
    fc.assert(fc.property(many, (input) => expectComplete(input, assignRange(input))));
  });

  test('shares out each topic within one', () => {
    fc.assert(
      fc.property(many, (input) => {
        const answer = assignRange(input);
        for (const topicId of input.partitionCounts.keys()) {
          const subscribers = input.members.filter(({ topicIds }) => topicIds.has(topicId));
          const counts = subscribers.map(({ memberId }) => answer.get(memberId)?.get(topicId)?.length ?? 0);
          if (counts.length > 0) expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  test('gives the same partitions of topics with as many partitions and the same subscribers to the same member', () => {
    fc.assert(
      fc.property(many, (input) => {
        const answer = assignRange(input);
        const subscribersOf = (topicId: string) =>
          input.members
            .filter(({ topicIds }) => [...topicIds].some((one) => one === topicId))
            .map((one) => one.memberId);
        for (const [one, count] of input.partitionCounts) {
          for (const [other, otherCount] of input.partitionCounts) {
            if (count !== otherCount || String(subscribersOf(one)) !== String(subscribersOf(other))) continue;
            for (const { memberId } of input.members) {
              for (let partition = 0; partition < count; partition++) {
                expect(isHeld(answer, memberId, one, partition)).toBe(isHeld(answer, memberId, other, partition));
              }
            }
          }
        }
      }),
    );
  });

  test('changes nothing when it is asked again, whatever the order of the members', () => {
    fc.assert(
      fc.property(many, (input) => {
        const answer = assignRange(input);
        const again = repeated(input, answer);
        const second = assignRange({ ...again, members: again.members.toReversed() });
        for (const [memberId, assignment] of answer) {
          expect(isSameAssignment(assignment, second.get(memberId) ?? new Map()), memberId).toBe(true);
        }
      }),
    );
  });

  test('moves one partition of four when a third member joins two', () => {
    const before = { m1: { a: [0, 1] }, m2: { a: [2, 3] } };
    const members = ['m1', 'm2', 'm3'].map((id) => ({ id, subscribed: ['a'], before: before[id as 'm1'] ?? {} }));
    const input = inputOf({ topics: { a: 4 }, members });
    expect(measure(input, assignRange(input))).toMatchObject({ kept: 3, least: 1, most: 2 });
  });
});
