/**
 * How a member gets from what it has to what it shall have: KIP-848's member epochs, as a pure decider.
 *
 * ```
 *             target lacks what it has,                 all that was pending is given up
 *             and it still holds that
 *   STABLE ------------------------> UNREVOKED_PARTITIONS ------------------+
 *     |  ^                              (at its old epoch)                  |
 *     |  |                                                                  v
 *     |  +----------------------------------------------- at the group's epoch, with all that is free
 *     |                                                                     |        ^
 *     +---------------------------------------------------------------------+        | more is free
 *        nothing to give up                                                 v        |
 *                                                            UNRELEASED_PARTITIONS --+
 *                                                       others still hold some of its target
 * ```
 *
 * A partition changes hands in two steps, each one atomic: the session of its owner lists it no longer, then the next owner
 * claims it. In between nobody has it. See CurrentAssignmentBuilder.java.
 */

import type { Timestamp } from '../ids.ts';
import {
  type Assignment,
  assignmentOf,
  differenceOf,
  intersectionOf,
  isSubsetOf,
  noPartitions,
  partitionCountOf,
  type TopicPartition,
  topicPartitionsOf,
  unionOf,
} from '../store/assignment.ts';
import type { MemberSession } from '../store/items.ts';

export interface Goal {
  readonly groupEpoch: number;
  readonly targetAssignment: Assignment;
}

/**
 * `settled`: nothing to do. `waits`: the member has not yet given up what it was told to. `revokes`: it is told to give up
 * partitions. `moves`: it goes on to the group's epoch, and has `keeps` and all of `wants` that is free.
 */
export type NextStep =
  | { readonly step: 'settled' | 'waits' }
  | { readonly step: 'revokes'; readonly session: MemberSession }
  | { readonly step: 'moves'; readonly keeps: Assignment; readonly wants: Assignment };

/** `owned` is what the member says that it holds; undefined: it did not say, so it may hold all that it was given. */
export function nextStep(
  session: MemberSession,
  goal: Goal,
  owned: Assignment | undefined,
  nowMs: Timestamp,
): NextStep {
  const { currentAssignment, partitionsPendingRevocation: pending } = session;
  if (session.state === 'STABLE' && session.memberEpoch === goal.groupEpoch) return { step: 'settled' };
  if (session.state === 'UNREVOKED_PARTITIONS' && mayHold(owned, pending)) return { step: 'waits' };
  const keeps = intersectionOf(currentAssignment, goal.targetAssignment);
  const surplus = differenceOf(currentAssignment, goal.targetAssignment);
  if (mayHold(owned, surplus)) {
    return {
      step: 'revokes',
      session: {
        ...session,
        version: session.version + 1,
        state: 'UNREVOKED_PARTITIONS',
        currentAssignment: keeps,
        partitionsPendingRevocation: surplus,
        revokeBy: nowMs + session.rebalanceTimeoutMs,
      },
    };
  }
  return { step: 'moves', keeps, wants: differenceOf(goal.targetAssignment, keeps) };
}

function mayHold(owned: Assignment | undefined, partitions: Assignment): boolean {
  return intersectionOf(owned ?? partitions, partitions).size > 0;
}

/** One hand-over: what the session is after it, and which partitions are claimed with it. */
export interface Move {
  readonly session: MemberSession;
  readonly claims: Assignment;
}

/**
 * The member at the group's epoch with `free`, which is what may be claimed of all that it wants. Undefined when that
 * changes nothing: it waits for others to let go.
 */
export function moveTo(
  session: MemberSession,
  goal: Goal,
  { keeps, wants }: Extract<NextStep, { step: 'moves' }>,
  free: Assignment,
): Move | undefined {
  const state = partitionCountOf(free) === partitionCountOf(wants) ? 'STABLE' : 'UNRELEASED_PARTITIONS';
  const isMoving = session.memberEpoch !== goal.groupEpoch;
  if (!isMoving && session.state === state && free.size === 0) return undefined;
  return {
    claims: free,
    session: {
      ...session,
      version: session.version + 1,
      memberEpoch: goal.groupEpoch,
      previousMemberEpoch: isMoving ? session.memberEpoch : session.previousMemberEpoch,
      state,
      currentAssignment: unionOf(keeps, free),
      partitionsPendingRevocation: noPartitions,
      revokeBy: undefined,
    },
  };
}

/** Whether a session is over: nothing was heard of the member for too long, or it has not given up what it had to. */
export function isOver(session: MemberSession, nowMs: Timestamp): boolean {
  return isUnheard(session, nowMs) || nowMs > (session.revokeBy ?? Number.POSITIVE_INFINITY);
}

export function isUnheard({ seenAt, sessionTimeoutMs }: MemberSession, nowMs: Timestamp): boolean {
  return nowMs - seenAt > sessionTimeoutMs;
}

/** When `isOver` can first be true, as things stand. */
export function overAt({ seenAt, sessionTimeoutMs, revokeBy }: MemberSession): Timestamp {
  return 1 + Math.min(seenAt + sessionTimeoutMs, revokeBy ?? Number.POSITIVE_INFINITY);
}

export type EpochVerdict = 'current' | 'answer was lost' | 'fenced';

/**
 * Whether a heartbeat is from the member as it is. An epoch behind is only taken for one whose answer was lost: the one
 * before, of a member that holds no more than it has.
 */
export function classifyEpoch(
  session: MemberSession,
  memberEpoch: number,
  owned: Assignment | undefined,
): EpochVerdict {
  if (session.state === 'AWAY') return 'fenced';
  if (memberEpoch === session.memberEpoch) return 'current';
  if (memberEpoch !== session.previousMemberEpoch || owned === undefined) return 'fenced';
  return isSubsetOf(owned, session.currentAssignment) ? 'answer was lost' : 'fenced';
}

/**
 * The move in steps that claim at most `countMax` partitions. After each of them the session lists exactly what it owns, so
 * a move that ends halfway goes on with the next heartbeat.
 */
export function stepsOf({ session, claims }: Move, countMax: number): Move[] {
  const places = topicPartitionsOf(claims);
  const stepCount = Math.max(1, Math.ceil(places.length / countMax));
  return Array.from({ length: stepCount }, (_, index): Move => {
    const [from, to] = [index * countMax, (index + 1) * countMax];
    return {
      claims: assignmentOfPlaces(places.slice(from, to)),
      session: {
        ...session,
        version: session.version + index,
        state: index === stepCount - 1 ? session.state : 'UNRELEASED_PARTITIONS',
        currentAssignment: differenceOf(session.currentAssignment, assignmentOfPlaces(places.slice(to))),
      },
    };
  });
}

function assignmentOfPlaces(places: readonly TopicPartition[]): Assignment {
  return assignmentOf(places.map(({ topicId, partition }) => [topicId, [partition]]));
}
