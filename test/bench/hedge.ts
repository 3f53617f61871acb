/**
 * What a second request brings, by the store's own code over injected latencies, in virtual time: `node test/bench/hedge.ts`.
 * `--json` for programs.
 */

import { parseArgs } from 'node:util';
import { Hedge } from '../../lib/store/hedge.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import { awsLatencies, drawLatencies, type Latency, quantileOf } from './latencies.ts';

const seed = 20_261_123;
const callCount = 40_000;
const never = new AbortController().signal;

interface Scenario {
  readonly name: string;
  readonly latency: Latency;
  readonly stalls?: { readonly stallShare: number; readonly stallMs: number };
}

const stalls = { stallShare: 0.002, stallMs: 2_000 };
const scenarios: readonly Scenario[] = [
  { name: 'PUT', latency: awsLatencies.PutObject },
  { name: 'GET', latency: awsLatencies.GetObject },
  { name: 'PUT, 2 of 1,000 take 2 s', latency: awsLatencies.PutObject, stalls },
  { name: 'GET, 2 of 1,000 take 2 s', latency: awsLatencies.GetObject, stalls },
];

/** One call after another, as in one environment of a function. */
async function run({ latency, stalls }: Scenario, isHedging: boolean) {
  const clock = createVirtualClock();
  const hedge = new Hedge(clock);
  const draw = drawLatencies(seed, latency, stalls);
  const latenciesMs: number[] = [];
  let requestCount = 0;
  const send = async (signal: AbortSignal) => {
    requestCount += 1;
    await clock.sleep(draw(), signal);
    signal.throwIfAborted();
  };
  const calls = async () => {
    for (let call = 0; call < callCount; call++) {
      const startMs = clock.exactMs();
      await (isHedging ? hedge.run(send, never) : send(never));
      latenciesMs.push(clock.exactMs() - startMs);
    }
  };
  await clock.run(calls());
  const [p50Ms, p99Ms, p999Ms] = [0.5, 0.99, 0.999].map((share) => quantileOf(latenciesMs, share));
  return { p50Ms, p99Ms, p999Ms, requestsPerCall: requestCount / callCount };
}

const { json, help } = parseArgs({ options: { json: { type: 'boolean' }, help: { type: 'boolean' } } }).values;
if (help) {
  console.log(
    'node test/bench/hedge.ts [--json]\n\nLatencies of calls with and without a second request, in virtual time.',
  );
} else {
  const rows = [];
  for (const scenario of scenarios) {
    for (const isHedging of [false, true])
      rows.push({ name: scenario.name, isHedging, ...(await run(scenario, isHedging)) });
  }
  if (json) console.log(JSON.stringify({ seed, callCount, rows }, null, 2));
  else print(rows);
}

function print(rows: readonly ({ name: string; isHedging: boolean } & Awaited<ReturnType<typeof run>>)[]): void {
  console.log(
    `${'latency in ms'.padEnd(26)}${'hedging'.padEnd(9)}${'p50'.padStart(8)}${'p99'.padStart(8)}${'p99.9'.padStart(8)}  requests per call`,
  );
  for (const { name, isHedging, p50Ms = 0, p99Ms = 0, p999Ms = 0, requestsPerCall } of rows) {
    const numbers = [p50Ms, p99Ms, p999Ms].map((ms) => ms.toFixed(1).padStart(8)).join('');
    console.log(`${name.padEnd(26)}${(isHedging ? 'yes' : 'no').padEnd(9)}${numbers}  ${requestsPerCall.toFixed(3)}`);
  }
}
