/** Every cap in one place, with unit and source. Relations between them are asserted at the end. */

import { assert } from './errors.ts';

export const KiB = 1024;
export const MiB = 1024 * KiB;

// ---- topics
/** Partitions of one topic; Kafka refuses more than this in one CreateTopics request. */
export const partitionCountMax = 10_000;
/** Kafka's default for `max.message.bytes`: 1 MiB and 12 bytes of batch framing. */
export const messageBytesDefault = 1_048_588;
/** The highest `max.message.bytes` we accept: a batch must fit a request, and be decoded in memory. */
export const messageBytesMax = 16 * MiB;

// ---- bytes from outside
/** What the records of one batch may decompress to. Kafka has no such limit, and a bomb stored there hits every reader. */
export const batchDecompressedBytesMax = 64 * MiB;
/** The same for all the batches of one request: 10,000 bombs fit one, and each takes 0.1 s. */
export const requestDecompressedBytesMax = 128 * MiB;
/**
 * Headers of one record; Kafka has no such limit. An empty header is two bytes in a batch and a hundred in memory, so one
 * record of 5 KB, compressed, would be more than a process of a reader has.
 */
export const recordHeadersMax = 10_000;
/** Body of one HTTP request. */
export const requestBytesMax = 32 * MiB;
/** Body of a request that neither produces nor commits nor is a heartbeat: nothing else has much to say. */
export const otherRequestBytesMax = 1 * MiB;

// ---- the index
/** A tail with more entries than this is rolled into a page: one roll in 21 appends. */
export const tailEntriesMax = 20;
/** A tail this long refuses appends until it is rolled, so that a head never outgrows one DynamoDB item. */
export const tailEntriesRefused = 256;
/** Batches of one partition that lie side by side share one entry up to this many bytes. */
export const entryBytesMax = 1 * MiB;
/** Producer states a head keeps after a roll; the ones unused for longest move to items of their own. */
export const headProducersMax = 16;
/** States that stay when the others had no part in the tail that is rolled: producers that have gone cost nothing. */
export const headProducersIdleMax = 4;
/** A head with this many producers refuses appends until a roll has moved some (DynamoDB: conditions are bounded). */
export const headProducersRefused = 200;
/** Producers of one append to DynamoDB: 4 of the 300 operators that a condition may have for each of them. */
export const appendProducersMax = 64;
/** Producers that one roll in DynamoDB moves, with 2 operators each. */
export const rollProducersMax = 128;
/** Batches a producer state remembers: Kafka's window, five, since clients keep at most five requests in flight. */
export const producerBatchesMax = 5;

// ---- produce
/** A flush starts before the one ahead has been stored when this many bytes wait. */
export const flushBytesMax = 4 * MiB;
/** Flushes being stored at once. */
export const flushesInFlightMax = 4;
/** Bytes accepted and not yet answered, in one process; beyond it THROTTLING_QUOTA_EXCEEDED. */
export const produceBytesWaitingMax = 64 * MiB;
/** What each batch counts beside its own bytes: a million batches of 70 bytes took 2.7 GB. */
export const waitingBatchBytes = 2 * KiB;

// ---- fetch
/** Kafka's `fetch.max.bytes` default, 50 MiB, is too much for one answer of ours; soft, at least one batch is given. */
export const fetchBytesDefault = 1 * MiB;
export const fetchBytesMax = 32 * MiB;
/** Bytes that the fetches of one process read at once; beyond it THROTTLING_QUOTA_EXCEEDED. */
export const fetchBytesHeldMax = 256 * MiB;
export const fetchPartitionsMax = 256;
export const fetchWaitMsMax = 30_000;
/** Two wanted ranges of one object that are closer than this become one read. */
export const readGapBytesMax = 64 * KiB;
/** Object reads of one fetch under way at once. */
export const readsInFlightMax = 8;
/** Pages asked for in one request to the metadata store. */
export const pagesPerRequestMax = 64;

// ---- groups
/** Members of one group: what an item with all of their targets has room for. */
export const groupMembersMax = 1_000;
/** Topics that one member subscribes to by name. */
export const subscribedTopicsMax = 1_000;
/** Kafka's `group.consumer.heartbeat.interval.ms`; a third of the session timeout where that is shorter. */
export const heartbeatIntervalMsMax = 5_000;
/** Of a member that waits for others to give up what it shall have. */
export const heartbeatIntervalMsWaiting = 1_000;
/** Kafka's `group.consumer.session.timeout.ms`, and the bounds its classic groups have for it. */
export const sessionTimeoutMsDefault = 45_000;
export const sessionTimeoutMsMin = 6_000;
export const sessionTimeoutMsMax = 30 * 60_000;
/** How long a member may take to give up a partition; Java's consumer sends its `max.poll.interval.ms`, 5 minutes. */
export const rebalanceTimeoutMsDefault = 60_000;
export const rebalanceTimeoutMsMin = 1_000;
export const rebalanceTimeoutMsMax = 60 * 60_000;
/** Somebody looks for expired sessions and grown topics at least this often, while there are heartbeats. */
export const groupCheckMsMax = 60_000;
/** Sessions that one change of a group ends: a DynamoDB transaction has 100 actions. */
export const sessionsEndedMax = 90;
/** A step that meets changes by others starts over this often. */
export const groupAttemptsMax = 12;
/** Partitions that change hands in one step: a DynamoDB transaction has 100 actions, one is the member's own. */
export const handOverPartitionsMax = 99;
/**
 * No step of a heartbeat begins later than this, or a sixth of the session timeout where that is shorter: who waits for the
 * answer gives up after a third of it, and one who joins again begins from nothing. DynamoDB writes some 500 claims a second
 * of one group.
 */
export const handOverMsMax = 7_500;
/** Kafka's `offset.metadata.max.bytes`. */
export const offsetMetadataBytesMax = 4_096;
/** Offsets of one request to commit. */
export const commitOffsetsMax = 10_000;
/** Kafka's `offsets.retention.minutes`: 7 days after the group was last used, while it is empty; up to a day more. */
export const offsetsRetentionMs = 7 * 24 * 60 * 60_000;
/** While it has no members, a group's use is written down at most this often. */
export const groupUsedAgainMsMin = 24 * 60 * 60_000;
/** A deleted group's epoch is remembered as long as its offsets would have been. */
export const deletedGroupRetentionMs = offsetsRetentionMs;
/** Groups on one page of the list. */
export const groupsPageMax = 1_000;

// ---- the HTTP door
/** Frames of one produce request with record batches. */
export const framesMax = 10_000;
/** Records of one produce request with JSON. */
export const jsonRecordsMax = 100_000;
/** Topics on one page of the list. */
export const topicsPageMax = 1_000;
/** Requests one server works on at once; beyond it THROTTLING_QUOTA_EXCEEDED. */
export const requestsInFlightMax = 1_024;
/** Bytes of request bodies one server holds at once; beyond it THROTTLING_QUOTA_EXCEEDED. */
export const bodyBytesHeldMax = 256 * MiB;
/** Bytes of answers that wait in one server for their readers; beyond it fetches get THROTTLING_QUOTA_EXCEEDED. */
export const answerBytesHeldMax = 512 * MiB;
/** A connection is cut when its reader takes nothing of an answer for this long; it may be found after twice the time. */
export const answerStallMsMax = 60_000;
/** An event stream ends after this, and the reader comes back with Last-Event-ID. */
export const eventStreamMsMax = 5 * 60_000;
/** A comment is sent when an event stream has been silent for this long, so that proxies keep it open. */
export const eventStreamKeepAliveMs = 15_000;

// ---- Lambda and API Gateway
/**
 * Body of a request to a function, and of its answer. Lambda takes and gives 6 MB (6,291,456 bytes) of JSON, which is
 * 4,718,592 bytes in Base64; what is left is for the rest of the event.
 */
export const lambdaBodyBytesMax = 4_400_000;
/** API Gateway lets the headers of an answer have 10,240 bytes, and each partition of a fetch takes up to 88 of them. */
export const gatewayFetchPartitionsMax = 100;

assert(entryBytesMax <= flushBytesMax, 'an entry lies in one object');
assert(messageBytesMax <= produceBytesWaitingMax, 'the largest batch can be accepted');
assert(messageBytesMax < requestBytesMax, 'the largest batch fits a request');
assert(
  requestBytesMax + framesMax * waitingBatchBytes <= produceBytesWaitingMax,
  'the largest request can be accepted, of however many batches',
);
assert(batchDecompressedBytesMax <= requestDecompressedBytesMax, 'the largest batch can be checked');
assert(
  6 * (batchDecompressedBytesMax + 64 * (recordHeadersMax + 1)) + MiB < 2 ** 29 - 24,
  'the largest record, each byte of it escaped as JSON, fits the longest string of V8',
);
assert(requestBytesMax <= bodyBytesHeldMax, 'the largest request can be held');
assert(fetchBytesMax <= answerBytesHeldMax, 'the largest answer can be held');
assert(Math.ceil(lambdaBodyBytesMax / 3) * 4 < 6_291_456 - 256 * KiB, 'a body in Base64 leaves room in an event');
assert(gatewayFetchPartitionsMax <= fetchPartitionsMax, 'a fetch through API Gateway is one that the log takes');
assert(
  headProducersRefused + appendProducersMax - rollProducersMax < headProducersRefused,
  'a roll makes room in a head that is full of producers',
);
assert(heartbeatIntervalMsMax * 3 <= sessionTimeoutMsDefault, 'a session survives two lost heartbeats');
assert(tailEntriesMax < tailEntriesRefused, 'a tail is rolled before it is refused');
