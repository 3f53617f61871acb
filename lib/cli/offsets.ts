/** `millrace offsets TOPIC`: where each partition begins and ends, or which offset a time belongs to. */

import type { Command } from 'commander';
import { systemClock } from '../clock.ts';
import type { Int64 } from '../ids.ts';
import { addEndpointOption, type EndpointOptions, withClient } from './endpoint.ts';
import { CommandError } from './failure.ts';
import { formatTable, Output } from './output.ts';
import { type Place, parseOffsetsAt, parsePartitionList, parseTopicArgument } from './parse.ts';
import { choosePartitions, listOffsetsAt } from './places.ts';

interface OffsetsOptions extends EndpointOptions {
  readonly at?: Place;
  readonly partition?: readonly number[];
  readonly json?: true;
}

export function addOffsetsCommand(program: Command): void {
  addEndpointOption(
    program
      .command('offsets')
      .summary('show the offsets of a topic')
      .description('Shows the earliest and the latest offset of each partition, and the offset of a time with --at.')
      .argument('<topic>', 'topic name', parseTopicArgument),
  )
    .option('--at <place>', 'earliest, latest, max (highest timestamp) or a time', (text) =>
      parseOffsetsAt(text, systemClock.nowMs()),
    )
    .option('--partition <list>', 'only these: 0 or 0,2 or 4-7; can be repeated', parsePartitionList)
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
A time is ISO 8601 (2026-01-31, 2026-01-31T08:00Z), milliseconds (@1700000000000) or back from now (-90s, -1h, -7d); its
offset is that of the first record as young as that. Latest is the offset that the next record will get.

Examples:
  millrace offsets orders
  millrace offsets orders --at -1h --json`,
    )
    .action(showOffsets);
}

async function showOffsets(topic: string, options: OffsetsOptions): Promise<void> {
  const { at } = options;
  const { partitions, found } = await withClient(options, async (log) => {
    const description = await log.admin.describeTopic(topic);
    const chosen = choosePartitions(description, options.partition);
    return { partitions: chosen, found: at === undefined ? undefined : await listOffsetsAt(log, chosen, topic, at) };
  });
  const rows = partitions.map(({ partition, logStartOffset, highWatermark }, index) => ({
    partition,
    earliest: logStartOffset,
    latest: highWatermark,
    count: highWatermark - logStartOffset,
    ...(found !== undefined && {
      at: found[index]?.offset ?? null,
      timestamp: plainTimestamp(found[index]?.timestamp),
    }),
  }));
  const output = new Output(process.stdout);
  if (options.json) output.json({ topic, partitions: rows });
  else {
    const heads = ['PARTITION', 'EARLIEST', 'LATEST', 'COUNT'];
    const cells = rows.map((row) => {
      const plain = [row.partition, row.earliest, row.latest, row.count];
      return found === undefined ? plain : [...plain, row.at ?? 'none', timeText(row.timestamp ?? null)];
    });
    output.line(formatTable(found === undefined ? heads : [...heads, 'OFFSET', 'TIMESTAMP'], cells));
  }
  await output.flush();
  if (rows.length === 0) throw new CommandError(`topic ${topic} has no partitions`);
}

/** JSON has no 64-bit integers; what is no safe one becomes text, as at the HTTP door. */
function plainTimestamp(timestamp: Int64 | undefined): number | string | null {
  return typeof timestamp === 'bigint' ? String(timestamp) : (timestamp ?? null);
}

/** `earliest` and `latest` are no record's offsets and have no timestamp. */
function timeText(timestamp: number | bigint | string | null): string {
  if (timestamp === null) return '-';
  const date = new Date(Number(timestamp));
  return Number.isNaN(date.getTime()) ? String(timestamp) : date.toISOString();
}
