/**
 * Runs seeds and tells which fail:
 *
 * `node test/simulation/simulate.ts --seeds 1000 --from 1 --profile local|aws [--json] [--first]`
 *
 * `--first` ends at the first failure; `--operations` and `--without` repeat what shrinking found. The exit code is 0 when
 * every seed passed, 1 when one failed.
 */

import { setImmediate } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Profile } from './plan.ts';
import { formatFailure } from './report.ts';
import { shrink } from './shrink.ts';
import { type SimulationOptions, simulate } from './simulation.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    profile: { type: 'string', default: 'local' },
    operations: { type: 'string' },
    without: { type: 'string' },
    json: { type: 'boolean', default: false },
    first: { type: 'boolean', default: false },
  },
});
const profile = values.profile as Profile;
if (profile !== 'local' && profile !== 'aws') throw new Error(`profile is ${profile}, allowed are local and aws`);
const [from, count] = [Number(values.from), Number(values.seeds)];

const failures: { seed: number; invariant: string; text: string }[] = [];
let operationCount = 0;
let eventCount = 0;
let seedCount = 0;
const startMs = performance.now();
let toldMs = startMs;

for (let seed = from; seed < from + count; seed++) {
  const options: SimulationOptions = {
    seed,
    profile,
    ...(values.operations === undefined ? {} : { operationsMax: Number(values.operations) }),
    ...(values.without === undefined ? {} : { without: values.without.split(',') }),
  };
  const run = await simulate(options);
  seedCount += 1;
  operationCount += run.history.operations.length;
  eventCount += run.eventCount;
  const [violation] = run.violations;
  if (violation !== undefined) {
    failures.push({ seed, invariant: violation.invariant, text: violation.text });
    // The first one is taken apart; of the others the seed is enough.
    if (!values.json && failures.length === 1) console.log(formatFailure(await shrink(options, run)));
    else if (!values.json) console.log(`seed ${seed} fails: ${violation.invariant}: ${violation.text}`);
    if (values.first) break;
  }
  if (performance.now() - toldMs > 1_000) {
    toldMs = performance.now();
    if (process.stderr.isTTY) process.stderr.write(`\r${progress()}\x1b[K`);
    // A seed runs without going back to the event loop; signals and terminals get their turn here.
    await setImmediate();
  }
}

if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
const seconds = (performance.now() - startMs) / 1_000;
if (values.json) {
  console.log(JSON.stringify({ profile, from, seedCount, operationCount, eventCount, seconds, failures }));
} else {
  console.log(`${progress()}; ${operationCount} operations, ${eventCount} events`);
}
process.exitCode = failures.length === 0 ? 0 : 1;

function progress(): string {
  const seconds = (performance.now() - startMs) / 1_000;
  const rate = `${(seedCount / seconds).toFixed(0)} seeds/s, ${((1_000 * seconds) / seedCount).toFixed(1)} ms each`;
  return `${profile}: ${seedCount} of ${count} seeds, ${failures.length} failed, ${rate}`;
}
