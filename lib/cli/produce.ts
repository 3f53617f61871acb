/** `millrace produce TOPIC [FILE...]`: lines become records. */

import { type Command, Option } from 'commander';
import type { Codec, Millrace, TopicDescription } from '../client/index.ts';
import { systemClock } from '../clock.ts';
import type { TopicName } from '../ids.ts';
import { messageBytesDefault, messageBytesMax, partitionCountMax } from '../limits.ts';
import { addEndpointOption, type EndpointOptions, withClient } from './endpoint.ts';
import { CommandError, messageOf } from './failure.ts';
import { type Input, openInputs } from './inputs.ts';
import { untilInterrupted } from './interrupt.ts';
import { type LineParser, textLineParser, withOptions } from './line-record.ts';
import { note } from './output.ts';
import { parseHeader, parseSeparator, parseTopicArgument, parseWhole } from './parse.ts';
import { formatCount, ProgressLine } from './progress.ts';
import { type Stop, sendLines } from './send-lines.ts';
import { SendWindow } from './send-window.ts';

interface ProduceOptions extends EndpointOptions {
  readonly keySeparator?: Buffer;
  readonly delimiter: Buffer;
  readonly json?: true;
  readonly header?: readonly (readonly [string, string | null])[];
  readonly partition?: number;
  readonly nullEmpty?: true;
  readonly compression: Codec;
  readonly progress?: boolean;
}

export function addProduceCommand(program: Command): void {
  const command = program
    .command('produce')
    .summary('store records')
    .description('Stores each line of the files, or of standard input, as one record. Ends when all are durable.')
    .argument('<topic>', 'topic name', parseTopicArgument)
    .argument('[files...]', 'files to read, in this order; - is standard input')
    .option('-K, --key-separator <separator>', 'what stands before it in a line is the key', parseSeparator)
    .addOption(
      new Option('-D, --delimiter <delimiter>', 'what ends a line')
        .argParser(parseSeparator)
        .default(Buffer.from('\n'), '\\n; a \\r before it belongs to the value'),
    )
    .addOption(new Option('--json', 'each line is a JSON record').conflicts(['keySeparator', 'nullEmpty']))
    .option('-H, --header <name=value>', 'add a header to each record; can be repeated', parseHeader)
    .option('-p, --partition <partition>', 'store in this partition', parseWhole(0, partitionCountMax - 1))
    .option('-Z, --null-empty', 'an empty value (or key) becomes null, as with -Z of kcat')
    .addOption(
      new Option('-z, --compression <codec>', 'compress the batches')
        .choices(['none', 'gzip', 'snappy', 'lz4', 'zstd'] satisfies Codec[])
        .default('none'),
    )
    .option('--progress', 'show progress on standard error (default: when that is a terminal and input is not)')
    .option('--no-progress', 'show no progress');
  addEndpointOption(command)
    .addHelpText('after', helpText)
    .action((topic: TopicName, files: readonly string[], options: ProduceOptions) => runProduce(topic, files, options));
}

const helpText = `
A JSON record: {"key":"k","value":"v","headers":[["name","value"]],"timestamp":1700000000000,"partition":3}
Everything may be absent. Text is stored without quotes, other JSON as compact text, null is null; bytes come as keyBase64,
valueBase64 and ["name",{"base64":"..."}]. What "millrace consume --json" prints can be produced again.

Records without a key or partition go to some partition. Separators understand \\t \\n \\0 \\xNN.

Examples:
  echo hello | millrace produce orders
  millrace produce orders --key-separator : orders.txt
  millrace produce orders --header source=import --compression zstd monday.txt tuesday.txt
  jq -c '{key: .id, value: .}' orders.json | millrace produce orders --json`;

async function runProduce(topic: TopicName, files: readonly string[], options: ProduceOptions): Promise<void> {
  const inputs = await openInputs(files);
  const parseLine = await chooseParser(options);
  await untilInterrupted(({ signal }) =>
    withClient(options, async (log) => {
      const info = await log.admin.describeTopic(topic, { signal });
      checkPartition(info, options.partition);
      await produce(log, info, inputs, parseLine, options, signal);
    }),
  );
}

async function produce(
  log: Millrace,
  info: TopicDescription,
  inputs: readonly Input[],
  parseLine: LineParser,
  options: ProduceOptions,
  signal: AbortSignal,
): Promise<void> {
  const isTyped = process.stdin.isTTY === true && inputs.some(({ name }) => name === 'standard input');
  const isSized = inputs.every(({ bytes }) => bytes !== undefined);
  const progress = new ProgressLine({
    label: 'stored',
    total: isSized ? { unit: 'bytes', count: inputs.reduce((sum, { bytes = 0 }) => sum + bytes, 0) } : undefined,
    isShown: options.progress ?? (process.stderr.isTTY === true && !isTyped),
    clock: systemClock,
    stream: process.stderr,
  });
  const producer = log.producer(info.topic, { compression: options.compression });
  const window = new SendWindow(producer, (bytes) => progress.add(1, bytes));

  let stop: Stop | undefined;
  for (const input of inputs) {
    stop = await sendLines({
      input,
      delimiter: options.delimiter,
      lineBytesMax: lineBytesMax(info, options),
      parseLine,
      window,
      signal,
    });
    if (stop !== undefined) break;
  }
  await window.settled();
  progress.clear();

  const stored = `${formatCount(window.storedCount, 'record')} stored${rangesText(window)}`;
  if (window.failure !== undefined) {
    const { name, lineNumber, error } = window.failure;
    throw new CommandError(`${name} line ${lineNumber}: ${messageOf(error)}; ${stored}`, { cause: error });
  }
  if (stop?.kind === 'unreadable') throw new CommandError(`${messageOf(stop.error)}, ${stop.where}; ${stored}`);
  if (stop?.kind === 'badLine') {
    // Without the cause: its advice is for callers of the log, and nothing of this line was ever sent.
    throw new CommandError(`${stop.where}: ${messageOf(stop.error)}; ${stored}`, {
      advice: 'Correct the line and go on from it; every line before it is stored.',
    });
  }
  // A terminal's lines end like this too. But a pipe or a file was cut short, and a script must not take it for stored.
  if (stop?.kind === 'interrupted' && !isTyped) throw new CommandError(`interrupted in ${stop.where}; ${stored}`);
  note(`${stored}; ${progress.summary()}`);
}

async function chooseParser(options: ProduceOptions): Promise<LineParser> {
  if (!options.json) return textLineParser(options);
  const { parseJsonLine } = await import('./json-lines.ts');
  return (line) => withOptions(parseJsonLine(line, systemClock.nowMs()), options);
}

function checkPartition({ topic, partitions }: TopicDescription, partition: number | undefined): void {
  if (partition === undefined || partition < partitions.length) return;
  throw new CommandError(`topic ${topic} has no partition ${partition}; it has 0 to ${partitions.length - 1}`);
}

/** Beyond this no record can come of a line: so much is held in memory while its end is looked for. */
function lineBytesMax({ config }: TopicDescription, { json, compression }: ProduceOptions): number {
  const recordBytesMax = Number(config['max.message.bytes']?.value ?? messageBytesDefault);
  // What is compressed, or written as JSON with escapes and Base64, may be longer than what it becomes.
  return json || compression !== 'none' ? Math.max(messageBytesMax, recordBytesMax) : recordBytesMax;
}

/** `: partition 0 offsets 0 to 41, partition 1 offset 7`. */
function rangesText({ stored }: SendWindow): string {
  const texts = [...stored]
    .sort(([a], [b]) => a - b)
    .map(([partition, { firstOffset, lastOffset }]) =>
      firstOffset === lastOffset
        ? `partition ${partition} offset ${firstOffset}`
        : `partition ${partition} offsets ${firstOffset} to ${lastOffset}`,
    );
  return texts.length === 0 ? '' : `: ${texts.join(', ')}`;
}
