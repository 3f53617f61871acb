/** How far groups have read: who may commit, what is committed, and that nothing is skipped. */

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
import { type Holding, isHeldAt, type Memberships } from './holdings.ts';
import type { PartitionLog, SortedHistory } from './partition-logs.ts';
import { named, placed, type Violation } from './violation.ts';

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
    const membership = memberships.find((one) => one.group === group && one.memberId === memberId);
    const isSilent = membership !== undefined && mayHaveMissed(membership, operation);
    // Whoever has it after that got it at a higher epoch.
    const mayHaveItAgain = (since: Holding) =>
      own.some(({ told }) => endOf(told) >= since.from) || (isSilent && memberEpoch > since.memberEpoch);
    const next = ofPlace.find(
      (one) =>
        endOf(one.told) < start && (one.memberId !== memberId || one.memberEpoch > memberEpoch) && !mayHaveItAgain(one),
    );
    if (next === undefined) return [];
    const text = `${named(operation)} was taken from ${memberId} at epoch ${memberEpoch}, though ${next.memberId} was given the partition at epoch ${next.memberEpoch} before, by ${named(next.told)}`;
    return [{ text, operations: [next.told, operation] }];
  });
}

/** Whoever is told this has lost what it wanted to commit, or its group. */
const lossCodes: readonly string[] = ['STALE_MEMBER_EPOCH', 'UNKNOWN_MEMBER_ID', 'FENCED_MEMBER_EPOCH'];

/** 8: who certainly has a partition, from before a commit to after it, is not told that it is another one's. */
export function ownersMayCommit(history: SortedHistory): Violation[] {
  const { operations, memberships } = history;
  return operations.flatMap((operation): Violation[] => {
    const { outcome } = operation;
    if (operation.type !== 'commitOffset' || outcome.kind !== 'failed' || !lossCodes.includes(outcome.code)) return [];
    const { member, group, partition } = operation;
    const [life, other] = livesOfCommit(history, operation);
    if (member === undefined || life === undefined || other !== undefined) return [];
    // Of a topic that goes nobody has anything.
    if ((life.leaving ?? Number.POSITIVE_INFINITY) <= endOf(operation)) return [];
    const place = placeOf(life.topicId, partition);
    const membership = memberships.find((one) => one.group === group && one.memberId === member.memberId);
    const held = membership?.holdings.find(
      (one) =>
        one.place === place &&
        one.memberEpoch <= member.memberEpoch &&
        endOf(one.told) < operation.start &&
        isHeldAt(one, operation),
    );
    if (held === undefined || isReplaced(memberships, held, operation)) return [];
    const text = `${named(operation)} was refused with ${outcome.code}, though ${member.memberId} had the partition since ${named(held.told)}, at epoch ${held.memberEpoch}`;
    return [{ text, operations: [held.told, operation] }];
  });
}

/** Whether another member may have come as the same instance, which takes all that the one before had. */
function isReplaced(memberships: readonly Memberships[], { told }: Holding, operation: Operation): boolean {
  const { group, memberId, instanceId } = told;
  return memberships.some(
    (one) =>
      one.group === group &&
      one.memberId !== memberId &&
      one.operations.some(
        (its) => its.instanceId !== undefined && its.instanceId === instanceId && its.start < endOf(operation),
      ),
  );
}

/** Of the topic that the commit names by its id, else of those of its name. */
function livesOfCommit({ topics, livesOf }: SortedHistory, operation: CommitOffsetOperation): readonly TopicLife[] {
  const { topicId } = operation;
  return topicId === undefined ? livesOf(operation) : topics.filter((life) => life.topicId === topicId);
}

/**
 * Whether the member asked for something that got no answer, and may have been given the partition by it. A heartbeat that
 * comes so late that two newer epochs were told is refused, and what it did before that the answers since have told.
 */
function mayHaveMissed({ operations }: Memberships, commit: CommitOffsetOperation): boolean {
  return operations.some((silent) => {
    if (silent.outcome.kind !== 'unknown' || silent.start >= endOf(commit)) return false;
    const since = operations.filter((one) => one.start > silent.start && endOf(one) < commit.start);
    const told = new Set(since.flatMap((one) => answerOf(one)?.memberEpoch ?? []));
    const newer = [...told].filter((memberEpoch) => memberEpoch > silent.memberEpoch);
    return silent.type !== 'heartbeat' || newer.length < 2;
  });
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

/**
 * 7: what a member commits was handed out to the group, all of it from the beginning on: nothing is skipped, whoever had it. What
 * its consumer was not done with does not count: it is handed out again.
 */
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
    if (read.group !== group || (read.type === 'poll' && read.isUndone === true)) continue;
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

/** 9: a group that is set back to the earliest is set to where logs start. */
export function resetsGoWhereTheyWereAsked({ operations }: SortedHistory): Violation[] {
  return operations.flatMap((operation): Violation[] => {
    if (operation.type !== 'resetOffsets' || operation.to !== 'earliest') return [];
    const other = answerOf(operation)?.offsets.find(({ offset }) => offset !== 0);
    if (other === undefined) return [];
    const text = `${named(operation)} set partition ${other.partition} of ${operation.topic} to ${other.offset}, and not to the earliest`;
    return [{ text, operations: [operation] }];
  });
}

/** 9: what a consumer of the library was done with when it closed in order is committed, by it or by whoever came next. */
export function closedConsumersHaveCommitted({ operations, topics }: SortedHistory): Violation[] {
  return operations.flatMap((operation): Violation[] => {
    const answer = operation.type === 'fetchOffsets' ? answerOf(operation) : undefined;
    const isAlone = topics.filter(({ topic }) => topic === operation.topic).length === 1;
    if (operation.type !== 'fetchOffsets' || answer === undefined || !isAlone) return [];
    const { done = [], group, topic } = operation;
    return done.flatMap(({ partition, offset }) => {
      const committed = answer.offsets.find((one) => one.partition === partition)?.offset ?? 0;
      if (committed >= offset) return [];
      const text = `${named(operation)} found ${committed} committed in partition ${partition} of ${topic} for group ${group}, after ${operation.client} was done with all below ${offset} and closed`;
      return [{ text, operations: [operation] }];
    });
  });
}
