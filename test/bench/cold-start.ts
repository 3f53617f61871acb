/** How long each bundle takes to load in a fresh process: the part of a cold start that is ours. */

import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BundleName, bundleFunctions } from '../../infra/bundle.ts';
import { quantileOf } from './latencies.ts';

export interface ColdStart {
  readonly name: BundleName;
  readonly bundleBytes: number;
  /** Of the module's load, in a process that runs already. */
  readonly p50Ms: number;
  readonly maxMs: number;
}

/** Prints the time that `import` takes. As Lambda does, the process has nothing compiled from runs before. */
const program = `
const startMs = performance.now();
const { handler } = await import(process.argv[1]);
const loadedMs = performance.now();
if (typeof handler !== 'function') throw new Error('the bundle has no handler');
console.log(loadedMs - startMs);
process.exit(0);
`;

const environment = {
  MILLRACE_BUCKET: 'bench',
  MILLRACE_TABLE: 'bench',
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
};

export async function measureColdStarts(runCount: number): Promise<readonly ColdStart[]> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bundles-'));
  try {
    const sizes = await bundleFunctions(folder);
    return (Object.entries(sizes) as [BundleName, number][]).map(([name, bundleBytes]) => {
      const args = ['--input-type=module', '--eval', program, join(folder, name, 'index.mjs')];
      const loadsMs = Array.from({ length: runCount }, () =>
        Number(execFileSync(process.execPath, args, { env: environment })),
      );
      return { name, bundleBytes, p50Ms: quantileOf(loadsMs, 0.5), maxMs: Math.max(...loadsMs) };
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}
