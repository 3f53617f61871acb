/**
 * Snappy, raw and in the framing of xerial's snappy-java, which the Java client writes.
 *
 * Compression is WebAssembly's; decompression is written here. The reason: `@platformatic/wasm-utils` answers
 * malformed input with a trap, a trap leaves the module's stack where it was, and after some thousands of them every
 * function of the module fails, its CRC-32C too. A sender of bad bytes must not be able to do that.
 *
 * Raw (google/snappy `format_description.txt`): the uncompressed length as unsigned varint, then elements. The low two
 * bits of an element's first byte, the tag, say which:
 *
 * | low bits | element | length                              | distance                              |
 * |----------|---------|-------------------------------------|---------------------------------------|
 * | 00       | literal | tag >> 2, + 1; 60-63: 1-4 bytes more | the bytes follow                      |
 * | 01       | copy    | (tag >> 2 & 7) + 4                  | 11 bits: tag >> 5, then a byte        |
 * | 10       | copy    | (tag >> 2) + 1                      | 2 bytes, little-endian                |
 * | 11       | copy    | (tag >> 2) + 1                      | 4 bytes, little-endian                |
 *
 * Xerial: a header of 16 bytes (magic 8, version int32, lowest compatible version int32; big-endian), then chunks of
 * length int32 and a raw block. The header may come again where a chunk could begin: streams can be concatenated.
 */

import { snappyCompress } from '@platformatic/wasm-utils/bundled';
import { readInt32, readUint8, readUint32Le } from './int.ts';
import { copyLiteral, copyMatch } from './lz77.ts';
import { refusal, tooLarge } from './refusal.ts';

// As raw snappy this would begin with a copy from before the start of the output, so the two cannot be confused.
const xerialMagic = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00];
const xerialHeaderBytes = 16;

/** The densest element: a copy of 64 bytes told in 3. A claim beyond that is a lie and is not allocated. */
const expansionMax = 64 / 3;

/** Raw, without framing: every client reads it. */
export function compressSnappy(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return Uint8Array.of(0);
  return snappyCompress(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

/** Raw or xerial. Throws CORRUPT_MESSAGE, or MESSAGE_TOO_LARGE when more than `bytesMax` would come out. */
export function decompressSnappy(bytes: Uint8Array, bytesMax: number): Uint8Array {
  if (!isXerialHeader(bytes, 0)) {
    const { length, bodyStart } = readClaim(bytes, 0, bytes.length);
    if (length > bytesMax) throw tooLarge(bytesMax, length);
    const out = new Uint8Array(length);
    decodeBlock(bytes, bodyStart, bytes.length, out, 0, length);
    return out;
  }
  // Twice over the chunks: their claims are added up and checked before anything is allocated.
  let claimed = 0;
  for (const chunk of xerialChunks(bytes)) {
    claimed += readClaim(bytes, chunk.start, chunk.end).length;
    if (claimed > bytesMax) throw tooLarge(bytesMax, claimed);
  }
  const out = new Uint8Array(claimed);
  let written = 0;
  for (const chunk of xerialChunks(bytes)) {
    const { length, bodyStart } = readClaim(bytes, chunk.start, chunk.end);
    decodeBlock(bytes, bodyStart, chunk.end, out, written, written + length);
    written += length;
  }
  return out;
}

function isXerialHeader(bytes: Uint8Array, at: number): boolean {
  return at + xerialHeaderBytes <= bytes.length && xerialMagic.every((byte, index) => bytes[at + index] === byte);
}

function* xerialChunks(bytes: Uint8Array): Generator<{ start: number; end: number }> {
  let at = 0;
  while (at < bytes.length) {
    if (isXerialHeader(bytes, at)) {
      at += xerialHeaderBytes;
      continue;
    }
    const left = bytes.length - at - 4;
    if (left < 0) throw refusal('compressed', `snappy chunk length takes 4 bytes, ${left + 4} are left`);
    const length = readInt32(bytes, at);
    if (length < 1 || length > left) {
      throw refusal('compressed', `snappy chunk length ${length} is not within 1 to ${left}, the bytes left`);
    }
    yield { start: at + 4, end: at + 4 + length };
    at += 4 + length;
  }
}

/** The uncompressed length that a raw block claims, once it can be true. */
function readClaim(bytes: Uint8Array, start: number, end: number): { length: number; bodyStart: number } {
  let length = 0;
  for (let index = 0; index < 5; index += 1) {
    if (start + index >= end) throw refusal('compressed', 'snappy block ends within its length');
    const byte = readUint8(bytes, start + index);
    length += (byte & 0x7f) * 128 ** index;
    if (byte >= 0x80) continue;
    const bodyStart = start + index + 1;
    if (length > (end - bodyStart) * expansionMax) {
      throw refusal('compressed', `snappy block of ${end - start} bytes claims ${length}, more than it can hold`);
    }
    return { length, bodyStart };
  }
  throw refusal('compressed', 'snappy length does not end within 5 bytes');
}

/** Decodes one block into exactly `out[outStart, outEnd)`. */
function decodeBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  outStart: number,
  outEnd: number,
): void {
  let at = start;
  let to = outStart;
  while (at < end) {
    const tag = readUint8(bytes, at);
    at += 1;
    const kind = tag & 3;
    if (kind === 0) {
      let length = (tag >> 2) + 1;
      if (length > 60) {
        const extra = length - 60;
        if (at + extra > end) throw cut();
        length = readLittleEndian(bytes, at, extra) + 1;
        at += extra;
      }
      if (length > end - at) throw cut();
      if (length > outEnd - to) throw overrun(outEnd - outStart);
      copyLiteral(out, to, bytes, at, length);
      at += length;
      to += length;
      continue;
    }
    const distanceBytes = kind === 3 ? 4 : kind;
    if (at + distanceBytes > end) throw cut();
    const length = kind === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
    const distance = kind === 1 ? ((tag >> 5) << 8) | readUint8(bytes, at) : readLittleEndian(bytes, at, distanceBytes);
    at += distanceBytes;
    if (distance === 0 || distance > to - outStart) {
      throw refusal('compressed', `snappy copy goes back ${distance} bytes, allowed are 1 to ${to - outStart}`);
    }
    if (length > outEnd - to) throw overrun(outEnd - outStart);
    copyMatch(out, to, distance, length);
    to += length;
  }
  if (to !== outEnd) {
    throw refusal('compressed', `snappy block claims ${outEnd - outStart} bytes and holds ${to - outStart}`);
  }
}

function readLittleEndian(bytes: Uint8Array, at: number, count: number): number {
  if (count === 4) return readUint32Le(bytes, at);
  let value = 0;
  for (let index = 0; index < count; index += 1) value |= readUint8(bytes, at + index) << (8 * index);
  return value;
}

function cut() {
  return refusal('compressed', 'snappy block ends within an element');
}

function overrun(claimed: number) {
  return refusal('compressed', `snappy block holds more than the ${claimed} bytes it claims`);
}
