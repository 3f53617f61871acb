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
import type {
  GroupId,
  InstanceId,
  Int64,
  MemberId,
  Offset,
  Partition,
  ProducerEpoch,
  ProducerId,
  Timestamp,
  TopicId,
  TopicName,
} from './ids.ts';

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

/** By topic; each partition once. */
export type TopicPartitions = readonly {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly partitions: readonly Partition[];
}[];

export interface JoinRequest {
  readonly groupId: GroupId;
  /** Best made by the member: a join that is sent again without one is another member. @default a new UUID */
  readonly memberId?: MemberId;
  /** Makes the member a static one. */
  readonly instanceId?: InstanceId;
  /** They need not exist, yet. */
  readonly topics: readonly TopicName[];
  /** `uniform` or `range`. @default uniform */
  readonly assignor?: string;
  readonly sessionTimeoutMs?: number;
  readonly rebalanceTimeoutMs?: number;
}

export interface HeartbeatRequest {
  readonly groupId: GroupId;
  readonly memberId: MemberId;
  readonly memberEpoch: number;
  /** Of a static member, so that it is told when another has taken its place. */
  readonly instanceId?: InstanceId;
  /** Absent: as before. */
  readonly topics?: readonly TopicName[];
  readonly assignor?: string;
  readonly sessionTimeoutMs?: number;
  readonly rebalanceTimeoutMs?: number;
  /**
   * What the member holds, all of it. Absent: it may hold all that it was given. Given when something was given up, and
   * after a heartbeat without an answer. With topic ids a heartbeat that changes nothing stays a cheap one.
   */
  readonly owned?: readonly {
    readonly topic: TopicName;
    readonly topicId?: TopicId;
    readonly partitions: readonly Partition[];
  }[];
}

export interface HeartbeatAnswer {
  readonly memberId: MemberId;
  readonly memberEpoch: number;
  readonly heartbeatIntervalMs: number;
  /** All that the member may hold from now on; absent: as before. */
  readonly assignment?: TopicPartitions;
}

export interface CommitOffsetsRequest {
  readonly groupId: GroupId;
  /** Absent: a consumer that is in no group, which may commit while the group has no members. */
  readonly member?: { readonly memberId: MemberId; readonly memberEpoch: number };
  readonly offsets: readonly {
    readonly topic: TopicName;
    /** Given, it is committed for that topic alone, and not for the next one of its name. */
    readonly topicId?: TopicId;
    readonly partition: Partition;
    /** The next offset to read. */
    readonly offset: Offset;
    readonly metadata?: string;
  }[];
}
export interface CommitOffsetsResult {
  readonly topic: TopicName;
  readonly partition: Partition;
  readonly error?: LogError;
}

export interface GroupOffset {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly partition: Partition;
  readonly offset: Offset;
  readonly metadata: string;
  readonly committedAt: Timestamp;
}

export type GroupState = 'EMPTY' | 'RECONCILING' | 'STABLE';
export interface GroupSummary {
  readonly groupId: GroupId;
  readonly groupEpoch: number;
  readonly memberCount: number;
}
export interface GroupDescription {
  readonly groupId: GroupId;
  readonly state: GroupState;
  readonly groupEpoch: number;
  readonly assignor: string;
  readonly members: readonly {
    readonly memberId: MemberId;
    readonly instanceId: InstanceId | undefined;
    readonly memberEpoch: number;
    /** `AWAY`: a static member that left for a while. */
    readonly state: 'STABLE' | 'UNREVOKED_PARTITIONS' | 'UNRELEASED_PARTITIONS' | 'AWAY';
    readonly topics: readonly TopicName[];
    readonly seenAt: Timestamp;
    readonly assignment: TopicPartitions;
    readonly targetAssignment: TopicPartitions;
  }[];
  /** Of all topics that a member subscribes to or an offset is committed for. */
  readonly partitions: readonly {
    readonly topic: TopicName;
    readonly partition: Partition;
    /** Undefined before the first commit, and then there is no lag. */
    readonly committedOffset: Offset | undefined;
    readonly metadata: string | undefined;
    readonly highWatermark: Offset;
    readonly lag: number | undefined;
    /** The member that has it. */
    readonly memberId: MemberId | undefined;
  }[];
}

export interface ResetOffsetsRequest {
  readonly groupId: GroupId;
  readonly topic: TopicName;
  /** @default all of the topic */
  readonly partitions?: readonly Partition[];
  /** A timestamp: the first record as young as that. `shift`: from the committed offset, within what can be read. */
  readonly to: 'earliest' | 'latest' | Timestamp | { readonly shift: number };
}

export interface Groups {
  /** GROUP_MAX_SIZE_REACHED, UNRELEASED_INSTANCE_ID, UNSUPPORTED_ASSIGNOR. The answer has an assignment. */
  join(request: JoinRequest): Promise<HeartbeatAnswer>;
  /** UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, FENCED_INSTANCE_ID: the member has lost all it had, and may join again. */
  heartbeat(request: HeartbeatRequest): Promise<HeartbeatAnswer>;
  /** `isTemporary`: a static member that comes back within its session timeout finds its partitions unassigned to others. */
  leave(request: {
    readonly groupId: GroupId;
    readonly memberId: MemberId;
    readonly instanceId?: InstanceId;
    readonly isTemporary: boolean;
  }): Promise<void>;

  /** One result per offset, in order: STALE_MEMBER_EPOCH, UNKNOWN_MEMBER_ID, OFFSET_METADATA_TOO_LARGE. */
  commitOffsets(request: CommitOffsetsRequest): Promise<readonly CommitOffsetsResult[]>;
  /** By topic and partition; those of `topics`, or all. A group that does not exist has none. */
  fetchOffsets(request: {
    readonly groupId: GroupId;
    readonly topics?: readonly TopicName[];
  }): Promise<readonly GroupOffset[]>;
  /** NON_EMPTY_GROUP while there are members. One entry for each partition that was set. */
  resetOffsets(request: ResetOffsetsRequest): Promise<readonly GroupOffset[]>;

  list(page: { readonly after?: GroupId; readonly limit: number }): Promise<readonly GroupSummary[]>;
  /** GROUP_ID_NOT_FOUND. */
  describe(groupId: GroupId): Promise<GroupDescription>;
  /** With its offsets. NON_EMPTY_GROUP while there are members, GROUP_ID_NOT_FOUND. */
  delete(groupId: GroupId): Promise<void>;
}

export interface Log {
  readonly topics: Topics;
  readonly groups: Groups;
  /** One result per batch, in order. Throws when nothing was tried: unknown topic, malformed request. */
  produce(request: ProduceRequest): Promise<readonly ProduceResult[]>;
  /** One result per partition, in the order asked for. */
  fetch(request: FetchRequest): Promise<readonly FetchResult[]>;
  listOffsets(request: ListOffsetsRequest): Promise<ListOffsetsResult>;
  nextProducer(): Promise<{ readonly producerId: ProducerId; readonly producerEpoch: ProducerEpoch }>;
  /** Wakes the waiting, finishes what was accepted, then closes the stores. */
  close(): Promise<void>;
}
