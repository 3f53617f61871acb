/** Runs seeds and tells which fail. `--help` says how. */

import { oneOf, Progress, profiles, runCommand, WrongUsage, wholeNumber } from './command.ts';
import { allFaults } from './faults.ts';
import { clientKinds } from './plan.ts';
import { formatFailure } from './report.ts';
import { shrink } from './shrink.ts';
import { type SimulationOptions, simulate } from './simulation.ts';

const parts: readonly string[] = ['sick', ...allFaults, ...clientKinds];

const usage = `
Runs the log in virtual time, under faults drawn from a seed, and checks that it kept its promises.

  node test/simulation/simulate.ts [options]

  --profile local|aws   on which stores [local]
  --seeds N             how many seeds [100]
  --from N              the first of them [1]
  --first               end at the first seed that fails
  --json                print one line of JSON, and shrink nothing
  --operations N        of each seed only the first N operations
  --without A,B         leave out kinds of clients and faults: ${parts.join(', ')}

The first seed that fails is shrunk, and printed with the command that repeats what is left of it.
Exit code 0: every seed passed; 1: one failed; 2: an option is wrong.

  node test/simulation/simulate.ts --profile aws --seeds 10000
  node test/simulation/simulate.ts --from 4711 --seeds 1 --profile aws --operations 31 --without sick,crash
`;

const options = {
  seeds: { type: 'string', default: '100' },
  from: { type: 'string', default: '1' },
  profile: { type: 'string', default: 'local' },
  operations: { type: 'string' },
  without: { type: 'string' },
  json: { type: 'boolean', default: false },
  first: { type: 'boolean', default: false },
} as const;

await runCommand(usage, options, async ({ json, first, ...values }) => {
  const profile = oneOf('profile', values.profile, profiles);
  const from = wholeNumber('from', values.from, 0);
  const count = wholeNumber('seeds', values.seeds, 1);
  const given: Omit<SimulationOptions, 'seed'> = {
    profile,
    ...(values.operations === undefined ? {} : { operationsMax: wholeNumber('operations', values.operations, 0) }),
    ...(values.without === undefined ? {} : { without: partsOf(values.without) }),
  };

  const failures: { seed: number; invariant: string; text: string }[] = [];
  let [seedCount, operationCount, eventCount] = [0, 0, 0];
  const progress = new Progress();
  const told = () =>
    `${profile}: ${seedCount} of ${count} seeds, ${failures.length} failed, ${progress.rate(seedCount)}`;

  for (let seed = from; seed < from + count; seed++) {
    const run = await simulate({ ...given, seed });
    seedCount += 1;
    operationCount += run.history.operations.length;
    eventCount += run.eventCount;
    const [violation] = run.violations;
    if (violation !== undefined) {
      failures.push({ seed, invariant: violation.invariant, text: violation.text });
      // The first one is taken apart; of the others the seed is enough.
      if (!json && failures.length === 1) console.log(formatFailure(await shrink({ ...given, seed }, run)));
      else if (!json) console.log(`seed ${seed} fails: ${violation.invariant}: ${violation.text}`);
      if (first) break;
    }
    await progress.tell(told);
  }

  progress.end();
  const { seconds } = progress;
  if (json) console.log(JSON.stringify({ profile, from, seedCount, operationCount, eventCount, seconds, failures }));
  else console.log(`${told()}; ${operationCount} operations, ${eventCount} events`);
  return failures.length === 0 ? 0 : 1;
});

function partsOf(text: string): readonly string[] {
  const without = text.split(',');
  const unknown = without.find((part) => !parts.includes(part));
  if (unknown === undefined) return without;
  throw new WrongUsage(`--without has ${JSON.stringify(unknown)}, allowed are ${parts.join(', ')}`);
}
