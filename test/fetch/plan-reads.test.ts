import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { planReads } from '../../lib/fetch/plan-reads.ts';
import type { ObjectId } from '../../lib/ids.ts';

const wantedRanges = fc.array(
  fc.record({
    objectId: fc.constantFrom('a', 'b', 'c').map((name) => name as ObjectId),
    byteStart: fc.nat(500),
    byteLength: fc.integer({ min: 1, max: 100 }),
  }),
  { maxLength: 30 },
);

test('reads cover every wanted range whole, without overlap, and waste no more than the gaps allowed', () => {
  fc.assert(
    fc.property(wantedRanges, fc.nat(50), (wanted, gapBytesMax) => {
      const reads = planReads(wanted, gapBytesMax);
      expect(reads.flatMap((read) => read.wanted).toSorted((a, b) => a - b)).toEqual(wanted.map((_, index) => index));
      for (const read of reads) {
        const inside = read.wanted.map((index) => wanted[index] as (typeof wanted)[number]);
        const end = read.byteStart + read.byteLength;
        for (const range of inside) {
          expect(range.objectId).toBe(read.objectId);
          expect(range.byteStart).toBeGreaterThanOrEqual(read.byteStart);
          expect(range.byteStart + range.byteLength).toBeLessThanOrEqual(end);
        }
        // Nothing is read beyond what is wanted, but for gaps.
        const bytes = new Set(
          inside.flatMap((range) => Array.from({ length: range.byteLength }, (_, at) => range.byteStart + at)),
        );
        expect(read.byteLength - bytes.size).toBeLessThanOrEqual(Math.max(0, inside.length - 1) * gapBytesMax);
      }
      for (const [index, read] of reads.entries()) {
        const next = reads[index + 1];
        if (next?.objectId === read.objectId)
          expect(next.byteStart - read.byteStart - read.byteLength).toBeGreaterThan(gapBytesMax);
      }
    }),
  );
});
