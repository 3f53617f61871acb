/** Encodes record batches (the layout is drawn in `record-batch.ts`, that of a record in `record.ts`). */

import { assert } from '../errors.ts';
import type { Int64 } from '../ids.ts';
import { batchDecompressedBytesMax } from '../limits.ts';
import { type Codec, codecs, compress } from './compression.ts';
import { readInt16, subtractInt64, writeInt16, writeInt32, writeInt64 } from './int.ts';
import type { Record } from './record.ts';
import {
  attributeBits,
  batchHeaderBytes,
  bytesBeforeLength,
  fieldAt,
  readBatchHeader,
  readRecordBytes,
  stampCrc,
} from './record-batch.ts';
import { varintBytes, varlongBytes, writeVarint, writeVarlong } from './varint.ts';

export interface EncodeBatchInput {
  /** At least one. They get the offsets `baseOffset`, `baseOffset` + 1 and so on. */
  readonly records: readonly Record[];
  /** @default none */
  readonly codec?: Codec;
  /** @default 0, to be stamped by the log */
  readonly baseOffset?: number;
  /** @default none: the batch is not idempotent */
  readonly producer?: { readonly producerId: number; readonly producerEpoch: number; readonly baseSequence: number };
}

const noProducer = { producerId: -1, producerEpoch: -1, baseSequence: -1 };

/** Bytes of length, attributes, deltas, key length, value length and header count, all at their longest. */
const recordOverheadBytesMax = 5 + 1 + 10 + 5 + 5 + 5 + 5;

/**
 * One batch in a buffer of its own; nothing of the input is kept. Timestamp type is CreateTime, leader epoch -1.
 *
 * Two passes over the records: their sizes, then their bytes, into one buffer of exactly that size.
 */
export function encodeBatch(input: EncodeBatchInput): Uint8Array {
  const { records, codec = 'none', baseOffset = 0, producer = noProducer } = input;
  const first = records[0];
  assert(first !== undefined, 'a batch has at least one record');
  const baseTimestamp = first.timestamp;
  let maxTimestamp = baseTimestamp;
  let recordsBytes = 0;
  const bodyBytes = new Array<number>(records.length);
  records.forEach((record, index) => {
    if (record.timestamp > maxTimestamp) maxTimestamp = record.timestamp;
    const body = recordBodyBytes(record, index, baseTimestamp);
    bodyBytes[index] = body;
    recordsBytes += varintBytes(body) + body;
  });
  assert(recordsBytes < 2 ** 31 - batchHeaderBytes, 'the records of a batch fit an int32');

  // Uncompressed records are written where they stay.
  const headBytes = codec === 'none' ? batchHeaderBytes : 0;
  const written = new Uint8Array(headBytes + recordsBytes);
  let at = headBytes;
  records.forEach((record, index) => {
    at = writeRecord(written, at, record, index, baseTimestamp, bodyBytes[index] as number);
  });
  assert(at === written.length, 'the records take the bytes that were counted');

  const batch = codec === 'none' ? written : withHeaderRoom(compress(codec, written));
  writeInt64(batch, fieldAt.baseOffset, baseOffset);
  writeInt32(batch, fieldAt.batchLength, batch.length - bytesBeforeLength);
  writeInt32(batch, fieldAt.leaderEpoch, -1);
  batch[fieldAt.magic] = 2;
  writeInt16(batch, fieldAt.attributes, codecs.indexOf(codec));
  writeInt32(batch, fieldAt.lastOffsetDelta, records.length - 1);
  writeInt64(batch, fieldAt.baseTimestamp, baseTimestamp);
  writeInt64(batch, fieldAt.maxTimestamp, maxTimestamp);
  writeInt64(batch, fieldAt.producerId, producer.producerId);
  writeInt16(batch, fieldAt.producerEpoch, producer.producerEpoch);
  writeInt32(batch, fieldAt.baseSequence, producer.baseSequence);
  writeInt32(batch, fieldAt.recordCount, records.length);
  stampCrc(batch);
  return batch;
}

/**
 * The same batch under another codec, in a buffer of its own: records and header fields stay, size, codec bits and
 * checksum change. A batch that compaction has emptied has no codec and stays as it is. Throws as `decodeRecords` does
 * for what cannot be decompressed; the old checksum is `checkCrc`'s business.
 */
export function recompressBatch(batch: Uint8Array, codec: Codec): Uint8Array {
  const header = readBatchHeader(batch);
  const records = readRecordBytes(batch, header, batchDecompressedBytesMax);
  if (records.length === 0 || header.codec === codec) return new Uint8Array(batch.subarray(0, header.sizeInBytes));
  const result = withHeaderRoom(compress(codec, records));
  result.set(batch.subarray(0, batchHeaderBytes));
  writeInt32(result, fieldAt.batchLength, result.length - bytesBeforeLength);
  const attributes = readInt16(batch, fieldAt.attributes);
  writeInt16(result, fieldAt.attributes, (attributes & ~attributeBits.codec) | codecs.indexOf(codec));
  stampCrc(result);
  return result;
}

/** No record encodes to more bytes than this, wherever it stands in its batch. Cheap: names are not measured. */
export function recordBytesBound(record: Record): number {
  let bytes = recordOverheadBytesMax + (record.key?.length ?? 0) + (record.value?.length ?? 0);
  // A UTF-16 unit takes three bytes of UTF-8 at most.
  for (const [name, value] of record.headers) bytes += 5 + 3 * name.length + 5 + (value?.length ?? 0);
  return bytes;
}

function withHeaderRoom(records: Uint8Array): Uint8Array {
  const batch = new Uint8Array(batchHeaderBytes + records.length);
  batch.set(records, batchHeaderBytes);
  return batch;
}

/** All of a record but its length field. */
function recordBodyBytes(record: Record, offsetDelta: number, baseTimestamp: Int64): number {
  let bytes = 1 + varlongBytes(subtractInt64(record.timestamp, baseTimestamp)) + varintBytes(offsetDelta);
  bytes += fieldBytes(record.key) + fieldBytes(record.value) + varintBytes(record.headers.length);
  for (const [name, value] of record.headers) {
    const nameBytes = Buffer.byteLength(name);
    bytes += varintBytes(nameBytes) + nameBytes + fieldBytes(value);
  }
  return bytes;
}

function fieldBytes(field: Uint8Array | null): number {
  return field === null ? 1 : varintBytes(field.length) + field.length;
}

function writeRecord(
  bytes: Uint8Array,
  byteStart: number,
  record: Record,
  offsetDelta: number,
  baseTimestamp: Int64,
  bodyBytes: number,
): number {
  let at = writeVarint(bytes, byteStart, bodyBytes);
  bytes[at] = 0;
  at = writeVarlong(bytes, at + 1, subtractInt64(record.timestamp, baseTimestamp));
  at = writeVarint(bytes, at, offsetDelta);
  at = writeField(bytes, at, record.key);
  at = writeField(bytes, at, record.value);
  at = writeVarint(bytes, at, record.headers.length);
  for (const [name, value] of record.headers) {
    at = writeField(bytes, at, Buffer.from(name));
    at = writeField(bytes, at, value);
  }
  return at;
}

function writeField(bytes: Uint8Array, at: number, field: Uint8Array | null): number {
  if (field === null) return writeVarint(bytes, at, -1);
  const next = writeVarint(bytes, at, field.length);
  bytes.set(field, next);
  return next + field.length;
}
