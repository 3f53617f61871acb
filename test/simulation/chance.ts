/** One seed, many streams of chance: what one part of a simulation draws does not shift what another draws. */

import type { RandomBytes } from '../../lib/clock.ts';
import { type Random, seededRandom } from '../support/random.ts';

export interface Chance extends Random {
  /** From 0 to below 1. */
  fraction(): number;
  happens(probability: number): boolean;
  /** Anything of `from`, which may be empty. */
  any<T>(from: readonly T[]): T | undefined;
  /** A stream of its own, the same whenever it is made. */
  fork(name: string): Chance;
  readonly bytes: RandomBytes;
}

export function createChance(seed: number, name = ''): Chance {
  const random = seededRandom(hash(seed, name));
  const fraction = () => random.integer(0, 2 ** 32 - 1) / 2 ** 32;
  return {
    ...random,
    fraction,
    happens: (probability) => fraction() < probability,
    any: (from) => from[random.integer(0, from.length - 1)],
    fork: (child) => createChance(seed, `${name}/${child}`),
    bytes: (bytes) => {
      for (const at of bytes.keys()) bytes[at] = random.integer(0, 255);
      return bytes;
    },
  };
}

/** FNV-1a, 32 bit, with a last mix so that neighbouring seeds differ everywhere. */
function hash(seed: number, name: string): number {
  let mixed = 0x811c9dc5;
  const mix = (byte: number) => {
    mixed = Math.imul(mixed ^ byte, 0x01000193);
  };
  for (let shift = 0; shift < 32; shift += 8) mix((seed >>> shift) & 0xff);
  for (const letter of name) mix(letter.codePointAt(0) ?? 0);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}
