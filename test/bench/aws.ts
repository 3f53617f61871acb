/**
 * `npm run bench:aws`: how close produce and fetch come to the requests they cannot do without, over emulators that take as
 * long to answer as AWS does; what a second request brings; how long the bundles take to load; what 1,000 records cost.
 */

import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { type Environment, openEnvironment } from './aws-environment.ts';
import { startAws } from './aws-stand-in.ts';
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
/** Environments of each column at work at once. */
const environmentCount = 3;
const callCount = options.quick ? 80 : 400;
/** Clients, caches and compilers are warm then, and the hedges have learned. */
const warmUpCount = 40;
const coldStartCount = options.quick ? 5 : 15;

interface Latencies {
  readonly what: string;
  readonly hedging: boolean | undefined;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface Column {
  readonly what: string;
  readonly call: (environment: Environment) => Promise<void>;
  /** Run before each call, not counted. */
  readonly prepare?: (environment: Environment) => Promise<void>;
  readonly isBare?: boolean;
}

const append = (environment: Environment) => environment.append();
const columns: readonly Column[] = [
  { what: 'PutObject, then UpdateItem', call: (environment) => environment.putAndUpdate(), isBare: true },
  { what: 'produce, by invoke', call: (environment) => environment.invokeProduce() },
  { what: 'produce, in process', call: (environment) => environment.produce() },
  { what: 'GetItem, then GetObject', call: (environment) => environment.getAndGet(), isBare: true },
  { what: 'fetch at the tail, by invoke', call: (environment) => environment.invokeFetch(), prepare: append },
  { what: 'fetch at the tail, in process', call: (environment) => environment.fetch(), prepare: append },
];

/** One call after another, as Lambda has it; the columns take turns with every call, since machines have moods. */
async function measureLatencies(): Promise<readonly Latencies[]> {
  const aws = await startAws();
  const rows = columns.flatMap((column) =>
    (column.isBare ? [undefined] : [true, false]).map((hedging) => ({
      ...column,
      hedging,
      latenciesMs: [] as number[],
    })),
  );
  const runLane = async (_: unknown, index: number) => {
    const seed = options.seed * 1_000 + index * 10;
    const environments = await Promise.all(rows.map(({ hedging }) => openEnvironment(aws, seed, hedging ?? false)));
    for (let call = -warmUpCount; call < callCount; call++) {
      for (const [place, row] of rows.entries()) {
        const environment = environments[place] as Environment;
        await row.prepare?.(environment);
        const startMs = performance.now();
        await row.call(environment);
        if (call >= 0) row.latenciesMs.push(performance.now() - startMs);
      }
    }
    for (const environment of environments) await environment.close();
  };
  try {
    await Promise.all(Array.from({ length: environmentCount }, runLane));
    return rows.map(({ what, hedging, latenciesMs }) => {
      return { what, hedging, p50Ms: quantileOf(latenciesMs, 0.5), p99Ms: quantileOf(latenciesMs, 0.99) };
    });
  } finally {
    await aws.close();
  }
}

/** The issue's: p50 within 15 % of the requests that cannot be done without. */
function latencyTargets(measured: readonly Latencies[]): Target[] {
  const p50Of = (what: string) => measured.find((row) => row.what === what)?.p50Ms ?? Number.NaN;
  const target = (what: string, bare: string): Target => ({
    target: `${what}: p50, 1.15 x (${bare})`,
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
    const rows = latencies.map(({ what, hedging, p50Ms, p99Ms }) => [what, hedged(hedging), ms(p50Ms), ms(p99Ms)]);
    sections.push('', table([['1 record of 1 KiB', 'hedging', 'p50', 'p99'], ...rows]));
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
