/** `millrace consume TOPIC`: records to standard output. */

import { type Command, Option } from 'commander';
import type { ConsumedRecord, Millrace } from '../client/index.ts';
import { systemClock } from '../clock.ts';
import type { TopicName } from '../ids.ts';
import { consumeAsGroup } from './consume-group.ts';
import { addEndpointOption, type EndpointOptions, withClient } from './endpoint.ts';
import { UsageError } from './failure.ts';
import { compileFormat, type Formatter, formatTokens, formatValueLine } from './format.ts';
import { untilInterrupted } from './interrupt.ts';
import { note, Output } from './output.ts';
import {
  type Place,
  parseGroupArgument,
  parseInstanceArgument,
  parsePartitionList,
  parsePlace,
  parseTopicArgument,
  parseWhole,
} from './parse.ts';
import { choosePartitions, type PartitionBounds, startOffsets } from './places.ts';
import { ProgressLine } from './progress.ts';

interface ConsumeOptions extends EndpointOptions {
  readonly from?: Place;
  readonly partition?: readonly number[];
  readonly group?: string;
  readonly instance?: string;
  readonly follow?: true;
  readonly max?: number;
  readonly format?: Formatter;
  readonly json?: true;
  readonly progress?: boolean;
}

export function addConsumeCommand(program: Command): void {
  const command = program
    .command('consume')
    .summary('read records')
    .description('Prints the records of a topic, one value a line, up to the end that the topic has now.')
    .argument('<topic>', 'topic name', parseTopicArgument)
    .option('-o, --from <place>', 'where to begin (default: earliest)', (text) => parsePlace(text, systemClock.nowMs()))
    .option('-p, --partition <list>', 'only these: 0 or 0,2 or 4-7; can be repeated', parsePartitionList)
    .addOption(
      new Option('-g, --group <id>', 'read as a member of this group, from what it has committed')
        .argParser(parseGroupArgument)
        .conflicts('partition'),
    )
    .option('--instance <id>', 'with --group: a name that survives restarts of this member', parseInstanceArgument)
    .option('--follow', 'at the end, wait for more until Ctrl-C')
    .option('-c, --max <count>', 'stop after this many records', parseWhole(1, Number.MAX_SAFE_INTEGER))
    .option('-f, --format <format>', "how to print a record, as kcat's -f", compileFormat)
    .addOption(new Option('--json', 'print one JSON record a line').conflicts('format'))
    .option(
      '--progress',
      'show progress on standard error (default: when that is a terminal and output goes elsewhere)',
    )
    .option('--no-progress', 'show no progress');
  addEndpointOption(command)
    .addHelpText('after', helpText)
    .action((topic: TopicName, options: ConsumeOptions) => runConsume(topic, options));
}

const helpText = `
Where to begin: earliest, latest, an offset (41), the last records of each partition (-10), or a time: ISO 8601
(2026-01-31, 2026-01-31T08:00Z), milliseconds (@1700000000000), back from now (-90s, -15m, -1h, -7d).

Format:
${Object.entries(formatTokens)
  .map(([token, meaning]) => `  ${token}  ${meaning}`)
  .join('\n')}
  and \\n \\r \\t \\0 \\\\ \\xNN; nothing is added between records, so end it with \\n

Records of one partition come in order; those of several partitions come mixed.

With --group each partition goes to one member at a time, and what was printed is committed. --from (earliest, latest or a
time) is then for partitions of which nothing is committed; --follow decides whether the member stays.

Examples:
  millrace consume orders
  millrace consume orders --from -1h --follow
  millrace consume orders --group billing --follow
  millrace consume orders --partition 0 --from 41 --max 10 --json
  millrace consume orders --format '%p:%o %k = %s\\n' | head`;

async function runConsume(topic: TopicName, options: ConsumeOptions): Promise<void> {
  const { group, instance, from = { kind: 'earliest' }, follow = false, max = Number.POSITIVE_INFINITY } = options;
  if (group === undefined && instance !== undefined)
    throw new UsageError('--instance is for members; give --group too');
  const format = await chooseFormat(options);
  if (group !== undefined) {
    // No conflict of the options themselves, since that would hold for --no-progress too.
    if (options.progress) throw new UsageError('--progress has no meaning with --group');
    if (from.kind === 'offset' || from.kind === 'last') {
      throw new UsageError('with --group, --from takes earliest, latest or a time; see "millrace groups reset"');
    }
    const chosen = { group, from, follow, max, ...(instance !== undefined && { instance }) };
    await untilInterrupted((interrupt) =>
      withClient(options, (log) => consumeAsGroup(log, topic, format, chosen, interrupt)),
    );
    return;
  }
  await untilInterrupted((interrupt) => withClient(options, (log) => consume(log, topic, format, options, interrupt)));
}

async function consume(
  log: Millrace,
  topic: TopicName,
  format: Formatter,
  options: ConsumeOptions,
  interrupt: AbortController,
): Promise<void> {
  const { partition: list, from = { kind: 'earliest' }, follow = false, max = Number.POSITIVE_INFINITY } = options;
  const output = new Output(process.stdout, () => interrupt.abort());
  const { signal } = interrupt;
  const description = await log.admin.describeTopic(topic, { signal });
  const partitions = choosePartitions(description, list);
  const starts = await startOffsets(log, partitions, topic, from, { signal });
  const consumer = log.consumer(topic, {
    from: { offsets: Object.fromEntries(starts) },
    ...(list !== undefined && { partitions: list }),
    follow,
    signal,
  });
  const progress = new ProgressLine({
    label: 'consumed',
    total: follow ? undefined : { unit: 'records', count: Math.min(max, countAhead(partitions, starts)) },
    isShown: options.progress ?? (process.stderr.isTTY === true && process.stdout.isTTY !== true),
    clock: systemClock,
    stream: process.stderr,
  });

  let recordCount = 0;
  try {
    for await (const record of consumer) {
      format(record, output);
      progress.add(1, bytesOf(record));
      recordCount += 1;
      if (recordCount >= max) break;
      const isReady = output.ready();
      if (isReady !== undefined) await isReady;
    }
  } finally {
    progress.clear();
    await output.flush();
  }
  if (output.isClosed) return;
  if (signal.aborted || recordCount >= max) {
    for (const { partition } of partitions) {
      const next = consumer.position(partition) ?? starts.get(partition);
      note(`partition ${partition}: next offset ${next}`);
    }
  }
  if (options.progress) note(progress.summary());
}

async function chooseFormat({ format = formatValueLine, json }: ConsumeOptions): Promise<Formatter> {
  if (!json) return format;
  const { formatJsonLine } = await import('./json-lines.ts');
  return formatJsonLine;
}

/** Offsets rather than records: where some are missing, this is too high and the percentage jumps at the end. */
function countAhead(partitions: readonly PartitionBounds[], starts: ReadonlyMap<number, number>): number {
  return partitions.reduce(
    (sum, { partition, highWatermark }) => sum + Math.max(0, highWatermark - (starts.get(partition) ?? highWatermark)),
    0,
  );
}

function bytesOf({ key, value }: ConsumedRecord): number {
  return (key?.byteLength ?? 0) + (value?.byteLength ?? 0);
}
