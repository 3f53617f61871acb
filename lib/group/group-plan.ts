/** Who is in a group and what each of its members shall have: pure, one new group for every change. */

import { isDeepStrictEqual } from 'node:util';
import { LogError } from '../errors.ts';
import type { GroupId, Timestamp, TopicName } from '../ids.ts';
import { groupCheckMsMax, groupUsedAgainMsMin, offsetsRetentionMs } from '../limits.ts';
import { noPartitions } from '../store/assignment.ts';
import type { AssignorName, Group, GroupHead, GroupMember, GroupTopic, MemberSession } from '../store/items.ts';
import { assignRange } from './assign-range.ts';
import { assignUniform } from './assign-uniform.ts';
import type { Assignor } from './assignor.ts';
import { isOver, overAt } from './reconcile.ts';

export const assignors: Readonly<Record<AssignorName, Assignor>> = { uniform: assignUniform, range: assignRange };

/** A group that nobody has used. */
export function newGroup(groupId: GroupId, nowMs: Timestamp, version = 0, groupEpoch = 0): Group {
  const epochs = { version, groupEpoch, offsetsFromEpoch: groupEpoch };
  return { groupId, ...epochs, memberCount: 0, checkAt: nowMs, emptySince: nowMs, members: [], topics: [] };
}

/**
 * The group with `members` and `topics`, whose targets are those of before; the group itself when both are as they were.
 * The epoch rises, and targets are made anew, when a member came or went, a subscription or assignor changed, or a topic
 * came, went or grew; not when a static member came back under another id.
 */
export function nextGroup(
  group: Group,
  members: readonly GroupMember[],
  topics: readonly GroupTopic[],
  nowMs: Timestamp,
): Group {
  const next = { members: members.toSorted(byMemberId), topics: topics.toSorted(byTopic) };
  const hasNewTarget = !isSameMatter(next, group);
  if (!hasNewTarget && idsOf(next.members) === idsOf(group.members)) return group;
  const groupEpoch = group.groupEpoch + (hasNewTarget ? 1 : 0);
  return {
    ...group,
    version: group.version + 1,
    groupEpoch,
    memberCount: members.length,
    emptySince: members.length > 0 ? undefined : (group.emptySince ?? nowMs),
    members: hasNewTarget ? withTargets(next) : next.members,
    topics: next.topics,
  };
}

type Plan = Pick<Group, 'members' | 'topics'>;

function withTargets({ members, topics }: Plan): readonly GroupMember[] {
  const topicIds = new Map(topics.map(({ topic, topicId }) => [topic, topicId]));
  const assign = assignors[assignorOf(members)];
  const targets = assign({
    partitionCounts: new Map(topics.map(({ topicId, partitionCount }) => [topicId, partitionCount])),
    members: members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      topicIds: new Set(member.topics.flatMap((topic) => topicIds.get(topic) ?? [])),
      before: member.targetAssignment,
    })),
  });
  return members.map((member) => ({ ...member, targetAssignment: targets.get(member.memberId) ?? noPartitions }));
}

export function parseAssignor(name: string): AssignorName {
  if (name === 'uniform' || name === 'range') return name;
  throw new LogError(
    'UNSUPPORTED_ASSIGNOR',
    `assignor ${JSON.stringify(name.slice(0, 80))} is neither uniform nor range`,
  );
}

/** The member with what its heartbeat changes. */
export function resubscribed(
  member: GroupMember,
  { topics, assignor }: { readonly topics?: readonly TopicName[]; readonly assignor?: string },
): GroupMember {
  return {
    ...member,
    ...(topics === undefined ? {} : { topics: [...new Set(topics)] }),
    ...(assignor === undefined ? {} : { assignor: parseAssignor(assignor) }),
  };
}

/** The one that most members ask for; `uniform` when there are as many for both. */
export function assignorOf(members: readonly GroupMember[]): AssignorName {
  return members.filter(({ assignor }) => assignor === 'range').length * 2 > members.length ? 'range' : 'uniform';
}

/**
 * Whether targets are made of the same: topics, members, and what these ask for. A static member is known by its instance.
 * Each heartbeat asks that finds something new, so what nobody has touched, of thousands of subscriptions, is not gone through.
 */
function isSameMatter(one: Plan, other: Plan): boolean {
  if (one.members.length !== other.members.length || !isDeepStrictEqual(one.topics, other.topics)) return false;
  const counterparts = new Map(other.members.map((member) => [identityOf(member), member]));
  return one.members.every((member) => {
    const counterpart = counterparts.get(identityOf(member));
    if (counterpart === undefined || counterpart.assignor !== member.assignor) return false;
    const [topics, others] = [member.topics, counterpart.topics];
    return topics === others || isDeepStrictEqual([...topics].sort(), [...others].sort());
  });
}

/** No id has a slash. */
const identityOf = ({ memberId, instanceId }: GroupMember) => (instanceId === undefined ? memberId : `/${instanceId}`);
const idsOf = (members: readonly GroupMember[]) => members.map(({ memberId }) => memberId).join();
const byMemberId = (one: GroupMember, other: GroupMember) => (one.memberId < other.memberId ? -1 : 1);
const byTopic = (one: GroupTopic, other: GroupTopic) => (one.topic < other.topic ? -1 : 1);

/**
 * Kafka keeps them for a time after the group became empty; here a commit without a member begins that time anew. The last
 * one may not be written down, so they stay for longer than that by as much. Members that died are members until somebody
 * comes; but one that lives looks at the group when it is due, so since that time nobody has.
 */
export function areOffsetsExpired({ emptySince, checkAt }: GroupHead, nowMs: Timestamp): boolean {
  return nowMs - (emptySince ?? checkAt) > offsetsRetentionMs + groupUsedAgainMsMin;
}

/**
 * The group as those find it who come: when nobody lives in it, what has expired does not come back with them. Only they may
 * say so. A member that stays keeps its partitions at the epochs they were given at, and its commits are of those.
 */
export function withoutExpired<G extends GroupHead>(group: G, sessions: readonly MemberSession[], nowMs: Timestamp): G {
  if (!areOffsetsExpired(group, nowMs) || !sessions.every((session) => isOver(session, nowMs))) return group;
  const offsetsFromEpoch = group.groupEpoch + 1;
  return { ...group, groupEpoch: offsetsFromEpoch, offsetsFromEpoch };
}

/** The empty group as a commit leaves it that comes from no member; the group itself when that need not be written. */
export function usedGroup(head: GroupHead, nowMs: Timestamp): GroupHead {
  const used = withoutExpired(head, [], nowMs);
  if (used === head && nowMs - (head.emptySince ?? 0) < groupUsedAgainMsMin) return head;
  return { ...used, version: head.version + 1, emptySince: nowMs };
}

/**
 * When somebody must look at the group again: as soon as a session can be over, and never before now, since somebody has just
 * looked. Who is alone need not look for itself; the next member to come will.
 */
export function nextCheckAt(sessions: readonly MemberSession[], nowMs: Timestamp): Timestamp {
  const latest = nowMs + groupCheckMsMax;
  return sessions.length < 2 ? latest : Math.max(nowMs, Math.min(latest, ...sessions.map(overAt)));
}
