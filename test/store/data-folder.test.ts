import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDataFolder } from '../../lib/store/data-folder.ts';

let root: string;
let dir: string;
let children: ChildProcess[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'millrace-folder-'));
  dir = join(root, 'some', 'data');
  children = [];
});
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  await rm(root, { recursive: true });
});

/** Another process that opens the folder and stays. */
async function openElsewhere(): Promise<ChildProcess> {
  const module = new URL('../../lib/store/data-folder.ts', import.meta.url).href;
  const script = `const { openDataFolder } = await import(${JSON.stringify(module)});
    globalThis.folder = await openDataFolder(${JSON.stringify(dir)});
    console.log('open');
    setInterval(() => {}, 1000);`;
  const args = ['--input-type=module', '--no-warnings', '-e', script];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await Promise.race([
    once(child.stdout as NodeJS.ReadableStream, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error('the other process ended'))),
  ]);
  return child;
}

const refusal = { code: 'KAFKA_STORAGE_ERROR', retriable: false, effect: 'none' };

test('a folder is made with all above it, and can be opened again', async () => {
  const first = await openDataFolder(dir);
  expect(first).toMatchObject({ dir, metadataPath: join(dir, 'metadata.db') });
  expect(JSON.parse(await readFile(join(dir, 'format.json'), 'utf8'))).toEqual({ formatVersion: 1 });
  expect(await readFile(join(dir, 'lock.pid'), 'utf8')).toBe(`${process.pid}\n`);
  await first.close();
  await first.close();
  await (await openDataFolder(dir)).close();
  expect((await readdir(dir)).toSorted()).toEqual(['format.json', 'lock.db']);
});

test('a second open in the same process is refused, and the first one keeps its lock', async () => {
  const folder = await openDataFolder(dir);
  for (let attempt = 0; attempt < 2; attempt += 1) {
    await expect(openDataFolder(dir)).rejects.toMatchObject({
      ...refusal,
      message: `data folder ${dir} is in use by this process (stop it, or choose another folder with --data)`,
    });
  }
  await folder.close();
  await (await openDataFolder(dir)).close();
});

test('a folder in use by another process is refused with its id, and free once that was killed', async () => {
  const owner = await openElsewhere();
  await expect(openDataFolder(dir)).rejects.toMatchObject({
    ...refusal,
    message: `data folder ${dir} is in use by process ${owner.pid} (stop it, or choose another folder with --data)`,
    details: { path: dir, pid: owner.pid },
  });
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  await (await openDataFolder(dir)).close();
});

test('a folder of a newer format is refused and left as it is', async () => {
  await (await openDataFolder(dir)).close();
  await rm(join(dir, 'lock.db'));
  await writeFile(join(dir, 'format.json'), '{"formatVersion":2,"new":true}');
  await expect(openDataFolder(dir)).rejects.toMatchObject({
    ...refusal,
    message: `data folder ${dir} has format version 2; this release reads up to 1; use a newer release`,
  });
  expect(await readdir(dir)).toEqual(['format.json']);
});

test.each(['', 'x', '[]', '{"formatVersion":"1"}', '{"formatVersion":0}'])(
  'a damaged format file (%j) is refused',
  async (text) => {
    await (await openDataFolder(dir)).close();
    await writeFile(join(dir, 'format.json'), text);
    await expect(openDataFolder(dir)).rejects.toMatchObject({
      ...refusal,
      message: expect.stringContaining('damaged'),
    });
  },
);

test('a file in the place of the folder, or of one above it, is refused', async () => {
  const file = join(root, 'file');
  await writeFile(file, '');
  for (const path of [file, join(file, 'below')]) {
    await expect(openDataFolder(path)).rejects.toMatchObject({
      ...refusal,
      message: `data folder ${path} cannot be made: there is a file in its place`,
    });
  }
});

test.skipIf(process.getuid?.() === 0)('a folder that cannot be written is refused (not as root, who can)', async () => {
  await chmod(root, 0o500);
  await expect(openDataFolder(dir)).rejects.toMatchObject({
    ...refusal,
    message: expect.stringContaining('cannot be written'),
  });
  await chmod(root, 0o700);
});

test('files that were being made are removed, by the owner only', async () => {
  const folder = await openDataFolder(dir);
  await writeFile(join(dir, 'format.json.tmp'), '');
  await expect(openDataFolder(dir)).rejects.toMatchObject(refusal);
  expect(await readdir(dir)).toContain('format.json.tmp');
  await folder.close();
  await (await openDataFolder(dir)).close();
  expect(await readdir(dir)).not.toContain('format.json.tmp');
});
