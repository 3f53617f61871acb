/** `millrace verify`: puts a log to the test, over its own doors, and says whether it kept its promises. */

import { appendFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { partitionCountMax } from '../limits.ts';
import { formatOperation } from '../verify/format.ts';
import { reportHtml } from '../verify/report-html.ts';
import { type VerifyProgress, type VerifyReport, verifyLog } from '../verify/verify.ts';
import { addEndpointOption, type EndpointOptions, withTransport } from './endpoint.ts';
import { CommandError, messageOf } from './failure.ts';
import { untilInterrupted } from './interrupt.ts';
import { note, Output } from './output.ts';
import { parseWhole } from './parse.ts';
import { formatCount, formatDuration } from './progress.ts';

interface VerifyCommandOptions extends EndpointOptions {
  readonly seconds: number;
  readonly partitions: number;
  readonly seed?: number;
  readonly chaos?: true;
  readonly groups: boolean;
  readonly keep?: true;
  readonly json?: true;
  readonly html?: string;
}

/** Clients go the more slowly the longer a run is, and members that were slower than in this one would lose their sessions. */
const secondsMax = 30 * 60;
const violationsShown = 10;

export function addVerifyCommand(program: Command): void {
  addEndpointOption(
    program
      .command('verify')
      .summary('put a log to the test')
      .description(
        'Writes and reads topics of its own for a while, alone and in consumer groups, reads everything to its end, and checks every promise of the log.',
      ),
  )
    .option('--seconds <count>', 'how long to write and read, half an hour at most', parseWhole(1, secondsMax), 30)
    .option('--partitions <count>', 'of each of its two topics', parseWhole(1, Math.min(partitionCountMax, 64)), 3)
    .option('--chaos', 'cut connections, and send requests twice')
    .option('--no-groups', 'leave consumer groups out, which need rights of their own')
    .option('--seed <number>', 'repeat what the clients of a run did', parseWhole(0, 2 ** 32 - 1))
    .option('--keep', 'leave topics and groups behind')
    .option('--json', 'print the report as one JSON document')
    .option('--html <file>', 'write the report as a page, with a timeline of every anomaly')
    .addHelpText(
      'after',
      `
Exit code 0 only when every promise is proven: nothing was violated, everything acknowledged was read again, and enough of
everything was done to tell, for which ten seconds do. The topics and groups it makes are called millrace-verify-..., and
are deleted at the end; where they cannot be, they are named, and the exit code is 1 as well. To read everything and to delete it
takes a minute at most, whatever the log does; what could not be read until then is not proven. All that was seen is kept in
memory to be judged, about 1 GB: a run of more than half a minute does no more than one of half a minute, only more slowly.

Examples:
  millrace verify --seconds 10
  millrace verify --endpoint https://abc.execute-api.eu-central-1.amazonaws.com/log --chaos --html report.html`,
    )
    .action(verify);
}

async function verify(options: VerifyCommandOptions): Promise<void> {
  const { endpoint, seconds, partitions, groups, chaos = false, keep = false } = options;
  const seed = options.seed ?? systemClock.nowMs() % 2 ** 32;
  const isShown = process.stderr.isTTY === true;
  await mayWrite(options.html);
  let names: Parameters<typeof placesOf>[0] = { topics: [], groups: [] };
  const work = ({ signal }: AbortController) =>
    withTransport(options, (transport) =>
      verifyLog({
        transport,
        clock: systemClock,
        seed,
        durationMs: seconds * 1_000,
        partitionCount: partitions,
        isChaotic: chaos,
        hasGroups: groups,
        keepsTopics: keep,
        signal,
        onNamed: (named) => {
          names = named;
        },
        ...(isShown && { onProgress: progressLine(seconds) }),
      }),
    );
  const report = await untilInterrupted(work, {
    onInterrupted: () => note(`${isShown ? '\r\x1b[K' : ''}millrace: interrupted, cleaning up`),
    onKilled: () => note(`millrace: left behind, unless already deleted: ${placesOf(names).join(', ')}`),
  });
  if (isShown) process.stderr.write('\r\x1b[K');
  const output = new Output(process.stdout);
  if (options.json) output.json(plainReport(report, endpoint));
  else output.line(reportText(report));
  await output.flush();
  const verdict = `the log at ${endpoint} ${verdictText(report)}`;
  const left = leftOf(report);
  const troubles = [
    ...(left.length > 0 ? [`what could not be deleted: ${left.join(', ')}`] : []),
    ...(await writePage(options.html, report, endpoint)),
  ];
  if (troubles.length > 0 || report.verdict !== 'passed') throw new CommandError([verdict, ...troubles].join('; '));
  note(`millrace: ${verdict}`);
}

/** Before a long run, and not behind it: whether the page can be written. What is there stays as it is. */
async function mayWrite(path: string | undefined): Promise<void> {
  if (path === undefined) return;
  await appendFile(path, '').catch((cause) => {
    throw new CommandError(`cannot write ${path}: ${messageOf(cause)}`, { cause });
  });
}

/** Resolves with what went wrong. */
async function writePage(path: string | undefined, report: VerifyReport, endpoint: string): Promise<string[]> {
  if (path === undefined) return [];
  try {
    await writeFile(path, reportHtml(report, endpoint));
    return [];
  } catch (error) {
    return [`cannot write ${path}: ${messageOf(error)}`];
  }
}

function leftOf({ leftTopics, leftGroups }: VerifyReport): string[] {
  return placesOf({ topics: leftTopics, groups: leftGroups });
}

function placesOf({ topics, groups }: Pick<VerifyReport, 'topics' | 'groups'>): string[] {
  return [...topics.map((topic) => `topic ${topic}`), ...groups.map((group) => `group ${group}`)];
}

function progressLine(seconds: number): (progress: VerifyProgress) => void {
  let shownMs = 0;
  return ({ phase, operationCount, elapsedMs }) => {
    if (phase === 'working' && elapsedMs - shownMs < 200) return;
    shownMs = elapsedMs;
    const left = phase === 'working' ? `, ${formatDuration(Math.max(0, seconds * 1_000 - elapsedMs))} left` : '';
    process.stderr.write(`\r${phase}: ${formatCount(operationCount, 'operation')}${left}\x1b[K`);
  };
}

function verdictText({ verdict, violations, doubts }: VerifyReport): string {
  if (verdict === 'passed') return 'kept every promise';
  if (verdict === 'failed') return `broke its promises: ${formatCount(violations.length, 'violation')}`;
  return `proved nothing: ${doubts.join('; ')}`;
}

function reportText(report: VerifyReport): string {
  const { verdict, doubts, violations, evidence, seed, durationMs, groups } = report;
  const left = leftOf(report);
  const { ackedRecords, readRecords, committedOffsets, operations } = evidence;
  const { refusedBatches, batchesOfUnknownOutcome, cutConnections } = evidence;
  return [
    `${verdict} after ${formatDuration(durationMs)}: ${formatCount(operations, 'operation')}, seed ${seed}`,
    `  ${formatCount(ackedRecords, 'record')} acknowledged, ${formatCount(readRecords, 'record')} read${groups.length === 0 ? '' : `, ${formatCount(committedOffsets, 'commit')} of ${formatCount(groups.length, 'group')}`}`,
    `  ${refusedBatches} batches refused, ${batchesOfUnknownOutcome} without a known outcome, ${cutConnections} connections cut`,
    ...doubts.map((doubt) => `  unproven: ${doubt}`),
    ...(left.length > 0 ? [`  left behind: ${left.join(', ')}`] : []),
    ...violations
      .slice(0, violationsShown)
      .flatMap(({ invariant, text, operations: involved }) => [
        '',
        `${invariant}: ${text}`,
        ...involved.map((operation) => `  ${formatOperation(operation)}`),
      ]),
    ...(violations.length > violationsShown ? ['', `and ${violations.length - violationsShown} more`] : []),
  ].join('\n');
}

/** Without the history, which is as long as the run. */
function plainReport({ history: _, violations, ...report }: VerifyReport, endpoint: string): object {
  return {
    endpoint,
    ...report,
    violations: violations.map(({ invariant, text, log, offset, operations }) => ({
      invariant,
      text,
      topic: log?.life.topic,
      partition: log?.partition,
      offset,
      operations,
    })),
  };
}
