/**
 * Whether the simulation finds bugs: each mutation is put into a copy of the source, and seeds are run until one fails.
 *
 * `node test/simulation/mutate.ts [--only TEXT] [--seeds 200]` prints a table; the exit code is 1 when one is not found.
 */

import { parseArgs } from 'node:util';
import { MutatedSource } from './mutated-source.ts';
import { mutations } from './mutations.ts';

const { values } = parseArgs({
  options: { only: { type: 'string', default: '' }, seeds: { type: 'string', default: '200' } },
});

interface Verdict {
  readonly failures: readonly { readonly seed: number; readonly invariant: string }[];
  readonly seconds: number;
}

const source = new MutatedSource();
try {
  console.log('| bug | profile | seeds | found by | time |\n|---|---|---:|---|---:|');
  for (const mutation of mutations.filter(({ name }) => name.includes(values.only))) {
    const { name, profile } = mutation;
    const options = ['--profile', profile, '--seeds', values.seeds, '--first', '--json'];
    const { failures, seconds } = JSON.parse(source.simulate(mutation, options).stdout) as Verdict;
    const [first] = failures;
    if (first === undefined) process.exitCode = 1;
    const found =
      first === undefined ? `not in ${values.seeds} | **nothing**` : `${first.seed} | \`${first.invariant}\``;
    console.log(`| ${name} | ${profile} | ${found} | ${seconds.toFixed(1)} s |`);
  }
} finally {
  source.remove();
}
