/** Record values that say who sent them, and whose every byte counts. */

import { crc32 } from 'node:zlib';
import { KiB, MiB } from '../../lib/limits.ts';
import type { Random } from '../support/random.ts';

export interface Value {
  readonly bytes: Buffer;
  /** What `nameOf` finds in the bytes: the record's own name, the length and a checksum. */
  readonly name: string;
}

/** Text, so that it survives JSON; no two values begin at the same place of it often. */
export function createValues(random: Random): (recordName: string, byteLength: number) => Value {
  const filler = Buffer.alloc(3 * MiB);
  for (let at = 0; at < filler.length; at += 1) filler[at] = 97 + ((at * 7 + (at >> 8) + (at >> 15)) % 26);
  return (recordName, byteLength) => {
    const start = random.integer(0, 512 * KiB);
    const bytes = Buffer.concat([Buffer.from(`${recordName}|`), filler.subarray(start, start + byteLength)]);
    return { bytes, name: nameOf(bytes) };
  };
}

export function nameOf(bytes: Uint8Array): string {
  const end = Math.max(0, bytes.indexOf(0x7c));
  return `${Buffer.from(bytes.subarray(0, end))} ${bytes.length} ${crc32(bytes).toString(16)}`;
}
