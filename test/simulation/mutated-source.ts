/** A copy of the source with a bug in it, and the simulation run on that. */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Mutation } from './mutation.ts';
import { applyMutation } from './mutations.ts';

const root = new URL('../../', import.meta.url).pathname;

export interface SimulationOutput {
  readonly exitCode: number | null;
  readonly stdout: string;
}

export class MutatedSource {
  readonly #folder = mkdtempSync(join(tmpdir(), 'millrace-mutation-'));

  constructor() {
    for (const part of ['lib', 'test/simulation', 'package.json']) {
      mkdirSync(join(this.#folder, part, '..'), { recursive: true });
      cpSync(join(root, part), join(this.#folder, part), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(this.#folder, 'node_modules'));
  }

  /** `options` are those of `simulate.ts`. Throws when a mutation cannot be put in, or the simulation does not run. */
  simulate(mutation: Mutation, options: readonly string[]): SimulationOutput {
    const before = new Map(mutation.edits.map(({ file }) => [file, readFileSync(join(this.#folder, file), 'utf8')]));
    try {
      for (const [file, text] of applyMutation(mutation, (file) => before.get(file) ?? '')) {
        writeFileSync(join(this.#folder, file), text);
      }
      const command = [join(this.#folder, 'test/simulation/simulate.ts'), ...options];
      const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' });
      // Failing seeds are what is wanted, and end with 1 as a crash does; only they have something to say.
      if (status !== 0 && stdout === '')
        throw new Error(`the mutated simulation did not run: ${stderr.slice(0, 2_000)}`);
      return { exitCode: status, stdout };
    } finally {
      for (const [file, text] of before) writeFileSync(join(this.#folder, file), text);
    }
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
