import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TopicId } from '../../lib/ids.ts';
import {
  type Assignment,
  assignmentOf,
  decodeAssignment,
  differenceOf,
  encodeAssignment,
  intersectionOf,
  isSameAssignment,
  isSubsetOf,
  partitionCountOf,
  topicPartitionsOf,
  unionOf,
} from '../../lib/store/assignment.ts';

const ids = ['00000000-0000-4000-8000-00000000000a', 'ffffffff-0000-4000-8000-00000000000b'] as TopicId[];
const partition = fc.integer({ min: 0, max: 9_999 });
const assignments = fc
  .array(fc.tuple(fc.constantFrom(...ids), fc.array(partition, { maxLength: 30 })), { maxLength: 4 })
  .map(assignmentOf);
const setOf = (assignment: Assignment) =>
  new Set(topicPartitionsOf(assignment).map(({ topicId, partition }) => `${topicId}/${partition}`));

test('assignments are put together and taken apart as sets are', () => {
  fc.assert(
    fc.property(assignments, assignments, (one, other) => {
      const [ones, others] = [setOf(one), setOf(other)];
      const both = [...ones].filter((name) => others.has(name));
      expect(setOf(intersectionOf(one, other))).toEqual(new Set(both));
      expect(setOf(differenceOf(one, other))).toEqual(new Set([...ones].filter((name) => !others.has(name))));
      expect(setOf(unionOf(one, other))).toEqual(new Set([...ones, ...others]));
      expect(isSubsetOf(one, other)).toBe(both.length === ones.size);
      expect(isSameAssignment(one, other)).toBe(both.length === ones.size && both.length === others.size);
      expect(partitionCountOf(one)).toBe(ones.size);
    }),
  );
});

test('an assignment comes back from its bytes, with topics and partitions in order', () => {
  fc.assert(
    fc.property(assignments, (given) => {
      const decoded = decodeAssignment(encodeAssignment(given));
      expect([...decoded]).toEqual([...given]);
      for (const partitions of decoded.values()) expect(partitions).toEqual(partitions.toSorted((a, b) => a - b));
    }),
  );
});

test('the third of 3,000 partitions that a member has fits an item of one write unit', () => {
  const scattered = Array.from({ length: 1_000 }, (_, index) => index * 3);
  expect(encodeAssignment(assignmentOf([[ids[0] as TopicId, scattered]])).length).toBe(20 + 375);
  const inOneRange = Array.from({ length: 1_000 }, (_, index) => 1_000 + index);
  expect(encodeAssignment(assignmentOf([[ids[0] as TopicId, inOneRange]])).length).toBe(20 + 125);
});
