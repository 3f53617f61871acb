/** The bundled functions where `infra/` looks for them: built before the tests, when there are none or older ones. */

import { readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { must } from './pack.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Once for a whole run, before any test (https://vitest.dev/config/globalsetup). */
export default async function setup(): Promise<void> {
  const built = statSync(`${root}/dist/functions/topics/index.mjs`, { throwIfNoEntry: false });
  if (built === undefined || built.mtimeMs < changedMs()) await must(process.execPath, ['infra/bundle.ts'], root);
}

function changedMs(): number {
  const sources = ['functions', 'lib'].flatMap((room) =>
    readdirSync(`${root}/${room}`, { recursive: true, encoding: 'utf8' }).map((path) => `${room}/${path}`),
  );
  const paths = [...sources, 'infra/bundle.ts', 'package-lock.json'];
  return Math.max(...paths.map((path) => statSync(`${root}/${path}`).mtimeMs));
}
