/**
 * Batch coordinates as bytes, in the tail of a head and in pages.
 *
 * | byte | size | field        |                                                        |
 * |-----:|-----:|--------------|--------------------------------------------------------|
 * |    0 |    1 | flags        | 0; room for segments and for runs with gaps            |
 * |    1 |   16 | objectId     |                                                        |
 * |   17 |    4 | byteStart    |                                                        |
 * |   21 |    4 | byteLength   |                                                        |
 * |   25 |    4 | offsetCount  |                                                        |
 * |   29 |    8 | maxTimestamp | float64: every safe integer, as JavaScript has them    |
 *
 * All big-endian.
 */

import { assert } from '../errors.ts';
import type { ObjectId } from '../ids.ts';
import type { BatchCoordinates } from './items.ts';

export const coordinatesBytes = 37;
/** What the field holds. */
const offsetCountMax = 2 ** 32 - 1;

export function encodeCoordinates(entries: readonly BatchCoordinates[]): Buffer {
  const bytes = Buffer.allocUnsafe(entries.length * coordinatesBytes);
  let at = 0;
  for (const entry of entries) {
    bytes[at] = 0;
    bytes.write(entry.objectId, at + 1, 'hex');
    bytes.writeUInt32BE(entry.byteStart, at + 17);
    bytes.writeUInt32BE(entry.byteLength, at + 21);
    bytes.writeUInt32BE(entry.offsetCount, at + 25);
    bytes.writeDoubleBE(entry.maxTimestamp, at + 29);
    at += coordinatesBytes;
  }
  return bytes;
}

export function decodeCoordinates(encoded: Uint8Array): BatchCoordinates[] {
  assert(
    encoded.length % coordinatesBytes === 0,
    `coordinates are ${coordinatesBytes} bytes each, not ${encoded.length}`,
  );
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength);
  const entries: BatchCoordinates[] = [];
  for (let at = 0; at < bytes.length; at += coordinatesBytes) {
    assert(bytes[at] === 0, `coordinates with flags ${bytes[at]} are of a newer version`);
    entries.push({
      objectId: bytes.toString('hex', at + 1, at + 17) as ObjectId,
      byteStart: bytes.readUInt32BE(at + 17),
      byteLength: bytes.readUInt32BE(at + 21),
      offsetCount: bytes.readUInt32BE(at + 25),
      maxTimestamp: bytes.readDoubleBE(at + 29),
    });
  }
  return entries;
}

/** One entry for both when `next` lies right behind `last` in the same object and they stay within `bytesMax`. */
export function joinCoordinates(
  last: BatchCoordinates | undefined,
  next: BatchCoordinates,
  bytesMax: number,
): BatchCoordinates | undefined {
  if (last?.objectId !== next.objectId || last.byteStart + last.byteLength !== next.byteStart) return undefined;
  if (last.byteLength + next.byteLength > bytesMax || last.offsetCount + next.offsetCount > offsetCountMax) {
    return undefined;
  }
  return {
    objectId: last.objectId,
    byteStart: last.byteStart,
    byteLength: last.byteLength + next.byteLength,
    offsetCount: last.offsetCount + next.offsetCount,
    maxTimestamp: Math.max(last.maxTimestamp, next.maxTimestamp),
  };
}
