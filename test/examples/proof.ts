/** What the demo claims of a log it wrote and read, checked against the data it started from. Pure. */

/** One thing published: `index` is its place in the file, `key` decides its partition, `amount` is what is summed. */
export interface Entry {
  readonly index: number;
  readonly key: string;
  readonly amount: number;
}

/** The same, as a consumer saw it. */
export interface SeenEntry extends Entry {
  readonly partition: number;
  readonly offset: number;
}

/** What a running table keeps of one key. */
export interface Tally {
  readonly count: number;
  readonly sum: number;
}

/** `fault` says in one sentence what is wrong; undefined: the claim holds. */
export interface Proof {
  readonly claim: string;
  readonly fault: string | undefined;
}

/**
 * `published` in the order of the file; `seen` in the order in which consumers got it, of which only the order within a
 * partition counts; `tallies` as the consumers' running table ended.
 */
export function prove(
  published: readonly Entry[],
  seen: readonly SeenEntry[],
  tallies: ReadonlyMap<string, Tally>,
): Proof[] {
  const expected = tally(published);
  return [
    {
      claim: `every one of ${published.length.toLocaleString('en-US')} records was counted, once`,
      fault: lostFault(published, seen) ?? repeatedFault(published, seen),
    },
    { claim: 'offsets of each partition rise from 0 without a gap', fault: offsetFault(seen) },
    { claim: `the order of the file was kept for each of ${expected.size} keys`, fault: orderFault(seen) },
    { claim: 'count and sum of each key equal those of the file', fault: tallyFault(expected, tallies) },
  ];
}

/** Count and sum by key. */
export function tally(entries: Iterable<Entry>): Map<string, Tally> {
  const tallies = new Map<string, Tally>();
  for (const entry of entries) addToTally(tallies, entry);
  return tallies;
}

export function addToTally(tallies: Map<string, Tally>, { key, amount }: Entry): void {
  const before = tallies.get(key) ?? { count: 0, sum: 0 };
  tallies.set(key, { count: before.count + 1, sum: before.sum + amount });
}

function lostFault(published: readonly Entry[], seen: readonly SeenEntry[]): string | undefined {
  const indexes = new Set(seen.map(({ index }) => index));
  const lost = published.find(({ index }) => !indexes.has(index));
  return lost && `record ${lost.index} of key ${lost.key} was never seen`;
}

function repeatedFault(published: readonly Entry[], seen: readonly SeenEntry[]): string | undefined {
  const left = new Set(published.map(({ index }) => index));
  const extra = seen.find(({ index }) => !left.delete(index));
  return extra && `record ${extra.index} of key ${extra.key} was seen again at ${placeOf(extra)}`;
}

function offsetFault(seen: readonly SeenEntry[]): string | undefined {
  const nextOffsets = new Map<number, number>();
  for (const entry of seen) {
    const nextOffset = nextOffsets.get(entry.partition) ?? 0;
    if (entry.offset !== nextOffset) return `${placeOf(entry)} came where offset ${nextOffset} was due`;
    nextOffsets.set(entry.partition, nextOffset + 1);
  }
  return undefined;
}

function orderFault(seen: readonly SeenEntry[]): string | undefined {
  const lastOfKey = new Map<string, SeenEntry>();
  for (const entry of seen) {
    const last = lastOfKey.get(entry.key);
    if (last !== undefined && last.partition !== entry.partition) {
      return `key ${entry.key} is in partition ${last.partition} and in partition ${entry.partition}`;
    }
    if (last !== undefined && last.index >= entry.index) {
      return `key ${entry.key}: record ${entry.index} at ${placeOf(entry)} came after record ${last.index}`;
    }
    lastOfKey.set(entry.key, entry);
  }
  return undefined;
}

/** Sums are equal to the last bit: each key's amounts were added in the same order. */
function tallyFault(expected: ReadonlyMap<string, Tally>, tallies: ReadonlyMap<string, Tally>): string | undefined {
  for (const key of new Set([...expected.keys(), ...tallies.keys()])) {
    const { count, sum } = tallies.get(key) ?? { count: 0, sum: 0 };
    const due = expected.get(key) ?? { count: 0, sum: 0 };
    if (count !== due.count) return `key ${key} has ${count} records in the table and ${due.count} in the file`;
    if (sum !== due.sum) return `key ${key} adds up to ${sum} in the table and to ${due.sum} in the file`;
  }
  return undefined;
}

function placeOf({ partition, offset }: SeenEntry): string {
  return `offset ${offset} of partition ${partition}`;
}
