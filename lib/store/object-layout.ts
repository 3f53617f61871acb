/**
 * The inside of a freshly written object: the batches, sorted by topic and partition, then a footer that names each one,
 * so that an object can be read alone (by tools, audits, a repair). The read path never needs the footer.
 *
 * | bytes | field          |                                             |
 * |------:|----------------|---------------------------------------------|
 * |     * | record batches | v2, base offset 0 or whatever the producer sent |
 * |  44*n | footer         | one row per batch, in byte order:           |
 * |    16 |   topicId      |                                             |
 * |     4 |   partition    |                                             |
 * |     4 |   byteStart    |                                             |
 * |     4 |   byteLength   |                                             |
 * |     4 |   offsetCount  |                                             |
 * |     8 |   maxTimestamp | float64                                     |
 * |     4 |   reserved     | 0                                           |
 * |     4 | footerLength   | bytes of the footer's rows                  |
 * |     4 | magic          | "MRO1"                                      |
 *
 * All big-endian.
 */

import { LogError } from '../errors.ts';
import type { Partition, Timestamp, TopicId } from '../ids.ts';

const rowBytes = 44;
const trailerBytes = 8;
const magic = 0x4d524f31;

export interface LaidOutBatch {
  readonly topicId: TopicId;
  readonly partition: Partition;
  readonly byteStart: number;
  readonly byteLength: number;
  readonly offsetCount: number;
  readonly maxTimestamp: Timestamp;
}

/** Footer and trailer for batches that lie as `rows` say. */
export function encodeFooter(rows: readonly LaidOutBatch[]): Buffer {
  const bytes = Buffer.allocUnsafe(rows.length * rowBytes + trailerBytes);
  let at = 0;
  for (const row of rows) {
    bytes.write(row.topicId.replaceAll('-', ''), at, 'hex');
    bytes.writeUInt32BE(row.partition, at + 16);
    bytes.writeUInt32BE(row.byteStart, at + 20);
    bytes.writeUInt32BE(row.byteLength, at + 24);
    bytes.writeUInt32BE(row.offsetCount, at + 28);
    bytes.writeDoubleBE(row.maxTimestamp, at + 32);
    bytes.writeUInt32BE(0, at + 40);
    at += rowBytes;
  }
  bytes.writeUInt32BE(at, at);
  bytes.writeUInt32BE(magic, at + 4);
  return bytes;
}

/** Reads the footer of a whole object. Throws KAFKA_STORAGE_ERROR when it is none of ours. */
export function decodeFooter(object: Uint8Array): LaidOutBatch[] {
  const bytes = Buffer.from(object.buffer, object.byteOffset, object.byteLength);
  const trailerAt = bytes.length - trailerBytes;
  const footerBytes =
    trailerAt >= 0 && bytes.readUInt32BE(trailerAt + 4) === magic ? bytes.readUInt32BE(trailerAt) : -1;
  if (footerBytes < 0 || footerBytes > trailerAt || footerBytes % rowBytes !== 0) {
    throw new LogError('KAFKA_STORAGE_ERROR', `object of ${bytes.length} bytes has no footer`, {
      retriable: false,
      effect: 'none',
    });
  }
  const rows: LaidOutBatch[] = [];
  for (let at = trailerAt - footerBytes; at < trailerAt; at += rowBytes) {
    const hex = bytes.toString('hex', at, at + 16);
    rows.push({
      topicId:
        `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}` as TopicId,
      partition: bytes.readUInt32BE(at + 16),
      byteStart: bytes.readUInt32BE(at + 20),
      byteLength: bytes.readUInt32BE(at + 24),
      offsetCount: bytes.readUInt32BE(at + 28),
      maxTimestamp: bytes.readDoubleBE(at + 32),
    });
  }
  return rows;
}
