/**
 * What a power failure leaves of a data folder, taken from a folder that is being written to.
 *
 * Everything whose write had returned is there. Of what was under way each sector is there or not, by chance, or is
 * scribbled over. The metadata is read twice: the later WAL may hold commits that were not yet synced when the power
 * failed, so the copy gets the earlier one with some sectors of the later. Objects are copied after that, since an object
 * is durable before its commit is begun.
 */

import { fstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type WritePieces, writePieces } from '../../lib/store/file-io.ts';
import type { Random } from '../support/random.ts';

const sectorBytes = 512;
const walHeaderBytes = 32;
export const metadataFile = 'metadata.db';

export interface UnderWay {
  readonly fd: number;
  readonly bytes: Buffer;
  readonly byteStart: number;
}

/** Writes as the store does, and knows what is being written. */
export function watchedWrite(): { readonly write: WritePieces; readonly underWay: ReadonlySet<UnderWay> } {
  const underWay = new Set<UnderWay>();
  const write: WritePieces = async (fd, pieces, byteStart) => {
    const one = { fd, bytes: Buffer.concat(pieces), byteStart };
    underWay.add(one);
    try {
      await writePieces(fd, pieces, byteStart);
    } finally {
      underWay.delete(one);
    }
  };
  return { write, underWay };
}

export type FolderContent = ReadonlyMap<string, Buffer>;

/** Database and WAL at one moment: SQLite works in this very thread, so it is not in the middle of anything. */
export function copyMetadata(dir: string): FolderContent {
  return new Map([metadataFile, `${metadataFile}-wal`].map((name) => [name, readFileSync(join(dir, name))]));
}

/** `earlier` with some sectors of what the WAL got since. */
export function tearMetadata(earlier: FolderContent, later: FolderContent, random: Random): FolderContent {
  const name = `${metadataFile}-wal`;
  const [before = Buffer.alloc(0), after = Buffer.alloc(0)] = [earlier.get(name), later.get(name)];
  // Begun anew in between: its first commits were synced, and a mixture of two generations cannot be.
  const isSameGeneration = before.subarray(0, walHeaderBytes).equals(after.subarray(0, walHeaderBytes));
  if (!isSameGeneration) return earlier;
  const torn = Buffer.alloc(Math.max(before.length, after.length));
  torn.set(before);
  tear(torn, after, 0, random);
  return new Map([...earlier, [name, torn]]);
}

/** Every object, those under way torn. */
export function copyObjects(dir: string, underWay: ReadonlySet<UnderWay>, random: Random): FolderContent {
  const content = new Map<string, Buffer>();
  const writes = [...underWay].map((one) => ({ ...one, inode: fstatSync(one.fd).ino }));
  for (const folder of ['volumes', 'objects']) {
    for (const entry of readdirSync(join(dir, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const { ino } = statSync(path);
      let bytes: Buffer = readFileSync(path);
      for (const write of writes.filter(({ inode }) => inode === ino)) bytes = tearWrite(bytes, write, random);
      content.set(path.slice(dir.length + 1), bytes);
    }
  }
  return content;
}

/** What stood there before is zeros: nothing is written twice. */
function tearWrite(file: Buffer, { bytes, byteStart }: UnderWay, random: Random): Buffer {
  const torn = Buffer.alloc(Math.max(file.length, byteStart + bytes.length));
  torn.set(file);
  torn.fill(0, byteStart, byteStart + bytes.length);
  tear(torn, bytes, byteStart, random);
  return torn;
}

function tear(torn: Buffer, wanted: Buffer, byteStart: number, random: Random): void {
  const chance = random.pick([0, 10, 50, 90, 100]);
  const scribbles = random.integer(0, 3) === 0;
  for (let at = 0; at < wanted.length; at += sectorBytes - ((byteStart + at) % sectorBytes)) {
    const end = Math.min(wanted.length, at + sectorBytes - ((byteStart + at) % sectorBytes));
    const sector = wanted.subarray(at, end);
    if (torn.subarray(byteStart + at, byteStart + end).equals(sector)) continue;
    if (random.integer(1, 100) <= chance) torn.set(sector, byteStart + at);
    // Bytes that were there already are there still; only what is new is scribbled over.
    else if (scribbles && torn.subarray(byteStart + at, byteStart + end).every((byte) => byte === 0)) {
      torn.fill(random.integer(1, 255), byteStart + at, byteStart + end);
    }
  }
}

export async function writeFolder(dir: string, ...contents: readonly FolderContent[]): Promise<void> {
  for (const [name, bytes] of contents.flatMap((content) => [...content])) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), bytes);
  }
}
