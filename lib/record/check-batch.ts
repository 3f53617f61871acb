/**
 * What a producer may send: Kafka's `LogValidator`, and stricter where Kafka takes what harms readers later (offset
 * deltas that are not 0, 1, 2 ..., unused attribute bits, decompression bombs).
 */

import { assert } from '../errors.ts';
import type { Int64 } from '../ids.ts';
import { requestDecompressedBytesMax } from '../limits.ts';
import { addInt64 } from './int.ts';
import { RecordWalker } from './record.ts';
import {
  attributeBits,
  checkCrc,
  type DecompressionBudget,
  leftoverBytes,
  missingRecords,
  type RecordBatchHeader,
  readBatchHeader,
  readRecordBytesWithin,
  sizeInBytesOf,
} from './record-batch.ts';
import { refusal } from './refusal.ts';

/** Kafka's mark of a record without a timestamp. */
export const noTimestamp = -1;

export interface CheckedBatch {
  readonly header: RecordBatchHeader;
  /** At least 1; offset deltas are 0 to this - 1. */
  readonly recordCount: number;
  /** Over the records; the header's claim is not trusted. */
  readonly maxTimestamp: number;
  /** Of the records that have one; -1 when none has. */
  readonly minTimestamp: number;
  /** Undefined when the batch names no producer. */
  readonly producer: { producerId: number; producerEpoch: number; baseSequence: number } | undefined;
}

/**
 * Checks everything about the one batch that `bytes` must be, except its size against the topic's limit and its
 * timestamps against the clock. The base offset is ignored: the log stamps it. Without a codec nothing is copied and
 * nothing allocated per record; with one the records are decompressed, up to `batchDecompressedBytesMax` and to what is
 * left of `budget`, which falls by as much.
 *
 * The checksum comes before anything it covers, so damage on the way answers CORRUPT_MESSAGE, which can be retried.
 */
export function checkClientBatch(
  bytes: Uint8Array,
  budget: DecompressionBudget = { bytesLeft: requestDecompressedBytesMax },
): CheckedBatch {
  checkCrc(bytes);
  const header = readBatchHeader(bytes);
  checkAttributes(header);
  const producer = checkProducer(header);
  if (header.isTransactional) {
    throw refusal('transactional', 'batch has the transactional bit set; transactions are not supported');
  }
  checkCounts(header);
  const { minTimestamp, maxTimestamp } = checkRecords(bytes, header, budget);
  checkNothingFollows(bytes);
  return { header, recordCount: header.recordCount, maxTimestamp, minTimestamp, producer };
}

function checkAttributes(header: RecordBatchHeader): void {
  const { attributes } = header;
  if (header.isControl)
    throw refusal('control', 'batch has the control bit set; only the log may write control batches');
  if ((attributes & attributeBits.unused) !== 0) {
    const hex = (attributes & 0xffff).toString(16).padStart(4, '0');
    throw refusal('attributes', `batch attributes 0x${hex} have unused bits set; only bits 0 to 6 have a meaning`);
  }
  if (header.deleteHorizonMs !== undefined) {
    throw refusal('attributes', 'batch has the delete horizon bit set; only compaction may set it');
  }
  if (header.timestampType === 'LogAppendTime') {
    throw refusal(
      'timestamp-type',
      'batch says its timestamp type is LogAppendTime; a producer may only say CreateTime',
    );
  }
}

/** With a producer id there must be an epoch and a sequence. */
function checkProducer(header: RecordBatchHeader): CheckedBatch['producer'] {
  const { producerId, producerEpoch, baseSequence } = header;
  const seen = `producer id ${producerId}, epoch ${producerEpoch}, sequence ${baseSequence}`;
  if (typeof producerId !== 'number') {
    throw refusal('producer', `${seen}: the id is beyond ${Number.MAX_SAFE_INTEGER}, the largest that is given`);
  }
  if (producerId === -1) {
    if (header.isTransactional) throw refusal('producer', `${seen}: a transactional batch must name its producer`);
    // What stands in epoch and sequence means nothing then: kafkajs and @platformatic/kafka write 0 and 0, franz-go -1 and 0.
    return undefined;
  }
  if (producerId < 0 || producerEpoch < 0 || baseSequence < 0) {
    throw refusal('producer', `${seen}: all must be 0 or more, or the id -1 for none`);
  }
  return { producerId, producerEpoch, baseSequence };
}

function checkCounts({ recordCount, lastOffsetDelta }: RecordBatchHeader): void {
  if (recordCount < 1) throw refusal('count', `record count ${recordCount} is below 1`);
  if (lastOffsetDelta !== recordCount - 1) {
    throw refusal('offsets', `last offset delta ${lastOffsetDelta} does not belong to ${recordCount} records`);
  }
}

function checkRecords(
  bytes: Uint8Array,
  header: RecordBatchHeader,
  budget: DecompressionBudget,
): { minTimestamp: number; maxTimestamp: number } {
  const { recordCount } = header;
  const baseTimestamp = safeTimestamp('base timestamp', header.baseTimestamp);
  safeTimestamp('max timestamp', header.maxTimestamp);
  const records = readRecordBytesWithin(budget, bytes, header);
  const walker = new RecordWalker(records, 0, records.length);
  let minTimestamp = Number.POSITIVE_INFINITY;
  let maxTimestamp = Number.NEGATIVE_INFINITY;
  // Ends with the bytes at the latest, whatever the count claims: a record takes one byte at least.
  for (let index = 0; index < recordCount; index += 1) {
    if (walker.bytesLeft === 0) throw missingRecords(recordCount, index);
    walker.next();
    if (walker.offsetDelta !== index) {
      throw refusal(
        'offsets',
        `record ${index} has offset delta ${walker.offsetDelta}; a producer must count from 0 on`,
      );
    }
    const timestamp = safeTimestamp('record timestamp', addInt64(baseTimestamp, walker.timestampDelta));
    if (timestamp < minTimestamp && timestamp !== noTimestamp) minTimestamp = timestamp;
    if (timestamp > maxTimestamp) maxTimestamp = timestamp;
  }
  if (walker.bytesLeft !== 0) throw leftoverBytes(recordCount, walker.bytesLeft);
  assert(Number.isFinite(maxTimestamp), 'a checked batch has records');
  return { minTimestamp: Math.min(minTimestamp, maxTimestamp), maxTimestamp };
}

function safeTimestamp(what: string, timestamp: Int64): number {
  if (typeof timestamp === 'number') return timestamp;
  throw refusal('timestamp', `${what} ${timestamp} is beyond ${Number.MAX_SAFE_INTEGER}, in ms since the Unix epoch`);
}

/** Says what is wrong with the bytes behind the first batch, as far as that can be told. */
function checkNothingFollows(bytes: Uint8Array): void {
  const size = sizeInBytesOf(bytes);
  if (size === bytes.length) return;
  checkCrc(bytes.subarray(size));
  throw refusal('batches', `another batch begins at byte ${size} of ${bytes.length}; exactly one is allowed`);
}
