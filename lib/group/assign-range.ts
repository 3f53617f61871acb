/**
 * The assignor `range`: topics with as many partitions and the same subscribers are co-partitioned, the same partitions of
 * each go to the same member. So records that share a key meet in one member, as a join of topics needs.
 *
 * Within such a set of topics members have equally many partitions, within one. A member keeps what it had as far as that
 * allows; what is left goes to the members in order (static ones by instance id, then the others by member id) in
 * ascending ranges, so a new group has contiguous ranges as Kafka's has. Kafka's own (RangeAssignor.java) forgets who had
 * what and gives every set anew.
 */

import type { Partition, TopicId } from '../ids.ts';
import { type Assignment, assignmentOf } from '../store/assignment.ts';
import type { Assignor, AssignorMember } from './assignor.ts';

export const assignRange: Assignor = ({ partitionCounts, members }) => {
  const inOrder = members.toSorted(byInstance);
  const given = new Map(inOrder.map(({ memberId }) => [memberId, [] as [TopicId, readonly Partition[]][]]));
  for (const { topicIds, partitionCount, subscribers } of coPartitioned(partitionCounts, inOrder)) {
    const shares = shareOut(partitionCount, subscribers, ownersBefore(topicIds, partitionCount, subscribers));
    for (const [member, partitions] of shares) {
      for (const topicId of topicIds) given.get(member.memberId)?.push([topicId, partitions]);
    }
  }
  return new Map([...given].map(([memberId, entries]): [string, Assignment] => [memberId, assignmentOf(entries)]));
};

/** Static members first, as in Kafka: a static member that comes back under another member id keeps its place. */
function byInstance(one: AssignorMember, other: AssignorMember): number {
  if ((one.instanceId === undefined) !== (other.instanceId === undefined)) return one.instanceId === undefined ? 1 : -1;
  return (one.instanceId ?? one.memberId) < (other.instanceId ?? other.memberId) ? -1 : 1;
}

interface TopicSet {
  readonly topicIds: TopicId[];
  readonly partitionCount: number;
  readonly subscribers: readonly AssignorMember[];
}

function coPartitioned(
  partitionCounts: ReadonlyMap<TopicId, number>,
  members: readonly AssignorMember[],
): Iterable<TopicSet> {
  const sets = new Map<string, TopicSet>();
  for (const [topicId, partitionCount] of partitionCounts) {
    const subscribers = members.filter(({ topicIds }) => topicIds.has(topicId));
    if (subscribers.length === 0) continue;
    const key = JSON.stringify([partitionCount, ...subscribers.map(({ memberId }) => memberId)]);
    const set = sets.get(key);
    if (set === undefined) sets.set(key, { topicIds: [topicId], partitionCount, subscribers });
    else set.topicIds.push(topicId);
  }
  return sets.values();
}

/** For each partition who had it, in most of the topics where they did not agree; of equals the first in order. */
function ownersBefore(topicIds: readonly TopicId[], partitionCount: number, subscribers: readonly AssignorMember[]) {
  const counts = Array.from({ length: partitionCount }, () => new Map<AssignorMember, number>());
  for (const member of subscribers) {
    for (const partition of topicIds.flatMap((topicId) => member.before.get(topicId) ?? [])) {
      counts[partition]?.set(member, (counts[partition].get(member) ?? 0) + 1);
    }
  }
  return counts.map((owners) => {
    const most = Math.max(...owners.values());
    return [...owners].find(([, count]) => count === most)?.[0];
  });
}

function shareOut(
  partitionCount: number,
  members: readonly AssignorMember[],
  owners: readonly (AssignorMember | undefined)[],
): ReadonlyMap<AssignorMember, readonly Partition[]> {
  const least = Math.floor(partitionCount / members.length);
  let extras = partitionCount % members.length;
  const shares = new Map(members.map((member) => [member, [] as Partition[]]));
  owners.forEach((owner, partition) => {
    if (owner !== undefined) shares.get(owner)?.push(partition);
  });
  // Who has more than all must have keeps one of it, while there are any.
  for (const share of shares.values()) {
    const hasExtra = share.length > least && extras > 0;
    if (hasExtra) extras--;
    share.splice(least + (hasExtra ? 1 : 0));
  }
  const kept = new Set([...shares.values()].flat());
  const free = Array.from({ length: partitionCount }, (_, partition) => partition).filter((one) => !kept.has(one));
  for (const share of shares.values()) {
    const getsExtra = share.length <= least && extras > 0;
    if (getsExtra) extras--;
    share.push(...free.splice(0, Math.max(0, least + (getsExtra ? 1 : 0) - share.length)));
  }
  return shares;
}
