/** The checksums S3 knows, and the aws-chunked bodies that carry them behind the data. */

import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { crc32c } from '../../lib/record/crc32c.ts';
import { S3Error } from './s3-error.ts';

/** By the ending of `x-amz-checksum-`; each gives base64. */
export const checksums: Readonly<Record<string, (bytes: Uint8Array) => string>> = {
  crc32: (bytes) => uint32Base64(crc32(bytes)),
  crc32c: (bytes) => uint32Base64(crc32c(bytes)),
  crc64nvme: (bytes) => Buffer.from(crc64nvme(bytes).toString(16).padStart(16, '0'), 'hex').toString('base64'),
  sha1: (bytes) => createHash('sha1').update(bytes).digest('base64'),
  sha256: (bytes) => createHash('sha256').update(bytes).digest('base64'),
};

function uint32Base64(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes.toString('base64');
}

/** CRC-64/NVME, reflected, as two halves of 32 bits: BigInt takes 100 times as long. */
const table = Array.from({ length: 256 }, (_, byte) => {
  let [high, low] = [0, byte];
  for (let bit = 0; bit < 8; bit++) {
    const isOdd = low & 1;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (isOdd) [high, low] = [high ^ 0x9a6c9329, low ^ 0xac4bc9b5];
  }
  return [high, low] as const;
});

export function crc64nvme(bytes: Uint8Array): bigint {
  let [high, low] = [-1, -1];
  for (const byte of bytes) {
    const [tableHigh, tableLow] = table[(low ^ byte) & 0xff] as readonly [number, number];
    low = ((low >>> 8) | (high << 24)) ^ tableLow;
    high = (high >>> 8) ^ tableHigh;
  }
  return (BigInt(~high >>> 0) << 32n) | BigInt(~low >>> 0);
}

/**
 * Takes `{size in hex}\r\n{data}\r\n ... 0\r\n{trailer}:{value}\r\n\r\n` apart. As AWS does, refuses chunks under 8 KiB other
 * than the last: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
 */
export function decodeAwsChunked(body: Buffer): { data: Buffer; trailers: Map<string, string> } {
  const refuse = (why: string) => new S3Error('IncompleteBody', `aws-chunked body: ${why}`);
  const chunks: Buffer[] = [];
  let at = 0;
  const line = () => {
    const end = body.indexOf('\r\n', at);
    if (end === -1) throw refuse('a line has no end');
    const text = body.toString('latin1', at, end);
    at = end + 2;
    return text;
  };
  for (;;) {
    const size = line();
    if (!/^[0-9a-f]+$/i.test(size)) throw refuse(`${JSON.stringify(size)} is no chunk size`);
    const byteLength = Number.parseInt(size, 16);
    if (byteLength === 0) break;
    const chunkBefore = chunks.at(-1);
    if (chunkBefore && chunkBefore.length < 8192) {
      throw new S3Error('InvalidChunkSizeError', 'only the last chunk may have less than 8192 bytes');
    }
    chunks.push(body.subarray(at, at + byteLength));
    at += byteLength;
    if (line() !== '') throw refuse('a chunk is longer than it says');
  }
  const trailers = new Map<string, string>();
  for (let text = line(); text !== ''; text = line()) {
    const colon = text.indexOf(':');
    trailers.set(text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim());
  }
  if (at !== body.length) throw refuse('bytes follow the trailer');
  return { data: Buffer.concat(chunks), trailers };
}
