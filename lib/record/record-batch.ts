/**
 * Record batch, format v2 (magic 2; Kafka's `DefaultRecordBatch.java`): reading one, and stamping what the log decides.
 *
 * | byte | size | field                | type   |                                                                 |
 * |-----:|-----:|----------------------|--------|-----------------------------------------------------------------|
 * |    0 |    8 | baseOffset           | int64  | stamped by the log                                              |
 * |    8 |    4 | batchLength          | int32  | bytes after this field: 49 or more                              |
 * |   12 |    4 | partitionLeaderEpoch | int32  | stamped by the log                                              |
 * |   16 |    1 | magic                | int8   | 2                                                               |
 * |   17 |    4 | crc                  | uint32 | CRC-32C of byte 21 to the end                                   |
 * |   21 |    2 | attributes           | int16  | codec 2-0, LogAppendTime 3, transactional 4, control 5, delete horizon 6 |
 * |   23 |    4 | lastOffsetDelta      | int32  | kept by compaction, though the last record may go               |
 * |   27 |    8 | baseTimestamp        | int64  | or, with bit 6, the delete horizon; deltas are relative to it either way |
 * |   35 |    8 | maxTimestamp         | int64  | with bit 3, the timestamp of every record                       |
 * |   43 |    8 | producerId           | int64  | -1 none                                                         |
 * |   51 |    2 | producerEpoch        | int16  | -1 none                                                         |
 * |   53 |    4 | baseSequence         | int32  | -1 none                                                         |
 * |   57 |    4 | recordCount          | int32  | 0 only after compaction                                         |
 * |   61 |      | records              |        | compressed as one                                               |
 *
 * Big-endian. All before the attributes lies outside the checksum: a batch is stored before its offset is known.
 */

import { isLogError } from '../errors.ts';
import type { Int64, Offset } from '../ids.ts';
import { batchDecompressedBytesMax, requestDecompressedBytesMax } from '../limits.ts';
import { type Codec, codecs, decompress } from './compression.ts';
import { crc32c } from './crc32c.ts';
import {
  addInt64,
  readInt16,
  readInt32,
  readInt64,
  readUint8,
  readUint32,
  writeInt16,
  writeInt32,
  writeInt64,
} from './int.ts';
import { type DecodedRecord, RecordWalker } from './record.ts';
import { refusal, requestTooLarge } from './refusal.ts';

export type { Codec } from './compression.ts';

export type TimestampType = 'CreateTime' | 'LogAppendTime';

export const batchHeaderBytes = 61;

/** Where the fields begin. */
export const fieldAt = {
  baseOffset: 0,
  batchLength: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  recordCount: 57,
} as const;

export const attributeBits = {
  codec: 0x07,
  logAppendTime: 0x08,
  transactional: 0x10,
  control: 0x20,
  deleteHorizon: 0x40,
  unused: 0xff80,
} as const;

/** The length field counts from behind itself. */
export const bytesBeforeLength = 12;

export interface RecordBatchHeader {
  readonly baseOffset: Int64;
  /** Of the whole batch: the length field and the 12 bytes up to its end. */
  readonly sizeInBytes: number;
  readonly leaderEpoch: number;
  readonly crc: number;
  readonly attributes: number;
  readonly codec: Codec;
  readonly timestampType: TimestampType;
  readonly isTransactional: boolean;
  readonly isControl: boolean;
  readonly deleteHorizonMs: Int64 | undefined;
  /** The last offset is `baseOffset` + this, whichever records are left. */
  readonly lastOffsetDelta: number;
  readonly baseTimestamp: Int64;
  readonly maxTimestamp: Int64;
  /** -1 for none. */
  readonly producerId: Int64;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
}

/**
 * Reads the 61 bytes of header from `byteStart` on; the records need not be there.
 *
 * Throws UNSUPPORTED_VERSION (`magic`), CORRUPT_MESSAGE (`truncated`, `length`), UNSUPPORTED_COMPRESSION_TYPE (`codec`).
 */
export function readBatchHeader(bytes: Uint8Array, byteStart = 0): RecordBatchHeader {
  const sizeInBytes = readBatchSize(bytes, byteStart);
  if (bytes.length - byteStart < batchHeaderBytes) throw truncated(batchHeaderBytes, bytes.length - byteStart);
  const attributes = readInt16(bytes, byteStart + fieldAt.attributes);
  const codec = codecs[attributes & attributeBits.codec];
  if (codec === undefined) {
    throw refusal('codec', `codec ${attributes & attributeBits.codec} is not one of 0 to 4 (${codecs.join(', ')})`);
  }
  const baseTimestamp = readInt64(bytes, byteStart + fieldAt.baseTimestamp);
  return {
    baseOffset: readInt64(bytes, byteStart + fieldAt.baseOffset),
    sizeInBytes,
    leaderEpoch: readInt32(bytes, byteStart + fieldAt.leaderEpoch),
    crc: readUint32(bytes, byteStart + fieldAt.crc),
    attributes,
    codec,
    timestampType: (attributes & attributeBits.logAppendTime) === 0 ? 'CreateTime' : 'LogAppendTime',
    isTransactional: (attributes & attributeBits.transactional) !== 0,
    isControl: (attributes & attributeBits.control) !== 0,
    deleteHorizonMs: (attributes & attributeBits.deleteHorizon) === 0 ? undefined : baseTimestamp,
    lastOffsetDelta: readInt32(bytes, byteStart + fieldAt.lastOffsetDelta),
    baseTimestamp,
    maxTimestamp: readInt64(bytes, byteStart + fieldAt.maxTimestamp),
    producerId: readInt64(bytes, byteStart + fieldAt.producerId),
    producerEpoch: readInt16(bytes, byteStart + fieldAt.producerEpoch),
    baseSequence: readInt32(bytes, byteStart + fieldAt.baseSequence),
    recordCount: readInt32(bytes, byteStart + fieldAt.recordCount),
  };
}

/**
 * Whole batches one after another, as views. `partialBytes` counts those of a last batch that is cut short, 0 when
 * none is: a read of a byte range may end so. Looks at magic and length only.
 */
export function splitBatches(bytes: Uint8Array): { batches: Uint8Array[]; partialBytes: number } {
  const batches: Uint8Array[] = [];
  let at = 0;
  while (bytes.length - at > fieldAt.magic) {
    const size = readBatchSize(bytes, at);
    if (size > bytes.length - at) break;
    batches.push(bytes.subarray(at, at + size));
    at += size;
  }
  return { batches, partialBytes: bytes.length - at };
}

/** Throws CORRUPT_MESSAGE: `crc` when the checksum does not match, `truncated` when the batch is not all there. */
export function checkCrc(batch: Uint8Array): void {
  const size = readWholeSize(batch);
  const expected = readUint32(batch, fieldAt.crc);
  const actual = crc32c(batch, fieldAt.attributes, size);
  if (actual !== expected) throw refusal('crc', `crc of the batch is ${actual}, its header says ${expected}`);
}

/** In place; the leader epoch becomes 0, there are no leaders. Both lie outside the checksum, which stays right. */
export function stampBaseOffset(batch: Uint8Array, baseOffset: number): void {
  writeInt64(batch, fieldAt.baseOffset, baseOffset);
  writeInt32(batch, fieldAt.leaderEpoch, 0);
}

/** In place: from now on every record has this timestamp. Writes a new checksum, so check the old one before. */
export function stampLogAppendTime(batch: Uint8Array, timestamp: number): void {
  writeInt16(batch, fieldAt.attributes, readInt16(batch, fieldAt.attributes) | attributeBits.logAppendTime);
  writeInt64(batch, fieldAt.maxTimestamp, timestamp);
  stampCrc(batch);
}

/** In place: the highest timestamp of the records, where the header claims another. Writes a new checksum. */
export function stampMaxTimestamp(batch: Uint8Array, timestamp: number): void {
  writeInt64(batch, fieldAt.maxTimestamp, timestamp);
  stampCrc(batch);
}

/** In place: the checksum of what the batch holds now. */
export function stampCrc(batch: Uint8Array): void {
  writeInt32(batch, fieldAt.crc, crc32c(batch, fieldAt.attributes, readWholeSize(batch)));
}

/** Unchecked: for batches that were checked before. */
export function lastOffsetDeltaOf(batch: Uint8Array, byteStart = 0): number {
  return readInt32(batch, byteStart + fieldAt.lastOffsetDelta);
}

/** Unchecked: for batches that were checked before. */
export function sizeInBytesOf(bytes: Uint8Array, byteStart = 0): number {
  return bytesBeforeLength + readInt32(bytes, byteStart + fieldAt.batchLength);
}

/** The records' bytes, decompressed; without a codec a view. `header` is the one of `batch`. */
export function readRecordBytes(
  batch: Uint8Array,
  header: RecordBatchHeader,
  decompressedBytesMax: number,
): Uint8Array {
  if (header.sizeInBytes > batch.length) throw truncated(header.sizeInBytes, batch.length);
  const stored = batch.subarray(batchHeaderBytes, header.sizeInBytes);
  // Compaction leaves headers without records, and then there is nothing to decompress.
  if (header.recordCount === 0 && stored.length === 0) return stored;
  return decompress(header.codec, stored, decompressedBytesMax);
}

/** What the batches of one request may still decompress to. */
export interface DecompressionBudget {
  bytesLeft: number;
}

/** The same, up to what is left of `budget`, which falls by as much; a batch without a codec costs nothing. */
export function readRecordBytesWithin(
  budget: DecompressionBudget,
  batch: Uint8Array,
  header: RecordBatchHeader,
): Uint8Array {
  if (header.codec === 'none') return readRecordBytes(batch, header, batchDecompressedBytesMax);
  const bytesMax = Math.min(batchDecompressedBytesMax, budget.bytesLeft);
  // Taken before and given back after: what turns out to be wrong, at its end perhaps, has cost as much.
  budget.bytesLeft -= bytesMax;
  try {
    const records = readRecordBytes(batch, header, bytesMax);
    budget.bytesLeft += bytesMax - records.length;
    return records;
  } catch (error) {
    const isOfRequest = bytesMax < batchDecompressedBytesMax && isLogError(error, 'MESSAGE_TOO_LARGE');
    throw isOfRequest ? requestTooLarge(bytesMax) : error;
  }
}

/**
 * The records of one batch, in order; each is decoded when it is asked for. Those below `fromOffset` are
 * checked and left out.
 *
 * Gaps between offsets are right (compaction), falling offsets and ones outside the batch are not. The checksum is
 * `checkCrc`'s business. Throws, at the first record or later, what `readBatchHeader` throws, CORRUPT_MESSAGE
 * (`truncated`, `compressed`), MESSAGE_TOO_LARGE, and INVALID_RECORD (`count`, `offsets`, `record`).
 */
export function* decodeRecords(
  batch: Uint8Array,
  options: { readonly budget?: DecompressionBudget; readonly fromOffset?: Offset } = {},
): Generator<DecodedRecord, void, undefined> {
  const { budget = { bytesLeft: requestDecompressedBytesMax }, fromOffset = Number.NEGATIVE_INFINITY } = options;
  const header = readBatchHeader(batch);
  const bytes = readRecordBytesWithin(budget, batch, header);
  const { baseOffset, baseTimestamp, lastOffsetDelta, recordCount } = header;
  const appendTime = header.timestampType === 'LogAppendTime' ? header.maxTimestamp : undefined;
  if (recordCount < 0) throw refusal('count', `record count ${recordCount} is below 0`);
  const walker = new RecordWalker(bytes, 0, bytes.length);
  let previous = -1;
  for (let index = 0; index < recordCount; index += 1) {
    if (walker.bytesLeft === 0) throw missingRecords(recordCount, index);
    walker.next();
    const { offsetDelta } = walker;
    if (offsetDelta <= previous || offsetDelta > lastOffsetDelta) {
      throw refusal('offsets', `offset delta ${offsetDelta} is not within ${previous + 1} to ${lastOffsetDelta}`);
    }
    previous = offsetDelta;
    const offset = addInt64(baseOffset, offsetDelta);
    if (offset < fromOffset) continue;
    yield {
      offset,
      timestamp: appendTime ?? addInt64(baseTimestamp, walker.timestampDelta),
      key: walker.readKey(),
      value: walker.readValue(),
      headers: walker.readHeaders(),
    };
  }
  if (walker.bytesLeft !== 0) throw leftoverBytes(recordCount, walker.bytesLeft);
}

/** What a control batch says. A type other than these two is of no meaning in a data log and is skipped. */
export interface ControlRecord {
  readonly type: 'ABORT' | 'COMMIT' | 'other';
  /** Kafka's `ControlRecordType`: 0 ABORT, 1 COMMIT. */
  readonly typeId: number;
  /** Of the transaction coordinator; only with ABORT and COMMIT. */
  readonly coordinatorEpoch: number | undefined;
}

/**
 * Key: version int16, type int16. Value of ABORT and COMMIT: version int16, coordinatorEpoch int32. Longer ones are of
 * a later version and are read as far as they are known. Throws what `decodeRecords` throws, and INVALID_RECORD
 * (`control`).
 */
export function readControlRecord(batch: Uint8Array): ControlRecord {
  const header = readBatchHeader(batch);
  if (!header.isControl) throw refusal('control', 'batch without the control bit has no control record');
  const [record] = decodeRecords(batch);
  if (record === undefined) throw refusal('control', 'control batch has 0 records; 1 is expected');
  const { key, value } = record;
  if (key === null || key.length < 4) throw refusal('control', `control key has ${key?.length ?? 0} bytes of 4`);
  const typeId = readInt16(key, 2);
  if (typeId !== 0 && typeId !== 1) return { type: 'other', typeId, coordinatorEpoch: undefined };
  if (value === null || value.length < 6)
    throw refusal('control', `control value has ${value?.length ?? 0} bytes of 6`);
  return { type: typeId === 0 ? 'ABORT' : 'COMMIT', typeId, coordinatorEpoch: readInt32(value, 2) };
}

/** Size of the batch at `byteStart` by its length field, once magic and length can be true. */
function readBatchSize(bytes: Uint8Array, byteStart: number): number {
  const left = bytes.length - byteStart;
  if (left <= fieldAt.magic) throw truncated(batchHeaderBytes, left);
  // Before the length: in the old formats magic has the same place, and lengths can be shorter.
  const magic = readUint8(bytes, byteStart + fieldAt.magic);
  if (magic !== 2) throw refusal('magic', `magic of the batch is ${magic}; only 2 is read`);
  const size = sizeInBytesOf(bytes, byteStart);
  if (size < batchHeaderBytes) {
    const lengthMin = batchHeaderBytes - bytesBeforeLength;
    throw refusal('length', `batch length ${size - bytesBeforeLength} is below ${lengthMin}, the rest of the header`);
  }
  return size;
}

export function missingRecords(recordCount: number, found: number) {
  return refusal('count', `record count is ${recordCount}, but the batch holds ${found}`);
}

export function leftoverBytes(recordCount: number, bytesLeft: number) {
  return refusal('count', `record count is ${recordCount}, but ${bytesLeft} bytes follow the last of them`);
}

function readWholeSize(batch: Uint8Array): number {
  const size = readBatchSize(batch, 0);
  if (size > batch.length) throw truncated(size, batch.length);
  return size;
}

function truncated(sizeInBytes: number, left: number) {
  return refusal('truncated', `batch takes ${sizeInBytes} bytes, ${left} are there`);
}
