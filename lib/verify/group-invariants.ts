/** What the members of groups, and those who look at groups, are told: who owns a partition, and how far it was read. */

import type { Offset } from '../ids.ts';
import { placeOf } from './group-recorder.ts';
import {
  answerOf,
  type CommitOffsetOperation,
  type CommittedOffset,
  endOf,
  type FetchOffsetsOperation,
  type Instant,
  type Operation,
  type Place,
  type TopicLife,
} from './history.ts';
import type { Holding, Memberships } from './holdings.ts';
import type { PartitionLog, SortedHistory } from './partition-logs.ts';
import { named, placed, type Violation } from './violation.ts';

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

/** Certainly so, at the end of `operation`. */
function isHeldAt({ until, certainUntilMs }: Holding, operation: Operation): boolean {
  return until > endOf(operation) && certainUntilMs > (operation.endMs ?? Number.POSITIVE_INFINITY);
}

/** 8: who was given a partition commits there, and nobody who had it before, nor the same one by its epoch of before. */
export function formerOwnersCommitNothing(history: SortedHistory): Violation[] {
  const memberships = history.memberships;
  const holdings = Map.groupBy(
    memberships.flatMap((one) => one.holdings),
    ({ group, place }) => `${group} ${place}`,
  );
  return history.operations.flatMap((operation): Violation[] => {
    if (operation.type !== 'commitOffset' || operation.outcome.kind !== 'ok') return [];
    const { member, group, partition, start } = operation;
    const [life, other] = livesOfCommit(history, operation);
    if (member === undefined || life === undefined || other !== undefined) return [];
    const { memberId, memberEpoch } = member;
    const ofPlace = holdings.get(`${group} ${placeOf(life.topicId, partition)}`) ?? [];
    const own = ofPlace.filter((one) => one.memberId === memberId && one.memberEpoch <= memberEpoch);
    const mayHaveItAgain = (since: Instant) =>
      own.some(({ told }) => endOf(told) >= since) ||
      memberships.some((one) => one.group === group && one.memberId === memberId && isSilent(one, operation));
    const next = ofPlace.find(
      (one) =>
        endOf(one.told) < start &&
        (one.memberId !== memberId || one.memberEpoch > memberEpoch) &&
        !mayHaveItAgain(one.from),
    );
    if (next === undefined) return [];
    const text = `${named(operation)} was taken from ${memberId} at epoch ${memberEpoch}, though ${next.memberId} was given the partition at epoch ${next.memberEpoch} before, by ${named(next.told)}`;
    return [{ text, operations: [next.told, operation] }];
  });
}

/** Of the topic that the commit names by its id, else of those of its name. */
function livesOfCommit({ topics, livesOf }: SortedHistory, operation: CommitOffsetOperation): readonly TopicLife[] {
  const { topicId } = operation;
  return topicId === undefined ? livesOf(operation) : topics.filter((life) => life.topicId === topicId);
}

/** Whether the member asked for something that got no answer: it may have been given the partition since, and not know. */
function isSilent({ operations }: Memberships, commit: CommitOffsetOperation): boolean {
  return operations.some(({ outcome, start }) => outcome.kind === 'unknown' && start < endOf(commit));
}

/** A heartbeat at an epoch that lies two behind is refused, and no member's epoch falls. */
export function oldEpochsAreFenced({ memberships }: SortedHistory): Violation[] {
  return memberships.flatMap(({ operations, strays }) =>
    [...operations, ...strays].flatMap((operation) => {
      const answer = answerOf(operation);
      if (operation.type !== 'heartbeat' || answer === undefined) return [];
      const told = operations.filter((one) => endOf(one) < operation.start && answerOf(one) !== undefined);
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

/** What the committed offset of a partition can have been: undefined is none. */
interface Write {
  readonly offset: Offset | undefined;
  /** Undefined: any. */
  readonly metadata: string | undefined;
  readonly start: Instant;
  /** Done by then; infinity when it is not known whether, or when. */
  readonly end: Instant;
  readonly operation: Operation | undefined;
}

/** 9: a committed offset that is fetched is the one committed last. */
export function committedOffsetsAreTheLast(history: SortedHistory): Violation[] {
  const { operations, livesOf, groupsOfOthers = [] } = history;
  const fetches = operations
    .filter((operation) => operation.type === 'fetchOffsets')
    .filter(({ group }) => !groupsOfOthers.includes(group));
  const byGroup = Map.groupBy(fetches, ({ group }) => group);
  return [...byGroup].flatMap(([group, ofGroup]) => {
    const writes = writesOf(history, group);
    return ofGroup.flatMap((fetch) => {
      const answer = answerOf(fetch);
      const [life, other] = livesOf(fetch);
      if (answer === undefined || life === undefined || other !== undefined) return [];
      const partitionCount = life.partitionCounts.at(-1)?.count ?? 0;
      return Array.from({ length: partitionCount }, (_, partition) => partition).flatMap((partition): Violation[] => {
        const ofPlace = writes(life, partition);
        const found = answer.offsets.find((one) => one.topicId === life.topicId && one.partition === partition);
        if (ofPlace.some((write) => isOf(write, found) && isVisible(write, ofPlace, fetch))) return [];
        // They go with their topic.
        if (found === undefined && (life.leaving ?? Number.POSITIVE_INFINITY) < endOf(fetch)) return [];
        const last = ofPlace
          .filter(({ end }) => end < fetch.start)
          .toSorted((a, b) => a.end - b.end)
          .at(-1)?.operation;
        const seen = found === undefined ? 'nothing' : `${found.offset} (${found.metadata})`;
        const text = `${named(fetch)} found ${seen} committed in partition ${partition} of ${life.topic}, and not what was committed last${last === undefined ? '' : `, by ${named(last)}`}`;
        return [{ text, operations: [...(last === undefined ? [] : [last]), fetch] }];
      });
    });
  });
}

function isOf({ offset, metadata }: Write, found: CommittedOffset | undefined): boolean {
  if (metadata === undefined) return true;
  return offset === found?.offset && (found === undefined || metadata === found.metadata);
}

/** It may have been done when `fetch` looked, and nothing else was certainly done after it and before that. */
function isVisible(write: Write, all: readonly Write[], fetch: FetchOffsetsOperation): boolean {
  return write.start < endOf(fetch) && !all.some((other) => other.start > write.end && other.end < fetch.start);
}

/** All that may have set what is committed in a partition; at first it is nothing. */
function writesOf(history: SortedHistory, group: string): (life: TopicLife, partition: number) => readonly Write[] {
  const found = new Map<Place, Write[]>();
  const nothing = { offset: undefined, metadata: '' };
  const initial: Write = {
    ...nothing,
    start: Number.NEGATIVE_INFINITY,
    end: Number.NEGATIVE_INFINITY,
    operation: undefined,
  };
  const ofAll: Write[] = [initial];
  const add = (topicId: string, partition: number, write: Write) => {
    const place = placeOf(topicId, partition);
    found.set(place, [...(found.get(place) ?? []), write]);
  };
  for (const operation of history.operations) {
    if (!('group' in operation) || operation.group !== group || operation.outcome.kind === 'failed') continue;
    if (operation.type !== 'commitOffset' && operation.type !== 'resetOffsets' && operation.type !== 'deleteGroup')
      continue;
    const lives = operation.type === 'commitOffset' ? livesOfCommit(history, operation) : history.livesOf(operation);
    const isCertain = operation.outcome.kind === 'ok' && (operation.type === 'deleteGroup' || lives.length === 1);
    const { start } = operation;
    const timed = { start, end: isCertain ? endOf(operation) : Number.POSITIVE_INFINITY, operation };
    if (operation.type === 'deleteGroup') ofAll.push({ ...nothing, ...timed });
    for (const life of lives) {
      if (operation.type === 'commitOffset') add(life.topicId, operation.partition, { ...operation, ...timed });
      else if (operation.type === 'resetOffsets') {
        // What a reset without an answer has set nobody knows.
        const partitions = Array.from({ length: life.partitionCounts.at(-1)?.count ?? 0 }, (_, partition) => partition);
        const any = partitions.map((partition) => ({ ...life, partition, offset: 0, metadata: undefined }));
        for (const { topicId, partition, offset, metadata } of answerOf(operation)?.offsets ?? any) {
          add(topicId, partition, { offset, metadata, ...timed });
        }
      }
    }
  }
  return ({ topicId }, partition) => [...ofAll, ...(found.get(placeOf(topicId, partition)) ?? [])];
}

/** 7: what a member commits was handed out to the group, all of it from the beginning on: nothing is skipped, whoever had it. */
export function groupsSkipNothing({ operations, logs, topics }: SortedHistory): Violation[] {
  const isAlone = (life: TopicLife) => topics.filter(({ topic }) => topic === life.topic).length === 1;
  const commits = operations.filter(
    (operation) =>
      operation.type === 'commitOffset' && operation.outcome.kind === 'ok' && operation.member !== undefined,
  ) as CommitOffsetOperation[];
  const byPlace = Map.groupBy(commits, ({ topic, partition }) => `${topic}/${partition}`);
  return logs
    .filter(({ life }) => isAlone(life))
    .flatMap((log) => {
      const ofLog = byPlace.get(`${log.life.topic}/${log.partition}`) ?? [];
      return [...Map.groupBy(ofLog, ({ group }) => group)].flatMap(([group, ofGroup]) =>
        skippedIn(log, group, ofGroup),
      );
    });
}

function skippedIn(log: PartitionLog, group: string, commits: readonly CommitOffsetOperation[]): Violation[] {
  /** When each record was first handed out, at the earliest. */
  const handedOut = new Map<Offset, Instant>();
  for (const read of log.reads) {
    if (read.group !== group) continue;
    for (const { offset } of answerOf(read)?.records ?? []) {
      handedOut.set(offset, Math.min(read.start, handedOut.get(offset) ?? Number.POSITIVE_INFINITY));
    }
  }
  let last = { offset: 0, at: Number.NEGATIVE_INFINITY };
  let next = 0;
  for (const commit of commits.toSorted((a, b) => a.offset - b.offset)) {
    for (; next < commit.offset; next++) {
      const at = handedOut.get(next) ?? Number.POSITIVE_INFINITY;
      if (at > last.at) last = { offset: next, at };
    }
    if (last.at < endOf(commit)) continue;
    const text = `${named(commit)} committed ${commit.offset} for group ${group}, to which ${placed(log, last.offset)} was not handed out before`;
    return [{ text, log, offset: last.offset, operations: [commit] }];
  }
  return [];
}
