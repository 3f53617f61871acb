/**
 * LZ4 frames (lz4 `doc/lz4_Frame_format.md` 1.6.4), one or more after another.
 *
 * Compression is WebAssembly's; decompression is written here, for the reason told in `snappy.ts`.
 *
 * | frame            | bytes  |                                                                           |
 * |------------------|--------|---------------------------------------------------------------------------|
 * | magic            | 4      | 0x184D2204, all numbers little-endian                                     |
 * | FLG              | 1      | version 01 in bits 7-6; independent blocks 5; block checksums 4; content size 3; content checksum 2; reserved 1; dictionary id 0 |
 * | BD               | 1      | largest block in bits 6-4: 4-7 for 64 KiB, 256 KiB, 1 MiB, 4 MiB          |
 * | content size     | 8 or 0 |                                                                           |
 * | header checksum  | 1      | second byte of the xxHash32 of FLG to here                                |
 * | blocks           |        | size uint32 (top bit: stored as it is), bytes, checksum 4 or 0            |
 * | end mark         | 4      | a block size of 0                                                         |
 * | content checksum | 4 or 0 |                                                                           |
 *
 * A block is a run of sequences: token (literal length in the high four bits, match length - 4 in the low ones; 15 goes
 * on in bytes to be added, until one is not 255), literals, match distance (2 bytes). The last one has literals only.
 */

import { lz4Compress } from '@platformatic/wasm-utils/bundled';
import { readUint8, readUint32Le, readUint64LeRounded } from './int.ts';
import { copyLiteral, copyMatch } from './lz77.ts';
import { refusal, tooLarge } from './refusal.ts';
import { xxhash32 } from './xxhash32.ts';

const frameMagic = 0x184d2204;
const storedBlock = 0x8000_0000;
/** The longest run told by one byte of a match length. */
const expansionMax = 255;
const emptyFrame = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82, 0, 0, 0, 0];

export function compressLz4(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return Uint8Array.from(emptyFrame);
  return lz4Compress(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

/** Throws CORRUPT_MESSAGE, or MESSAGE_TOO_LARGE when more than `bytesMax` comes out. */
export function decompressLz4(bytes: Uint8Array, bytesMax: number): Uint8Array {
  const decoder = new Lz4Decoder(bytes, bytesMax);
  do decoder.decodeFrame();
  while (decoder.at < bytes.length);
  return decoder.out.subarray(0, decoder.outLength);
}

interface FrameHeader {
  readonly independentBlocks: boolean;
  readonly blockChecksums: boolean;
  readonly contentChecksum: boolean;
  readonly contentBytes: number | undefined;
  readonly blockBytesMax: number;
}

class Lz4Decoder {
  at = 0;
  out: Uint8Array = new Uint8Array(0);
  outLength = 0;
  private readonly bytes: Uint8Array;
  private readonly bytesMax: number;

  constructor(bytes: Uint8Array, bytesMax: number) {
    this.bytes = bytes;
    this.bytesMax = bytesMax;
  }

  decodeFrame(): void {
    const { bytes } = this;
    const header = this.readFrameHeader();
    const frameStart = this.outLength;
    const claimed = frameStart + (header.contentBytes ?? 0);
    if (claimed > this.bytesMax) throw tooLarge(this.bytesMax, claimed);
    for (;;) {
      this.need(4, 'block size');
      const word = readUint32Le(bytes, this.at);
      this.at += 4;
      if (word === 0) break;
      const size = word % storedBlock;
      this.need(size, 'block');
      if (size > header.blockBytesMax) {
        throw refusal('compressed', `lz4 block of ${size} bytes, in a frame that allows ${header.blockBytesMax}`);
      }
      const end = this.at + size;
      if (word >= storedBlock) this.copyStored(end);
      else this.decodeBlock(end, header, frameStart);
      if (header.blockChecksums) this.checkHash('block', bytes, end - size, end);
    }
    const contentBytes = this.outLength - frameStart;
    if (header.contentBytes !== undefined && header.contentBytes !== contentBytes) {
      throw refusal('compressed', `lz4 frame claims ${header.contentBytes} bytes and holds ${contentBytes}`);
    }
    if (header.contentChecksum) this.checkHash('content', this.out, frameStart, this.outLength);
  }

  private readFrameHeader(): FrameHeader {
    const { bytes } = this;
    const start = this.at + 4;
    this.need(7, 'frame header');
    if (readUint32Le(bytes, this.at) !== frameMagic)
      throw refusal('compressed', 'lz4 frame does not begin with its magic');
    const flags = readUint8(bytes, start);
    const blockCode = (readUint8(bytes, start + 1) >> 4) & 7;
    if (flags >> 6 !== 1 || (flags & 2) !== 0 || blockCode < 4) {
      throw refusal(
        'compressed',
        `lz4 frame flags 0x${flags.toString(16)} and block size code ${blockCode} are not known`,
      );
    }
    if ((flags & 1) !== 0) throw refusal('compressed', 'lz4 frame wants a dictionary; none is known');
    const contentSizeBytes = (flags & 8) === 0 ? 0 : 8;
    this.need(7 + contentSizeBytes, 'frame header');
    const checksumAt = start + 2 + contentSizeBytes;
    if (((xxhash32(bytes, start, checksumAt) >> 8) & 0xff) !== readUint8(bytes, checksumAt)) {
      throw refusal('compressed', 'lz4 frame header does not match its checksum');
    }
    this.at = checksumAt + 1;
    return {
      independentBlocks: (flags & 0x20) !== 0,
      blockChecksums: (flags & 0x10) !== 0,
      contentChecksum: (flags & 4) !== 0,
      contentBytes: contentSizeBytes === 0 ? undefined : readUint64LeRounded(bytes, start + 2),
      blockBytesMax: 1 << (8 + 2 * blockCode),
    };
  }

  private copyStored(end: number): void {
    const size = end - this.at;
    this.reserve(size);
    if (size > this.out.length - this.outLength) throw tooLarge(this.bytesMax);
    copyLiteral(this.out, this.outLength, this.bytes, this.at, size);
    this.outLength += size;
    this.at = end;
  }

  private decodeBlock(end: number, header: FrameHeader, frameStart: number): void {
    this.reserve(Math.min(header.blockBytesMax, (end - this.at) * expansionMax));
    const { bytes, out } = this;
    const historyStart = header.independentBlocks ? this.outLength : frameStart;
    const limit = Math.min(out.length, this.outLength + header.blockBytesMax);
    let at = this.at;
    let to = this.outLength;
    const full = () =>
      limit === this.outLength + header.blockBytesMax
        ? refusal('compressed', `lz4 block holds more than the ${header.blockBytesMax} bytes its frame allows`)
        : tooLarge(this.bytesMax);
    while (at < end) {
      const token = readUint8(bytes, at);
      at += 1;
      let length = token >> 4;
      if (length === 15) {
        for (let byte = 255; byte === 255; at += 1) {
          if (at >= end) throw cut();
          byte = readUint8(bytes, at);
          length += byte;
        }
      }
      if (length > end - at) throw cut();
      if (length > limit - to) throw full();
      copyLiteral(out, to, bytes, at, length);
      at += length;
      to += length;
      if (at === end) break;

      if (end - at < 2) throw cut();
      const distance = readUint8(bytes, at) | (readUint8(bytes, at + 1) << 8);
      at += 2;
      if (distance === 0 || distance > to - historyStart) {
        throw refusal('compressed', `lz4 match goes back ${distance} bytes, allowed are 1 to ${to - historyStart}`);
      }
      length = (token & 15) + 4;
      if (length === 19) {
        for (let byte = 255; byte === 255; at += 1) {
          if (at >= end) throw cut();
          byte = readUint8(bytes, at);
          length += byte;
        }
      }
      if (length > limit - to) throw full();
      copyMatch(out, to, distance, length);
      to += length;
    }
    this.at = end;
    this.outLength = to;
  }

  /** Makes room for `count` bytes more, as far as `bytesMax` allows. Grows by half, so that copying stays linear. */
  private reserve(count: number): void {
    const wanted = this.outLength + count;
    if (wanted <= this.out.length) return;
    const capacity = Math.min(Math.max(wanted, Math.ceil(this.out.length * 1.5)), this.bytesMax);
    const grown = new Uint8Array(capacity);
    grown.set(this.out.subarray(0, this.outLength));
    this.out = grown;
  }

  private checkHash(what: string, bytes: Uint8Array, start: number, end: number): void {
    this.need(4, `${what} checksum`);
    const expected = readUint32Le(this.bytes, this.at);
    this.at += 4;
    if (xxhash32(bytes, start, end) !== expected)
      throw refusal('compressed', `lz4 ${what} does not match its checksum`);
  }

  private need(count: number, what: string): void {
    const left = this.bytes.length - this.at;
    if (left < count) throw refusal('compressed', `lz4 ${what} takes ${count} bytes, ${left} are left`);
  }
}

function cut() {
  return refusal('compressed', 'lz4 block ends within a sequence');
}
