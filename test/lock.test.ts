import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = new URL('../', import.meta.url);

/** Built from pieces, so that this file does not find itself. */
const forbidden = [
  ['work', ''],
  ['root', ''],
  ['home', ''],
  ['Users', ''],
].map(([folder]) => `/${folder}/`);

/** What git tracks or would track: nothing that is ignored, and no file that a test left behind on purpose. */
function repositoryFiles(): string[] {
  const options = { cwd: fileURLToPath(root), encoding: 'utf8' } as const;
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], options);
  return listed.split('\0').filter((path) => path !== '');
}

test('the lock file names no registry, so that any mirror can serve it', () => {
  const lock = readFileSync(new URL('package-lock.json', root), 'utf8');
  expect(lock.match(/"resolved": "\w+:\/\/[^"]*/g)).toBeNull();
  expect(lock).toContain('"integrity"');
});

test('no file names a folder of the machine it was written on', () => {
  const found = repositoryFiles()
    .filter((path) => !path.startsWith('test/golden/'))
    .flatMap((path) => {
      const text = readTracked(path);
      return forbidden.filter((word) => text.includes(word)).map((word) => `${path} has ${word}`);
    });
  expect(found).toEqual([]);
});

/** Empty when the file is in the index but was just deleted. */
function readTracked(path: string): string {
  try {
    return readFileSync(new URL(path, root), 'utf8');
  } catch {
    return '';
  }
}
