/** Rebalances to give to an assignor, and what its answer is measured by. */

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect } from 'vitest';
import type { Assignor, AssignorInput } from '../../lib/group/assignor.ts';
import type { TopicId } from '../../lib/ids.ts';
import {
  type Assignment,
  assignmentOf,
  hasPartition,
  intersectionOf,
  partitionCountOf,
  topicPartitionsOf,
} from '../../lib/store/assignment.ts';

/** A UUID that sorts as the names of topics in these tests do, as in the data. */
export function topicIdOf(name: string): TopicId {
  return `${Buffer.from(name).toString('hex').padEnd(8, '0')}-0000-4000-8000-000000000000` as TopicId;
}

type Names = Readonly<Record<string, readonly number[]>>;

/** One rebalance and the answer of Kafka's own assignor; test/golden/README.md. */
export interface GoldenRebalance {
  readonly name: string;
  readonly step?: number;
  readonly topics: Readonly<Record<string, number>>;
  readonly members: readonly {
    readonly id: string;
    readonly instanceId?: string;
    readonly subscribed: readonly string[];
    readonly before: Names;
  }[];
  readonly assignment: Readonly<Record<string, Names>>;
  readonly metrics: { readonly least: number; readonly most: number; readonly keepable: number; readonly kept: number };
}

export function goldenRebalances(assignor: 'uniform' | 'range'): readonly GoldenRebalance[] {
  return JSON.parse(readFileSync(new URL(`../golden/${assignor}-assignor.json`, import.meta.url), 'utf8'));
}

export function inputOf({ topics, members }: Pick<GoldenRebalance, 'topics' | 'members'>): AssignorInput {
  return {
    partitionCounts: new Map(Object.entries(topics).map(([name, count]) => [topicIdOf(name), count])),
    members: members.map(({ id, instanceId, subscribed, before }) => ({
      memberId: id,
      instanceId,
      topicIds: new Set(subscribed.map(topicIdOf)),
      before: namedAssignment(before),
    })),
  };
}

export function namedAssignment(names: Names): Assignment {
  return assignmentOf(Object.entries(names).map(([name, partitions]) => [topicIdOf(name), partitions]));
}

/** As the data measures: partitions of the member with the fewest and with the most, and how many stay where they were. */
export function measure(input: AssignorInput, answer: ReturnType<Assignor>) {
  const counts = input.members.map(({ memberId }) => partitionCountOf(answer.get(memberId) ?? new Map()));
  const kept = input.members.map(({ memberId, before }) => intersectionOf(before, answer.get(memberId) ?? new Map()));
  return {
    least: Math.min(...counts),
    most: Math.max(...counts),
    squares: counts.reduce((sum, count) => sum + count * count, 0),
    kept: kept.reduce((sum, one) => sum + partitionCountOf(one), 0),
  };
}

/** What holds for every assignor: each partition of a subscribed topic goes to exactly one member that subscribes to it. */
export function expectComplete(input: AssignorInput, answer: ReturnType<Assignor>): void {
  expect([...answer.keys()].sort()).toEqual(input.members.map(({ memberId }) => memberId).sort());
  const given: string[] = [];
  for (const { memberId, topicIds } of input.members) {
    for (const { topicId, partition } of topicPartitionsOf(answer.get(memberId) ?? new Map())) {
      expect(topicIds.has(topicId), `${memberId} subscribes to what it gets`).toBe(true);
      given.push(`${topicId}/${partition}`);
    }
  }
  const wanted = [...input.partitionCounts].flatMap(([topicId, count]) =>
    input.members.some(({ topicIds }) => topicIds.has(topicId))
      ? Array.from({ length: count }, (_, partition) => `${topicId}/${partition}`)
      : [],
  );
  expect(given.sort()).toEqual(wanted.sort());
}

const names = ['a', 'b', 'c', 'd'];

/** A few members, each with some of a few topics and some of their partitions from before; also of topics that are gone. */
export function rebalances(max: { readonly members: number; readonly topics: number; readonly partitions: number }) {
  const topicNames = names.slice(0, max.topics);
  const member = fc.record({ subscribed: fc.subarray(topicNames), isStatic: fc.boolean() });
  return fc
    .record({
      counts: fc.array(fc.integer({ min: 1, max: max.partitions }), { minLength: max.topics, maxLength: max.topics }),
      members: fc.array(member, { minLength: 1, maxLength: max.members }),
      isHomogeneous: fc.boolean(),
      // Who had each partition: a member, or nobody.
      owners: fc.array(fc.nat(max.members * 2), { minLength: max.topics * max.partitions }),
      existing: fc.subarray(topicNames, { minLength: 1 }),
    })
    .map(({ counts, members, isHomogeneous, owners, existing }) => {
      const before = members.map((): Record<string, number[]> => ({}));
      topicNames.forEach((name, topic) => {
        for (let partition = 0; partition < (counts[topic] ?? 0); partition++) {
          const owner = before[owners[topic * max.partitions + partition] ?? -1];
          if (owner !== undefined) owner[name] = [...(owner[name] ?? []), partition];
        }
      });
      return inputOf({
        topics: Object.fromEntries(
          topicNames.flatMap((name, topic) => (existing.includes(name) ? [[name, counts[topic] ?? 0]] : [])),
        ),
        members: members.map(({ subscribed, isStatic }, index) => ({
          id: `m${index}`,
          ...(isStatic && { instanceId: `i${members.length - index}` }),
          subscribed: isHomogeneous ? topicNames : subscribed,
          before: before[index] ?? {},
        })),
      });
    });
}

/** What a second run on its own answer is given. */
export function repeated(input: AssignorInput, answer: ReturnType<Assignor>): AssignorInput {
  const members = input.members.map((member) => ({ ...member, before: answer.get(member.memberId) ?? new Map() }));
  return { ...input, members };
}

export function isHeld(answer: ReturnType<Assignor>, memberId: string, topicId: TopicId, partition: number): boolean {
  return hasPartition(answer.get(memberId) ?? new Map(), topicId, partition);
}
