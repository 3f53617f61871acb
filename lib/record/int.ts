/**
 * Big-endian integers in bytes.
 *
 * Plain shifts and no DataView: a batch is often read once, and a view costs more than its header. Nothing here
 * checks bounds; who calls has.
 */

import type { Int64 } from '../ids.ts';

const two32 = 0x1_0000_0000;

export function readUint8(bytes: Uint8Array, at: number): number {
  return bytes[at] as number;
}

export function readInt16(bytes: Uint8Array, at: number): number {
  return ((readUint8(bytes, at) << 24) >> 16) | readUint8(bytes, at + 1);
}

export function readInt32(bytes: Uint8Array, at: number): number {
  return (
    (readUint8(bytes, at) << 24) |
    (readUint8(bytes, at + 1) << 16) |
    (readUint8(bytes, at + 2) << 8) |
    readUint8(bytes, at + 3)
  );
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at) >>> 0;
}

/** Little-endian, for the framings of lz4 and zstd. */
export function readUint32Le(bytes: Uint8Array, at: number): number {
  return (
    (readUint8(bytes, at) |
      (readUint8(bytes, at + 1) << 8) |
      (readUint8(bytes, at + 2) << 16) |
      (readUint8(bytes, at + 3) << 24)) >>>
    0
  );
}

/** Little-endian and rounded beyond 2^53: good for comparing a claim with a limit, not for arithmetic. */
export function readUint64LeRounded(bytes: Uint8Array, at: number): number {
  return readUint32Le(bytes, at + 4) * two32 + readUint32Le(bytes, at);
}

/** Two 32-bit words; a bigint only for what no number can say. */
export function readInt64(bytes: Uint8Array, at: number): Int64 {
  const high = readInt32(bytes, at);
  const low = readUint32(bytes, at + 4);
  if (high >= -0x20_0000 && high < 0x20_0000) {
    const value = high * two32 + low;
    if (Number.isSafeInteger(value)) return value;
  }
  return (BigInt(high) << 32n) | BigInt(low);
}

export function writeInt16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value;
}

export function writeInt32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 24;
  bytes[at + 1] = value >> 16;
  bytes[at + 2] = value >> 8;
  bytes[at + 3] = value;
}

export function writeInt64(bytes: Uint8Array, at: number, value: Int64): void {
  if (typeof value === 'number') {
    writeInt32(bytes, at, Math.floor(value / two32));
    // `| 0` takes the low word modulo 2^32, of negative numbers too.
    writeInt32(bytes, at + 4, value | 0);
  } else {
    writeInt32(bytes, at, Number(BigInt.asIntN(32, value >> 32n)));
    writeInt32(bytes, at + 4, Number(BigInt.asIntN(32, value)));
  }
}

/** The bigint as a number when a number can say it. */
export function toInt64(value: bigint): Int64 {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** a + b in 64 bits; wraps as Java's `long` does, so that a pair of extreme values reads as it was written. */
export function addInt64(a: Int64, b: Int64): Int64 {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b;
    if (Number.isSafeInteger(sum)) return sum;
  }
  return toInt64(BigInt.asIntN(64, BigInt(a) + BigInt(b)));
}

/** a - b in 64 bits; wraps as `addInt64` does. */
export function subtractInt64(a: Int64, b: Int64): Int64 {
  if (typeof a === 'number' && typeof b === 'number') {
    const difference = a - b;
    if (Number.isSafeInteger(difference)) return difference;
  }
  return toInt64(BigInt.asIntN(64, BigInt(a) - BigInt(b)));
}
