import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

test('a volume that cannot be made leaves no file behind', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-volumes-'));
  const module = new URL('../../lib/store/volume-files.ts', import.meta.url).href;
  // One more file can be open: the volume, and not its folder.
  const script = `const { makeGrowingVolume } = await import(${JSON.stringify(module)});
    const { closeSync, openSync } = await import('node:fs');
    const open = [];
    try {
      for (;;) open.push(openSync('/dev/null'));
    } catch {
      closeSync(open.pop());
    }
    const made = makeGrowingVolume(${JSON.stringify(folder)}, 7, 1024);
    console.log(await made.then(() => 'made', (error) => error.code));`;
  const command = 'ulimit -n 100; exec "$0" --input-type=module --no-warnings -e "$1"';
  expect(execFileSync('sh', ['-c', command, process.execPath, script], { encoding: 'utf8' }).trim()).toBe('EMFILE');
  expect(await readdir(folder)).toEqual([]);
  await rm(folder, { recursive: true });
});
