/** What gzip and zstd share: node:zlib with a limit on the output, and its errors made ours. */

import { gunzipSync, gzipSync } from 'node:zlib';
import { KiB, MiB } from '../limits.ts';
import { refusal, tooLarge } from './refusal.ts';

/** Ten bytes of header, two of an empty deflate stream, eight of trailer (RFC 1952). */
const gzipBytesMin = 20;

export function compressGzip(bytes: Uint8Array): Uint8Array {
  return gzipSync(bytes);
}

/** Members may be concatenated. Throws CORRUPT_MESSAGE, or MESSAGE_TOO_LARGE when more than `bytesMax` comes out. */
export function decompressGzip(bytes: Uint8Array, bytesMax: number): Uint8Array {
  // Node answers a stream cut within its first bytes with no output and no error.
  if (bytes.length < gzipBytesMin) {
    throw refusal('compressed', `gzip takes ${gzipBytesMin} bytes at least, ${bytes.length} are there`);
  }
  try {
    return gunzipSync(bytes, { maxOutputLength: Math.max(bytesMax, 1), chunkSize: outputChunkBytes(bytes.length) });
  } catch (cause) {
    throw zlibRefusal('gzip', bytesMax, cause);
  }
}

/** Output is collected in chunks of this size: few for a large batch, not much memory for a small one. */
export function outputChunkBytes(compressedBytes: number): number {
  return Math.min(Math.max(compressedBytes * 6, 4 * KiB), MiB);
}

export function zlibRefusal(codec: string, bytesMax: number, cause: unknown) {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'ERR_BUFFER_TOO_LARGE') return tooLarge(bytesMax);
  return refusal('compressed', `${codec} cannot be read: ${message}`, cause);
}
