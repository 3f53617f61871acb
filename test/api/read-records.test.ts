import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { recordToJson } from '../../lib/api/json-records.ts';
import { type FetchedPartition, newBudget, readJsonRecords, recordBytes } from '../../lib/api/read-records.ts';
import { MiB } from '../../lib/limits.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';

/** Records with values of so many zeros, compressed. */
function batchOf(baseOffset: number, ...valueBytes: number[]): Uint8Array {
  const records = valueBytes.map((bytes) => {
    return { key: null, value: new Uint8Array(bytes), headers: [], timestamp: 1000 };
  });
  return encodeBatch({ records, codec: 'zstd', baseOffset });
}

/** Its header can be read, what it holds cannot be decompressed. */
function damagedBatch(baseOffset: number): Uint8Array {
  return batchOf(baseOffset, 1).fill(0, 61);
}

function fetched(offset: number, ...batches: Uint8Array[]): FetchedPartition {
  return { partition: 0, offset, batches, nextOffset: 1000, highWatermark: 1000, logStartOffset: 0 };
}

function seen({ records, nextOffset }: ReturnType<typeof readJsonRecords>) {
  return [records.map(({ offset }) => offset), nextOffset];
}

describe('a JSON answer', () => {
  // A fetch of 256 partitions decompressed a batch of each, though the first had filled the answer.
  it('leaves batches alone once it is full, and goes on at the first record wanted of them', () => {
    const budget = newBudget();
    expect(() => readJsonRecords(fetched(0, damagedBatch(0)), newBudget())).toThrow(/zstd/);
    const first = readJsonRecords(fetched(4, batchOf(4, 33 * MiB), damagedBatch(5)), budget);
    expect(seen(first)).toEqual([[4], 5]);
    expect(seen(readJsonRecords(fetched(7, damagedBatch(5)), budget))).toEqual([[], 7]);
    expect(seen(readJsonRecords(fetched(7), budget))).toEqual([[], 1000]);
  });

  it('leaves batches alone once it has decompressed much of which little was wanted', () => {
    const budget = newBudget();
    const batch = batchOf(0, 40 * MiB, 1);
    expect(seen(readJsonRecords(fetched(1, batch), budget))).toEqual([[1], 1000]);
    expect(seen(readJsonRecords(fetched(1, batch), budget))).toEqual([[1], 1000]);
    expect(seen(readJsonRecords(fetched(1, damagedBatch(0)), budget))).toEqual([[], 1]);
  });

  // Two records of control characters were, as JSON, longer than the longest string: the answer was a 500.
  it('ends before a record that does not fit, unless it is the first', () => {
    const batch = batchOf(0, 1 * MiB, 40 * MiB, 1);
    const budget = newBudget();
    expect(seen(readJsonRecords(fetched(0, batch), budget))).toEqual([[0], 1]);
    expect(seen(readJsonRecords(fetched(7, damagedBatch(7)), budget))).toEqual([[], 7]);
    expect(seen(readJsonRecords(fetched(1, batch), newBudget()))).toEqual([[1], 2]);
    expect(seen(readJsonRecords(fetched(2, batch), newBudget()))).toEqual([[2], 1000]);
  });

  it('is at most six times as long as its records count', () => {
    const bytes = fc.option(fc.oneof(fc.uint8Array(), fc.constant(new Uint8Array(50).fill(1))));
    const name = fc.string({ unit: fc.constantFrom('\u0001', 'a', 'ä', '🐎', '"') });
    const headers = fc.array(fc.tuple(name, bytes));
    fc.assert(
      fc.property(bytes, bytes, headers, fc.maxSafeNat(), (key, value, headers, offset) => {
        const record = { key, value, headers, offset, timestamp: 2n ** 63n - 1n };
        expect(JSON.stringify(recordToJson(record)).length + 1).toBeLessThanOrEqual(6 * recordBytes(record));
      }),
    );
  });
});
