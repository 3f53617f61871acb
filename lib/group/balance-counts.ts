/** How many partitions of each topic each member gets: the flow behind the assignor `uniform`. */

import { assert } from '../errors.ts';

/** By member, then by topic; undefined where the member does not subscribe. */
export type Counts = readonly (readonly (Cell | undefined)[])[];
export interface Cell {
  /** Partitions of the topic that the member had before. */
  readonly held: number;
  /** Partitions that it gets. */
  count: number;
}

/**
 * Sets every `count`, so that those of a topic add up to its partitions, the members' sums are as even as they can be
 * (no other way has a smaller sum of squares, and so none a smaller range), and of all such ways as much as possible is
 * kept, min(held, count) summed over all. Every topic has a subscriber. Pure apart from the counts.
 *
 * Where subscriptions differ and there are millions of them, what it comes to within `edgesLookedAtMax` may be less even.
 */
export function balanceCounts(counts: Counts, partitionCounts: readonly number[]): void {
  if (isFull(counts)) {
    shareEvenly(counts, partitionCounts);
    return;
  }
  const flow = new Flow(counts, partitionCounts);
  flow.start();
  for (let chain = flow.findGain(); chain !== undefined; chain = flow.findGain()) {
    // The same chain again while it pays: that moves a heap of partitions with one search.
    while (flow.costOf(chain) < 0) flow.pass(chain);
  }
}

/** Beyond this the search ends with what it has: all other requests of the process wait for it, for some 0.3 s by then. */
const edgesLookedAtMax = 30_000_000;

const isFull = (counts: Counts): counts is readonly (readonly Cell[])[] =>
  counts.every((cells) => cells.every((cell) => cell !== undefined));

/** Where all subscribe to the same, no search is needed: all get as many, within one, and who had more keeps the odd one. */
function shareEvenly(counts: readonly (readonly Cell[])[], partitionCounts: readonly number[]): void {
  const total = sumOf(partitionCounts);
  const least = Math.floor(total / counts.length);
  let odd = total % counts.length;
  const shares = counts.map((cells) => {
    return { cells, left: least, hadMore: sumOf(cells.map(({ held }) => held)) > least };
  });
  for (const share of shares.toSorted((one, other) => Number(other.hadMore) - Number(one.hadMore))) {
    if (odd-- > 0) share.left++;
    keep(share.cells, share.left);
    share.left -= sumOf(share.cells.map(({ count }) => count));
  }
  // In turns, so that the partitions of a topic are with many members.
  let open = shares.filter(({ left }) => left > 0);
  let next = 0;
  partitionCounts.forEach((partitionCount, topic) => {
    for (
      let missing = partitionCount - sumOf(counts.map((cells) => cells[topic]?.count ?? 0));
      missing > 0;
      missing--
    ) {
      if (next >= open.length) [open, next] = [open.filter(({ left }) => left > 0), 0];
      const share = open[next++];
      const cell = share?.cells[topic];
      assert(share !== undefined && cell !== undefined, 'shares add up to all partitions');
      share.left--;
      cell.count++;
    }
  });
}

/** Of what the member had, at most `most`, and of the topics equally much as far as that goes. */
function keep(cells: readonly Cell[], most: number): void {
  let cap = 0;
  for (let high = Math.max(0, ...cells.map(({ held }) => held)); cap < high; ) {
    const middle = (cap + high) >>> 1;
    if (sumOf(cells.map(({ held }) => Math.min(held, middle))) < most) cap = middle + 1;
    else high = middle;
  }
  for (const cell of cells) cell.count = Math.min(cell.held, cap);
  let surplus = sumOf(cells.map(({ count }) => count)) - most;
  for (const cell of cells) if (surplus > 0 && cell.count === cap && surplus-- > 0) cell.count--;
}

const sumOf = (all: readonly number[]) => all.reduce((sum, one) => sum + one, 0);

interface Edge {
  readonly from: number;
  readonly to: number;
  readonly member: number;
  /** `takes`: from the member to the topic; `gives`: from the topic to the member; `counts` is undefined for the two ends. */
  readonly kind: 'takes' | 'gives' | 'begins' | 'ends';
  readonly cell: Cell | undefined;
}

/**
 * Nodes: the members, the topics, and one where every chain begins and ends. A partition that goes from member a to
 * member b is the chain: begins at a, a -> topic -> b, ends at b; longer ones pass through other members and leave their
 * sums as they are; a ring of members without beginning and end swaps.
 */
class Flow {
  readonly #counts: Counts;
  readonly #partitionCounts: readonly number[];
  readonly #sums: number[];
  readonly #edges: readonly Edge[];
  readonly #nodeCount: number;
  /** A partition more or less kept never outweighs evenness. */
  readonly #weight: number;
  #lookedAt = 0;

  constructor(counts: Counts, partitionCounts: readonly number[]) {
    this.#counts = counts;
    this.#partitionCounts = partitionCounts;
    this.#sums = counts.map(() => 0);
    this.#weight = partitionCounts.reduce((sum, count) => sum + count, 1);
    const ends = counts.length + partitionCounts.length;
    this.#nodeCount = ends + 1;
    this.#edges = counts.flatMap((cells, member) => [
      { from: ends, to: member, member, kind: 'begins', cell: undefined },
      { from: member, to: ends, member, kind: 'ends', cell: undefined },
      ...cells.flatMap((cell, topic): Edge[] => {
        if (cell === undefined) return [];
        const node = counts.length + topic;
        return [
          { from: member, to: node, member, kind: 'takes', cell },
          { from: node, to: member, member, kind: 'gives', cell },
        ];
      }),
    ]);
  }

  /** Everything stays where it is; what nobody had goes to whoever has least. Often that is all there is to do. */
  start(): void {
    this.#counts.forEach((cells, member) => {
      for (const cell of cells) {
        if (cell === undefined) continue;
        cell.count = cell.held;
        this.#add(member, cell.held);
      }
    });
    this.#partitionCounts.forEach((partitionCount, topic) => {
      let missing = this.#counts.reduce((left, cells) => left - (cells[topic]?.count ?? 0), partitionCount);
      for (; missing > 0; missing--) {
        const member = this.#leastOf(topic);
        const cell = this.#counts[member]?.[topic];
        assert(cell !== undefined, 'a topic has a subscriber');
        cell.count++;
        this.#add(member, 1);
      }
    });
  }

  /** A chain that gains, by Bellman and Ford: the parents of the nodes have a ring as soon as there is one. */
  findGain(): readonly Edge[] | undefined {
    const costs = new Array<number>(this.#nodeCount).fill(0);
    const parents = new Array<Edge | undefined>(this.#nodeCount).fill(undefined);
    for (let round = 0; round < this.#nodeCount; round++) {
      let isChanged = false;
      this.#lookedAt += this.#edges.length;
      if (this.#lookedAt > edgesLookedAtMax) return undefined;
      for (const edge of this.#edges) {
        const cost = (costs[edge.from] ?? 0) + this.#cost(edge);
        if (cost >= (costs[edge.to] ?? 0)) continue;
        costs[edge.to] = cost;
        parents[edge.to] = edge;
        isChanged = true;
      }
      if (!isChanged) return undefined;
      const ring = ringOf(parents);
      if (ring !== undefined) return ring;
    }
    assert(false, 'a search that goes on for so long has found a ring');
  }

  costOf(chain: readonly Edge[]): number {
    return chain.reduce((sum, edge) => sum + this.#cost(edge), 0);
  }

  pass(chain: readonly Edge[]): void {
    for (const { kind, member, cell } of chain) {
      if (cell !== undefined) cell.count += kind === 'gives' ? 1 : -1;
      else this.#add(member, kind === 'ends' ? 1 : -1);
    }
  }

  #cost({ kind, member, cell }: Edge): number {
    const sum = this.#sums[member] ?? 0;
    // (sum - 1)^2 - sum^2 and (sum + 1)^2 - sum^2.
    if (kind === 'begins') return (1 - 2 * sum) * this.#weight;
    if (kind === 'ends') return (1 + 2 * sum) * this.#weight;
    const { count = 0, held = 0 } = cell ?? {};
    if (kind === 'gives') return count < held ? -1 : 0;
    if (count === 0) return Number.POSITIVE_INFINITY;
    return count <= held ? 1 : 0;
  }

  #leastOf(topic: number): number {
    let least = -1;
    this.#counts.forEach((cells, member) => {
      if (cells[topic] !== undefined && (this.#sums[member] ?? 0) < (this.#sums[least] ?? Number.POSITIVE_INFINITY)) {
        least = member;
      }
    });
    return least;
  }

  #add(member: number, partitions: number): void {
    this.#sums[member] = (this.#sums[member] ?? 0) + partitions;
  }
}

/** Edges of a ring among the parents, in any order; undefined when they are a forest. */
function ringOf(parents: readonly (Edge | undefined)[]): readonly Edge[] | undefined {
  const seenFrom = new Array<number>(parents.length).fill(-1);
  for (let start = 0; start < parents.length; start++) {
    let node = start;
    while (seenFrom[node] === -1) {
      seenFrom[node] = start;
      const parent = parents[node];
      if (parent === undefined) break;
      node = parent.from;
    }
    // Back at a node of this very walk, and not at a root: a ring.
    if (seenFrom[node] !== start || parents[node] === undefined) continue;
    const ring: Edge[] = [];
    let edge = parents[node];
    while (edge !== undefined && !ring.includes(edge)) {
      ring.push(edge);
      edge = parents[edge.from];
    }
    return ring;
  }
  return undefined;
}
