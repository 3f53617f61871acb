/** The codecs of a record batch, by the number in its attributes. */

import { compressLz4, decompressLz4 } from './lz4.ts';
import { refusal, tooLarge } from './refusal.ts';
import { compressSnappy, decompressSnappy } from './snappy.ts';
import { compressGzip, decompressGzip } from './zlib.ts';
import { compressZstd, decompressZstd } from './zstd.ts';

/** Index = bits 0-2 of the attributes (Kafka's `CompressionType`). */
export const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

export type Codec = (typeof codecs)[number];

const compressors = {
  gzip: compressGzip,
  snappy: compressSnappy,
  lz4: compressLz4,
  zstd: compressZstd,
} as const;

const decompressors = {
  gzip: decompressGzip,
  snappy: decompressSnappy,
  lz4: decompressLz4,
  zstd: decompressZstd,
} as const;

/** For `none` the bytes themselves, not a copy. */
export function compress(codec: Codec, bytes: Uint8Array): Uint8Array {
  return codec === 'none' ? bytes : compressors[codec](bytes);
}

/**
 * All of what `bytes` holds; for `none` the bytes themselves, not a copy.
 *
 * Never allocates much more than twice `bytesMax`, whatever the bytes claim. Throws CORRUPT_MESSAGE (`compressed`) for
 * bytes that are not what the codec says, cut ones and ones with something else behind them included, and
 * MESSAGE_TOO_LARGE for more than `bytesMax`.
 */
export function decompress(codec: Codec, bytes: Uint8Array, bytesMax: number): Uint8Array {
  if (codec === 'none') {
    if (bytes.length > bytesMax) throw tooLarge(bytesMax, bytes.length);
    return bytes;
  }
  if (bytes.length === 0) throw refusal('compressed', `${codec} takes some bytes, 0 are there`);
  const out = decompressors[codec](bytes, bytesMax);
  if (out.length > bytesMax) throw tooLarge(bytesMax, out.length);
  return out;
}
