/** Chance that can be had again: the same seed gives the same numbers (mulberry32). */

export interface Random {
  /** From `min` to `max`, both inclusive. */
  integer(min: number, max: number): number;
  pick<T>(from: readonly [T, ...T[]]): T;
}

export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (min: number, max: number) => min + Math.floor(next() * (max - min + 1));
  return { integer, pick: (from) => from[integer(0, from.length - 1)] ?? from[0] };
}
