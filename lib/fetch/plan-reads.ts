/** Which bytes of which objects to read. */

import type { ObjectId } from '../ids.ts';

export interface WantedRange {
  readonly objectId: ObjectId;
  readonly byteStart: number;
  readonly byteLength: number;
}

/** One request to the object store, and the wanted ranges it answers (indexes into what was asked for). */
export interface PlannedRead extends WantedRange {
  readonly wanted: readonly number[];
}

/**
 * Joins wanted ranges into as few reads as is worth it.
 *
 * `wanted` may be in any order; reads come back sorted by object, then by `byteStart`, without overlap. Ranges closer than
 * `gapBytesMax` become one: a few wasted bytes cost less than another request. Pure. Never fails.
 */
export function planReads(wanted: readonly WantedRange[], gapBytesMax: number): PlannedRead[] {
  const order = wanted.map((range, index) => ({ range, index }));
  order.sort((a, b) =>
    a.range.objectId === b.range.objectId
      ? a.range.byteStart - b.range.byteStart
      : a.range.objectId < b.range.objectId
        ? -1
        : 1,
  );
  const reads: { objectId: ObjectId; byteStart: number; byteLength: number; wanted: number[] }[] = [];
  for (const { range, index } of order) {
    const last = reads.at(-1);
    const lastEnd = last === undefined ? 0 : last.byteStart + last.byteLength;
    if (last?.objectId === range.objectId && range.byteStart - lastEnd <= gapBytesMax) {
      last.byteLength = Math.max(lastEnd, range.byteStart + range.byteLength) - last.byteStart;
      last.wanted.push(index);
    } else {
      const { objectId, byteStart, byteLength } = range;
      reads.push({ objectId, byteStart, byteLength, wanted: [index] });
    }
  }
  return reads;
}
