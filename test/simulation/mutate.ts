/**
 * Whether the simulation finds bugs: each mutation is put into a copy of the source, and seeds are run until one fails.
 *
 * `node test/simulation/mutate.ts [--only TEXT] [--seeds 200]` prints a table; the exit code is 1 when one is not found.
 */

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { applyMutation, type Mutation, mutations } from './mutations.ts';

const { values } = parseArgs({ options: { only: { type: 'string' }, seeds: { type: 'string', default: '200' } } });
const root = new URL('../../', import.meta.url).pathname;

interface Verdict {
  readonly failures: readonly { readonly seed: number; readonly invariant: string }[];
  readonly seconds: number;
}

function copySource(): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-mutation-'));
  for (const part of ['lib', 'test/simulation', 'test/support', 'package.json']) {
    mkdirSync(join(folder, part, '..'), { recursive: true });
    cpSync(join(root, part), join(folder, part), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

function run(folder: string, mutation: Mutation): Verdict {
  const before = new Map(mutation.edits.map(({ file }) => [file, readFileSync(join(folder, file), 'utf8')]));
  try {
    for (const [file, text] of applyMutation(mutation, (file) => before.get(file) ?? '')) {
      writeFileSync(join(folder, file), text);
    }
    const options = ['--profile', mutation.profile, '--seeds', values.seeds, '--first', '--json'];
    return JSON.parse(simulate(folder, options)) as Verdict;
  } finally {
    for (const [file, text] of before) writeFileSync(join(folder, file), text);
  }
}

/** The exit code tells of failures, and those are what is wanted. */
function simulate(folder: string, options: readonly string[]): string {
  const command = [join(folder, 'test/simulation/simulate.ts'), ...options];
  try {
    return execFileSync(process.execPath, command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const { status, stdout, stderr } = error as { status: number; stdout: string; stderr: string };
    if (status === 1 && stdout.startsWith('{')) return stdout;
    throw new Error(`the mutated simulation did not run: ${stderr.slice(0, 2_000)}`);
  }
}

const folder = copySource();
let missedCount = 0;
try {
  console.log('| bug | profile | seeds | found by | time |\n|---|---|---:|---|---:|');
  for (const mutation of mutations) {
    if (values.only !== undefined && !mutation.name.includes(values.only)) continue;
    const { failures, seconds } = run(folder, mutation);
    const [first] = failures;
    if (first === undefined) missedCount += 1;
    const found =
      first === undefined ? `not in ${values.seeds} | **nothing**` : `${first.seed} | \`${first.invariant}\``;
    console.log(`| ${mutation.name} | ${mutation.profile} | ${found} | ${seconds.toFixed(1)} s |`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
process.exitCode = missedCount === 0 ? 0 : 1;
