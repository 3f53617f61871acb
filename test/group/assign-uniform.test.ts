import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assignUniform } from '../../lib/group/assign-uniform.ts';
import type { AssignorInput } from '../../lib/group/assignor.ts';
import { isSameAssignment, topicPartitionsOf } from '../../lib/store/assignment.ts';
import {
  expectComplete,
  goldenRebalances,
  inputOf,
  measure,
  namedAssignment as named,
  rebalances,
  repeated,
} from './assignors.ts';

describe("next to Kafka's own uniform assignor", () => {
  test.each(goldenRebalances('uniform'))('$name ($step) is as even, and keeps as much', (rebalance) => {
    const input = inputOf(rebalance);
    const answer = assignUniform(input);
    expectComplete(input, answer);
    const ours = measure(input, answer);
    const theirs = measure(
      input,
      new Map(Object.entries(rebalance.assignment).map(([id, names]) => [id, named(names)])),
    );
    expect(theirs).toMatchObject({ least: rebalance.metrics.least, kept: rebalance.metrics.kept });
    expect(ours.most - ours.least).toBeLessThanOrEqual(rebalance.metrics.most - rebalance.metrics.least);
    expect(ours.squares).toBeLessThanOrEqual(theirs.squares);
    // Evenness counts more: where Kafka left something uneven, more has to move.
    if (ours.squares === theirs.squares) expect(ours.kept).toBeGreaterThanOrEqual(rebalance.metrics.kept);
  });
});

describe('the uniform assignor', () => {
  const few = rebalances({ members: 3, topics: 2, partitions: 3 });
  const many = rebalances({ members: 7, topics: 4, partitions: 12 });

  test('gives every partition to exactly one of its subscribers', () => {
    fc.assert(fc.property(many, (input) => expectComplete(input, assignUniform(input))));
  });

  test('differs by one at most where all subscribe to the same', () => {
    fc.assert(
      fc.property(many, (input) => {
        const [first] = input.members;
        fc.pre(input.members.every(({ topicIds }) => String([...topicIds]) === String([...(first?.topicIds ?? [])])));
        const { least, most } = measure(input, assignUniform(input));
        expect(most - least).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('is as even as any assignment can be, and none as even keeps more', () => {
    fc.assert(
      fc.property(few, (input) => {
        const { squares, kept } = measure(input, assignUniform(input));
        const best = bestOf(input);
        expect({ squares, kept }).toEqual(best);
      }),
      { numRuns: 200 },
    );
  });

  test('changes nothing when it is asked again, whatever the order of the members', () => {
    fc.assert(
      fc.property(many, (input) => {
        const answer = assignUniform(input);
        const again = repeated(input, answer);
        const second = assignUniform({ ...again, members: again.members.toReversed() });
        for (const [memberId, assignment] of answer) {
          expect(isSameAssignment(assignment, second.get(memberId) ?? new Map()), memberId).toBe(true);
        }
      }),
    );
  });

  test('shares out 10,000 partitions of 20 topics, all with one of 100 members before', () => {
    const topics = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`t${index}`, 500]));
    const all = Object.fromEntries(Object.keys(topics).map((name) => [name, Array.from({ length: 500 }, (_, p) => p)]));
    const members = Array.from({ length: 100 }, (_, index) => ({
      id: `m${String(index).padStart(3, '0')}`,
      // Overlapping, so that nothing but chains makes it even.
      subscribed: Object.keys(topics).filter((_, topic) => index === 0 || (topic + index) % 3 > 0),
      before: index === 0 ? all : {},
    }));
    const input = inputOf({ topics, members });
    const { least, most, kept } = measure(input, assignUniform(input));
    expect({ least, most, kept }).toEqual({ least: 100, most: 100, kept: 100 });
  });
});

/** By trying all of them. */
function bestOf(input: AssignorInput): { squares: number; kept: number } {
  const partitions = [...input.partitionCounts].flatMap(([topicId, count]) =>
    topicPartitionsOf(new Map([[topicId, Array.from({ length: count }, (_, partition) => partition)]])),
  );
  const subscribed = partitions.filter(({ topicId }) => input.members.some(({ topicIds }) => topicIds.has(topicId)));
  const counts = input.members.map(() => 0);
  let best = { squares: Number.POSITIVE_INFINITY, kept: 0 };
  const tryFrom = (at: number, kept: number): void => {
    const next = subscribed[at];
    if (next === undefined) {
      const squares = counts.reduce((sum, count) => sum + count * count, 0);
      if (squares < best.squares || (squares === best.squares && kept > best.kept)) best = { squares, kept };
      return;
    }
    input.members.forEach(({ topicIds, before }, index) => {
      if (!topicIds.has(next.topicId)) return;
      counts[index] = (counts[index] ?? 0) + 1;
      tryFrom(at + 1, kept + (before.get(next.topicId)?.includes(next.partition) ? 1 : 0));
      counts[index] = (counts[index] ?? 0) - 1;
    });
  };
  tryFrom(0, 0);
  return best;
}
