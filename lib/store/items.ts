/**
 * The data dictionary: every item the metadata store keeps, who writes it, under which condition, and when it goes.
 *
 * | item     | key                              | written by, if                                             | goes             |
 * |----------|----------------------------------|------------------------------------------------------------|------------------|
 * | topic    | collision name (`.` read as `_`) | create: if absent; alter: if `version` is the one read     | delete           |
 * | head     | topic id, partition              | append: if it exists and the producers' sequences follow;  | with its topic   |
 * |          |                                  | roll: if `tailBase` is the one seen                        |                  |
 * | page     | topic id, partition, last offset | roll: if absent                                            | with its topic   |
 * | producer | topic id, partition, producer id | roll: a state the head has no room for                     | taken back by    |
 * |          |                                  |                                                            | the next append  |
 * | counter  | `producerId`                     | a producer id: always                                      | never            |
 * | group    | group id                         | join, leave, a changed subscription or topic, eviction:    | delete of the    |
 * |          |                                  | if `version` is the one read; `checkAt` alone: if it is    | group            |
 * |          |                                  | the one read                                               |                  |
 * | session  | group id, member id              | join: with the group; heartbeat: if `memberEpoch` is the   | leave, eviction  |
 * |          |                                  | sender's; hand-over: if `version` is the one read          | (with the group) |
 * | offset   | group id, topic id, partition    | hand-over: if `version` is the one read; commit: if the    | delete of the    |
 * |          |                                  | owner is the sender and its epoch is not below             | group            |
 * |          |                                  | `owner.memberEpoch`                                        |                  |
 *
 * Pages are keyed by their **last** offset: the page that holds an offset is then the first one whose key is not below
 * it, and the pages behind it follow, so that one request answers both.
 *
 * Who owns a partition in a group is said by the partition's offset item and nowhere else, so that two members never own
 * it, whatever the rest says. A session lists what its member owns: when it claims, both change in one atomic hand-over.
 * To give up, it is enough that the session lists the partition no longer: an owner whose session does not, or is gone,
 * owns it no more, and whoever the group's targets name next may claim it.
 *
 * A heartbeat that changes nothing reads the group's few epochs and writes the sender's session, both small whatever the
 * size of the group. Members with their targets lie apart from those epochs, and are read when something changes.
 */

import type {
  GroupId,
  InstanceId,
  MemberId,
  ObjectId,
  Offset,
  Partition,
  ProducerEpoch,
  ProducerId,
  Timestamp,
  TopicId,
  TopicName,
} from '../ids.ts';
import type { Assignment } from './assignment.ts';

/** Config by Kafka's dotted names; only what was set for this topic, defaults are not stored. */
export type StoredTopicConfig = Readonly<Record<string, string>>;

export interface TopicItem {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly partitionCount: number;
  readonly config: StoredTopicConfig;
  readonly createdAt: Timestamp;
  /** Rises by one with every alter. */
  readonly version: number;
}

/** Where a run of committed batches of one partition lies: one object, side by side, offsets without a gap. */
export interface BatchCoordinates {
  readonly objectId: ObjectId;
  readonly byteStart: number;
  readonly byteLength: number;
  /** Offsets the run takes: the sum of (last offset delta + 1) over its batches. */
  readonly offsetCount: number;
  readonly maxTimestamp: Timestamp;
}

/** One batch a producer state remembers, so that its resend gets the first answer again. */
export interface ProducerBatch {
  readonly baseSequence: number;
  readonly recordCount: number;
  readonly baseOffset: Offset;
  readonly timestamp: Timestamp;
}

export interface ProducerState {
  readonly producerId: ProducerId;
  readonly producerEpoch: ProducerEpoch;
  /** Oldest first, never empty, at most `producerBatchesMax`. */
  readonly batches: readonly ProducerBatch[];
}

/** One per partition; the only place where offsets are given. */
export interface Head {
  readonly topicId: TopicId;
  readonly partition: Partition;
  readonly logStartOffset: Offset;
  /** Exclusive; equals the high watermark, since what is here is committed. */
  readonly logEndOffset: Offset;
  /** Base offset of the first entry of the tail; everything below is in pages. */
  readonly tailBase: Offset;
  /** Entries not yet rolled into a page, in offset order, without a gap from `tailBase` to `logEndOffset`. */
  readonly tail: readonly BatchCoordinates[];
  /** Highest timestamp in any page; undefined before the first roll. */
  readonly rolledMaxTimestamp: Timestamp | undefined;
  /** Bytes of all committed batches. */
  readonly logBytes: number;
  /** Recently active idempotent producers, the longest unused first. */
  readonly producers: readonly ProducerState[];
  /** Highest producer id whose state ever moved out of this head; an unknown producer above it is a new one. */
  readonly movedProducerIdMax: ProducerId | undefined;
}

/** Part of the index that left the tail: entries in offset order, from `baseOffset` to `lastOffset` (inclusive). */
export interface Page {
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  /** Highest timestamp in this page and all before it: never falls, so pages can be searched by time. */
  readonly maxTimestampSoFar: Timestamp;
  readonly entries: readonly BatchCoordinates[];
}

// ---- groups

/** What a heartbeat reads of a group. */
export interface GroupHead {
  readonly groupId: GroupId;
  /** Rises by one with every change of the group, `checkAt` aside. */
  readonly version: number;
  /** Rises when there is a new target assignment; the group's epoch and its assignment epoch are one here. */
  readonly groupEpoch: number;
  readonly memberCount: number;
  /** The first heartbeat from then on looks for expired sessions and changed topics. */
  readonly checkAt: Timestamp;
  /** When the last member left or the last offset was committed without one; undefined while there are members. */
  readonly emptySince: Timestamp | undefined;
  /** Offsets committed at an earlier group epoch have expired, or were deleted with the group. */
  readonly offsetsFromEpoch: number;
}

export type AssignorName = 'uniform' | 'range';

export interface GroupMember {
  readonly memberId: MemberId;
  readonly instanceId: InstanceId | undefined;
  /** Also of topics that do not exist, yet. */
  readonly topics: readonly TopicName[];
  readonly assignor: AssignorName;
  readonly targetAssignment: Assignment;
}

/** A topic as the targets were made for it. */
export interface GroupTopic {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly partitionCount: number;
}

export interface Group extends GroupHead {
  /** By member id. */
  readonly members: readonly GroupMember[];
  /** All that exist of those that someone subscribes to, by name. */
  readonly topics: readonly GroupTopic[];
}

/** `AWAY` is ours: a static member that left for a while; its target is kept, it owns nothing. */
export type MemberState = 'STABLE' | 'UNREVOKED_PARTITIONS' | 'UNRELEASED_PARTITIONS' | 'AWAY';

export interface MemberSession {
  readonly memberId: MemberId;
  /** Rises by one with every change, `seenAt` aside. */
  readonly version: number;
  /** 0 while the member is away. */
  readonly memberEpoch: number;
  /** The one before: a member whose answer was lost comes back with it. */
  readonly previousMemberEpoch: number;
  readonly state: MemberState;
  /** The last heartbeat. */
  readonly seenAt: Timestamp;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** When the member must have given up what is pending; undefined when nothing is. */
  readonly revokeBy: Timestamp | undefined;
  /** With what is pending revocation all that the member owns. */
  readonly currentAssignment: Assignment;
  readonly partitionsPendingRevocation: Assignment;
}

export interface OffsetOwner {
  readonly memberId: MemberId;
  /** The member's epoch when it was given the partition; commits of earlier epochs are stale (KIP-1251). */
  readonly memberEpoch: number;
}

export interface CommittedOffset {
  /** The next offset to read. */
  readonly offset: Offset;
  readonly metadata: string;
  readonly committedAt: Timestamp;
  /** Of the owner, when it was given the partition; without a member the group's. */
  readonly epoch: number;
}

export interface OffsetItem {
  readonly topicId: TopicId;
  readonly partition: Partition;
  /** Rises by one whenever the partition changes hands. */
  readonly version: number;
  readonly owner: OffsetOwner | undefined;
  /** Undefined before the first commit. */
  readonly committed: CommittedOffset | undefined;
}
