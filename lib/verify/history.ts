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

export type Operation =
  | ProduceOperation
  | ReadOperation
  | ListOffsetsOperation
  | TopicOperation
  | ListOperation
  | ProducerOperation;

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
