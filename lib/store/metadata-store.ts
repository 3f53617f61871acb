/**
 * The door to metadata: topics, heads, pages, producer states. Each call is one whole step of the log, and one request
 * to the database behind it. A lost condition is an answer, not an error; errors are KAFKA_STORAGE_ERROR.
 */

import type { LogError } from '../errors.ts';
import type { Offset, Partition, ProducerEpoch, ProducerId, Timestamp, TopicId, TopicName } from '../ids.ts';
import type { GroupStore } from './group-store.ts';
import type { BatchCoordinates, Head, Page, StoredTopicConfig, TopicItem } from './items.ts';

/** One batch to be given its offsets. */
export interface NewBatch {
  readonly coordinates: BatchCoordinates;
  readonly recordCount: number;
  /** What a producer is told of its batch: highest timestamp, or the log append time. */
  readonly timestamp: Timestamp;
  readonly producer:
    | { readonly producerId: ProducerId; readonly producerEpoch: ProducerEpoch; readonly baseSequence: number }
    | undefined;
}

export interface BatchCommit {
  readonly topicId: TopicId;
  readonly partition: Partition;
  /** In the order in which they take offsets. Neighbours in one object become one entry of the tail. */
  readonly batches: readonly NewBatch[];
}

/**
 * What became of one batch. `duplicate`: these sequences were committed before, nothing was appended, the first answer
 * is repeated. `refused`: nothing was appended; `error` is OUT_OF_ORDER_SEQUENCE_NUMBER or INVALID_PRODUCER_EPOCH.
 */
export type BatchOutcome =
  | { readonly outcome: 'committed' | 'duplicate'; readonly baseOffset: Offset; readonly timestamp: Timestamp }
  | { readonly outcome: 'refused'; readonly error: LogError };

/**
 * `committed`: one outcome per batch, in order, and the head after them. `missing`: there is no such head, the topic was
 * deleted. `tail full`: nothing was appended, the head has too many entries or producers; roll its tail first.
 */
export type CommitOutcome =
  | { readonly outcome: 'committed'; readonly batches: readonly BatchOutcome[]; readonly head: Head }
  | { readonly outcome: 'missing' }
  | { readonly outcome: 'tail full'; readonly head: Head };

export interface MetadataStore {
  /** `exists` also when the name differs from one that is there only by `.` against `_`; `topic` is then that one. */
  createTopic(topic: TopicItem): Promise<{ outcome: 'created' } | { outcome: 'exists'; topic: TopicName }>;
  getTopic(topic: TopicName): Promise<TopicItem | undefined>;
  /** By name, those behind `after`, at most `limit`. */
  listTopics(page: { readonly after?: TopicName; readonly limit: number }): Promise<readonly TopicItem[]>;
  /** Replaces config and partition count if the stored version is still `version`; heads of new partitions are made with it. */
  alterTopic(change: {
    readonly topic: TopicName;
    readonly topicId: TopicId;
    readonly version: number;
    readonly config: StoredTopicConfig;
    readonly partitionCount: number;
  }): Promise<'altered' | 'conflict'>;
  /** The topic and all of its heads, pages and producer states. False when there is no such topic id under that name. */
  deleteTopic(topic: TopicName, topicId: TopicId): Promise<boolean>;

  /**
   * Gives the batches their offsets, all in one atomic write on the head, and makes them visible. The order of calls for
   * one partition is the order of offsets. On an error the effect is unknown.
   */
  commitBatches(commit: BatchCommit): Promise<CommitOutcome>;
  /** Heads in the order asked for, strongly consistent; undefined where there is none. */
  getHeads(topicId: TopicId, partitions: readonly Partition[]): Promise<readonly (Head | undefined)[]>;
  /** Moves the whole tail of `seen` into a page, if the stored `tailBase` is still the one seen. `lost`: someone else did. */
  rollTail(seen: Head): Promise<'rolled' | 'lost'>;
  /**
   * Pages in offset order, from the first whose last offset is not below `offset`; at most `limit`. Strongly consistent: of a
   * head that was read before, no page is missing unless its topic was deleted.
   */
  findPages(topicId: TopicId, partition: Partition, offset: Offset, limit: number): Promise<readonly Page[]>;
  /** A producer id never given before. */
  nextProducerId(): Promise<ProducerId>;

  /**
   * Present when every commit of this log goes through this very object: resolves true at the next commit to one of the
   * partitions (or when their topic is deleted), false when `signal` is aborted first. Absent: a waiting reader polls.
   */
  readonly nextCommit?: (topicId: TopicId, partitions: readonly Partition[], signal: AbortSignal) => Promise<boolean>;

  /** Groups, in the same database; it closes with this store. Absent: this log keeps none. */
  readonly groupStore?: GroupStore;

  close(): Promise<void>;
}
