/**
 * The assignor `uniform`: as even as the subscriptions allow, and of all even assignments one that moves the fewest
 * partitions. Where every member subscribes to the same topics the counts differ by at most one.
 *
 * Only counts matter at first, since the partitions of a topic are alike: members and topics are the nodes of a flow whose
 * cost is (sum of squares of the members' counts, partitions not kept). It begins with everything left where it is and
 * goes on as long as partitions can be passed along a chain of members at a gain (Klein's negative cycles); a flow
 * without such a chain is the cheapest there is. Where all subscribe to the same that is simple arithmetic. Kafka's (UniformHeterogeneousAssignmentBuilder.java) tries single moves.
 */

import { assert } from '../errors.ts';
import type { Partition, TopicId } from '../ids.ts';
import { type Assignment, assignmentOf } from '../store/assignment.ts';
import type { Assignor, AssignorMember } from './assignor.ts';
import { balanceCounts, type Counts } from './balance-counts.ts';

export const assignUniform: Assignor = ({ partitionCounts, members }) => {
  const inOrder = members.toSorted((one, other) => (one.memberId < other.memberId ? -1 : 1));
  const wanted = new Set(inOrder.flatMap(({ topicIds }) => [...topicIds]));
  const topics = [...partitionCounts].filter(([topicId]) => wanted.has(topicId));
  const held = heldBefore(partitionCounts, inOrder);
  const counts: Counts = inOrder.map(({ topicIds }, index) =>
    topics.map(([topicId]) =>
      topicIds.has(topicId) ? { held: held[index]?.get(topicId)?.length ?? 0, count: 0 } : undefined,
    ),
  );
  balanceCounts(
    counts,
    topics.map(([, partitionCount]) => partitionCount),
  );

  const given = inOrder.map((): [TopicId, Partition[]][] => []);
  topics.forEach(([topicId, partitionCount], topic) => {
    // Most members get nothing of a topic when there are many of both.
    const shares = counts.flatMap((cells, index) => {
      const count = cells[topic]?.count ?? 0;
      return count === 0 ? [] : [{ index, count, kept: held[index]?.get(topicId)?.slice(0, count) ?? [] }];
    });
    const taken = new Set(shares.flatMap(({ kept }) => kept));
    const free = Array.from({ length: partitionCount }, (_, partition) => partition).filter((one) => !taken.has(one));
    for (const { index, count, kept } of shares) {
      given[index]?.push([topicId, [...kept, ...free.splice(0, count - kept.length)]]);
    }
    assert(free.length === 0, `every partition of topic ${topicId} is given to a member`);
  });
  return new Map(
    inOrder.map(({ memberId }, index): [string, Assignment] => [memberId, assignmentOf(given[index] ?? [])]),
  );
};

/** By member what it had and may keep, in order; a partition that two claim to have had is the first one's. */
function heldBefore(
  partitionCounts: ReadonlyMap<TopicId, number>,
  members: readonly AssignorMember[],
): ReadonlyMap<TopicId, readonly Partition[]>[] {
  const seen = new Map<TopicId, Set<Partition>>();
  return members.map(({ topicIds, before }) => {
    const held = new Map<TopicId, readonly Partition[]>();
    for (const [topicId, partitions] of before) {
      const partitionCount = topicIds.has(topicId) ? (partitionCounts.get(topicId) ?? 0) : 0;
      const others = seen.get(topicId) ?? new Set();
      const own = partitions.filter((one) => one < partitionCount && !others.has(one));
      for (const partition of own) others.add(partition);
      seen.set(topicId, others);
      held.set(topicId, own);
    }
    return held;
  });
}
