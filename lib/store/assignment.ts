/**
 * Sets of partitions, by topic: what a member of a group shall have, has, or gives up.
 *
 * As bytes, one after another for each topic:
 *
 * | size      | field                                                                                                |
 * |----------:|------------------------------------------------------------------------------------------------------|
 * |        16 | topic id                                                                                             |
 * |         2 | firstByte, uint16: the bits of partitions below 8 x firstByte are left out, they are 0               |
 * |         2 | byteCount, uint16                                                                                    |
 * | byteCount | bits: partition p is bit p % 8 of byte p / 8 - firstByte                                             |
 *
 * All big-endian. In the plan of a group (`group-text.ts`) the topic id is its place, uint32. A third of 3,000 partitions takes
 * 145 to 395 bytes, however they are scattered.
 */

import { assert } from '../errors.ts';
import type { Partition, TopicId } from '../ids.ts';

/** Partitions in ascending order, each once; no topic without any. */
export type Assignment = ReadonlyMap<TopicId, readonly Partition[]>;

export const noPartitions: Assignment = new Map();

/** In any order, duplicates allowed. */
export function assignmentOf(entries: Iterable<readonly [TopicId, Iterable<Partition>]>): Assignment {
  const found = new Map<TopicId, Set<Partition>>();
  for (const [topicId, partitions] of entries) {
    const there = found.get(topicId) ?? new Set();
    for (const partition of partitions) there.add(partition);
    found.set(topicId, there);
  }
  return ordered(found);
}

export function intersectionOf(one: Assignment, other: Assignment): Assignment {
  return filterPartitions(one, (topicId, partition) => hasPartition(other, topicId, partition));
}

/** What is in `one` and not in `other`. */
export function differenceOf(one: Assignment, other: Assignment): Assignment {
  return filterPartitions(one, (topicId, partition) => !hasPartition(other, topicId, partition));
}

export function unionOf(...all: readonly Assignment[]): Assignment {
  return assignmentOf(all.flatMap((one) => [...one]));
}

export function filterPartitions(
  assignment: Assignment,
  keep: (topicId: TopicId, partition: Partition) => boolean,
): Assignment {
  const kept = [...assignment].map(
    ([topicId, partitions]) => [topicId, partitions.filter((partition) => keep(topicId, partition))] as const,
  );
  return new Map(kept.filter(([, partitions]) => partitions.length > 0));
}

export function isSameAssignment(one: Assignment, other: Assignment): boolean {
  return partitionCountOf(one) === partitionCountOf(other) && isSubsetOf(one, other);
}

export function isSubsetOf(one: Assignment, other: Assignment): boolean {
  return differenceOf(one, other).size === 0;
}

export function partitionCountOf(assignment: Assignment): number {
  let count = 0;
  for (const partitions of assignment.values()) count += partitions.length;
  return count;
}

export function hasPartition(assignment: Assignment, topicId: TopicId, partition: Partition): boolean {
  const partitions = assignment.get(topicId) ?? [];
  let [low, high] = [0, partitions.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((partitions[middle] ?? 0) < partition) low = middle + 1;
    else high = middle;
  }
  return partitions[low] === partition;
}

export interface TopicPartition {
  readonly topicId: TopicId;
  readonly partition: Partition;
}

/** Names a partition of a topic: a key for maps. */
export const placeOf = (topicId: TopicId, partition: Partition) => `${topicId}/${partition}`;

export function topicPartitionsOf(assignment: Assignment): TopicPartition[] {
  return [...assignment].flatMap(([topicId, partitions]) => partitions.map((partition) => ({ topicId, partition })));
}

function ordered(sets: ReadonlyMap<TopicId, ReadonlySet<Partition>>): Assignment {
  const lists = [...sets].map(([topicId, set]) => [topicId, [...set].sort((a, b) => a - b)] as const);
  return new Map(lists.filter(([, partitions]) => partitions.length > 0).sort(([a], [b]) => (a < b ? -1 : 1)));
}

// ---- bytes

/** How a topic id is written: in 16 bytes, or in fewer where it is known which ones there can be. */
export interface TopicIdBytes {
  readonly size: number;
  write(topicId: TopicId, bytes: Buffer): void;
  read(bytes: Buffer, at: number): TopicId;
}

const uuidBytes: TopicIdBytes = {
  size: 16,
  write: (topicId, bytes) => {
    const idBytes = bytes.write(topicId.replaceAll('-', ''), 'hex');
    assert(idBytes === 16, `topic id ${topicId} has 16 bytes`);
  },
  read: (bytes, at) => {
    const hex = bytes.toString('hex', at, at + 16);
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5') as TopicId;
  },
};

export function encodeAssignment(assignment: Assignment, ids = uuidBytes): Buffer {
  return Buffer.concat(
    [...assignment].map(([topicId, partitions]) => {
      const [first, last] = [partitions[0], partitions.at(-1)];
      assert(first !== undefined && last !== undefined, `topic ${topicId} of an assignment has partitions`);
      const firstByte = first >>> 3;
      const byteCount = (last >>> 3) - firstByte + 1;
      const bitsAt = ids.size + 4;
      const bytes = Buffer.alloc(bitsAt + byteCount);
      ids.write(topicId, bytes);
      bytes.writeUInt16BE(firstByte, ids.size);
      bytes.writeUInt16BE(byteCount, ids.size + 2);
      for (const partition of partitions) {
        const at = bitsAt + (partition >>> 3) - firstByte;
        bytes[at] = (bytes[at] ?? 0) | (1 << (partition & 7));
      }
      return bytes;
    }),
  );
}

export function decodeAssignment(encoded: Uint8Array, ids = uuidBytes): Assignment {
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength);
  const assignment = new Map<TopicId, Partition[]>();
  let at = 0;
  while (at < bytes.length) {
    const topicId = ids.read(bytes, at);
    const firstByte = bytes.readUInt16BE(at + ids.size);
    const byteCount = bytes.readUInt16BE(at + ids.size + 2);
    const bitsAt = at + ids.size + 4;
    const partitions: Partition[] = [];
    for (let index = 0; index < byteCount; index++) {
      const byte = bytes.readUInt8(bitsAt + index);
      for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) partitions.push((firstByte + index) * 8 + bit);
    }
    assert(partitions.length > 0, `topic ${topicId} of an encoded assignment has partitions`);
    assignment.set(topicId, partitions);
    at = bitsAt + byteCount;
  }
  return assignment;
}
