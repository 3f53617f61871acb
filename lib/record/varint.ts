/**
 * Variable-length integers, as in protobuf: seven bits a byte, least significant first, the top bit says "more".
 *
 * | kind            | bytes | value                                                             |
 * |-----------------|-------|-------------------------------------------------------------------|
 * | varint          | 1-5   | int32, zigzag: 0, -1, 1, -2 ... are written as 0, 1, 2, 3 ...       |
 * | varlong         | 1-10  | int64, zigzag                                                     |
 * | unsigned varint | 1-5   | uint32, as it is                                                  |
 *
 * Readers take what Kafka's `ByteUtils` takes: over-long forms are read, bits beyond 32 or 64 are dropped.
 */

import type { Int64 } from '../ids.ts';
import { readUint8, toInt64 } from './int.ts';
import { refusal } from './refusal.ts';

const two28 = 2 ** 28;

/** Reads one after another from `at` on and never looks at or beyond `end`. Throws INVALID_RECORD (`record`). */
export class VarintReader {
  readonly bytes: Uint8Array;
  at: number;
  end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  readVarint(): number {
    const value = this.readBits32();
    return (value >>> 1) ^ -(value & 1);
  }

  readUnsignedVarint(): number {
    return this.readBits32() >>> 0;
  }

  readVarlong(): Int64 {
    const start = this.at;
    let value = 0;
    let unit = 1;
    // Seven bytes hold 49 bits, which a number takes without loss; timestamp deltas are rarely longer than four.
    for (let index = 0; index < 7; index += 1) {
      const byte = this.readByte('varlong', 10);
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) {
        if (value < two28) return (value >>> 1) ^ -(value & 1);
        return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      }
      unit *= 128;
    }
    this.at = start;
    return this.readLongVarlong();
  }

  private readLongVarlong(): Int64 {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.readByte('varlong', 10);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        const bits = BigInt.asUintN(64, value);
        return toInt64(BigInt.asIntN(64, (bits >> 1n) ^ -(bits & 1n)));
      }
    }
    throw refusal('record', 'varlong does not end within 10 bytes');
  }

  private readBits32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.readByte('varint', 5);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw refusal('record', 'varint does not end within 5 bytes');
  }

  private readByte(kind: string, bytesMax: number): number {
    if (this.at >= this.end) throw refusal('record', `${kind} ends after its bytes do; at most ${bytesMax} are read`);
    const byte = readUint8(this.bytes, this.at);
    this.at += 1;
    return byte;
  }
}

// ---- sizes, in bytes

export function varintBytes(value: number): number {
  return unsignedVarintBytes(((value << 1) ^ (value >> 31)) >>> 0);
}

export function unsignedVarintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < two28 ? 4 : 5;
}

export function varlongBytes(value: Int64): number {
  if (fitsInt32(value)) return varintBytes(value);
  let rest = zigzag(value);
  let count = 1;
  for (; rest >= 0x80n; rest >>= 7n) count += 1;
  return count;
}

// ---- writers: return the byte after the last one written

export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  return writeUnsignedVarint(bytes, at, ((value << 1) ^ (value >> 31)) >>> 0);
}

export function writeUnsignedVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  let next = at;
  for (; rest >= 0x80; rest >>>= 7) {
    bytes[next] = (rest & 0x7f) | 0x80;
    next += 1;
  }
  bytes[next] = rest;
  return next + 1;
}

export function writeVarlong(bytes: Uint8Array, at: number, value: Int64): number {
  if (fitsInt32(value)) return writeVarint(bytes, at, value);
  let rest = zigzag(value);
  let next = at;
  for (; rest >= 0x80n; rest >>= 7n) {
    bytes[next] = Number(rest & 0x7fn) | 0x80;
    next += 1;
  }
  bytes[next] = Number(rest);
  return next + 1;
}

function fitsInt32(value: Int64): value is number {
  return typeof value === 'number' && (value | 0) === value;
}

function zigzag(value: Int64): bigint {
  const long = BigInt(value);
  return BigInt.asUintN(64, (long << 1n) ^ (long >> 63n));
}
