/**
 * Object ids: UUIDv7 (RFC 9562) whose random part says where the object lies, so that a read needs no index.
 *
 * | hex digits | bits | holds                                                                                  |
 * |------------|------|----------------------------------------------------------------------------------------|
 * | 0 to 11    | 48   | milliseconds since the Unix epoch; never falls while a store is open                   |
 * | 12         | 4    | version, 7                                                                             |
 * | 13 to 15   | 12   | volume number, high part                                                               |
 * | 16         | 4    | variant, binary 10, and two zero bits                                                  |
 * | 17 to 21   | 20   | volume number, low part; number 0: the object lies in no volume                        |
 * | 22 to 27   | 24   | start of the object's record in its volume, in units of 16 bytes; no volume: random    |
 * | 28 to 31   | 16   | random                                                                                 |
 */

import type { Clock, RandomBytes } from '../clock.ts';
import { assert } from '../errors.ts';
import type { ObjectId, Timestamp } from '../ids.ts';

/** Starts of records are multiples of this. */
export const placeUnitBytes = 16;
export const volumeNumberMax = 2 ** 32 - 1;
/** Where the last record of a volume can start. */
export const placeStartMax = (2 ** 24 - 1) * placeUnitBytes;

/** `byteStart` is that of the record, header and all. */
export interface ObjectPlace {
  readonly volumeNumber: number;
  readonly byteStart: number;
}

export interface ObjectIds {
  /** For an object at `place`. Ascending when the places are. */
  placed(place: ObjectPlace): ObjectId;
  /** For an object that is found by its id alone. Ascending, so never the same twice. */
  unplaced(): ObjectId;
}

/** Ids not older than `timestampMin`, however the clock is set. */
export function createObjectIds(clock: Clock, randomBytes: RandomBytes, timestampMin: Timestamp = 0): ObjectIds {
  const random = new DataView(new ArrayBuffer(8));
  const randomView = new Uint8Array(random.buffer);
  let lastTimestamp = timestampMin;
  /** 40 bits, of the last unplaced id. */
  let lastSuffix = 0;
  let lastSuffixTimestamp = -1;

  const now = () => {
    lastTimestamp = Math.max(lastTimestamp, clock.nowMs());
    return lastTimestamp;
  };

  return {
    placed({ volumeNumber, byteStart }) {
      assert(volumeNumber > 0 && volumeNumber <= volumeNumberMax, `volume number ${volumeNumber} does not fit an id`);
      assert(byteStart % placeUnitBytes === 0 && byteStart <= placeStartMax, `start ${byteStart} does not fit an id`);
      randomBytes(randomView);
      return format(now(), volumeNumber, byteStart / placeUnitBytes, random.getUint16(0));
    },
    unplaced() {
      randomBytes(randomView);
      const timestamp = now();
      // Within a millisecond the random part counts on in random steps (RFC 9562, section 6.2, method 2).
      // It begins in the lower half, so that there is room to count.
      let suffix =
        timestamp === lastSuffixTimestamp
          ? lastSuffix + 1 + random.getUint16(0)
          : random.getUint32(0) * 2 ** 7 + (random.getUint8(4) >> 1);
      if (suffix >= 2 ** 40) {
        lastTimestamp += 1;
        suffix = 0;
      }
      lastSuffix = suffix;
      lastSuffixTimestamp = lastTimestamp;
      return format(lastTimestamp, 0, Math.floor(suffix / 2 ** 16), suffix % 2 ** 16);
    },
  };
}

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');

function format(timestamp: number, volumeNumber: number, unit: number, random: number): ObjectId {
  const volume = hex(volumeNumber, 8);
  return `${hex(timestamp, 12)}7${volume.slice(0, 3)}8${volume.slice(3)}${hex(unit, 6)}${hex(random, 4)}` as ObjectId;
}

const objectIdPattern = /^[0-9a-f]{12}7[0-9a-f]{3}8[0-9a-f]{15}$/;

/** The place an id names: undefined when the object lies in no volume, or when this is no id of a store of ours. */
export function placeOf(objectId: ObjectId): ObjectPlace | undefined {
  const volumeNumber = Number.parseInt(objectId.slice(13, 16) + objectId.slice(17, 22), 16);
  if (volumeNumber === 0 || !isObjectId(objectId)) return undefined;
  return { volumeNumber, byteStart: Number.parseInt(objectId.slice(22, 28), 16) * placeUnitBytes };
}

/** Whether this has the form of an id; anything else must not become part of a path. */
export function isObjectId(value: string): value is ObjectId {
  return objectIdPattern.test(value);
}

export function timestampOf(objectId: ObjectId): Timestamp {
  return Number.parseInt(objectId.slice(0, 12), 16);
}
