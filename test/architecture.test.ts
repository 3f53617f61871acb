import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { expect, test } from 'vitest';

const root = new URL('../', import.meta.url).pathname;

/** Every source file of lib with the files it imports, as paths from the top. */
const imports = new Map<string, string[]>(
  readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => {
      const file = posix.join('lib', path);
      const found = sourceOf(file).matchAll(
        /^(?:import|export)\s[^;]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm,
      );
      const specifiers = [...found].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
      return [file, specifiers.map((name) => (name.startsWith('.') ? posix.join(posix.dirname(file), name) : name))];
    }),
);

function sourceOf(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

/** The room of a file: the folder below lib, or `small` for the files that lie in lib itself. */
function roomOf(file: string): string {
  return file.split('/').length === 2 ? 'small' : (file.split('/')[1] ?? '');
}

/**
 * Who may import whom. A room may always import itself and the small files.
 *
 *   record <- store <- topic <- produce, fetch, group (never each other: they meet in store)
 *   record <- api                                     (calls the log through the types of log.ts)
 *   record <- client                                  (knows the protocol alone)
 *   record, client <- verify                          (works as callers do, and judges what they were told)
 *   server, cli                                       (put things together and translate)
 */
const arrows: Readonly<Record<string, readonly string[]>> = {
  small: [],
  record: [],
  store: ['record'],
  topic: ['store', 'record'],
  produce: ['store', 'topic', 'record'],
  fetch: ['store', 'topic', 'record'],
  group: ['store', 'topic', 'record'],
  api: ['record', 'topic'],
  client: ['record', 'topic'],
  verify: ['record', 'client'],
  server: ['api', 'store', 'record'],
  cli: ['server', 'client', 'api', 'record', 'topic', 'verify'],
};

/** The places that put rooms together, and so may see more than their room. */
const compositionRoots: Readonly<Record<string, readonly string[]>> = {
  'lib/create-log.ts': ['store', 'topic', 'produce', 'fetch', 'group'],
  'lib/aws-log.ts': ['store'],
  'lib/client/direct.ts': ['api', 'server'],
  'lib/client/testing.ts': ['api', 'server'],
};

/** `topic` is more than its partitioner only to those who handle topics. */
const onlyThePartitioner = new Set(['api', 'client', 'cli']);

/** AWS is known to the adapters of the stores, and later to functions and infra. */
const mayKnowAws = /^lib\/store\/.*-(s3|dynamodb)\.ts$/;

/** These import the AWS SDK at the moment it is needed: most users of the client never install it. */
const mayAskForAws = /^lib\/client\/(aws-auth|transport-invoke)\.ts$/;

test('rooms import along the arrows of the design', () => {
  const wrong: string[] = [];
  for (const [file, targets] of imports) {
    const room = roomOf(file);
    const allowed = new Set([room, 'small', ...(arrows[room] ?? []), ...(compositionRoots[file] ?? [])]);
    for (const target of targets.filter((name) => name.startsWith('lib/'))) {
      const isPartitioner = target === 'lib/topic/partitioner.ts';
      const isHidden = roomOf(target) === 'topic' && onlyThePartitioner.has(room) && !isPartitioner;
      // What the log is made of is for composition roots only.
      const isComposition = target === 'lib/create-log.ts' && room !== 'server' && room !== 'small';
      if (!allowed.has(roomOf(target)) || isHidden || isComposition) wrong.push(`${file} -> ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('every room of lib is in the table, and every file an import names is there', () => {
  expect([...new Set([...imports.keys()].map(roomOf))].sort()).toEqual(Object.keys(arrows).sort());
  const missing = [...imports.values()].flat().filter((target) => target.startsWith('lib/') && !imports.has(target));
  expect(missing).toEqual([]);
});

test('no file imports itself by way of others, types aside', () => {
  const valueImports = new Map<string, string[]>();
  for (const [file, targets] of imports) {
    const source = sourceOf(file);
    valueImports.set(
      file,
      targets.filter((target) => {
        const name = target.split('/').at(-1) ?? '';
        const line = new RegExp(`^(import|export) type [^;]*/${name.replaceAll('.', '\\.')}';`, 'm');
        return imports.has(target) && !line.test(source);
      }),
    );
  }
  const finished = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, trail: readonly string[]): void => {
    if (trail.includes(file)) circles.push([...trail.slice(trail.indexOf(file)), file].join(' -> '));
    if (finished.has(file) || trail.includes(file)) return;
    for (const target of valueImports.get(file) ?? []) visit(target, [...trail, file]);
    finished.add(file);
  };
  for (const file of imports.keys()) visit(file, []);
  expect(circles).toEqual([]);
});

test('only server and cli read the environment or write to the console, and only adapters know AWS', () => {
  const wrong = [...imports.keys()].filter((file) => {
    const isDoor = ['server', 'cli'].includes(roomOf(file));
    const source = sourceOf(file).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    if (!isDoor && /\bprocess\.env\b|\bconsole\./.test(source)) return true;
    if (!mayKnowAws.test(file) && /from '@aws-sdk|from '@smithy/.test(source)) return true;
    return !mayAskForAws.test(file) && /import\('@aws-sdk|import\('@smithy/.test(source);
  });
  expect(wrong).toEqual([]);
});

test('the way in and the way out can each be read in one sitting', () => {
  for (const file of ['lib/produce/produce.ts', 'lib/fetch/fetch.ts']) {
    expect(sourceOf(file).split('\n').length, file).toBeLessThan(250);
  }
});
