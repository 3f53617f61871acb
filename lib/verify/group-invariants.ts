/** What the members of groups, and those who look at groups, are told: who is there, and who owns a partition. */

import { placeOf } from './group-recorder.ts';
import { answerOf, endOf, type Operation } from './history.ts';
import { isHeldAt, type Memberships } from './holdings.ts';
import type { SortedHistory } from './partition-logs.ts';
import { named, type Violation } from './violation.ts';

/**
 * 8: at one member epoch one member is told to hold a partition, also when the group is deleted and made again. Who comes
 * back as the same instance is the same.
 */
export function partitionsHaveOneMember({ memberships }: SortedHistory): Violation[] {
  const told = new Map<string, { readonly who: string; readonly operation: Operation }>();
  return memberships.flatMap(({ group, operations }) =>
    operations.flatMap((operation) => {
      const { assignment = [], memberEpoch = 0 } = answerOf(operation) ?? {};
      const who = operation.instanceId ?? operation.memberId;
      return assignment.flatMap((place): Violation[] => {
        const key = `${group} ${place} ${memberEpoch}`;
        const first = told.get(key) ?? { who, operation };
        told.set(key, first);
        if (first.who === who) return [];
        const text = `partition ${place} of group ${group} is ${first.who}'s by ${named(first.operation)} and ${who}'s by ${named(operation)}, both at epoch ${memberEpoch}`;
        return [{ text, operations: [first.operation, operation] }];
      });
    }),
  );
}

/** 8: a partition goes to the next member when the one before has given it up, or its session is over. */
export function partitionsAreHandedOver({ memberships }: SortedHistory): Violation[] {
  const holdings = memberships.flatMap((one) => one.holdings);
  return [...Map.groupBy(holdings, ({ group, place }) => `${group} ${place}`).values()].flatMap((ofPlace) =>
    ofPlace.flatMap((one, index) =>
      ofPlace.slice(index + 1).flatMap((other): Violation[] => {
        const [before, next] = endOf(one.told) < endOf(other.told) ? [one, other] : [other, one];
        if (before.memberId === next.memberId || !isHeldAt(before, next.told) || !isHeldAt(next, next.told)) return [];
        const text = `partition ${next.place} of group ${next.group} was given to ${next.memberId} by ${named(next.told)} while ${before.memberId}, who got it by ${named(before.told)}, held it`;
        return [{ text, operations: [before.told, next.told] }];
      }),
    ),
  );
}

/** A heartbeat at an epoch that lies two behind is refused, and no member's epoch falls. */
export function oldEpochsAreFenced({ memberships }: SortedHistory): Violation[] {
  return memberships.flatMap(({ operations, strays }) =>
    [...operations, ...strays].flatMap((operation) => {
      const answer = answerOf(operation);
      if (operation.type !== 'heartbeat' || answer === undefined) return [];
      const told = operations.filter((one) => endOf(one) < operation.start && answerOf(one) !== undefined);
      const higher = told.find((one) => (answerOf(one)?.memberEpoch ?? 0) > answer.memberEpoch);
      if (higher !== undefined) {
        const text = `${named(operation)} was told epoch ${answer.memberEpoch}, and ${named(higher)} before it ${answerOf(higher)?.memberEpoch}`;
        return [{ text, operations: [higher, operation] }];
      }
      const newer = told.filter((one) => (answerOf(one)?.memberEpoch ?? 0) > operation.memberEpoch);
      const epochs = new Set(newer.map((one) => answerOf(one)?.memberEpoch));
      const last = newer.at(-1);
      if (epochs.size < 2 || last === undefined) return [];
      const text = `${named(operation)} was answered at epoch ${operation.memberEpoch}, though ${named(last)} had told ${answerOf(last)?.memberEpoch}`;
      return [{ text, operations: [last, operation] }];
    }),
  );
}

/** Who is outside of a group commits and resets nothing, and deletes nothing, while somebody is a member. */
export function outsidersWaitForMembers(history: SortedHistory): Violation[] {
  const memberships = history.memberships;
  return history.operations.flatMap((operation): Violation[] => {
    const isOutside = operation.type === 'commitOffset' && operation.member === undefined;
    if (!isOutside && operation.type !== 'resetOffsets' && operation.type !== 'deleteGroup') return [];
    if (operation.outcome.kind !== 'ok') return [];
    return memberships.flatMap((one) => {
      const stay = one.group === operation.group ? stayAround(one, operation) : undefined;
      if (stay === undefined) return [];
      const text = `${named(operation)} was done from outside of group ${one.group}, of which ${one.memberId} was a member`;
      return [{ text, operations: [...stay, operation] }];
    });
  });
}

/** Who looks at groups finds those that have a member. */
export function groupsAreFound({ operations, memberships }: SortedHistory): Violation[] {
  return operations.flatMap((operation): Violation[] => {
    if (operation.type !== 'listGroups' && operation.type !== 'describeGroup') return [];
    const { outcome } = operation;
    const isDenied = outcome.kind === 'failed' && outcome.code === 'GROUP_ID_NOT_FOUND';
    if (outcome.kind !== 'ok' && !isDenied) return [];
    const found = outcome.kind === 'ok' ? outcome.groups : [];
    const looked = memberships.filter(({ group }) => operation.type === 'listGroups' || group === operation.group);
    return looked.flatMap((one) => {
      const stay = found.includes(one.group) ? undefined : stayAround(one, operation);
      if (stay === undefined) return [];
      const text = `${named(operation)} did not find group ${one.group}, of which ${one.memberId} was a member`;
      return [{ text, operations: [...stay, operation] }];
    });
  });
}

/** 8: in a group that is stable each partition of its topics is one member's, away or not, and who is not away has what it shall. */
export function stableGroupsShareAll({ operations, topics }: SortedHistory): Violation[] {
  // Of topics that come, go or grow a group hears later.
  const lasting = topics.filter(
    ({ topic, leaving, partitionCounts }) =>
      leaving === undefined &&
      partitionCounts.length === 1 &&
      topics.every((one) => one.topic !== topic || one.leaving === undefined),
  );
  return operations.flatMap((operation): Violation[] => {
    const { described } = (operation.type === 'describeGroup' && answerOf(operation)) || {};
    if (described === undefined || !described.isStable || described.members.length === 0) return [];
    const { members } = described;
    const wrong = (text: string) => [{ text: `${named(operation)} found that ${text}`, operations: [operation] }];
    const ofTopics = lasting
      .filter(({ topic }) => members.some((one) => one.topics.includes(topic)))
      .flatMap(({ topicId, partitionCounts }) =>
        Array.from({ length: partitionCounts[0]?.count ?? 0 }, (_, partition) => placeOf(topicId, partition)),
      )
      .flatMap((place) => {
        const count = members.filter(({ shallHave }) => shallHave.includes(place)).length;
        return count === 1 ? [] : wrong(`partition ${place} is for ${count} members`);
      });
    const ofMembers = members.flatMap(({ memberId, isAway, has, shallHave }) => {
      const due = isAway ? [] : shallHave;
      if (due.length === has.length && due.every((place) => has.includes(place))) return [];
      return wrong(`${memberId} has ${has.join(', ') || 'nothing'} and not ${due.join(', ') || 'nothing'}`);
    });
    return [...ofTopics, ...ofMembers];
  });
}

/** Two answers around an operation, between which the member neither left nor came. */
function stayAround(
  { operations }: Memberships,
  { start, end = Number.POSITIVE_INFINITY }: Operation,
): Operation[] | undefined {
  const after = operations.findIndex((one) => one.start > end && one.type === 'heartbeat' && one.outcome.kind === 'ok');
  for (let at = after - 1; at >= 0; at--) {
    const one = operations[at] as Operation;
    if (one.outcome.kind === 'ok' && endOf(one) < start && one.type !== 'leave')
      return [one, operations[after] as Operation];
    if (one.type !== 'heartbeat') return undefined;
  }
  return undefined;
}
