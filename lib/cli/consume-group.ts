/** `millrace consume TOPIC --group G`: records that come to one member of a group, and are committed when printed. */

import type { ConsumedRecord, Millrace, TopicPartition } from '../client/index.ts';
import type { TopicName } from '../ids.ts';
import type { Formatter } from './format.ts';
import { note, Output } from './output.ts';
import type { Place } from './parse.ts';

export interface ConsumeGroupOptions {
  readonly group: string;
  readonly instance?: string;
  /** Not an offset and not the last records: partitions differ, and a group has its own. */
  readonly from: Place;
  readonly follow: boolean;
  readonly max: number;
}

export async function consumeAsGroup(
  log: Millrace,
  topic: TopicName,
  format: Formatter,
  { group, instance, from, follow, max }: ConsumeGroupOptions,
  interrupt: AbortController,
): Promise<void> {
  const output = new Output(process.stdout, () => interrupt.abort());
  // A member waits for topics that are not there yet; a person has rather mistyped one.
  await log.admin.describeTopic(topic, { signal: interrupt.signal });
  /** By partition; not of those that were lost. */
  const committed = new Map<number, number>();
  const consumer = log.consumer(topic, {
    group,
    ...(instance !== undefined && { instanceId: instance }),
    from: from.kind === 'time' ? new Date(from.timestamp) : from.kind === 'latest' ? 'latest' : 'earliest',
    follow,
    signal: interrupt.signal,
    onAssigned: (partitions) => note(`assigned: ${listOf(partitions)}`),
    onRevoked: (partitions) => {
      note(`revoked: ${listOf(partitions)}`);
      // What was handed out is committed by now.
      for (const { partition } of partitions) {
        const offset = consumer.position(topic, partition);
        if (offset !== undefined) committed.set(partition, offset);
      }
    },
    onLost: (partitions, reason) => {
      note(`lost: ${listOf(partitions)} (${reason.message})`);
      for (const { partition } of partitions) committed.delete(partition);
    },
  });
  let recordCount = 0;
  let last: ConsumedRecord | undefined;
  for await (const { records } of consumer.batches()) {
    const printed = records.slice(0, max - recordCount);
    for (const record of printed) {
      format(record, output);
      const isReady = output.ready();
      if (isReady !== undefined) await isReady;
    }
    // Through, and then committed: what nobody has seen comes again.
    await output.flush();
    if (output.isClosed) break;
    recordCount += printed.length;
    if (recordCount < max) continue;
    last = printed.at(-1);
    if (last !== undefined) await consumer.commit(last);
    break;
  }
  await output.flush();
  if (output.isClosed) return;
  // More of this one was handed out than was wanted.
  if (last !== undefined) committed.set(last.partition, last.offset + 1);
  for (const [partition, offset] of [...committed].sort(([a], [b]) => a - b)) {
    note(`partition ${partition}: committed offset ${offset}`);
  }
}

function listOf(partitions: readonly TopicPartition[]): string {
  return partitions
    .map(({ partition }) => partition)
    .sort((a, b) => a - b)
    .join(',');
}
