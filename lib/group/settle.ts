/**
 * What a heartbeat does that finds something new, or joins: it ends sessions that are over, gives new targets when members,
 * subscriptions or topics have changed, and takes its own member one step further (`reconcile.ts`).
 *
 * Each of these is one conditional write. When what it was decided on has changed meanwhile, all starts over.
 */

import type { GroupId, InstanceId, MemberId, Timestamp } from '../ids.ts';
import {
  handOverMsMax,
  handOverPartitionsMax,
  heartbeatIntervalMsMax,
  heartbeatIntervalMsWaiting,
  sessionsEndedMax,
} from '../limits.ts';
import type { HeartbeatAnswer, HeartbeatRequest } from '../log.ts';
import {
  type Assignment,
  filterPartitions,
  hasPartition,
  isSameAssignment,
  noPartitions,
  placeOf,
  topicPartitionsOf,
} from '../store/assignment.ts';
import type { GroupChange, SeenGroup } from '../store/group-store.ts';
import type { Group, MemberSession, OffsetItem } from '../store/items.ts';
import { type GroupDeps, untilDone } from './group-deps.ts';
import { fencedInstance, fencedMember, missedRevocation, unknownMember } from './group-errors.ts';
import { nextCheckAt, nextGroup, resubscribed } from './group-plan.ts';
import { namedPartitions, ownedBy, topicsOfMembers } from './group-topics.ts';
import { isOver, isUnheard, type Move, moveTo, nextStep, stepsOf } from './reconcile.ts';

/** `joined`: the group as the sender has just joined it, at `memberEpoch`; it holds nothing then, and is told all. */
export async function settle(deps: GroupDeps, request: HeartbeatRequest, joined?: SeenGroup): Promise<HeartbeatAnswer> {
  const { groupId, memberId, memberEpoch } = request;
  let known = joined;
  return await untilDone(deps, groupId, async () => {
    const seen = known ?? (await deps.groupStore.getGroup(groupId));
    known = undefined;
    const found = seen?.sessions.find((one) => one.memberId === memberId);
    if (seen === undefined || found === undefined) {
      throw await missingMember(deps, groupId, memberId, request.instanceId);
    }
    const session = withTimeouts(found, request);
    // An attempt before this one may have taken the member to the next epoch.
    const isSender = session.memberEpoch === memberEpoch || session.previousMemberEpoch === memberEpoch;
    if (!isSender || session.state === 'AWAY') throw fencedMember(groupId, session, memberEpoch);
    const owned = joined === undefined ? request.owned && ownedBy(request.owned, seen.group.topics) : noPartitions;

    const sessions = seen.sessions.map((one) => (one === found ? session : one));
    const group = await regroup(deps, { ...seen, sessions }, request, owned);
    if (group === undefined) return undefined;
    const target = group.members.find((one) => one.memberId === memberId)?.targetAssignment;
    if (target === undefined) throw missedRevocation(groupId, session);

    const move = await nextMove(
      deps,
      groupId,
      session,
      { groupEpoch: group.groupEpoch, targetAssignment: target },
      owned,
    );
    const now = move === undefined ? session : await handOver(deps, groupId, session.version, move);
    if (now === undefined) return undefined;
    if (move === undefined && session !== found && !(await keepTimeouts(deps, groupId, session))) return undefined;
    const isTold =
      joined === undefined &&
      now.version === session.version &&
      now.memberEpoch === memberEpoch &&
      now.state === 'STABLE' &&
      (owned === undefined || isSameAssignment(owned, now.currentAssignment));
    if (isTold) return answerTo(now);
    return { ...answerTo(now), assignment: namedPartitions(now.currentAssignment, group.topics) };
  });
}

/** The session with what the request says of it; itself when that is nothing new. */
function withTimeouts(session: MemberSession, request: HeartbeatRequest): MemberSession {
  const { sessionTimeoutMs = session.sessionTimeoutMs, rebalanceTimeoutMs = session.rebalanceTimeoutMs } = request;
  const isSame = sessionTimeoutMs === session.sessionTimeoutMs && rebalanceTimeoutMs === session.rebalanceTimeoutMs;
  return isSame ? session : { ...session, sessionTimeoutMs, rebalanceTimeoutMs };
}

async function keepTimeouts({ groupStore }: GroupDeps, groupId: GroupId, session: MemberSession): Promise<boolean> {
  const { version } = session;
  const changed = { ...session, version: version + 1 };
  return (await groupStore.handOver({ groupId, session: changed, seenVersion: version, claims: [] })) === 'done';
}

/** The group with everything done that is due in it; undefined when someone else was at it. */
async function regroup(
  deps: GroupDeps,
  { group, sessions }: SeenGroup,
  request: HeartbeatRequest,
  owned: Assignment | undefined,
): Promise<Group | undefined> {
  const nowMs = deps.clock.nowMs();
  const { memberId } = request;
  const over = endedSessions(sessions, nowMs, memberId);
  const mine = sessions.find((one) => one.memberId === memberId);
  // The sender lives; its session is over only if it still holds what it had to give up by now.
  if (mine !== undefined && isOver(mine, nowMs) && mayStillHold(mine, owned)) over.set(memberId, removalOf(mine));
  const staying = group.members.filter((one) => !over.has(one.memberId));
  const members = staying.map((one) => (one.memberId === memberId ? resubscribed(one, request) : one));
  const topics = await topicsOfMembers(deps.topics, group, members);
  const changed = nextGroup(group, members, topics, nowMs);
  const left = sessions.filter((one) => !over.has(one.memberId));
  const checkAt = nextCheckAt(left, nowMs);
  if (changed === group) {
    const isDue = nowMs >= group.checkAt || checkAt < group.checkAt;
    if (isDue) await deps.groupStore.scheduleCheck(group.groupId, group.checkAt, checkAt);
    return group;
  }
  const next = { ...changed, checkAt };
  const change = { group: next, seenVersion: group.version, puts: [], removes: [...over.values()] };
  return (await deps.groupStore.changeGroup(change)) === 'changed' ? next : undefined;
}

function mayStillHold({ partitionsPendingRevocation: pending }: MemberSession, owned: Assignment | undefined): boolean {
  return filterPartitions(pending, (...one) => owned === undefined || hasPartition(owned, ...one)).size > 0;
}

/** A partition that is to be claimed, and the version of its item as it was read. */
type SeenMove = Move & { readonly versions: ReadonlyMap<string, number> };

async function nextMove(
  deps: GroupDeps,
  groupId: GroupId,
  session: MemberSession,
  goal: { readonly groupEpoch: number; readonly targetAssignment: Assignment },
  owned: Assignment | undefined,
): Promise<SeenMove | undefined> {
  const next = nextStep(session, goal, owned, deps.clock.nowMs());
  if (next.step === 'revokes') {
    return { session: next.session, claims: noPartitions, versions: new Map() };
  }
  if (next.step !== 'moves') return undefined;
  const found = await deps.groupStore.getOffsets(groupId, topicPartitionsOf(next.wants));
  const items = found.flatMap((item) => item ?? []);
  const free = await freeOf(deps, groupId, session.memberId, next.wants, items);
  const move = moveTo(session, goal, next, free);
  const versions = new Map(items.map((item) => [placeOf(item.topicId, item.partition), item.version]));
  return move === undefined ? undefined : { ...move, versions };
}

/**
 * Of what a member wants all that nobody holds. An owner holds a partition when its session lists it; the sessions are read
 * after the items that name it, so what they say of an owner is not from before it claimed.
 */
async function freeOf(
  { groupStore }: GroupDeps,
  groupId: GroupId,
  memberId: MemberId,
  wants: Assignment,
  items: readonly OffsetItem[],
): Promise<Assignment> {
  const owners = new Map<string, MemberId>();
  for (const { topicId, partition, owner } of items) {
    if (owner !== undefined && owner.memberId !== memberId) owners.set(placeOf(topicId, partition), owner.memberId);
  }
  if (owners.size === 0) return wants;
  const later = await groupStore.getGroup(groupId);
  const sessions = new Map(later?.sessions.map((session) => [session.memberId, session]));
  return filterPartitions(wants, (topicId, partition) => {
    const ownerId = owners.get(placeOf(topicId, partition));
    const owner = ownerId === undefined ? undefined : sessions.get(ownerId);
    if (owner === undefined) return true;
    const { currentAssignment, partitionsPendingRevocation } = owner;
    return ![currentAssignment, partitionsPendingRevocation].some((one) => hasPartition(one, topicId, partition));
  });
}

/**
 * The session as it is then: of a move that takes too long somewhere on the way, from where the next heartbeat goes on.
 * Undefined when something was no longer as it was seen; what changed hands until then stays so.
 */
async function handOver(
  { groupStore, clock }: GroupDeps,
  groupId: GroupId,
  version: number,
  move: SeenMove,
): Promise<MemberSession | undefined> {
  const untilMs = clock.nowMs() + Math.min(handOverMsMax, move.session.sessionTimeoutMs / 6);
  let done: MemberSession | undefined;
  for (const { session, claims } of stepsOf(move, handOverPartitionsMax)) {
    if (done !== undefined && clock.nowMs() > untilMs) break;
    const outcome = await groupStore.handOver({
      groupId,
      session,
      seenVersion: done?.version ?? version,
      claims: topicPartitionsOf(claims).map(({ topicId, partition }) => {
        return { topicId, partition, seenVersion: move.versions.get(placeOf(topicId, partition)) };
      }),
    });
    if (outcome === 'conflict') return undefined;
    done = session;
  }
  return done;
}

type Removal = GroupChange['removes'][number];

export function removalOf({ memberId, version }: MemberSession): Removal {
  return { memberId, seenVersion: version };
}

/** Sessions that are over, as many as one change may end. One of a member that was not heard of ends if that is still so. */
export function endedSessions(
  sessions: Iterable<MemberSession>,
  nowMs: Timestamp,
  ...spared: readonly (MemberId | undefined)[]
): Map<MemberId, Removal> {
  const over = [...sessions].filter((session) => isOver(session, nowMs) && !spared.includes(session.memberId));
  return new Map(
    over.slice(0, sessionsEndedMax).map((session): [MemberId, Removal] => {
      const still = isUnheard(session, nowMs) ? { seenAt: session.seenAt } : {};
      return [session.memberId, { ...removalOf(session), ...still }];
    }),
  );
}

export function answerTo({ memberId, memberEpoch, state, sessionTimeoutMs }: MemberSession): HeartbeatAnswer {
  const intervalMs = state === 'UNRELEASED_PARTITIONS' ? heartbeatIntervalMsWaiting : heartbeatIntervalMsMax;
  return { memberId, memberEpoch, heartbeatIntervalMs: Math.min(intervalMs, Math.floor(sessionTimeoutMs / 3)) };
}

/** Why a member is not there: another one has its instance id, or it left, or its session was over. */
export async function missingMember(
  { groupStore }: GroupDeps,
  groupId: GroupId,
  memberId: MemberId,
  instanceId: InstanceId | undefined,
) {
  if (instanceId === undefined) return unknownMember(groupId, memberId);
  const seen = await groupStore.getGroup(groupId);
  const isTaken = seen?.group.members.some((one) => one.instanceId === instanceId && one.memberId !== memberId);
  return isTaken ? fencedInstance(groupId, instanceId, memberId) : unknownMember(groupId, memberId);
}
