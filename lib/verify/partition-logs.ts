/**
 * A history sorted by the logs it speaks of: one for each partition of each life of a topic.
 *
 * Callers name a topic, and the same name may have meant two topics in turn. An operation belongs to the life that it
 * overlaps; where it overlaps two, what it read or where its records were read later decides, and where that says nothing
 * either, it is left out.
 */

import type { Offset, Partition } from '../ids.ts';
import {
  answerOf,
  endOf,
  type FetchOperation,
  type History,
  type Instant,
  type ListOffsetsOperation,
  type Operation,
  type ProduceOperation,
  type ReadOperation,
  type ReadRecord,
  recordsOf,
  type TopicLife,
  type TopicOperation,
} from './history.ts';
import { type Memberships, membershipsOf } from './holdings.ts';

/** One batch in the log: where it is, and when it got there at the earliest and at the latest. */
export interface Append {
  readonly baseOffset: Offset;
  readonly nextOffset: Offset;
  /** No attempt began before. */
  readonly start: Instant;
  /** It was acknowledged by then; infinity when it never was. */
  readonly end: Instant;
  readonly operation: ProduceOperation;
}

/** What an operation said of where the log ends, and perhaps of where it begins. */
export interface Watermark {
  readonly operation: Operation;
  readonly highWatermark: Offset;
  readonly logStartOffset: Offset | undefined;
}

export type Shown = ReadRecord & { readonly operation: ReadOperation };

export interface PartitionLog {
  readonly life: TopicLife;
  readonly partition: Partition;
  /** Acknowledged by this log, and those whose outcome leaves open whether they are in it. */
  readonly produces: readonly ProduceOperation[];
  /** Answered ones only; so are the next two. */
  readonly reads: readonly ReadOperation[];
  /** Those of the reads that tell where they are in the log, and where it ends. */
  readonly fetches: readonly FetchOperation[];
  readonly listings: readonly ListOffsetsOperation[];
  readonly watermarks: readonly Watermark[];
  /** What the first fetch that covered it showed at an offset. */
  readonly shown: ReadonlyMap<Offset, Shown>;
  /** By offset; every batch of which it is known where it is. */
  readonly appends: readonly Append[];
}

export interface SortedHistory extends History {
  readonly logs: readonly PartitionLog[];
  readonly memberships: readonly Memberships[];
  /** Every attempt to send the record of that name. */
  readonly sendsOf: ReadonlyMap<string, readonly ProduceOperation[]>;
  /** Those lives of its topic that an operation may have met. */
  livesOf(operation: Operation): readonly TopicLife[];
}

export function sortHistory(history: History): SortedHistory {
  const { operations, topics } = history;
  const livesOf = findLives(history);
  const sendsOf = new Map<string, ProduceOperation[]>();
  for (const operation of operations) {
    if (operation.type !== 'produce') continue;
    for (const value of operation.values) push(sendsOf, value, operation);
  }

  const reads = new Map<TopicLife, ReadOperation[]>();
  for (const operation of operations) {
    if (operation.type !== 'fetch' && operation.type !== 'poll') continue;
    if (operation.outcome.kind !== 'ok') continue;
    let lives = livesOf(operation);
    for (const { value } of lives.length > 1 ? recordsOf(operation) : []) {
      const met = new Set((sendsOf.get(value) ?? []).flatMap(livesOf));
      lives = lives.filter((life) => met.has(life));
    }
    const [life] = lives;
    if (life !== undefined && lives.length === 1) push(reads, life, operation);
  }

  /** Places that batches without a producer id certainly took: a batch that is not certain is not there as well. */
  const taken = new Set(
    operations.flatMap((operation) => {
      if (operation.type !== 'produce' || operation.producer !== undefined) return [];
      const [life, other] = livesOf(operation);
      const answer = answerOf(operation);
      return answer === undefined || life === undefined || other !== undefined
        ? []
        : [placeKey(life, operation, answer)];
    }),
  );
  const shownIn = new Map(topics.map((life) => [life, showings(reads.get(life) ?? [])]));
  const logs = topics.flatMap((life) => {
    const isOf = (operation: Operation): boolean => {
      if (operation.topic !== life.topic) return false;
      const lives = livesOf(operation);
      const isMet = lives.includes(life);
      if (operation.type !== 'produce') return isMet && lives.length === 1;
      const answer = answerOf(operation);
      if (answer === undefined || lives.length === 1) return isMet;
      const place = shownIn.get(life)?.get(operation.partition)?.get(answer.baseOffset);
      return isMet && place?.value === operation.values[0] && !taken.has(placeKey(life, operation, answer));
    };
    const shown = shownIn.get(life) ?? new Map<Partition, Map<Offset, Shown>>();
    return logsOf(life, operations.filter(isOf), reads.get(life) ?? [], shown);
  });
  return { ...history, logs, memberships: membershipsOf(history), sendsOf, livesOf };
}

function placeKey(
  { topicId }: TopicLife,
  { partition }: ProduceOperation,
  { baseOffset }: { readonly baseOffset: Offset },
): string {
  return `${topicId}/${partition}/${baseOffset}`;
}

function findLives({ operations, topics }: History): (operation: Operation) => readonly TopicLife[] {
  const found = new Map<Operation, readonly TopicLife[]>();
  const find = (operation: Operation) =>
    topics.filter(
      ({ topic, from, to = Number.POSITIVE_INFINITY }) =>
        topic === operation.topic && from <= latestEffectOf(operation) && to >= operation.start,
    );
  for (const operation of operations) found.set(operation, find(operation));
  return (operation) => found.get(operation) ?? [];
}

/** A request that got no answer may still be under way when its caller has given up. */
function latestEffectOf(operation: Operation): Instant {
  const isSettled = operation.outcome.kind === 'ok' || operation.outcome.kind === 'failed';
  return isSettled ? endOf(operation) : Number.POSITIVE_INFINITY;
}

function showings(reads: readonly ReadOperation[]): Map<Partition, Map<Offset, Shown>> {
  const shown = new Map<Partition, Map<Offset, Shown>>();
  for (const operation of reads) {
    const ofPartition = shown.get(operation.partition) ?? new Map<Offset, Shown>();
    shown.set(operation.partition, ofPartition);
    for (const record of recordsOf(operation)) {
      if (!ofPartition.has(record.offset)) ofPartition.set(record.offset, { ...record, operation });
    }
  }
  return shown;
}

function logsOf(
  life: TopicLife,
  operations: readonly Operation[],
  ofLife: readonly ReadOperation[],
  shownIn: ReadonlyMap<Partition, ReadonlyMap<Offset, Shown>>,
): PartitionLog[] {
  const partitionCount = life.partitionCounts.at(-1)?.count ?? 0;
  return Array.from({ length: partitionCount }, (_, partition): PartitionLog => {
    const shown = shownIn.get(partition) ?? new Map<Offset, Shown>();
    const reads = ofLife.filter((operation) => operation.partition === partition);
    const fetches = reads.filter((operation) => operation.type === 'fetch');
    const produces: ProduceOperation[] = [];
    const listings: ListOffsetsOperation[] = [];
    const watermarks: Watermark[] = [];
    const note = (operation: Operation, highWatermark: Offset | undefined, logStartOffset?: Offset) => {
      if (highWatermark !== undefined) watermarks.push({ operation, highWatermark, logStartOffset });
    };
    for (const operation of fetches) {
      const answer = answerOf(operation);
      note(operation, answer?.highWatermark, answer?.logStartOffset);
      // Where it ended at the first look; the high watermark is that of the last one.
      if (operation.asked === 'latest') note(operation, answer?.offset);
    }
    for (const operation of operations) {
      if (operation.type === 'produce') {
        if (operation.partition === partition) produces.push(operation);
      } else if (operation.type === 'listOffsets') {
        const answer = answerOf(operation);
        if (operation.partition !== partition || answer === undefined) continue;
        listings.push(operation);
        if (operation.timestamp === 'latest') note(operation, answer.offset);
      } else if (isTopicOperation(operation)) {
        const seen = answerOf(operation)?.partitions[partition];
        note(operation, seen?.highWatermark, seen?.logStartOffset);
      }
    }
    return {
      life,
      partition,
      produces,
      reads,
      fetches,
      listings,
      watermarks,
      shown,
      appends: appendsOf(produces, shown),
    };
  });
}

function isTopicOperation(operation: Operation): operation is TopicOperation {
  return ['create', 'describe', 'alter', 'delete'].includes(operation.type);
}

/** The resends of an idempotent producer are one append; every other attempt is one of its own. */
function appendsOf(produces: readonly ProduceOperation[], shown: ReadonlyMap<Offset, Shown>): readonly Append[] {
  const placesOf = new Map<string, Offset[]>();
  // Of attempts that may each have gone through, the first one is where the record was first.
  for (const { value, offset } of [...shown.values()].sort((a, b) => a.offset - b.offset))
    push(placesOf, value, offset);
  const appends: Append[] = [];
  // Acknowledged ones first: they know their place, and the others may be wherever else their records are.
  const tried = produces.filter(({ outcome }) => outcome.kind !== 'failed');
  const acknowledgedFirst = tried.toSorted((a, b) => Number(b.outcome.kind === 'ok') - Number(a.outcome.kind === 'ok'));
  for (const [first, ...resends] of Map.groupBy(acknowledgedFirst, appendKey).values()) {
    if (first === undefined) continue;
    const places = placesOf.get(first.values[0] ?? '') ?? [];
    const baseOffset = answerOf(first)?.baseOffset ?? places[0];
    if (baseOffset === undefined) continue;
    if (places.includes(baseOffset)) places.splice(places.indexOf(baseOffset), 1);
    const attempts = [first, ...resends];
    appends.push({
      baseOffset,
      nextOffset: baseOffset + first.values.length,
      start: Math.min(...attempts.map(({ start }) => start)),
      end: Math.min(...attempts.map((attempt) => (attempt.outcome.kind === 'ok' ? endOf(attempt) : Infinity))),
      operation: first,
    });
  }
  return appends.sort((a, b) => a.baseOffset - b.baseOffset);
}

export function appendKey({ id, producer }: ProduceOperation): string {
  if (producer === undefined) return `operation ${id}`;
  return `producer ${producer.producerId}/${producer.producerEpoch}/${producer.baseSequence}`;
}

function push<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
