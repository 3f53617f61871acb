/** Whether the simulation finds bugs: each is put into a copy of the source, and seeds are run until one fails. */

import { Progress, runCommand, WrongUsage, wholeNumber } from './command.ts';
import { MutatedSource } from './mutated-source.ts';
import type { Mutation } from './mutation.ts';
import { mutations } from './mutations.ts';

const usage = `
Puts deliberate bugs (mutations.ts) into a copy of the source, one at a time, and simulates that until a seed fails.
Prints a table: the bug, its profile, the first seed that finds it, and the invariant that was violated.

  node test/simulation/mutate.ts [options]

  --only TEXT   only bugs with this text in their name
  --seeds N     so many seeds, from 1 on, at most [200]

Exit code 0: every bug was found; 1: one was not; 2: an option is wrong.

  node test/simulation/mutate.ts --only tailBase --seeds 1000
`;

const options = { only: { type: 'string', default: '' }, seeds: { type: 'string', default: '200' } } as const;

interface Verdict {
  readonly failures: readonly { readonly seed: number; readonly invariant: string }[];
  readonly seconds: number;
}

await runCommand(usage, options, async ({ only, seeds }) => {
  const seedCount = wholeNumber('seeds', seeds, 1);
  const chosen = mutations.filter(({ name }) => name.includes(only));
  if (chosen.length === 0) throw new WrongUsage(`--only is ${JSON.stringify(only)}, which is in no bug's name`);
  const progress = new Progress();
  const source = new MutatedSource();
  let foundCount = 0;
  /** A bug that ends the process ends no more than its own line of the table. */
  const verdictOn = (mutation: Mutation, given: readonly string[]): Verdict => {
    try {
      return JSON.parse(source.simulate(mutation, given).stdout) as Verdict;
    } catch (error) {
      console.error(`${mutation.name}: ${error}`);
      return { failures: [], seconds: 0 };
    }
  };
  try {
    console.log('| bug | profile | seeds | found by | time |\n|---|---|---:|---|---:|');
    for (const [index, mutation] of chosen.entries()) {
      const { name, profile } = mutation;
      await progress.tell(() => `${index} of ${chosen.length} bugs, ${foundCount} found; now: ${name}`);
      const given = ['--profile', profile, '--seeds', String(seedCount), '--first', '--json'];
      const { failures, seconds } = verdictOn(mutation, given);
      const [first] = failures;
      if (first !== undefined) foundCount += 1;
      const found =
        first === undefined ? `not in ${seedCount} | **nothing**` : `${first.seed} | \`${first.invariant}\``;
      progress.end();
      console.log(`| ${name} | ${profile} | ${found} | ${seconds.toFixed(1)} s |`);
    }
  } finally {
    source.remove();
  }
  return foundCount === chosen.length ? 0 : 1;
});
