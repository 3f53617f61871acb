/**
 * `npm run bench:aws`: how close produce and fetch come to the requests they cannot do without, where these take as long as
 * in AWS; what a second request brings; how long the bundles take to load; what 1,000 records cost.
 *
 * Latencies pass in virtual time, so that they do not depend on this machine; what the code itself takes is measured beside
 * them, as processor time over HTTP, and added where they are compared.
 */

import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { systemClock } from '../../lib/clock.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import { type Environment, openEnvironment } from './aws-environment.ts';
import { type AwsStandIn, startAws } from './aws-stand-in.ts';
import { measureColdStarts } from './cold-start.ts';
import { costTable, countCosts, prices } from './cost.ts';
import { awsLatencies, quantileOf } from './latencies.ts';
import { isMet, type Target, table } from './report.ts';

const usage = `Usage: npm run bench:aws -- [options]

  --only NAME[,NAME]  latency, cold-start, cost (default: all)
  --quick             fewer calls
  --seed N            of the latencies (default: 1)
  --json              the report as JSON on standard output

Examples:
  npm run bench:aws -- --quick
  npm run bench:aws -- --only latency --seed 7`;

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    only: { type: 'string', default: 'latency,cold-start,cost' },
    quick: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
});
const options = { ...values, seed: Number(values.seed) };
if (options.help) {
  console.log(usage);
  process.exit(0);
}
const latencyCallCount = options.quick ? 300 : 2_000;
const processorCallCount = options.quick ? 200 : 600;
/** Clients, caches and compilers are warm then, and the hedges have learned. */
const warmUpCount = 100;
const coldStartCount = options.quick ? 5 : 15;

interface Latencies {
  readonly what: string;
  readonly hedging: boolean | undefined;
  /** In virtual time: requests alone. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Processor time of this process for one call, over HTTP with the SDK. The same with and without hedging. */
  readonly processorMs: number;
}

interface Column {
  readonly what: string;
  readonly call: (environment: Environment) => Promise<void>;
  /** Run before each call, not counted. */
  readonly prepare?: (environment: Environment) => Promise<void>;
  readonly isBare?: boolean;
}

const append = (environment: Environment) => environment.produce();
const columns: readonly Column[] = [
  { what: 'PutObject, then UpdateItem', call: (environment) => environment.putAndUpdate(), isBare: true },
  { what: 'produce, by invoke', call: (environment) => environment.invokeProduce() },
  { what: 'produce, in process', call: (environment) => environment.produce() },
  {
    what: 'GetItem, then GetObject',
    call: (environment) => environment.getAndGet(),
    prepare: (environment) => environment.putAndUpdate(),
    isBare: true,
  },
  { what: 'fetch at the tail, by invoke', call: (environment) => environment.invokeFetch(), prepare: append },
  { what: 'fetch at the tail, in process', call: (environment) => environment.fetch(), prepare: append },
];

async function measureLatencies(): Promise<readonly Latencies[]> {
  const aws = await startAws();
  try {
    const processorMs = await measureProcessor(aws);
    const measured: Latencies[] = [];
    for (const [index, column] of columns.entries()) {
      for (const hedging of column.isBare ? [undefined] : [true, false]) {
        const latenciesMs = await runInVirtualTime(aws, column, hedging ?? false);
        const [p50Ms, p99Ms] = [quantileOf(latenciesMs, 0.5), quantileOf(latenciesMs, 0.99)];
        measured.push({ what: column.what, hedging, p50Ms, p99Ms, processorMs: processorMs[index] ?? Number.NaN });
      }
    }
    return measured;
  } finally {
    await aws.close();
  }
}

/** One call after another, as in an environment of a function. */
async function runInVirtualTime(aws: AwsStandIn, column: Column, hedging: boolean): Promise<number[]> {
  const clock = createVirtualClock(Date.now());
  const clients = aws.createSlowClients(clock, options.seed * 1_000);
  const latenciesMs: number[] = [];
  const calls = async () => {
    const environment = await openEnvironment({ aws, clients, clock, hedging });
    for (let index = -warmUpCount; index < latencyCallCount; index++) {
      await column.prepare?.(environment);
      const startMs = clock.exactMs();
      await column.call(environment);
      if (index >= 0) latenciesMs.push(clock.exactMs() - startMs);
    }
    await environment.close();
  };
  await clock.run(calls());
  clients.dynamoDb.destroy();
  return latenciesMs;
}

/** Per call of each column, the median; they take turns, since machines have moods. */
async function measureProcessor(aws: AwsStandIn): Promise<readonly number[]> {
  const clients = aws.createClients();
  const environments: Environment[] = [];
  for (const _ of columns) {
    environments.push(await openEnvironment({ aws, clients, clock: systemClock, hedging: true }));
  }
  const usedMs = columns.map((): number[] => []);
  for (let index = -warmUpCount; index < processorCallCount; index++) {
    for (const [place, { prepare, call }] of columns.entries()) {
      const environment = environments[place] as Environment;
      await prepare?.(environment);
      const before = process.cpuUsage();
      await call(environment);
      const { user, system } = process.cpuUsage(before);
      if (index >= 0) usedMs[place]?.push((user + system) / 1_000);
    }
  }
  for (const environment of environments) await environment.close();
  for (const client of Object.values(clients)) client.destroy();
  return usedMs.map((values) => quantileOf(values, 0.5));
}

/** The issue's: p50 within 15 % of the requests that cannot be done without. */
function latencyTargets(measured: readonly Latencies[]): Target[] {
  const p50Of = (what: string) => {
    const { p50Ms, processorMs } = measured.find((row) => row.what === what) ?? { p50Ms: Number.NaN, processorMs: 0 };
    return p50Ms + processorMs;
  };
  const target = (what: string, bare: string): Target => ({
    target: `${what}: p50 and processor, 1.15 x (${bare})`,
    measured: p50Of(what),
    limit: 1.15 * p50Of(bare),
    unit: 'ms',
    kind: 'at most',
  });
  return [
    target('produce, by invoke', 'PutObject, then UpdateItem'),
    target('produce, in process', 'PutObject, then UpdateItem'),
    target('fetch at the tail, by invoke', 'GetItem, then GetObject'),
    target('fetch at the tail, in process', 'GetItem, then GetObject'),
  ];
}

const only = new Set(options.only.split(','));
const startMs = performance.now();
const latencies = only.has('latency') ? await measureLatencies() : [];
const coldStarts = only.has('cold-start') ? await measureColdStarts(coldStartCount) : [];
const costs = only.has('cost') ? await countCosts() : [];
const targets: readonly Target[] = [
  ...(latencies.length === 0 ? [] : latencyTargets(latencies)),
  ...coldStarts.map(({ name, p50Ms }): Target => {
    return { target: `bundle of ${name}: load`, measured: p50Ms, limit: 150, unit: 'ms', kind: 'at most' };
  }),
];

const machine = { node: process.version, cpus: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}` };
const report = {
  at: new Date().toISOString(),
  ...machine,
  elapsedMs: performance.now() - startMs,
  seed: options.seed,
  injected: awsLatencies,
  latencies,
  coldStarts,
  targets: targets.map((target) => ({ ...target, isMet: isMet(target) })),
  prices,
  costs,
};
console.log(options.json ? JSON.stringify(report, undefined, 2) : toText());

function toText(): string {
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  const hedged = (hedging: boolean | undefined) => (hedging === undefined ? '' : hedging ? 'yes' : 'no');
  const sections = [
    `node ${report.node}, ${report.cpus}, ${(report.elapsedMs / 1000).toFixed(0)} s`,
    `Injected: ${Object.entries(awsLatencies)
      .map(([name, { p50Ms, p99Ms }]) => `${name} p50 ${p50Ms} p99 ${p99Ms} ms`)
      .join(', ')}; lognormal, seed ${report.seed}`,
  ];
  if (latencies.length > 0) {
    const rows = latencies.map(({ what, hedging, p50Ms, p99Ms, processorMs }) => [
      what,
      hedged(hedging),
      ms(p50Ms),
      ms(p99Ms),
      ms(processorMs),
    ]);
    sections.push('', table([['1 record of 1 KiB', 'hedging', 'p50', 'p99', 'processor'], ...rows]));
  }
  if (coldStarts.length > 0) {
    const rows = coldStarts.map(({ name, bundleBytes, p50Ms, maxMs }) => [
      name,
      `${(bundleBytes / 1000).toFixed(0)} KB`,
      ms(p50Ms),
      ms(maxMs),
    ]);
    sections.push('', table([['bundle', 'size', 'load, p50', 'load, max'], ...rows]));
  }
  if (targets.length > 0) {
    const rows = targets.map((target) => [
      target.target,
      ms(target.measured),
      `${target.kind} ${ms(target.limit)}`,
      isMet(target) ? 'met' : 'MISSED',
    ]);
    sections.push('', table([['target', 'measured', 'wanted', ''], ...rows]));
  }
  if (costs.length > 0) sections.push('', costTable(costs));
  return sections.join('\n');
}
