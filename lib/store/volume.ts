/**
 * Volumes: files of a fixed size in which small objects lie one behind another.
 *
 * A volume is filled with zeros once and overwritten after that, since a durable write inside a file that does not grow
 * is the cheapest there is. A byte that may belong to an answered record is never overwritten. One record per object:
 *
 * | byte      | size | holds                                                                             |
 * |-----------|------|-----------------------------------------------------------------------------------|
 * | 0         | 4    | magic, "MRV1"                                                                     |
 * | 4         | 4    | length of the body, big endian                                                    |
 * | 8         | 16   | object id, which names this very volume and position                              |
 * | 24        | 4    | CRC-32 over the body, then over bytes 0 to 23                                     |
 * | 28        | 4    | zeros                                                                             |
 * | 32        | n    | body                                                                              |
 * | 32 + n    | 0-15 | zeros, up to a multiple of 16                                                     |
 *
 * The checksum is CRC-32 and not the CRC-32C of record batches, since Node has it natively and in steps.
 */

import { crc32 } from 'node:zlib';
import { assert } from '../errors.ts';
import type { ObjectId, Timestamp } from '../ids.ts';
import { MiB } from '../limits.ts';
import { readInto } from './file-io.ts';
import { placeOf, placeStartMax, placeUnitBytes, timestampOf } from './object-id.ts';

export const recordHeaderBytes = 32;
const magic = 0x4d525631;
const windowBytes = 4 * MiB;

/** Exclusive: an object of this size gets a file of its own, since two more commits of the journal are little beside it. */
export const volumeBodyBytesMax = 1 * MiB;

/** What a record of a body of `byteLength` takes in its volume. */
export function recordBytes(byteLength: number): number {
  return Math.ceil((recordHeaderBytes + byteLength) / placeUnitBytes) * placeUnitBytes;
}

export function encodeRecordHeader(header: Buffer, objectId: ObjectId, byteLength: number, bodyCrc: number): void {
  header.fill(0, 0, recordHeaderBytes);
  header.writeUInt32BE(magic, 0);
  header.writeUInt32BE(byteLength, 4);
  header.write(objectId, 8, 16, 'hex');
  header.writeUInt32BE(crc32(header.subarray(0, 24), bodyCrc), 24);
}

export interface RecordHeader {
  readonly objectId: ObjectId;
  readonly byteLength: number;
  readonly crc: number;
}

/** The header at `at`; undefined when no record starts there. The body is not looked at. */
export function decodeRecordHeader(bytes: Buffer, at = 0): RecordHeader | undefined {
  if (bytes.length - at < recordHeaderBytes || bytes.readUInt32BE(at) !== magic) return undefined;
  return {
    objectId: bytes.toString('hex', at + 8, at + 24) as ObjectId,
    byteLength: bytes.readUInt32BE(at + 4),
    crc: bytes.readUInt32BE(at + 24),
  };
}

export interface VolumeScan {
  /** Behind the last whole record. */
  readonly end: number;
  /** Nothing but zeros from `end` on. */
  readonly isClean: boolean;
  /** Of the last record. */
  readonly timestamp: Timestamp | undefined;
}

/**
 * Finds the end of a volume after a restart: goes from record to record until the first that is not whole.
 *
 * Groups are written strictly one after another, each only when the one before it was durable and answered. So every
 * record that was ever answered is found here, and what lies behind the first broken one belongs to the last, torn group,
 * which was never answered. It stays ignored. Some of its records may be whole and in front: they are garbage that nothing
 * refers to. A record must name its own place, so bytes of an object that look like a record are not taken for one.
 */
export async function scanVolume(fd: number, volumeNumber: number, volumeBytes: number): Promise<VolumeScan> {
  let window = Buffer.allocUnsafeSlow(Math.min(windowBytes, volumeBytes));
  let end = 0;
  let timestamp: Timestamp | undefined;

  const readWindow = async (byteStart: number) => {
    window = window.subarray(0, Math.min(window.length, volumeBytes - byteStart));
    return window.subarray(0, await readInto(fd, window, byteStart));
  };

  for (;;) {
    const bytes = await readWindow(end);
    let at = 0;
    for (;;) {
      const header = wholeRecordAt(bytes, at, { volumeNumber, byteStart: end + at });
      if (header === undefined) break;
      timestamp = timestampOf(header.objectId);
      at += recordBytes(header.byteLength);
    }
    end += at;
    if (at === 0) break;
  }

  let isClean = true;
  const zeros = Buffer.alloc(window.length);
  for (let at = end; isClean && at < volumeBytes; at += zeros.length) {
    const bytes = await readWindow(at);
    if (bytes.length === 0) break;
    isClean = bytes.equals(zeros.subarray(0, bytes.length));
  }
  return { end, isClean, timestamp };
}

function wholeRecordAt(
  bytes: Buffer,
  at: number,
  place: { readonly volumeNumber: number; readonly byteStart: number },
): RecordHeader | undefined {
  const header = decodeRecordHeader(bytes, at);
  if (header === undefined || at + recordBytes(header.byteLength) > bytes.length) return undefined;
  const named = placeOf(header.objectId);
  if (named?.volumeNumber !== place.volumeNumber || named.byteStart !== place.byteStart) return undefined;
  const bodyStart = at + recordHeaderBytes;
  const bodyCrc = crc32(bytes.subarray(bodyStart, bodyStart + header.byteLength));
  return crc32(bytes.subarray(at, at + 24), bodyCrc) === header.crc ? header : undefined;
}

/** Volumes start small, so that the folder of a small log is small: 8, 16, 32 MiB, then 64 each. */
export function volumeBytesOf(volumeNumber: number): number {
  return Math.min(64, 8 * 2 ** Math.min(3, volumeNumber - 1)) * MiB;
}

assert(volumeBytesOf(99) <= placeStartMax, 'an id can name every start in a volume');
assert(recordBytes(volumeBodyBytesMax) <= windowBytes, 'a whole record fits the window of a scan');
