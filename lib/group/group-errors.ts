/** The refusals of groups, in Kafka's words. */

import { type Effect, LogError } from '../errors.ts';
import type { GroupId, InstanceId, MemberId, Partition, TopicName } from '../ids.ts';
import { groupMembersMax } from '../limits.ts';
import type { SeenGroup } from '../store/group-store.ts';
import type { GroupMember, MemberSession } from '../store/items.ts';

export function unknownMember(groupId: GroupId, memberId: MemberId): LogError {
  return new LogError('UNKNOWN_MEMBER_ID', `member ${memberId} is not in group ${groupId}, or no longer`);
}

export function fencedMember(groupId: GroupId, session: MemberSession, memberEpoch: number): LogError {
  const there = session.state === 'AWAY' ? 'left for a while' : `is at epoch ${session.memberEpoch}`;
  return new LogError(
    'FENCED_MEMBER_EPOCH',
    `member ${session.memberId} of group ${groupId} ${there}, the heartbeat is of epoch ${memberEpoch}`,
    { details: { memberEpoch, currentMemberEpoch: session.memberEpoch } },
  );
}

export function fencedInstance(groupId: GroupId, instanceId: InstanceId, memberId: MemberId): LogError {
  return new LogError(
    'FENCED_INSTANCE_ID',
    `instance ${instanceId} of group ${groupId} is another member now, not ${memberId}`,
  );
}

export function unreleasedInstance(groupId: GroupId, instanceId: InstanceId, memberId: MemberId): LogError {
  return new LogError(
    'UNRELEASED_INSTANCE_ID',
    `instance ${instanceId} of group ${groupId} is member ${memberId}, which is still active`,
  );
}

export function otherInstance(groupId: GroupId, { memberId, instanceId: own }: GroupMember, instanceId: InstanceId) {
  const isWhat = own === undefined ? 'no instance' : `instance ${own}`;
  return new LogError(
    'UNKNOWN_MEMBER_ID',
    `member ${memberId} of group ${groupId} is ${isWhat}, and not ${instanceId}`,
  );
}

/** Who left for a while is a member until the session is over, and cannot be stopped. */
export function nonEmptyGroup(
  { group: { groupId, memberCount }, sessions }: SeenGroup,
  what: 'reset' | 'deleted',
): LogError {
  const away = sessions.filter(({ state }) => state === 'AWAY');
  const untilMs = Math.max(...away.map(({ seenAt, sessionTimeoutMs }) => seenAt + sessionTimeoutMs));
  const told =
    away.length === 0
      ? ''
      : away.length === memberCount
        ? `, away until ${new Date(untilMs).toISOString()}`
        : `, ${away.length} of them away`;
  return new LogError(
    'NON_EMPTY_GROUP',
    `group ${groupId} has ${members(memberCount)}${told}, and can be ${what} only when it has none`,
    { details: { memberCount } },
  );
}

/** Offsets that were set before that stay so. */
export function joinedMeanwhile(groupId: GroupId, effect: Effect): LogError {
  return new LogError('NON_EMPTY_GROUP', `a member joined group ${groupId} while it was being reset`, { effect });
}

/** For those who commit without being a member. */
export function ownedByMembers(groupId: GroupId, memberCount: number): LogError {
  return new LogError(
    'UNKNOWN_MEMBER_ID',
    `group ${groupId} has ${members(memberCount)}, and only members commit; join it, and send memberId and memberEpoch`,
    { details: { memberCount } },
  );
}

const members = (count: number) => (count === 1 ? '1 member' : `${count} members`);

export function givenTwice(topic: TopicName, partition: Partition): LogError {
  return new LogError('INVALID_REQUEST', `partition ${partition} of topic ${topic} is given twice`);
}

export function unknownGroup(groupId: GroupId): LogError {
  return new LogError('GROUP_ID_NOT_FOUND', `group ${groupId} does not exist`);
}

export function fullGroup(groupId: GroupId): LogError {
  return new LogError(
    'GROUP_MAX_SIZE_REACHED',
    `group ${groupId} has ${groupMembersMax} members, and no room for more`,
  );
}

export function missedRevocation(
  groupId: GroupId,
  { memberId, memberEpoch, rebalanceTimeoutMs }: MemberSession,
): LogError {
  return new LogError(
    'FENCED_MEMBER_EPOCH',
    `member ${memberId} of group ${groupId} did not give up its partitions within ${rebalanceTimeoutMs} ms`,
    { details: { memberEpoch } },
  );
}
