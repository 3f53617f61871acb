/** What was done in a run, and whether that is enough for a verdict to rest on. */

import { answerOf, type History, type Operation, type ProduceOperation } from './history.ts';
import { membershipsOf } from './holdings.ts';
import { appendKey } from './partition-logs.ts';

export interface Evidence {
  readonly operations: number;
  readonly ackedRecords: number;
  /** Batches that had a producer id. */
  readonly ackedIdempotentBatches: number;
  /** Of those, ones that had been acked before. */
  readonly ackedResends: number;
  readonly refusedBatches: number;
  readonly batchesOfUnknownOutcome: number;
  readonly readRecords: number;
  /** Handed out by consumers of the library. */
  readonly polledRecords: number;
  readonly offsetsByTime: number;
  /** By members of groups, whose calls are looked at one by one, and before all is read to its end. */
  readonly committedOffsets: number;
  /** Times that a partition went to another member of such a group, before that. */
  readonly handOvers: number;
  readonly cutConnections: number;
}

/** Fewer of them say little. Where nothing is refused, a run of ten seconds has more of each; members come and go seldom. */
const evidenceMin = {
  ackedRecords: [100, 'records were acked'],
  ackedIdempotentBatches: [10, 'batches with a producer id were acked'],
  ackedResends: [1, 'batches that had been acked were acked when they were sent again'],
  polledRecords: [10, 'records were handed out by consumers'],
  offsetsByTime: [3, 'offsets were found by time'],
} as const;
const evidenceMinOfGroups = {
  committedOffsets: [3, 'offsets were committed by members of a group'],
  handOvers: [1, 'partitions went from one member of a group to another'],
} as const;

/** The first `workCount` operations are those of before everything was read to its end. */
export function evidenceOf({ operations }: History, workCount: number, cutConnections: number): Evidence {
  const produces = operations.filter((operation) => operation.type === 'produce');
  const reads = operations.filter((operation) => operation.type === 'fetch' || operation.type === 'poll');
  const work = operations.slice(0, workCount);
  const countOf = (kind: 'failed' | 'unknown') => produces.filter(({ outcome }) => outcome.kind === kind).length;
  const recordCountOf = (some: typeof reads) =>
    some.reduce((sum, { outcome }) => sum + (outcome.kind === 'ok' ? outcome.records.length : 0), 0);
  const acked = produces.filter(({ outcome }) => outcome.kind === 'ok');
  const idempotent = acked.filter(({ producer }) => producer !== undefined);
  return {
    operations: operations.length,
    ackedRecords: acked.reduce((sum, { values }) => sum + values.length, 0),
    ackedIdempotentBatches: idempotent.length,
    ackedResends: idempotent.length - new Set(idempotent.map(placeKey)).size,
    refusedBatches: countOf('failed'),
    batchesOfUnknownOutcome: countOf('unknown'),
    readRecords: recordCountOf(reads),
    polledRecords: recordCountOf(reads.filter(({ type }) => type === 'poll')),
    offsetsByTime: operations.filter(isOffsetByTime).length,
    committedOffsets: work.filter(({ type, outcome }) => type === 'commitOffset' && outcome.kind === 'ok').length,
    handOvers: handOversOf(work),
    cutConnections,
  };
}

/** What a log must have done and has not, in words. */
export function missingOf(evidence: Evidence, hasGroups: boolean): string[] {
  const wanted = Object.entries({ ...evidenceMin, ...(hasGroups ? evidenceMinOfGroups : {}) });
  return wanted.flatMap(([name, [least, what]]) => {
    const count = evidence[name as keyof Evidence];
    return count < least ? [`only ${count} ${what}, and fewer than ${least} tell little`] : [];
  });
}

function placeKey(operation: ProduceOperation): string {
  return `${operation.topic}/${operation.partition} ${appendKey(operation)}`;
}

function isOffsetByTime(operation: Operation): boolean {
  if (operation.type !== 'listOffsets' || operation.timestamp === 'earliest' || operation.timestamp === 'latest')
    return false;
  return answerOf(operation)?.offset !== undefined;
}

function handOversOf(operations: readonly Operation[]): number {
  const holdings = membershipsOf({ operations, topics: [], topicStaleMsMax: 0 }).flatMap((one) => one.holdings);
  const byPlace = Map.groupBy(holdings, ({ group, place }) => `${group} ${place}`);
  return [...byPlace.values()].reduce((sum, some) => sum + new Set(some.map(({ memberId }) => memberId)).size - 1, 0);
}
