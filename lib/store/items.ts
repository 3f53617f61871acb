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
 *
 * Pages are keyed by their **last** offset: the page that holds an offset is then the first one whose key is not below
 * it, and the pages behind it follow, so that one request answers both.
 */

import type { ObjectId, Offset, Partition, ProducerEpoch, ProducerId, Timestamp, TopicId, TopicName } from '../ids.ts';

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
