import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** Two pieces of `pieceBytes` each, written where files may have 512 or 1024 bytes (by the shell); what came of it. */
function writeBounded(path: string, pieceBytes: number): string {
  const module = new URL('../../lib/store/file-io.ts', import.meta.url).href;
  const script = `const { openFile, writePieces } = await import(${JSON.stringify(module)});
    const fd = await openFile(${JSON.stringify(path)}, 'w');
    const piece = Buffer.alloc(${pieceBytes});
    await writePieces(fd, [piece, piece], 0).then(() => console.log('written'), (error) => console.log(error.code));`;
  const command = 'ulimit -f 1; exec "$0" --input-type=module --no-warnings -e "$1"';
  return execFileSync('sh', ['-c', command, process.execPath, script], { encoding: 'utf8' }).trim();
}

test.each([1400, 40_000])('a write that is cut short says why (pieces of %d bytes)', async (pieceBytes) => {
  const root = await mkdtemp(join(tmpdir(), 'millrace-write-'));
  expect(writeBounded(join(root, 'small'), 200)).toBe('written');
  expect(writeBounded(join(root, 'cut'), pieceBytes)).toBe('EFBIG');
  await rm(root, { recursive: true });
});
