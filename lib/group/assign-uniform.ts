/**
 * The assignor `uniform`: as even as the subscriptions allow, and of all even assignments one that moves the fewest
 * partitions. Where every member subscribes to the same topics the counts differ by at most one.
 *
 * Only counts matter at first, since the partitions of a topic are alike: members and topics are the nodes of a flow whose
 * cost is (sum of squares of the members' counts, partitions not kept). It begins with everything left where it is and
 * goes on as long as partitions can be passed along a chain of members at a gain (Klein's negative cycles); a flow
 * without such a chain is the cheapest there is. Kafka's (UniformHeterogeneousAssignmentBuilder.java) tries single moves.
 */

import { assert } from '../errors.ts';
import type { Partition, TopicId } from '../ids.ts';
import { type Assignment, assignmentOf } from '../store/assignment.ts';
import type { Assignor, AssignorMember } from './assignor.ts';
import { balanceCounts, type Counts } from './balance-counts.ts';

export const assignUniform: Assignor = ({ partitionCounts, members }) => {
  const inOrder = members.toSorted((one, other) => (one.memberId < other.memberId ? -1 : 1));
  const topics = [...partitionCounts].filter(([topicId]) => inOrder.some((member) => member.topicIds.has(topicId)));
  const held = topics.map(([topicId, partitionCount]) => heldBefore(topicId, partitionCount, inOrder));
  const counts: Counts = inOrder.map((member, index) =>
    topics.map(([topicId], topic) =>
      member.topicIds.has(topicId) ? { held: held[topic]?.[index]?.length ?? 0, count: 0 } : undefined,
    ),
  );
  balanceCounts(
    counts,
    topics.map(([, partitionCount]) => partitionCount),
  );

  const given = inOrder.map((): [TopicId, Partition[]][] => []);
  topics.forEach(([topicId, partitionCount], topic) => {
    const kept = inOrder.map((_, index) => held[topic]?.[index]?.slice(0, counts[index]?.[topic]?.count) ?? []);
    const taken = new Set(kept.flat());
    const free = Array.from({ length: partitionCount }, (_, partition) => partition).filter((one) => !taken.has(one));
    kept.forEach((partitions, index) => {
      const missing = (counts[index]?.[topic]?.count ?? 0) - partitions.length;
      given[index]?.push([topicId, [...partitions, ...free.splice(0, missing)]]);
    });
    assert(free.length === 0, `every partition of topic ${topicId} is given to a member`);
  });
  return new Map(
    inOrder.map(({ memberId }, index): [string, Assignment] => [memberId, assignmentOf(given[index] ?? [])]),
  );
};

/** What each member had of the topic and may keep, in order; a partition that two claim to have had is the first one's. */
function heldBefore(topicId: TopicId, partitionCount: number, members: readonly AssignorMember[]): Partition[][] {
  const seen = new Set<Partition>();
  return members.map((member) => {
    if (!member.topicIds.has(topicId)) return [];
    const held = (member.before.get(topicId) ?? []).filter((one) => one < partitionCount && !seen.has(one));
    for (const partition of held) seen.add(partition);
    return held;
  });
}
