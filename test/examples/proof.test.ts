import { expect, test } from 'vitest';
import { type Entry, prove, type SeenEntry, tally } from './proof.ts';

const published: readonly Entry[] = ['ORD', 'LAX', 'ORD', 'LAX', 'ORD', 'JFK'].map((key, index) => {
  return { index, key, amount: index * 0.1 };
});
const partitions: Readonly<Record<string, number>> = { ORD: 0, LAX: 1, JFK: 1 };

/** Gives offsets as a log would, in the order of `entries`. */
function see(entries: readonly Entry[]): SeenEntry[] {
  const offsets = new Map<number, number>();
  return entries.map((entry) => {
    const partition = partitions[entry.key] ?? 0;
    const offset = offsets.get(partition) ?? 0;
    offsets.set(partition, offset + 1);
    return { ...entry, partition, offset };
  });
}

function faultsOf(seen: readonly SeenEntry[]): (string | undefined)[] {
  return prove(published, seen, tally(seen)).map(({ fault }) => fault);
}

function swap<T>(items: readonly T[], a: number, b: number): T[] {
  return items.map((item, index) => items[index === a ? b : index === b ? a : index] ?? item);
}

test('a faithful log proves every claim', () => {
  expect(faultsOf(see(published))).toEqual([undefined, undefined, undefined, undefined]);
});

test('records of two keys may come in any order between them', () => {
  expect(faultsOf(see(swap(published, 0, 1)))).toEqual([undefined, undefined, undefined, undefined]);
});

test('a lost record is named', () => {
  const faults = faultsOf(see(published.filter(({ index }) => index !== 2)));
  expect(faults[0]).toBe('record 2 of key ORD was never seen');
  expect(faults[3]).toBe('key ORD has 2 records in the table and 3 in the file');
});

test('a record that was stored but not delivered leaves a gap in the offsets', () => {
  const faults = faultsOf(see(published).filter(({ index }) => index !== 2));
  expect(faults[1]).toBe('offset 2 of partition 0 came where offset 1 was due');
});

test('a repeated record is named, with its place', () => {
  const faults = faultsOf(see([...published, ...published.slice(1, 2)]));
  expect(faults[0]).toBe('record 1 of key LAX was seen again at offset 3 of partition 1');
  expect(faults[2]).toContain('key LAX: record 1 at offset 3 of partition 1 came after record 3');
});

test('a record delivered twice from one offset shows in the offsets', () => {
  const seen = see(published);
  expect(faultsOf([...seen, ...seen.slice(-1)])[1]).toBe('offset 2 of partition 1 came where offset 3 was due');
});

test('two records of one key in the wrong order are named', () => {
  const [lostOrRepeated, offsets, order] = faultsOf(see(swap(published, 0, 2)));
  expect(order).toBe('key ORD: record 0 at offset 1 of partition 0 came after record 2');
  expect([lostOrRepeated, offsets]).toEqual([undefined, undefined]);
});

test('a key in two partitions is a fault', () => {
  const seen = see(published).map((entry) => (entry.index === 4 ? { ...entry, partition: 2, offset: 0 } : entry));
  expect(faultsOf(seen)[2]).toBe('key ORD is in partition 0 and in partition 2');
});

test('a table that counted wrong is caught even when the log is right', () => {
  const tallies = tally(published).set('JFK', { count: 1, sum: 0.6 });
  const [, , , last] = prove(published, see(published), tallies);
  expect(last?.fault).toBe('key JFK adds up to 0.6 in the table and to 0.5 in the file');
});
