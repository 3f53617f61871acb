/** A history's members: what each of them was told to hold, from when, and until when that was certainly so. */

import type { Timestamp } from '../ids.ts';
import {
  answerOf,
  endOf,
  type History,
  type Instant,
  type MemberOperation,
  type Operation,
  type Place,
} from './history.ts';

/** Whoever is told this is a member no longer, and has lost all it had. */
export const fencingCodes: readonly string[] = ['UNKNOWN_MEMBER_ID', 'FENCED_MEMBER_EPOCH', 'FENCED_INSTANCE_ID'];

/** A partition in the hands of a member. */
export interface Holding {
  readonly place: Place;
  readonly group: string;
  readonly memberId: string;
  /** The member epoch at which it was told. */
  readonly memberEpoch: number;
  readonly told: MemberOperation;
  /** It was given no earlier: when the first request was sent whose answer may have told of it. */
  readonly from: Instant;
  /** When it said that it holds it no longer, or came anew; infinity: never. */
  readonly until: Instant;
  /** Before that its session cannot have been over, by any clock of the log. */
  readonly certainUntilMs: Timestamp;
}

export interface Memberships {
  readonly group: string;
  readonly memberId: string;
  /** Without those that are stray, as they followed each other. */
  readonly operations: readonly MemberOperation[];
  readonly strays: readonly MemberOperation[];
  readonly holdings: readonly Holding[];
}

/** Certainly so, at the end of `operation`. */
export function isHeldAt({ until, certainUntilMs }: Holding, operation: Operation): boolean {
  return until > endOf(operation) && certainUntilMs > (operation.endMs ?? Number.POSITIVE_INFINITY);
}

export function membershipsOf({ operations, clockErrorMsMax = Number.POSITIVE_INFINITY }: History): Memberships[] {
  const ofMembers = operations.filter(isOfMember);
  return [...Map.groupBy(ofMembers, ({ group, memberId }) => `${group} ${memberId}`).values()].map((all) => {
    const own = all.filter(({ isStray }) => !isStray);
    const { group, memberId } = all[0] as MemberOperation;
    const strays = all.filter(({ isStray }) => isStray);
    return { group, memberId, operations: own, strays, holdings: holdingsOf(own, clockErrorMsMax) };
  });
}

function isOfMember(operation: History['operations'][number]): operation is MemberOperation {
  return operation.type === 'join' || operation.type === 'heartbeat' || operation.type === 'leave';
}

/** A holding that goes on. */
interface Open {
  readonly told: MemberOperation;
  readonly memberEpoch: number;
  readonly from: Instant;
}

function holdingsOf(operations: readonly MemberOperation[], clockErrorMs: number): Holding[] {
  const holdings: Holding[] = [];
  const open = new Map<Place, Open>();
  /** All that it may hold. */
  let told: ReadonlySet<Place> = new Set();
  /** Since then no answer came: whatever the next one tells may be true since then. */
  let silentSince: Instant | undefined;
  /** When the last heartbeat was sent that was answered. */
  let renewedMs = 0;
  /** Since then the member may have been told to give up something that it holds; not doing so costs it all it has. */
  let revokedMs = Number.POSITIVE_INFINITY;
  const close = (place: Place, until: Instant) => {
    const holding = open.get(place) as Open;
    const { group, memberId, sessionTimeoutMs, rebalanceTimeoutMs } = holding.told;
    const overMs = Math.min(renewedMs + sessionTimeoutMs, revokedMs + rebalanceTimeoutMs) - clockErrorMs;
    // A heartbeat that got no answer may come late, and what it said then counts as if it were said now.
    const certainUntilMs = operations.some((one) => mayComeLate(one, place, until)) ? 0 : overMs;
    holdings.push({ ...holding, place, group, memberId, until, certainUntilMs });
    open.delete(place);
  };
  for (const operation of operations) {
    const { type, owned, start, startMs, outcome } = operation;
    const keeps = type === 'heartbeat' ? owned : [];
    if (type !== 'heartbeat') told = new Set();
    const isOver = outcome.kind === 'failed' && fencingCodes.includes(outcome.code);
    for (const place of [...open.keys()]) if (isOver || keeps?.includes(place) === false) close(place, start);
    const answer = answerOf(operation);
    if (answer === undefined) {
      if (outcome.kind !== 'unknown') continue;
      silentSince ??= start;
      revokedMs = Math.min(revokedMs, startMs);
      continue;
    }
    const { assignment, memberEpoch } = answer;
    renewedMs = startMs;
    told = new Set(assignment ?? told);
    const mustGiveUp = [...open.keys()].some((place) => !told.has(place));
    revokedMs = mustGiveUp ? Math.min(revokedMs, startMs) : Number.POSITIVE_INFINITY;
    for (const place of told) {
      if (!open.has(place)) open.set(place, { told: operation, memberEpoch, from: silentSince ?? start });
    }
    silentSince = undefined;
  }
  for (const place of [...open.keys()]) close(place, Number.POSITIVE_INFINITY);
  return holdings;
}

function mayComeLate({ type, owned, outcome, start }: MemberOperation, place: Place, until: Instant): boolean {
  return outcome.kind === 'unknown' && start < until && (type !== 'heartbeat' || owned?.includes(place) === false);
}
