/** From what was asked for (`--partition`, `--from`, `--at`) to offsets of a topic as it is now. */

import type { CallSignal } from '../client/admin.ts';
import type { Millrace, TopicDescription } from '../client/index.ts';
import type { ListOffsetsResult } from '../log.ts';
import { CommandError } from './failure.ts';
import type { Place } from './parse.ts';

export type PartitionBounds = TopicDescription['partitions'][number];

/** Requests under way at once. */
const lookupsInFlightMax = 8;

/** All partitions, or those of the list. Throws when the topic has no such partition. */
export function choosePartitions(
  { topic, partitions }: TopicDescription,
  list: readonly number[] | undefined,
): readonly PartitionBounds[] {
  if (list === undefined) return partitions;
  return list.map((wanted) => {
    const found = partitions.find(({ partition }) => partition === wanted);
    if (found !== undefined) return found;
    throw new CommandError(`topic ${topic} has no partition ${wanted}; it has 0 to ${partitions.length - 1}`);
  });
}

/** In the order of `partitions`. Offset undefined: no record is as young as that. */
export async function listOffsetsAt(
  log: Millrace,
  partitions: readonly PartitionBounds[],
  topic: string,
  place: Place,
  options: CallSignal = {},
): Promise<ListOffsetsResult[]> {
  const at = place.kind === 'time' ? place.timestamp : place.kind;
  if (at === 'offset' || at === 'last') throw new TypeError(`${at} is no place to list offsets at`);
  const found: ListOffsetsResult[] = [];
  for (let start = 0; start < partitions.length; start += lookupsInFlightMax) {
    const group = partitions.slice(start, start + lookupsInFlightMax);
    const asked = group.map(({ partition }) => log.admin.listOffsets(topic, partition, at, options));
    found.push(...(await Promise.all(asked)));
  }
  return found;
}

/** The offset to begin at in each partition. */
export async function startOffsets(
  log: Millrace,
  partitions: readonly PartitionBounds[],
  topic: string,
  place: Place,
  options: CallSignal,
): Promise<Map<number, number>> {
  if (place.kind === 'time' || place.kind === 'max') {
    const found = await listOffsetsAt(log, partitions, topic, place, options);
    return new Map(
      partitions.map(({ partition, highWatermark }, index) => [partition, found[index]?.offset ?? highWatermark]),
    );
  }
  return new Map(partitions.map((bounds) => [bounds.partition, startOffsetWithin(bounds, place)]));
}

function startOffsetWithin({ partition, logStartOffset, highWatermark }: PartitionBounds, place: Place): number {
  if (place.kind === 'earliest') return logStartOffset;
  if (place.kind === 'last') return Math.max(logStartOffset, highWatermark - place.recordCount);
  if (place.kind !== 'offset') return highWatermark;
  if (place.offset >= logStartOffset && place.offset <= highWatermark) return place.offset;
  throw new CommandError(
    `offset ${place.offset} is not in partition ${partition}, which has offsets from ${logStartOffset} to ${highWatermark}`,
    { advice: 'Choose another offset with --from, or other partitions with --partition.' },
  );
}
