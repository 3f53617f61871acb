/**
 * The promises of the log, each a named function over a history. Pure: the same history has the same verdict.
 *
 * A history proves a promise only as far as it reads: `ackedIsReadToTheEnd` asks that every partition was read to its end
 * after everything was acked.
 */

import {
  closedConsumersHaveCommitted,
  committedOffsetsAreTheLast,
  formerOwnersCommitNothing,
  groupsSkipNothing,
  ownersMayCommit,
  resetsGoWhereTheyWereAsked,
} from './commit-invariants.ts';
import {
  groupsAreFound,
  oldEpochsAreFenced,
  outsidersWaitForMembers,
  partitionsAreHandedOver,
  partitionsHaveOneMember,
  stableGroupsShareAll,
} from './group-invariants.ts';
import type { History } from './history.ts';
import { appendsAreLinearizable } from './linearizable.ts';
import { type PartitionLog, type SortedHistory, sortHistory } from './partition-logs.ts';
import {
  fencedProducersStayOut,
  resendsGetTheFirstAnswer,
  rightProducersAreAccepted,
  sendsKeepTheirOrder,
  sequencesFollow,
} from './producer-invariants.ts';
import {
  logsStartAtTheirFirstRecord,
  pollsGoUpAndSkipNothing,
  readsBeginWhereTheyAsked,
  timesFindTheFirstRecord,
  watermarksNeverFall,
  whatIsThereIsServed,
} from './reader-invariants.ts';
import {
  ackedIsReadable,
  ackedIsReadToTheEnd,
  batchesAreWhole,
  fetchesGoOn,
  nothingAppearsTwice,
  offsetHasOneValue,
  offsetsAreContiguous,
  onlyWhatWasSentIsRead,
} from './record-invariants.ts';
import { sessionsLastTheirTime, whatIsTakenIsGivenUpInTime, whoIsAwayIsAMember } from './session-invariants.ts';
import {
  answersNeedATopic,
  listsAreWhole,
  nothingIsABug,
  producerIdsAreGivenOnce,
  topicsChangeByRequest,
  topicsComeAndGoOnce,
  topicsOnlyGrow,
  whatIsThereIsFound,
} from './topic-invariants.ts';
import type { Violation } from './violation.ts';

const ofHistory = {
  nothingIsABug,
  onlyWhatWasSentIsRead,
  nothingAppearsTwice,
  batchesAreWhole,
  rightProducersAreAccepted,
  sequencesFollow,
  fetchesGoOn,
  pollsGoUpAndSkipNothing,
  whatIsThereIsServed,
  whatIsThereIsFound,
  answersNeedATopic,
  topicsComeAndGoOnce,
  topicsChangeByRequest,
  topicsOnlyGrow,
  listsAreWhole,
  producerIdsAreGivenOnce,
  partitionsHaveOneMember,
  partitionsAreHandedOver,
  formerOwnersCommitNothing,
  ownersMayCommit,
  oldEpochsAreFenced,
  outsidersWaitForMembers,
  sessionsLastTheirTime,
  whoIsAwayIsAMember,
  whatIsTakenIsGivenUpInTime,
  committedOffsetsAreTheLast,
  groupsSkipNothing,
  closedConsumersHaveCommitted,
  resetsGoWhereTheyWereAsked,
  groupsAreFound,
  stableGroupsShareAll,
} as const satisfies Record<string, (history: SortedHistory) => Violation[]>;

const ofLog = {
  ackedIsReadable,
  ackedIsReadToTheEnd,
  offsetHasOneValue,
  offsetsAreContiguous,
  resendsGetTheFirstAnswer,
  sendsKeepTheirOrder,
  fencedProducersStayOut,
  watermarksNeverFall,
  readsBeginWhereTheyAsked,
  logsStartAtTheirFirstRecord,
  timesFindTheFirstRecord,
  appendsAreLinearizable,
} as const satisfies Record<string, (log: PartitionLog) => Violation[]>;

export type InvariantName = keyof typeof ofHistory | keyof typeof ofLog;
export const invariantNames = [...Object.keys(ofLog), ...Object.keys(ofHistory)] as InvariantName[];

export interface FoundViolation extends Violation {
  readonly invariant: InvariantName;
}

/** All violations; none when the history keeps every promise. */
export function checkHistory(history: History): FoundViolation[] {
  const sorted = sortHistory(history);
  const found = (invariant: string, violations: readonly Violation[]): FoundViolation[] =>
    violations.map((violation) => ({ ...violation, invariant: invariant as InvariantName }));
  return [
    ...Object.entries(ofLog).flatMap(([name, check]) => sorted.logs.flatMap((log) => found(name, check(log)))),
    ...Object.entries(ofHistory).flatMap(([name, check]) => found(name, check(sorted))),
  ];
}
