/** README.md in pieces, for the tests that hold it to its word. */

import { readFileSync } from 'node:fs';

export const repository = new URL('../../', import.meta.url);
export const readme = readFileSync(new URL('README.md', repository), 'utf8');

/** The address that README's commands and snippets name. */
export const readmeUrl = 'http://127.0.0.1:8092';

/** What runs against `npm start`, and what needs a deployed stack. */
export const readmeParts = splitOff('## On AWS');

function splitOff(heading: string): { readonly local: string; readonly aws: string } {
  const start = readme.indexOf(`\n${heading}\n`);
  const end = readme.indexOf('\n## ', start + 1);
  if (start === -1 || end === -1) throw new Error(`README.md has no section ${heading} with another one behind it`);
  return { local: readme.slice(0, start) + readme.slice(end), aws: readme.slice(start, end) };
}

export interface Snippet {
  /** The file it is, such as `test/examples/produce.ts`. */
  readonly path: string;
  readonly code: string;
  /** The block of text behind it, where there is one. */
  readonly output: string;
}

export function readmeSnippets(text: string = readme): Snippet[] {
  const pattern =
    /<!-- (test\/examples\/[\w-]+\.ts) -->\n```ts\n(.*?)```\n(?:(?:(?!<!--|```).)*?```text\n(.*?)```\n)?/gs;
  return [...text.matchAll(pattern)].map(([, path = '', code = '', output = '']) => ({ path, code, output }));
}

/** Where each entry of the package lies in the repository, from its root. */
const entries = {
  millrace: 'lib/client/index.ts',
  'millrace/direct': 'lib/client/direct.ts',
  'millrace/testing': 'lib/client/testing.ts',
  'millrace/cdk': 'infra/index.ts',
};

/** The code of a snippet with the imports of its file in `test/examples`. */
export function withSources(code: string, root = '../../'): string {
  return Object.entries(entries).reduce(
    (changed, [name, path]) => changed.replaceAll(`from '${name}'`, `from '${root}${path}'`),
    code,
  );
}

export interface SessionStep {
  readonly command: string;
  readonly output: string;
}

/** Every `console` block, in order; a command is a line that begins with `$ `. */
export function readmeSession(text: string): SessionStep[] {
  return [...text.matchAll(/^```console\n(.*?)^```$/gms)]
    .flatMap(([, block = '']) => block.split(/^\$ /m).slice(1))
    .map((step) => {
      const end = step.indexOf('\n');
      return { command: step.slice(0, end), output: step.slice(end + 1).trimEnd() };
    });
}

/** What differs from run to run. */
export function normalise(text: string): string {
  return text
    .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, 'UUID')
    .replace(/"timestamp":\d{13}\b/g, '"timestamp":TIME')
    .trimEnd();
}
