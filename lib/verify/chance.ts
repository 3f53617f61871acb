/** One seed, many streams of chance: what one part of a run draws does not shift what another draws. */

import type { RandomBytes } from '../clock.ts';

export interface Chance {
  /** From `min` to `max`, both inclusive. */
  integer(min: number, max: number): number;
  pick<T>(from: readonly [T, ...T[]]): T;
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
  let state = hash(seed, name);
  /** mulberry32. */
  const fraction = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (min: number, max: number) => min + Math.floor(fraction() * (max - min + 1));
  return {
    fraction,
    integer,
    pick: (from) => from[integer(0, from.length - 1)] as (typeof from)[number],
    happens: (probability) => fraction() < probability,
    any: (from) => from[integer(0, from.length - 1)],
    fork: (child) => createChance(seed, `${name}/${child}`),
    bytes: (bytes) => {
      for (const at of bytes.keys()) bytes[at] = integer(0, 255);
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
