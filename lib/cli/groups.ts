/** `millrace groups`: list, describe, reset, delete. */

import type { Command } from 'commander';
import type { GroupDescription, GroupSummary, Millrace, OffsetReset } from '../client/index.ts';
import { systemClock } from '../clock.ts';
import { confirmDelete } from './confirm.ts';
import { addEndpointOption, type EndpointOptions, withClient } from './endpoint.ts';
import { UsageError } from './failure.ts';
import { untilInterrupted } from './interrupt.ts';
import { formatTable, note, Output } from './output.ts';
import { parseGroupArgument, parsePartitionList, parseResetPlace, parseTopicArgument, parseWhole } from './parse.ts';

interface JsonOptions extends EndpointOptions {
  readonly json?: true;
}

const watchSecondsDefault = 2;
const clearScreen = '\x1b[H\x1b[2J';

export function addGroupsCommand(program: Command): void {
  const groups = program
    .command('groups')
    .summary('list, describe, reset, delete consumer groups')
    .description('Lists, describes, resets and deletes consumer groups.');
  groups.addHelpText(
    'after',
    examples(
      'list',
      'describe billing --watch',
      'reset billing --topic orders --to earliest',
      'reset billing --topic orders --partition 0,2 --to -10',
      "describe billing --json | jq '[.partitions[].lag] | add'",
    ),
  );

  leaf(groups, 'list', 'list the groups')
    .addHelpText('after', examples('list', "list --json | jq -r '.groups[].groupId'"))
    .action(listGroups);
  leaf(groups, 'describe', 'show members, committed offsets and lag of a group', '<group>')
    .option('--watch', 'show it again and again until Ctrl-C')
    .option('--interval <seconds>', 'with --watch: how often (default: 2)', parseWhole(1, 3600))
    .addHelpText(
      'after',
      `
COMMITTED is the next offset that the group reads, LAG the records from there to HIGH WATERMARK; - where nothing is committed.
${examples('describe billing', 'describe billing --watch --interval 5', "describe billing --json | jq '[.partitions[].lag] | add'")}`,
    )
    .action(describeGroup);
  leaf(groups, 'reset', 'set the committed offsets of a group that has no members', '<group>')
    .requiredOption('--topic <topic>', 'of this topic', parseTopicArgument)
    .requiredOption('--to <place>', 'earliest, latest, a time, or +10 or -10 from what is committed', (text) =>
      parseResetPlace(text, systemClock.nowMs()),
    )
    .option('--partition <list>', 'only these: 0 or 0,2 or 4-7; can be repeated', parsePartitionList)
    .addHelpText(
      'after',
      `
A time is ISO 8601 (2026-01-31, 2026-01-31T08:00Z), milliseconds (@1700000000000) or back from now (-90s, -1h, -7d): the
first record as young as that.
${examples(
  'reset billing --topic orders --to earliest',
  'reset billing --topic orders --to -1h',
  'reset billing --topic orders --partition 3 --to +1',
)}`,
    )
    .action(resetGroup);
  leaf(groups, 'delete', 'delete a group that has no members, and its committed offsets', '<group>')
    .option('--yes', 'do not ask')
    .addHelpText('after', examples('delete billing', 'delete billing --yes --json'))
    .action(deleteGroup);
}

const examples = (...lines: readonly string[]) =>
  ['', 'Examples:', ...lines.map((line) => `  millrace groups ${line}`)].join('\n');

function leaf(groups: Command, name: string, summary: string, argument?: string): Command {
  const command = groups.command(name).description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`);
  command.summary(summary);
  if (argument !== undefined) command.argument(argument, 'group id', parseGroupArgument);
  return addEndpointOption(command).option('--json', 'print one JSON document');
}

async function listGroups(options: JsonOptions): Promise<void> {
  const groups: GroupSummary[] = [];
  await withClient(options, async (log) => {
    for await (const group of log.admin.listGroups()) groups.push(group);
  });
  const output = new Output(process.stdout);
  if (options.json) output.json({ groups });
  else if (groups.length === 0) note('no groups');
  else {
    const rows = groups.map(({ groupId, memberCount, groupEpoch }) => [groupId, memberCount, groupEpoch]);
    output.line(formatTable(['GROUP', 'MEMBERS', 'EPOCH'], rows));
  }
  await output.flush();
}

interface DescribeOptions extends JsonOptions {
  readonly watch?: true;
  readonly interval?: number;
}

async function describeGroup(group: string, options: DescribeOptions): Promise<void> {
  if (options.interval !== undefined && !options.watch) throw new UsageError('--interval is for --watch; give it too');
  await withClient(options, async (log) => {
    if (!options.watch) return show(new Output(process.stdout), await log.admin.describeGroup(group), options);
    await untilInterrupted((interrupt) => watch(log, group, options, interrupt));
  });
}

async function watch(
  log: Millrace,
  group: string,
  options: DescribeOptions,
  interrupt: AbortController,
): Promise<void> {
  const { signal } = interrupt;
  const output = new Output(process.stdout, () => interrupt.abort());
  const intervalMs = (options.interval ?? watchSecondsDefault) * 1000;
  while (!signal.aborted) {
    const description = await log.admin.describeGroup(group, { signal }).catch((error) => {
      if (!signal.aborted) throw error;
      return undefined;
    });
    if (description === undefined) return;
    if (process.stdout.isTTY && !options.json) output.text(clearScreen);
    await show(output, description, options);
    await systemClock.sleep(intervalMs, signal);
  }
}

async function show(
  output: Output,
  group: GroupDescription,
  { json, watch: isWatched }: DescribeOptions,
): Promise<void> {
  if (json) output.json(group);
  else output.line(descriptionText(group) + (isWatched ? '\n' : ''));
  await output.flush();
}

function descriptionText({ groupId, state, assignor, groupEpoch, members, partitions }: GroupDescription): string {
  const memberRows = members.map((member) => [
    member.memberId,
    member.instanceId ?? '-',
    member.state,
    member.memberEpoch,
    member.assignment.reduce((sum, one) => sum + one.partitions.length, 0),
    new Date(member.seenAt).toISOString(),
  ]);
  const partitionRows = partitions.map((one) => [
    one.topic,
    one.partition,
    one.committedOffset ?? '-',
    one.highWatermark,
    one.lag ?? '-',
    one.memberId ?? '-',
  ]);
  const lag = partitions.reduce((sum, one) => sum + (one.lag ?? 0), 0);
  const unknownCount = partitions.filter((one) => one.lag === undefined).length;
  const unknown = `, and ${unknownCount} partition${unknownCount === 1 ? '' : 's'} without a committed offset`;
  const tables = [
    memberRows.length > 0 && formatTable(['MEMBER', 'INSTANCE', 'STATE', 'EPOCH', 'PARTITIONS', 'SEEN'], memberRows),
    partitionRows.length > 0 &&
      formatTable(['TOPIC', 'PARTITION', 'COMMITTED', 'HIGH WATERMARK', 'LAG', 'MEMBER'], partitionRows),
  ];
  const head = [
    `group     ${groupId}`,
    `state     ${state}`,
    `assignor  ${assignor}`,
    `epoch     ${groupEpoch}`,
    `lag       ${lag}${unknownCount > 0 ? unknown : ''}`,
  ].join('\n');
  return [head, ...tables.filter((table) => table !== false)].join('\n\n');
}

interface ResetOptions extends JsonOptions {
  readonly topic: string;
  readonly to: OffsetReset['to'];
  readonly partition?: readonly number[];
}

async function resetGroup(group: string, { topic, to, partition, ...options }: ResetOptions): Promise<void> {
  const offsets = await withClient(options, (log) =>
    log.admin.resetGroupOffsets(group, { topic, to, ...(partition !== undefined && { partitions: partition }) }),
  );
  const output = new Output(process.stdout);
  if (options.json) output.json({ group, offsets });
  else if (offsets.length === 0) note('nothing was set: no offset is committed that could be shifted');
  else
    output.line(
      formatTable(
        ['TOPIC', 'PARTITION', 'COMMITTED'],
        offsets.map((one) => [one.topic, one.partition, one.offset]),
      ),
    );
  await output.flush();
}

async function deleteGroup(group: string, options: JsonOptions & { readonly yes?: true }): Promise<void> {
  if (!options.yes) await confirmDelete('group', group, 'committed offsets');
  await withClient(options, (log) => log.admin.deleteGroup(group));
  const output = new Output(process.stdout);
  if (options.json) output.json({ group, deleted: true });
  else note(`deleted group ${group}`);
  await output.flush();
}
