/** How long members keep their place: no less than they were promised, and no longer than others can wait. */

import type { Timestamp } from '../ids.ts';
import { answerOf, endOf, type MemberOperation, type Operation, type Place } from './history.ts';
import type { Memberships } from './holdings.ts';
import type { SortedHistory } from './partition-logs.ts';
import { named, type Violation } from './violation.ts';

/** Whoever is told this has no session any more; of an epoch that is refused it may have one. */
const lossCodes: readonly string[] = ['UNKNOWN_MEMBER_ID', 'FENCED_INSTANCE_ID'];

/** That a member certainly has a session, by the last answer that it got. */
interface Stay {
  readonly last: MemberOperation;
  /** It left for a while. */
  readonly isAway: boolean;
  /** Before that the session cannot have been over, by any clock of the log. */
  readonly certainUntilMs: Timestamp;
}

/** An operation of a member, and what is certain before and behind it. */
interface Step {
  readonly operation: MemberOperation;
  readonly before: Stay | undefined;
  readonly after: Stay | undefined;
  /** What it still has, and was told to give up so long before that its session is over. */
  readonly overdue: { readonly place: Place; readonly told: MemberOperation } | undefined;
}

interface SteppedMember extends Memberships {
  readonly steps: readonly Step[];
}

/** 8: nobody loses its session, or its instance id to another, before the time that it was promised is over. */
export function sessionsLastTheirTime(history: SortedHistory): Violation[] {
  const members = steppedMembers(history);
  return members.flatMap((one) =>
    one.steps.flatMap(({ operation, before }): Violation[] => {
      const { outcome, instanceId } = operation;
      if (outcome.kind === 'failed' && lossCodes.includes(outcome.code) && lasts(before, operation)) {
        const text = `${named(operation)} was told ${outcome.code}, though the session of ${one.memberId} was renewed by ${named(before.last)}`;
        return [{ text, operations: [before.last, operation] }];
      }
      if (operation.type !== 'join' || outcome.kind !== 'ok' || instanceId === undefined) return [];
      return members.flatMap((other): Violation[] => {
        if (other.group !== one.group || other.memberId === one.memberId) return [];
        const stay = stayAround(other.steps, operation);
        if (stay?.last.instanceId !== instanceId || stay.isAway || !lasts(stay, operation)) return [];
        const text = `${named(operation)} came as instance ${instanceId}, which ${other.memberId} was, whose session was renewed by ${named(stay.last)}`;
        return [{ text, operations: [stay.last, operation] }];
      });
    }),
  );
}

/** 8: who left for a while is a member until its session is over: its group is there, and outsiders change nothing in it. */
export function whoIsAwayIsAMember(history: SortedHistory): Violation[] {
  const members = steppedMembers(history);
  return history.operations.flatMap((operation): Violation[] => {
    const missing = isDoneFromOutside(operation) ? () => true : groupsMissedBy(operation);
    if (missing === undefined) return [];
    return members.flatMap((one): Violation[] => {
      const stay = missing(one.group) ? stayAround(one.steps, operation) : undefined;
      if (!stay?.isAway || !lasts(stay, operation) || isBack(members, stay, operation)) return [];
      const text = `${named(operation)} found no member in group ${one.group}, where ${one.memberId} had left for a while by ${named(stay.last)}`;
      return [{ text, operations: [stay.last, operation] }];
    });
  });
}

/** 8: who still has what it was told to give up is no member any more when the time for that is over. */
export function whatIsTakenIsGivenUpInTime(history: SortedHistory): Violation[] {
  return steppedMembers(history).flatMap(({ memberId, steps }) =>
    steps.flatMap(({ operation, overdue }): Violation[] => {
      if (overdue === undefined || operation.outcome.kind !== 'ok') return [];
      const text = `${named(operation)} was answered, though ${memberId} still had ${overdue.place}, which ${named(overdue.told)} had told it to give up within ${operation.rebalanceTimeoutMs} ms`;
      return [{ text, operations: [overdue.told, operation] }];
    }),
  );
}

function isDoneFromOutside(operation: Operation): boolean {
  const { type, outcome } = operation;
  if (outcome.kind !== 'ok') return false;
  return (
    type === 'resetOffsets' || type === 'deleteGroup' || (type === 'commitOffset' && operation.member === undefined)
  );
}

/** Which groups it looked for in vain. */
function groupsMissedBy(operation: Operation): ((group: string) => boolean) | undefined {
  if (operation.type !== 'listGroups' && operation.type !== 'describeGroup') return undefined;
  const { outcome, group: asked } = operation;
  if (outcome.kind === 'ok') return (group) => (asked === '' || asked === group) && !outcome.groups.includes(group);
  const isDenied = outcome.kind === 'failed' && outcome.code === 'GROUP_ID_NOT_FOUND';
  return (group) => isDenied && asked === group;
}

/** Whether another member may have come as the same instance, and whatever became of it then. */
function isBack(members: readonly SteppedMember[], { last }: Stay, operation: Operation): boolean {
  return members.some(
    ({ group, operations }) =>
      group === last.group &&
      operations.some(
        (one) => one.instanceId === last.instanceId && one.start > last.start && one.start < endOf(operation),
      ),
  );
}

function lasts(stay: Stay | undefined, { endMs = Number.POSITIVE_INFINITY }: Operation): stay is Stay {
  return stay !== undefined && endMs < stay.certainUntilMs;
}

/** What lasts from before an operation of somebody else to behind it. */
function stayAround(steps: readonly Step[], operation: Operation): Stay | undefined {
  const last = steps.findLast((step) => step.operation.start < endOf(operation));
  return last !== undefined && endOf(last.operation) < operation.start ? last.after : undefined;
}

function steppedMembers({ memberships, clockErrorMsMax }: SortedHistory): SteppedMember[] {
  return memberships.map((one) => ({ ...one, steps: stepsOf(one, clockErrorMsMax) }));
}

function stepsOf({ operations }: Memberships, clockErrorMs = Number.POSITIVE_INFINITY): Step[] {
  let stay: Stay | undefined;
  /** To leave without an answer may be carried out at any time; whatever else comes late ends no session. */
  let isDoubtful = false;
  let told: ReadonlySet<Place> = new Set();
  /** What it has, and which answer told it to give that up. */
  const held = new Map<Place, MemberOperation | undefined>();
  /** Before that it cannot have been told to give up what it still has. */
  let keptAllMs = 0;
  return operations.map((operation): Step => {
    const { type, outcome, owned, startMs, sessionTimeoutMs, rebalanceTimeoutMs } = operation;
    const before = isDoubtful ? undefined : stay;
    if (type !== 'heartbeat') held.clear();
    for (const place of [...held.keys()]) if (owned?.includes(place) === false) held.delete(place);
    const [overdue] = [...held].flatMap(([place, by]) =>
      by !== undefined && startMs > (by.endMs ?? 0) + rebalanceTimeoutMs + clockErrorMs ? [{ place, told: by }] : [],
    );
    const answer = answerOf(operation);
    isDoubtful ||= type === 'leave' && outcome.kind === 'unknown';
    if (answer !== undefined && type !== 'leave') {
      told = new Set(answer.assignment ?? (type === 'join' ? [] : told));
      for (const [place, by] of held) held.set(place, told.has(place) ? undefined : (by ?? operation));
      for (const place of told) held.set(place, undefined);
      if ([...held.values()].every((by) => by === undefined)) keptAllMs = startMs;
      const overMs = Math.min(startMs + sessionTimeoutMs, keptAllMs + rebalanceTimeoutMs);
      stay = { last: operation, isAway: false, certainUntilMs: overMs - clockErrorMs };
    } else if (answer !== undefined && operation.isTemporary === true) {
      stay = { last: operation, isAway: true, certainUntilMs: startMs + sessionTimeoutMs - clockErrorMs };
    } else if (type !== 'heartbeat' || (outcome.kind === 'failed' && !outcome.isRetriable)) {
      // What it has it has still: it may be refused for the right to ask, and not for what it is.
      stay = undefined;
    }
    return { operation, before, after: isDoubtful ? undefined : stay, overdue };
  });
}
