/**
 * Zstandard (RFC 8878) by node:zlib, frame by frame.
 *
 * Node decodes the first frame and is silent about what follows, about a frame cut within its header, and about a
 * skippable frame in front. So frames are found here: each is cut out whole, and nothing may be left over.
 *
 * | frame              | bytes      |                                                                      |
 * |--------------------|------------|----------------------------------------------------------------------|
 * | magic              | 4          | 0xFD2FB528, all numbers little-endian; 0x184D2A50-5F: size uint32 and bytes to skip |
 * | descriptor         | 1          | content size flag in bits 7-6, single segment 5, checksum 2, dictionary id flag 1-0 |
 * | window             | 1, or 0 in a single segment |                                                     |
 * | dictionary id      | 0, 1, 2, 4 |                                                                      |
 * | content size       | 0, 1, 2, 4, 8 | 0 by flag 0, but 1 in a single segment                            |
 * | blocks             |            | 3 bytes: last in bit 0, type in 2-1 (0 stored, 1 one byte repeated, 2 compressed), size in the rest |
 * | checksum           | 4 or 0     |                                                                      |
 */

import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { readUint8, readUint32Le, readUint64LeRounded } from './int.ts';
import { refusal, tooLarge } from './refusal.ts';
import { outputChunkBytes, zlibRefusal } from './zlib.ts';

const frameMagic = 0xfd2fb528;
/** Clients write one frame a batch. A call of zlib for each of a million empty ones would take a minute. */
const framesMax = 64;
/** 128 MiB, what level 22 writes and zstd itself allows; only touched as far as the content goes. */
const windowLogMax = 27;

export function compressZstd(bytes: Uint8Array): Uint8Array {
  return zstdCompressSync(bytes, { pledgedSrcSize: bytes.length });
}

/** Throws CORRUPT_MESSAGE, or MESSAGE_TOO_LARGE when more than `bytesMax` is claimed or comes out. */
export function decompressZstd(bytes: Uint8Array, bytesMax: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let total = 0;
  let frameCount = 0;
  for (let at = 0; at < bytes.length; ) {
    const frame = readFrame(bytes, at);
    if (frame.contentBytesMin + total > bytesMax) throw tooLarge(bytesMax, frame.contentBytesMin + total);
    if (!frame.isSkippable) {
      frameCount += 1;
      if (frameCount > framesMax) throw refusal('compressed', `zstd has more than ${framesMax} frames`);
      const part = decompressFrame(bytes.subarray(at, frame.end), bytesMax - total);
      parts.push(part);
      total += part.length;
    }
    at = frame.end;
  }
  if (frameCount === 0) throw refusal('compressed', 'zstd has no frame');
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
}

function decompressFrame(frame: Uint8Array, bytesMax: number): Uint8Array {
  try {
    return zstdDecompressSync(frame, {
      // Node refuses a limit of 0; the one byte too many is found below.
      maxOutputLength: Math.max(bytesMax, 1),
      chunkSize: outputChunkBytes(frame.length),
      params: { [constants.ZSTD_d_windowLogMax]: windowLogMax },
    });
  } catch (cause) {
    throw zlibRefusal('zstd', bytesMax, cause);
  }
}

/** `contentBytesMin` is what the frame claims or its plain blocks add up to, known before anything is decoded. */
function readFrame(bytes: Uint8Array, start: number): { end: number; isSkippable: boolean; contentBytesMin: number } {
  const need = (at: number, count: number) => {
    if (bytes.length - at < count)
      throw refusal('compressed', `zstd frame ends ${count - (bytes.length - at)} bytes early`);
    return at + count;
  };
  let at = need(start, 5);
  const magic = readUint32Le(bytes, start);
  if (magic >>> 4 === 0x184d2a5) {
    need(start, 8);
    return { end: need(start + 8, readUint32Le(bytes, start + 4)), isSkippable: true, contentBytesMin: 0 };
  }
  if (magic !== frameMagic) throw refusal('compressed', 'zstd frame does not begin with its magic');
  const descriptor = readUint8(bytes, start + 4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 3] as number;
  const sizeFlag = descriptor >> 6;
  const contentSizeBytes = sizeFlag === 0 ? Number(isSingleSegment) : 1 << sizeFlag;
  const sizeAt = need(at, (isSingleSegment ? 0 : 1) + dictionaryIdBytes);
  at = need(sizeAt, contentSizeBytes);
  let claimed = 0;
  if (contentSizeBytes === 1) claimed = readUint8(bytes, sizeAt);
  if (contentSizeBytes === 2) claimed = (readUint8(bytes, sizeAt) | (readUint8(bytes, sizeAt + 1) << 8)) + 256;
  if (contentSizeBytes === 4) claimed = readUint32Le(bytes, sizeAt);
  if (contentSizeBytes === 8) claimed = readUint64LeRounded(bytes, sizeAt);

  let plainBytes = 0;
  for (let isLast = false; !isLast; ) {
    const headerEnd = need(at, 3);
    const word = readUint8(bytes, at) | (readUint8(bytes, at + 1) << 8) | (readUint8(bytes, at + 2) << 16);
    isLast = (word & 1) !== 0;
    const type = (word >> 1) & 3;
    const size = word >> 3;
    if (type !== 2) plainBytes += size;
    at = need(headerEnd, type === 1 ? 1 : size);
  }
  if ((descriptor & 4) !== 0) at = need(at, 4);
  return { end: at, isSkippable: false, contentBytesMin: Math.max(claimed, plainBytes) };
}
