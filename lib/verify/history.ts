/**
 * What happened to a log as its callers saw it: every operation with its start, its end, and its outcome.
 *
 * Plain data, so that a history can be written as JSON and judged elsewhere. The checker believes nothing but this.
 */

import type { ErrorCode } from '../errors.ts';
import type { Offset, Partition, Timestamp } from '../ids.ts';

/**
 * Counts the starts and ends of operations in the order in which they happened. What ended at a lower instant than the
 * one at which another began came before it; operations that overlap may have happened in either order.
 */
export type Instant = number;

/**
 * `ok`: it was answered. `failed`: it had no effect, on the word of its error. `unknown`: it may have happened, or may
 * still. `bug`: it ended with something that is no answer of a log.
 */
export type Outcome<Answer> =
  | ({ readonly kind: 'ok' } & Answer)
  | { readonly kind: 'failed' | 'unknown'; readonly code: ErrorCode; readonly isRetriable: boolean }
  | { readonly kind: 'bug'; readonly detail: string };

interface Timed {
  readonly id: number;
  readonly client: string;
  readonly topic: string;
  readonly start: Instant;
  /** Undefined: never answered. */
  readonly end: Instant | undefined;
  readonly startMs: Timestamp;
  readonly endMs: Timestamp | undefined;
}

/** One record batch on its way in; the batches of one request share `request`. */
export interface ProduceOperation extends Timed {
  readonly type: 'produce';
  readonly request: number;
  readonly partition: Partition;
  /** Names of the records, in order. A name belongs to one record alone; only a resend of that record has it again. */
  readonly values: readonly string[];
  /** Of each record, as it was sent. */
  readonly timestamps: readonly Timestamp[];
  readonly producer:
    | { readonly producerId: number; readonly producerEpoch: number; readonly baseSequence: number }
    | undefined;
  /** Records of one session are acked in the order in which they were sent, as far as they are acked. */
  readonly session?: string | undefined;
  readonly outcome: Outcome<{
    readonly baseOffset: Offset;
    readonly timestamp: Timestamp;
    readonly isDuplicate: boolean;
  }>;
}

export interface ReadRecord {
  readonly offset: Offset;
  /** The name of the record; anything else when its bytes are not those that were sent under that name. */
  readonly value: string;
  readonly timestamp: Timestamp;
}

/** One partition of a fetch; the partitions of one request share `request`. */
export interface FetchOperation extends Timed {
  readonly type: 'fetch';
  readonly request: number;
  readonly partition: Partition;
  readonly asked: Offset | 'earliest' | 'latest';
  /** Polls of one session follow each other: each goes on where the one before it ended. */
  readonly session: string | undefined;
  /** The group that it was read for. */
  readonly group?: string | undefined;
  readonly outcome: Outcome<{
    /** `asked`, resolved. */
    readonly offset: Offset;
    /** None below `offset`. */
    readonly records: readonly ReadRecord[];
    readonly nextOffset: Offset;
    readonly highWatermark: Offset;
    readonly logStartOffset: Offset;
  }>;
}

/** Records that a consumer handed out, in order; begun when its session was, since it may have fetched them long before. */
export interface PollOperation extends Timed {
  readonly type: 'poll';
  readonly partition: Partition;
  readonly session: string;
  readonly group?: string | undefined;
  /** Where it was told to begin. Undefined: elsewhere, as where its group was. */
  readonly from?: 'earliest' | 'latest' | undefined;
  /** Its consumer died or left before it was done with them: they are to come again. */
  readonly isUndone?: boolean;
  readonly outcome: Outcome<{ readonly records: readonly ReadRecord[] }>;
}

export type ReadOperation = FetchOperation | PollOperation;

export interface ListOffsetsOperation extends Timed {
  readonly type: 'listOffsets';
  readonly partition: Partition;
  readonly timestamp: Timestamp | 'earliest' | 'latest' | 'max';
  readonly outcome: Outcome<{ readonly offset: Offset | undefined; readonly timestamp: Timestamp | undefined }>;
}

export interface TopicOperation extends Timed {
  readonly type: 'create' | 'describe' | 'alter' | 'delete';
  readonly outcome: Outcome<{
    /** Undefined for a delete. */
    readonly topicId: string | undefined;
    readonly partitions: readonly {
      readonly partition: Partition;
      readonly logStartOffset: Offset;
      readonly highWatermark: Offset;
    }[];
  }>;
}

/** All topics at once; `topic` is empty. */
export interface ListOperation extends Timed {
  readonly type: 'list';
  readonly outcome: Outcome<{ readonly topics: readonly { readonly topic: string; readonly topicId: string }[] }>;
}

/** Asks for a producer id; `topic` is empty. */
export interface ProducerOperation extends Timed {
  readonly type: 'nextProducer';
  readonly outcome: Outcome<{ readonly producerId: number }>;
}

/** A partition of one life of a topic, as `{topicId}/{partition}`. */
export type Place = string;

/** A member of a group comes, stays, or goes; `topic` is empty. The operations of one member id follow each other. */
export interface MemberOperation extends Timed {
  readonly type: 'join' | 'heartbeat' | 'leave';
  readonly group: string;
  readonly memberId: string;
  /** Whoever has it takes the place of the one before. */
  readonly instanceId: string | undefined;
  /** At which it was sent; 0 for a join. */
  readonly memberEpoch: number;
  /** All that the member says it holds, and it holds no more until the answer. Undefined: it does not say. */
  readonly owned: readonly Place[] | undefined;
  /** Of a static member that leaves for a while. */
  readonly isTemporary?: boolean;
  readonly sessionTimeoutMs: number;
  /** How long the member may hold what it was told to give up. */
  readonly rebalanceTimeoutMs: number;
  /** Sent by something left over of the member: nobody follows its answer. */
  readonly isStray: boolean;
  readonly outcome: Outcome<{
    readonly memberEpoch: number;
    /** All that the member may hold from now on; undefined: as before. */
    readonly assignment: readonly Place[] | undefined;
  }>;
}

/** One partition of a commit of offsets; those of one request share `request`. */
export interface CommitOffsetOperation extends Timed {
  readonly type: 'commitOffset';
  readonly request: number;
  readonly group: string;
  /** Undefined: for whatever topic has the name. */
  readonly topicId: string | undefined;
  readonly partition: Partition;
  /** Undefined: by somebody outside of the group. */
  readonly member: { readonly memberId: string; readonly memberEpoch: number } | undefined;
  readonly offset: Offset;
  /** Of one commit alone, so that it tells which one is read back. */
  readonly metadata: string;
  readonly outcome: Outcome<object>;
}

export interface CommittedOffset {
  readonly topicId: string;
  readonly partition: Partition;
  readonly offset: Offset;
  readonly metadata: string;
}

/** The committed offsets of a group in one topic, all of them. */
export interface FetchOffsetsOperation extends Timed {
  readonly type: 'fetchOffsets';
  readonly group: string;
  /** By a consumer that has closed in order, and had lost none of these: all below `offset` was handed out and done. */
  readonly done?: readonly { readonly partition: Partition; readonly offset: Offset }[] | undefined;
  readonly outcome: Outcome<{ readonly offsets: readonly CommittedOffset[] }>;
}

/** Sets the offsets of a group in one topic, without metadata, or takes away all that it has; then `topic` is empty. */
export interface GroupOperation extends Timed {
  readonly type: 'resetOffsets' | 'deleteGroup';
  readonly group: string;
  /** Undefined: somewhere else. */
  readonly to?: 'earliest' | undefined;
  readonly outcome: Outcome<{ readonly offsets: readonly CommittedOffset[] }>;
}

/** A group as it was described. */
export interface DescribedGroup {
  /** Each of its members has what it shall have, or is away. */
  readonly isStable: boolean;
  readonly members: readonly {
    readonly memberId: string;
    readonly isAway: boolean;
    readonly topics: readonly string[];
    readonly has: readonly Place[];
    readonly shallHave: readonly Place[];
  }[];
}

/** Which groups there are: of all of them, with an empty `group`, or whether one is. `topic` is empty. */
export interface LookForGroupsOperation extends Timed {
  readonly type: 'listGroups' | 'describeGroup';
  readonly group: string;
  readonly outcome: Outcome<{ readonly groups: readonly string[]; readonly described?: DescribedGroup }>;
}

export type Operation =
  | ProduceOperation
  | ReadOperation
  | ListOffsetsOperation
  | TopicOperation
  | ListOperation
  | ProducerOperation
  | MemberOperation
  | CommitOffsetOperation
  | FetchOffsetsOperation
  | GroupOperation
  | LookForGroupsOperation;

/** One topic from its creation to its deletion: under the same name another may follow. */
export interface TopicLife {
  readonly topic: string;
  readonly topicId: string;
  readonly from: Instant;
  readonly fromMs: Timestamp;
  /** Its deletion has begun: from here on it may be gone. Undefined: nobody deleted it. */
  readonly leaving: Instant | undefined;
  /** From here on nothing is answered by it. Undefined: never. */
  readonly to: Instant | undefined;
  /** Each with the moment from which it was in force, the first one from the creation on. */
  readonly partitionCounts: readonly { readonly count: number; readonly from: Instant; readonly fromMs: Timestamp }[];
}

export interface History {
  /** As they were begun; those of one session in the order in which they happened. */
  readonly operations: readonly Operation[];
  readonly topics: readonly TopicLife[];
  /** For this long an answer may go by what was true of a topic before. */
  readonly topicStaleMsMax: number;
  /** Bytes were damaged or rights taken away on purpose: whoever meets that may be told that trying again does not help. */
  readonly mayFailForGood?: boolean;
  /** No two clocks of the log were further apart; infinity when nothing is known of them. @default infinity */
  readonly clockErrorMsMax?: number;
  /** Groups to which others commit as well, which is not among the operations. */
  readonly groupsOfOthers?: readonly string[];
}

export type OkOutcome<Op extends Operation> = Extract<Op['outcome'], { kind: 'ok' }>;

/** The answer, where there is one. */
export function answerOf<Op extends Operation>(operation: Op): OkOutcome<Op> | undefined {
  return operation.outcome.kind === 'ok' ? (operation.outcome as OkOutcome<Op>) : undefined;
}

/** Of a read that was answered; else none. */
export function recordsOf(operation: ReadOperation): readonly ReadRecord[] {
  return operation.outcome.kind === 'ok' ? operation.outcome.records : [];
}

export function endOf(operation: Operation): Instant {
  return operation.end ?? Number.POSITIVE_INFINITY;
}
