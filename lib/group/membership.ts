/** How members come and go: each one change of the group and its sessions, if the group is still as it was read. */

import { randomUuid } from '../clock.ts';
import { isLogError, LogError, withUnknownEffect } from '../errors.ts';
import type { GroupId, MemberId, Timestamp } from '../ids.ts';
import { groupMembersMax, rebalanceTimeoutMsDefault, sessionTimeoutMsDefault } from '../limits.ts';
import type { Groups, HeartbeatAnswer, JoinRequest } from '../log.ts';
import { noPartitions } from '../store/assignment.ts';
import { type SeenGroup, sessionIsRenewed } from '../store/group-store.ts';
import type { Group, GroupMember, MemberSession } from '../store/items.ts';
import { firstVersion, type GroupDeps, groupToMake, untilDone } from './group-deps.ts';
import { fullGroup, otherInstance, unreleasedInstance } from './group-errors.ts';
import { nextCheckAt, nextGroup, parseAssignor, withoutExpired } from './group-plan.ts';
import { topicsOfMembers } from './group-topics.ts';
import { isOver } from './reconcile.ts';
import { endedSessions, missingMember, removalOf, settle } from './settle.ts';

export function createMembership(deps: GroupDeps): Pick<Groups, 'join' | 'leave'> {
  const { groupStore, clock } = deps;

  async function join(request: JoinRequest): Promise<HeartbeatAnswer> {
    const { groupId, memberId = randomUuid(deps.randomBytes) as MemberId, instanceId } = request;
    const assignor = parseAssignor(request.assignor ?? 'uniform');
    const joined = await untilDone(deps, groupId, async (): Promise<SeenGroup | undefined> => {
      const seen = await groupStore.getGroup(groupId);
      const { group, sessions } = seen ?? { group: await groupToMake(deps, groupId), sessions: [] };
      const nowMs = clock.nowMs();
      const sessionOf = (id: MemberId | undefined) => sessions.find((one) => one.memberId === id);
      const before = memberBefore(group, sessions, { ...request, memberId }, nowMs);
      const over = endedSessions(sessions, nowMs, memberId);
      const replaced = before?.memberId === memberId ? undefined : sessionOf(before?.memberId);
      if (replaced !== undefined && !over.has(replaced.memberId)) over.set(replaced.memberId, removalOf(replaced));

      const others = group.members.filter(
        (one) => one.memberId !== memberId && one !== before && !over.has(one.memberId),
      );
      if (others.length >= groupMembersMax) throw fullGroup(groupId);
      const { targetAssignment } = before ?? { targetAssignment: noPartitions };
      const members = [
        ...others,
        { memberId, instanceId, topics: [...new Set(request.topics)], assignor, targetAssignment },
      ];
      const topics = await topicsOfMembers(deps.topics, group, members);
      const left = sessions.filter((one) => one.memberId !== memberId && !over.has(one.memberId));
      const changed = nextGroup(withoutExpired(group, sessions, nowMs), members, topics, nowMs);
      const seenVersion = sessionOf(memberId)?.version;
      const versionBefore = seenVersion ?? firstVersion(deps.randomBytes);
      const session = newSession(request, memberId, changed.groupEpoch, versionBefore, nowMs);
      const staying = [...left, session];
      // A new version also when nothing else of the group changes: a session never comes under who has read both.
      const next = { ...changed, version: group.version + 1, checkAt: nextCheckAt(staying, nowMs) };
      const outcome = await groupStore.changeGroup({
        group: next,
        seenVersion: seen?.group.version,
        puts: [{ session, seenVersion }],
        removes: [...over.values()],
      });
      return outcome === 'changed' ? { group: next, sessions: staying } : undefined;
    });
    const { groupEpoch } = joined.group;
    return await settle(deps, { groupId, memberId, memberEpoch: groupEpoch }, joined).catch((error) => {
      throw withUnknownEffect(error, 'the member has joined');
    });
  }

  async function leave({ groupId, memberId, instanceId, isTemporary }: Parameters<Groups['leave']>[0]): Promise<void> {
    let isRenewed = false;
    const attempt = async (): Promise<true | undefined> => {
      const seen = await groupStore.getGroup(groupId);
      const session = seen?.sessions.find((one) => one.memberId === memberId);
      const member = seen?.group.members.find((one) => one.memberId === memberId);
      if (seen === undefined || session === undefined || member === undefined) {
        throw await missingMember(deps, groupId, memberId, instanceId);
      }
      if (instanceId !== undefined && member.instanceId !== instanceId)
        throw otherInstance(groupId, member, instanceId);
      if (!isTemporary) return (await leaveFor(seen, session)) ? true : undefined;
      refuseWithoutInstance(groupId, member);
      await groupStore.renewSession(groupId, memberId, session.memberEpoch, clock.nowMs());
      isRenewed = true;
      return (await goAway(groupId, session)) ? true : undefined;
    };
    await untilDone(deps, groupId, attempt).catch((error) => {
      const mayBeDone = isRenewed && isLogError(error, 'KAFKA_STORAGE_ERROR');
      throw mayBeDone ? withUnknownEffect(error, sessionIsRenewed) : error;
    });
  }

  /** What it owned is claimed by those who are given it; nobody has to write that it is free. */
  async function leaveFor({ group, sessions }: SeenGroup, session: MemberSession): Promise<boolean> {
    const nowMs = clock.nowMs();
    const over = endedSessions(sessions, nowMs, session.memberId).set(session.memberId, removalOf(session));
    const members = group.members.filter((one) => !over.has(one.memberId));
    const topics = await topicsOfMembers(deps.topics, group, members);
    const left = sessions.filter((one) => !over.has(one.memberId));
    const next = { ...nextGroup(group, members, topics, nowMs), checkAt: nextCheckAt(left, nowMs) };
    const change = { group: next, seenVersion: group.version, puts: [], removes: [...over.values()] };
    return (await groupStore.changeGroup(change)) === 'changed';
  }

  /** Its target stays its own until its session is over; it owns nothing, so what a new target takes from it is free. */
  async function goAway(groupId: GroupId, session: MemberSession): Promise<boolean> {
    const away: MemberSession = {
      ...session,
      version: session.version + 1,
      memberEpoch: 0,
      previousMemberEpoch: 0,
      state: 'AWAY',
      revokeBy: undefined,
      currentAssignment: noPartitions,
      partitionsPendingRevocation: noPartitions,
    };
    const step = { groupId, session: away, seenVersion: session.version, claims: [] };
    return (await groupStore.handOver(step)) === 'done';
  }

  return { join, leave };
}

function refuseWithoutInstance(groupId: GroupId, { memberId, instanceId }: GroupMember): void {
  if (instanceId !== undefined) return;
  throw new LogError(
    'INVALID_REQUEST',
    `member ${memberId} of group ${groupId} has no instance id; only a static member leaves for a while`,
  );
}

/** The member that comes back: under its own id, or as the same instance when that one is away or its session over. */
function memberBefore(
  group: Group,
  sessions: readonly MemberSession[],
  { memberId, instanceId }: JoinRequest & { readonly memberId: MemberId },
  nowMs: Timestamp,
): GroupMember | undefined {
  const instance = group.members.find((one) => instanceId !== undefined && one.instanceId === instanceId);
  if (instance === undefined || instanceId === undefined || instance.memberId === memberId) {
    return instance ?? group.members.find((one) => one.memberId === memberId);
  }
  const session = sessions.find((one) => one.memberId === instance.memberId);
  const isActive = session !== undefined && session.state !== 'AWAY' && !isOver(session, nowMs);
  if (isActive) throw unreleasedInstance(group.groupId, instanceId, instance.memberId);
  return instance;
}

/** It owns nothing, whatever a member of this id owned before: it claims all of its target anew. */
function newSession(
  { sessionTimeoutMs = sessionTimeoutMsDefault, rebalanceTimeoutMs = rebalanceTimeoutMsDefault }: JoinRequest,
  memberId: MemberId,
  memberEpoch: number,
  versionBefore: number,
  nowMs: Timestamp,
): MemberSession {
  return {
    memberId,
    version: versionBefore + 1,
    memberEpoch,
    previousMemberEpoch: 0,
    state: 'UNRELEASED_PARTITIONS',
    seenAt: nowMs,
    sessionTimeoutMs,
    rebalanceTimeoutMs,
    revokeBy: undefined,
    currentAssignment: noPartitions,
    partitionsPendingRevocation: noPartitions,
  };
}
