/** `millrace topics`: create, list, describe, alter, delete. */

import type { Command } from 'commander';
import type { TopicDescription, TopicSummary } from '../client/index.ts';
import { partitionCountMax } from '../limits.ts';
import { confirmDelete } from './confirm.ts';
import { addEndpointOption, type EndpointOptions, withClient } from './endpoint.ts';
import { UsageError } from './failure.ts';
import { formatTable, note, Output } from './output.ts';
import { collect, parseConfigEntry, parseTopicArgument, parseWhole } from './parse.ts';

interface JsonOptions extends EndpointOptions {
  readonly json?: true;
}
interface ChangeOptions extends JsonOptions {
  readonly partitions?: number;
  readonly config?: Readonly<Record<string, string>>;
}

const parsePartitionCount = parseWhole(1, partitionCountMax);

export function addTopicsCommand(program: Command): void {
  const topics = program
    .command('topics')
    .summary('create, list, describe, alter, delete topics')
    .description('Creates, lists, describes, alters and deletes topics.');
  const create = 'create orders --partitions 6 --config max.message.bytes=2000000';
  const list = "list --json | jq -r '.topics[].topic'";
  const alter = 'alter orders --config message.timestamp.type=LogAppendTime --unset max.message.bytes';
  topics.addHelpText('after', examples(create, alter, list));

  leaf(topics, 'create <topic>', 'create a topic')
    .option('--partitions <count>', 'how many partitions (default: what the log decides)', parsePartitionCount)
    .option('--config <key=value>', 'set a config key; can be repeated', parseConfigEntry)
    .addHelpText('after', examples('create orders', create))
    .action(createTopic);
  leaf(topics, 'list', 'list the topics').addHelpText('after', examples('list', list)).action(listTopics);
  leaf(topics, 'describe <topic>', 'show config and partitions of a topic')
    .addHelpText('after', examples('describe orders', "describe orders --json | jq '.partitions[].highWatermark'"))
    .action(describeTopic);
  leaf(topics, 'alter <topic>', 'change config, or add partitions')
    .option('--partitions <count>', 'new partition count; partitions are never removed', parsePartitionCount)
    .option('--config <key=value>', 'set a config key; can be repeated', parseConfigEntry)
    .option('--unset <key>', 'set a config key back to its default; can be repeated', collect)
    .addHelpText('after', examples('alter orders --partitions 12', alter))
    .action(alterTopic);
  leaf(topics, 'delete <topic>', 'delete a topic and all of its records')
    .option('--yes', 'do not ask')
    .addHelpText('after', examples('delete orders', 'delete orders --yes --json'))
    .action(deleteTopic);
}

const examples = (...lines: readonly string[]) =>
  ['', 'Examples:', ...lines.map((line) => `  millrace topics ${line}`)].join('\n');

function leaf(topics: Command, nameAndArguments: string, summary: string): Command {
  const [name = '', argument] = nameAndArguments.split(' ');
  const command = topics.command(name).description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`);
  command.summary(summary);
  if (argument !== undefined) command.argument(argument, 'topic name', parseTopicArgument);
  return addEndpointOption(command).option('--json', 'print one JSON document');
}

async function createTopic(topic: string, options: ChangeOptions): Promise<void> {
  const created = await withClient(options, (log) =>
    log.admin.createTopic(topic, {
      ...(options.partitions !== undefined && { partitions: options.partitions }),
      ...(options.config !== undefined && { config: options.config }),
    }),
  );
  await printChanged(created, `created topic ${topic} with ${partitionsText(created)}`, options);
}

async function listTopics(options: JsonOptions): Promise<void> {
  const topics: TopicSummary[] = [];
  await withClient(options, async (log) => {
    for await (const topic of log.admin.listTopics()) topics.push(topic);
  });
  const output = new Output(process.stdout);
  if (options.json) output.json({ topics });
  else if (topics.length === 0) note('no topics');
  else {
    const rows = topics.map(({ topic, partitionCount, config }) => [topic, partitionCount, ownConfig(config)]);
    output.line(formatTable(['TOPIC', 'PARTITIONS', 'CONFIG'], rows));
  }
  await output.flush();
}

async function describeTopic(topic: string, options: JsonOptions): Promise<void> {
  const description = await withClient(options, (log) => log.admin.describeTopic(topic));
  const output = new Output(process.stdout);
  if (options.json) output.json(description);
  else output.line(descriptionText(description));
  await output.flush();
}

async function alterTopic(
  topic: string,
  options: ChangeOptions & { readonly unset?: readonly string[] },
): Promise<void> {
  const unset = options.unset ?? [];
  const both = unset.find((key) => options.config !== undefined && Object.hasOwn(options.config, key));
  if (both !== undefined) throw new UsageError(`${both} is both set and unset; give --config or --unset for it`);
  if (options.partitions === undefined && options.config === undefined && unset.length === 0) {
    throw new UsageError('nothing to change: give --partitions, --config or --unset');
  }
  const config: Record<string, string | null> = { ...options.config };
  for (const key of unset) config[key] = null;
  const altered = await withClient(options, (log) =>
    log.admin.alterTopic(topic, {
      ...(options.partitions !== undefined && { partitions: options.partitions }),
      ...(Object.keys(config).length > 0 && { config }),
    }),
  );
  await printChanged(
    altered,
    `altered topic ${topic}: ${partitionsText(altered)}, ${ownConfig(altered.config) || 'default config'}`,
    options,
  );
}

async function deleteTopic(topic: string, options: JsonOptions & { readonly yes?: true }): Promise<void> {
  if (!options.yes) await confirmDelete('topic', topic, 'records');
  await withClient(options, (log) => log.admin.deleteTopic(topic));
  const output = new Output(process.stdout);
  if (options.json) output.json({ topic, deleted: true });
  else note(`deleted topic ${topic}`);
  await output.flush();
}

async function printChanged(topic: TopicDescription, text: string, options: JsonOptions): Promise<void> {
  const output = new Output(process.stdout);
  if (options.json) output.json(topic);
  else note(text);
  await output.flush();
}

function descriptionText({ topic, topicId, config, partitions }: TopicDescription): string {
  const rows = partitions.map(({ partition, logStartOffset, highWatermark }) => [
    partition,
    logStartOffset,
    highWatermark,
    highWatermark - logStartOffset,
  ]);
  const configRows = Object.entries(config).map(([key, { value, source }]) => [key, value, source]);
  return [
    `topic     ${topic}`,
    `topic id  ${topicId}`,
    '',
    formatTable(['CONFIG', 'VALUE', 'SOURCE'], configRows),
    '',
    formatTable(['PARTITION', 'LOG START OFFSET', 'HIGH WATERMARK', 'OFFSETS'], rows),
  ].join('\n');
}

function partitionsText({ partitions: { length: partitionCount } }: TopicDescription): string {
  return `${partitionCount} partition${partitionCount === 1 ? '' : 's'}`;
}

/** Only what was set for this topic; the defaults would drown it. */
function ownConfig(config: TopicDescription['config']): string {
  return Object.entries(config)
    .filter(([, { source }]) => source === 'topic')
    .map(([key, { value }]) => `${key}=${value}`)
    .join(' ');
}
