/** What the user of a consumer in a group says, and is told. */

import { LogError } from '../errors.ts';
import { parseGroupId, parseInstanceId, parseTopicName } from '../ids.ts';
import { fetchWaitMsMax, sessionTimeoutMsMax, sessionTimeoutMsMin } from '../limits.ts';
import { checkWholeNumbers, timerMsMax } from './whole-numbers.ts';

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** A partition that was taken away, or whose consumer failed, before all it handed out was committed. */
export interface LostPartition extends TopicPartition {
  /** The next offset that was to be handed out. Records from `committedOffset` up to it come again, to whoever has it now. */
  readonly position: number;
  /** Undefined when nothing is known to be committed. */
  readonly committedOffset: number | undefined;
}

export interface PartitionLag extends TopicPartition {
  readonly position: number;
  readonly highWatermark: number;
  readonly lag: number;
}

/** One topic, several, or all whose names match; topics that come later are noticed within a minute. */
export type Subscription = string | readonly string[] | RegExp;

export interface GroupConsumerOptions {
  /** The group that shares the partitions, and under which it is remembered how far they were read. */
  readonly group: string;
  /** Where to begin in a partition without a committed offset, or when that is no longer there. @default 'earliest' */
  readonly from?: 'earliest' | 'latest' | Date;
  /**
   * Commit what is done: in between, when a partition is given up, and at the end. A record is done when the next one is
   * asked for, or its handler has ended. Without it only `commit` does. @default true
   */
  readonly autoCommit?: boolean;
  /** @default 5000 */
  readonly autoCommitIntervalMs?: number;
  /** A name of this one that survives a restart: when it is back within the session timeout, nothing has moved. */
  readonly instanceId?: string;
  /** @default 'uniform' */
  readonly assignor?: 'uniform' | 'range';
  /** How many partitions `each` and `eachBatch` work on at once. @default 1 */
  readonly concurrency?: number;
  /** Who is not heard of for this long loses its partitions; 6,000 to 1,800,000. @default 45000 */
  readonly sessionTimeoutMs?: number;
  /**
   * The time for one record, one batch or one callback. Heartbeats go on beside it; who takes longer is thrown out, so that a
   * handler that hangs does not hold its partitions for ever. @default 300000
   */
  readonly processingTimeoutMs?: number;
  /** Wait for more at the end; else end when all partitions that this member has are read to their ends. @default true */
  readonly follow?: boolean;
  /** Of one answer; soft, one batch is always given. @default 4194304 */
  readonly maxBytes?: number;
  /** A fetch at the end waits this long for records. @default 5000 */
  readonly maxWaitMs?: number;
  /** Ends the iteration without an error, when the record at hand is done with; what is done is committed. */
  readonly signal?: AbortSignal;
  /** Before the first record of these comes. */
  readonly onAssigned?: (partitions: readonly TopicPartition[]) => void | Promise<void>;
  /** Nothing of these comes any more; they go to others when this has ended, so it may still commit. */
  readonly onRevoked?: (partitions: readonly TopicPartition[]) => void | Promise<void>;
  /**
   * These are others' already, or this consumer ends because of `reason`. What was handed out beyond `committedOffset` is
   * handed out again, to whoever has them next.
   */
  readonly onLost?: (partitions: readonly LostPartition[], reason: Error) => void | Promise<void>;
}

export const groupDefaults = {
  autoCommitIntervalMs: 5_000,
  sessionTimeoutMs: 45_000,
  processingTimeoutMs: 300_000,
  maxWaitMs: 5_000,
} as const;

/** What is allowed, from and to. */
const wholeNumbers = {
  autoCommitIntervalMs: [1, timerMsMax],
  concurrency: [1, Number.POSITIVE_INFINITY],
  maxBytes: [1, Number.POSITIVE_INFINITY],
  maxWaitMs: [0, fetchWaitMsMax],
  processingTimeoutMs: [1, timerMsMax],
  sessionTimeoutMs: [sessionTimeoutMsMin, sessionTimeoutMsMax],
} as const;

/** Throws for what no consumer can be, before anything is sent: much of it would else be a consumer that reads nothing. */
export function checkGroupConsumer(subscription: Subscription, options: GroupConsumerOptions): void {
  parseGroupId(options.group);
  if (options.instanceId !== undefined) parseInstanceId(options.instanceId);
  const topics = subscription instanceof RegExp ? undefined : [subscription].flat();
  for (const topic of topics ?? []) parseTopicName(topic);
  if (topics?.length === 0) {
    throw new LogError('INVALID_REQUEST', `a consumer of group ${options.group} reads no topic; name at least one`);
  }
  checkFrom(options.from);
  checkWholeNumbers(options, wholeNumbers);
}

function checkFrom(from: GroupConsumerOptions['from']): void {
  if (from === undefined || from === 'earliest' || from === 'latest') return;
  const timestamp = Number(from);
  if (Number.isSafeInteger(timestamp) && timestamp >= 0) return;
  throw new LogError('INVALID_REQUEST', `from is ${from}, allowed is earliest, latest or a Date from 1970 on`);
}
