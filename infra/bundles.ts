/** Where the bundled functions lie. They are built once, into the package, so that a synth needs neither esbuild nor Docker. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export type FunctionName = 'produce' | 'fetch' | 'topics' | 'group';

/**
 * The folder with `index.mjs` of a function: `dist/functions` seen from the sources, `../functions` seen from
 * `dist/infra`. Throws when it has not been built.
 */
export function bundleFolder(name: FunctionName, from: string = import.meta.url): string {
  const beside = from.endsWith('.ts') ? '../dist/functions/' : '../functions/';
  const folder = fileURLToPath(new URL(`${beside}${name}`, from));
  if (existsSync(`${folder}/index.mjs`)) return folder;
  throw new Error(`the ${name} function is not built: ${folder}/index.mjs is missing; run "npm run build" first`);
}
