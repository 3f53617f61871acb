/** The bundled functions where `infra/` looks for them. */

import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleFunctions } from '../../infra/bundle.ts';

const dist = fileURLToPath(new URL('../../dist', import.meta.url));

/** Builds them when there are none; several test processes may do so at once, and one of them wins. */
export async function ensureBundles(): Promise<void> {
  const folder = `${dist}/functions`;
  if (existsSync(folder)) return;
  const own = `${dist}/functions-${process.pid}`;
  await mkdir(dist, { recursive: true });
  await bundleFunctions(own);
  try {
    await rename(own, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
    await rm(own, { recursive: true });
  }
}
