/** The repository as a clean clone has it, built and packed without touching the one the tests run from. */

import { cp, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from './command.ts';
import { repository } from './readme.ts';

const pathOf = (path: string) => fileURLToPath(new URL(path, repository));

/** What `npm run build`, `npm pack` and `cdk synth` read; tests and what was built before stay behind. */
const copied = [
  'cdk.json',
  'CHANGELOG.md',
  'functions',
  'infra',
  'lib',
  'LICENSE',
  'package.json',
  'README.md',
  'tsconfig.build.json',
  'tsconfig.json',
];

/** Copies the sources into `folder`, which must not exist; the installed packages are those of the repository. */
export async function cloneRepository(folder: string): Promise<void> {
  await Promise.all(copied.map((path) => cp(pathOf(path), join(folder, path), { recursive: true })));
  await symlink(pathOf('node_modules'), join(folder, 'node_modules'), 'dir');
}

/** Runs a program to its end; throws what it printed when it fails. */
export async function must(program: string, args: readonly string[], cwd: string, env = process.env): Promise<string> {
  const finished = await runCommand(program, args, { cwd, env, timeoutMs: 110_000 });
  if (finished.exitCode !== 0) throw new Error(`${program} ${args.join(' ')}: ${finished.output}${finished.errors}`);
  return finished.output;
}
