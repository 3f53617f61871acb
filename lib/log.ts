/**
 * The log as one thing: what every door (HTTP app, direct client, functions) calls, put together over two stores.
 *
 * ```ts
 * const log = createLog({ objectStore, metadataStore, clock: systemClock, randomBytes });
 * await log.topics.create({ topic, partitionCount: 6, config: {} });
 * const [result] = await log.produce({ topic, batches: [{ partition: 0, batch }] });
 * ```
 */

import type { LogError } from './errors.ts';
import type { Int64, Offset, Partition, ProducerEpoch, ProducerId, Timestamp, TopicId, TopicName } from './ids.ts';

export interface ProduceRequest {
  readonly topic: TopicName;
  /**
   * Each exactly one record batch v2; a partition may stand here several times, its batches take offsets in this order.
   * The bytes are taken over: they may be stamped in place, and must not change until the call ends.
   */
  readonly batches: readonly { readonly partition: Partition; readonly batch: Uint8Array }[];
}

export type ProduceResult =
  | {
      readonly partition: Partition;
      readonly baseOffset: Offset;
      readonly recordCount: number;
      /** Log append time where the topic says so, else the highest timestamp of the batch. */
      readonly timestamp: Timestamp;
      /** True when this very batch was committed before and this is the first answer again. */
      readonly isDuplicate: boolean;
    }
  | { readonly partition: Partition; readonly error: LogError };

export interface FetchRequest {
  readonly topic: TopicName;
  readonly partitions: readonly { readonly partition: Partition; readonly offset: Offset | 'earliest' | 'latest' }[];
  /** Soft: one batch is always given. */
  readonly maxBytes: number;
  /** Answer when this many bytes are there, or after `maxWaitMs`. */
  readonly minBytes: number;
  readonly maxWaitMs: number;
  /** Ends the wait early; the answer is then what is there. */
  readonly signal?: AbortSignal;
}

export type FetchResult =
  | {
      readonly partition: Partition;
      /** The offset asked for, with `earliest` and `latest` resolved. Records below it in the first batch are not wanted. */
      readonly offset: Offset;
      /** Whole batches with their offsets stamped, checksums checked, in order. The bytes are the caller's own. */
      readonly batches: readonly Uint8Array[];
      /** Where to go on: behind the last batch, or `offset` when there is none. */
      readonly nextOffset: Offset;
      readonly highWatermark: Offset;
      readonly logStartOffset: Offset;
    }
  | { readonly partition: Partition; readonly error: LogError };

export interface ListOffsetsRequest {
  readonly topic: TopicName;
  readonly partition: Partition;
  readonly timestamp: Timestamp | 'earliest' | 'latest' | 'max';
}
/** `offset` undefined: no record is as young as that. `timestamp` undefined: the offset is no record's (earliest, latest). */
export interface ListOffsetsResult {
  readonly offset: Offset | undefined;
  readonly timestamp: Int64 | undefined;
}

export type ConfigSource = 'topic' | 'default';
export interface TopicSummary {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly partitionCount: number;
  /** Every key that can be set, with the value in force. */
  readonly config: Readonly<Record<string, { readonly value: string; readonly source: ConfigSource }>>;
}
export interface TopicDescription extends TopicSummary {
  readonly partitions: readonly {
    readonly partition: Partition;
    readonly logStartOffset: Offset;
    readonly highWatermark: Offset;
  }[];
}

export interface Topics {
  /** TOPIC_ALREADY_EXISTS, INVALID_PARTITIONS, INVALID_CONFIG. */
  create(request: {
    readonly topic: TopicName;
    readonly partitionCount?: number;
    readonly config?: Readonly<Record<string, unknown>>;
  }): Promise<TopicDescription>;
  list(page: { readonly after?: TopicName; readonly limit: number }): Promise<readonly TopicSummary[]>;
  describe(topic: TopicName): Promise<TopicDescription>;
  /** The topic without its heads, from the cache where it is young enough. UNKNOWN_TOPIC_OR_PARTITION. */
  get(topic: TopicName): Promise<TopicSummary>;
  /** `config`: null sets a key back to its default. */
  alter(request: {
    readonly topic: TopicName;
    readonly partitionCount?: number;
    readonly config?: Readonly<Record<string, unknown>>;
  }): Promise<TopicDescription>;
  delete(topic: TopicName): Promise<void>;
}

export interface Log {
  readonly topics: Topics;
  /** One result per batch, in order. Throws when nothing was tried: unknown topic, malformed request. */
  produce(request: ProduceRequest): Promise<readonly ProduceResult[]>;
  /** One result per partition, in the order asked for. */
  fetch(request: FetchRequest): Promise<readonly FetchResult[]>;
  listOffsets(request: ListOffsetsRequest): Promise<ListOffsetsResult>;
  nextProducer(): Promise<{ readonly producerId: ProducerId; readonly producerEpoch: ProducerEpoch }>;
  /** Wakes the waiting, finishes what was accepted, then closes the stores. */
  close(): Promise<void>;
}
