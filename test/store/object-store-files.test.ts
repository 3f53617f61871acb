import { randomFillSync } from 'node:crypto';
import { cp, mkdtemp, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import type { ObjectId } from '../../lib/ids.ts';
import { KiB, MiB } from '../../lib/limits.ts';
import { type WritePieces, writePieces } from '../../lib/store/file-io.ts';
import { placeOf } from '../../lib/store/object-id.ts';
import type { ObjectStore } from '../../lib/store/object-store.ts';
import { type FileObjectStoreOptions, openFileObjectStore } from '../../lib/store/object-store-files.ts';
import { ReadFiles } from '../../lib/store/read-files.ts';
import { recordBytes, recordHeaderBytes } from '../../lib/store/volume.ts';
import { noise } from '../contract/object-store.ts';

let root: string;
let dir: string;
let opened: ObjectStore[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'millrace-objects-'));
  dir = join(root, 'data');
  opened = [];
});
afterEach(async () => {
  await Promise.all(opened.map((store) => store.close()));
  await rm(root, { recursive: true });
});

async function openStore(options: Partial<FileObjectStoreOptions> = {}): Promise<ObjectStore> {
  const store = await openFileObjectStore({
    dir,
    clock: systemClock,
    randomBytes: (bytes) => randomFillSync(bytes),
    volumeBytesOf: () => 2 * MiB,
    ...options,
  });
  opened.push(store);
  return store;
}

/** What was acknowledged, to be found again. */
class Acknowledged {
  readonly objects = new Map<ObjectId, Buffer>();

  async put(store: ObjectStore, byteLength: number): Promise<ObjectId> {
    const body = noise(byteLength);
    const objectId = await store.put([body]);
    this.objects.set(objectId, body);
    return objectId;
  }

  async expectIn(store: ObjectStore, except: readonly ObjectId[] = []): Promise<void> {
    for (const [objectId, body] of this.objects) {
      if (except.includes(objectId)) continue;
      expect(body.equals(await store.read(objectId, 0, body.length)), objectId).toBe(true);
    }
  }
}

/** The folder as a crash would leave it: a copy taken while the store is open. */
async function crash(): Promise<void> {
  const copy = join(root, `after-crash-${opened.length}`);
  await cp(dir, copy, { recursive: true, filter: (path) => !path.endsWith('.tmp') });
  dir = copy;
}

const volume = (volumeNumber: number) => join(dir, 'volumes', `${String(volumeNumber).padStart(10, '0')}.vol`);
const volumeNumberOf = (objectId: ObjectId) => placeOf(objectId)?.volumeNumber ?? 0;
const startOf = (objectId: ObjectId) => placeOf(objectId)?.byteStart ?? Number.NaN;

async function overwrite(path: string, bytes: Uint8Array, byteStart: number): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, byteStart);
  await file.close();
}

describe('restarts', () => {
  test('a closed store has everything when it is opened again, and goes on behind it', async () => {
    const acknowledged = new Acknowledged();
    const first = await openStore();
    for (const byteLength of [0, 1, 1000, 70 * KiB, 1 * MiB, 2 * MiB]) await acknowledged.put(first, byteLength);
    await first.close();

    const second = await openStore();
    const objectId = await acknowledged.put(second, 500);
    expect(volumeNumberOf(objectId)).toBe(1);
    await acknowledged.expectIn(second);
    await second.close();
    await acknowledged.expectIn(await openStore());
  });

  test('a store that was not closed has everything that was answered', async () => {
    const acknowledged = new Acknowledged();
    const store = await openStore();
    await Promise.all([10, 2000, 300 * KiB, 1 * MiB].map((byteLength) => acknowledged.put(store, byteLength)));
    await crash();
    const again = await openStore();
    await acknowledged.put(again, 100);
    await acknowledged.expectIn(again);
  });

  test('ids go on rising when the clock was set back between two runs', async () => {
    const first = await openStore();
    const before = await first.put([noise(10)]);
    await first.close();
    const second = await openStore({ clock: { ...systemClock, nowMs: () => 1000 } });
    expect((await second.put([noise(10)])) > before).toBe(true);
  });

  test('files that were being made are removed', async () => {
    await (await openStore()).close();
    const temporary = join(dir, 'objects', 'tmp');
    await writeFile(join(temporary, 'spare.vol.tmp'), 'x');
    await writeFile(join(temporary, 'a.tmp'), 'x');
    await openStore();
    expect(await readdir(temporary)).toEqual([]);
  });

  test.each(['body', 'header'])(
    'a torn %s of the last record is ignored and nothing is written over it',
    async (part) => {
      const acknowledged = new Acknowledged();
      const store = await openStore();
      for (const byteLength of [100, 5000, 90 * KiB]) await acknowledged.put(store, byteLength);
      const torn = await store.put([noise(3000)]);
      await crash();
      const at = startOf(torn) + (part === 'body' ? recordHeaderBytes + 1000 : 0);
      await overwrite(volume(1), new Uint8Array(512), at);
      const before = await readFile(volume(1));

      const again = await openStore();
      for (const byteLength of [100, 5000]) expect(volumeNumberOf(await acknowledged.put(again, byteLength))).toBe(2);
      await acknowledged.expectIn(again);
      expect(before.equals(await readFile(volume(1)))).toBe(true);
      await again.close();
      await acknowledged.expectIn(await openStore());
    },
  );

  test('a volume cut off within its last record keeps the records before', async () => {
    const acknowledged = new Acknowledged();
    const store = await openStore();
    for (const byteLength of [100, 5000]) await acknowledged.put(store, byteLength);
    const torn = await store.put([noise(3000)]);
    await crash();
    await truncate(volume(1), startOf(torn) + 700);
    const again = await openStore();
    await acknowledged.put(again, 3000);
    await acknowledged.expectIn(again);
    await expect(again.read(torn, 0, 3000)).rejects.toMatchObject({ retriable: false, effect: 'none' });
  });

  test('records behind a damaged one stay readable', async () => {
    const acknowledged = new Acknowledged();
    const store = await openStore();
    await acknowledged.put(store, 100);
    const damaged = await acknowledged.put(store, 5000);
    for (const byteLength of [100, 20 * KiB]) await acknowledged.put(store, byteLength);
    await crash();
    await overwrite(volume(1), noise(64), startOf(damaged) + 2000);
    const again = await openStore();
    for (let count = 0; count < 20; count += 1) await acknowledged.put(again, 10 * KiB);
    await acknowledged.expectIn(again, [damaged]);
  });

  test('a record that lies at another place than its id says is not taken for one', async () => {
    const acknowledged = new Acknowledged();
    const store = await openStore();
    const objectId = await acknowledged.put(store, 1000);
    await crash();
    const record = (await readFile(volume(1))).subarray(0, recordBytes(1000));
    await overwrite(volume(1), record, recordBytes(1000));
    const again = await openStore();
    expect(volumeNumberOf(await acknowledged.put(again, 1000))).toBe(2);
    expect(startOf(objectId)).toBe(0);
    await acknowledged.expectIn(again);
  });

  test('a crash in the middle of any group loses nothing that was answered', async () => {
    for (let round = 0; round < 12; round += 1) {
      const random = seededRandom(round);
      const acknowledged = new Acknowledged();
      let groupsLeft = 1 + round;
      // The last group reaches the disk in part: some sectors are new, some are old. Then the store is left as it is.
      const write: WritePieces = async (fd, pieces, byteStart) => {
        if (isFill(pieces)) return await writePieces(fd, pieces, byteStart);
        groupsLeft -= 1;
        if (groupsLeft > 0) return await writePieces(fd, pieces, byteStart);
        if (groupsLeft < 0) throw failure('EIO');
        const whole = Buffer.concat(pieces);
        for (let at = 0; at < whole.length; at += 512) {
          if (random() < 0.5) await writePieces(fd, [whole.subarray(at, at + 512)], byteStart + at);
        }
        throw failure('EIO');
      };
      const store = await openStore({ write });
      for (let group = 0; group <= round; group += 1) {
        const sizes = [Math.floor(random() * 5000), 3, 20 * KiB, 600];
        await Promise.allSettled(sizes.map((byteLength) => acknowledged.put(store, byteLength)));
      }
      await crash();
      for (let restart = 0; restart < 2; restart += 1) {
        const again = await openStore();
        for (const byteLength of [400, 30 * KiB, 3000]) await acknowledged.put(again, byteLength);
        await acknowledged.expectIn(again);
        await again.close();
      }
      expect(acknowledged.objects.size).toBe(round * 4 + 6);
    }
  });
});

describe('volumes', () => {
  test('a full volume is followed by the next, and all stay readable', async () => {
    const acknowledged = new Acknowledged();
    const store = await openStore();
    for (let count = 0; count < 60; count += 1) await acknowledged.put(store, 150 * KiB);
    await acknowledged.expectIn(store);
    const volumeNumbers = [...acknowledged.objects.keys()].map(volumeNumberOf);
    expect(volumeNumbers.toSorted((a, b) => a - b)).toEqual(volumeNumbers);
    expect(volumeNumbers.at(-1)).toBeGreaterThanOrEqual(5);
    await crash();
    const again = await openStore();
    await acknowledged.put(again, 1000);
    await acknowledged.expectIn(again);
  });

  test('an object just under a megabyte fits a volume, one of a megabyte has its own file', async () => {
    const store = await openStore();
    expect(volumeNumberOf(await store.put([noise(1 * MiB - 1)]))).toBe(1);
    const own = await store.put([noise(1 * MiB)]);
    expect(volumeNumberOf(own)).toBe(0);
    expect((await readFile(join(dir, 'objects', own.slice(-2), own))).length).toBe(1 * MiB);
  });

  test('the first volume of a new folder is small', async () => {
    const store = await openFileObjectStore({ dir, clock: systemClock, randomBytes: (bytes) => randomFillSync(bytes) });
    opened.push(store);
    for (let count = 0; count < 10; count += 1) await store.put([noise(1000)]);
    expect(await readdir(join(dir, 'volumes'))).toEqual(['0000000001.vol']);
    expect((await readFile(volume(1))).length).toBe(8 * MiB);
  });

  test('puts of one moment are one write, and no write starts before the one ahead has ended', async () => {
    let underWay = 0;
    const groups: number[] = [];
    const write: WritePieces = async (fd, pieces, byteStart) => {
      if (isFill(pieces)) return await writePieces(fd, pieces, byteStart);
      underWay += 1;
      expect(underWay).toBe(1);
      groups.push(pieces.length);
      await writePieces(fd, pieces, byteStart);
      await systemClock.sleep(2);
      underWay -= 1;
    };
    const store = await openStore({ write });
    const puts = Array.from({ length: 5 }, () => store.put([noise(100)]));
    await systemClock.sleep(1);
    puts.push(...Array.from({ length: 7 }, () => store.put([noise(100)])));
    await Promise.all(puts);
    expect(groups).toEqual([5, 7]);
  });

  test('when there is no room for a whole volume, the next one grows as it is written', async () => {
    const acknowledged = new Acknowledged();
    let isFillRefused = false;
    const write: WritePieces = async (fd, pieces, byteStart) => {
      if (isFillRefused && isFill(pieces)) throw failure('ENOSPC');
      await writePieces(fd, pieces, byteStart);
    };
    const store = await openStore({ write });
    isFillRefused = true;
    for (let count = 0; count < 40; count += 1) await acknowledged.put(store, 100 * KiB);
    await crash();
    const again = await openStore();
    await acknowledged.put(again, 1000);
    await acknowledged.expectIn(again);
  });

  test('none is filled ahead where that would take the last room from puts', async () => {
    const acknowledged = new Acknowledged();
    let isFilled = false;
    const write: WritePieces = async (fd, pieces, byteStart) => {
      isFilled ||= isFill(pieces);
      await writePieces(fd, pieces, byteStart);
    };
    const store = await openStore({ write, freeBytesOf: async () => 4 * MiB - 1 });
    for (let count = 0; count < 40; count += 1) await acknowledged.put(store, 100 * KiB);
    await acknowledged.expectIn(store);
    expect([isFilled, [...acknowledged.objects.keys()].map(volumeNumberOf).at(-1)]).toEqual([false, 2]);
  });

  test('after a crash on a full disk there is all that was answered, and puts go on when there is room', async () => {
    const acknowledged = new Acknowledged();
    const store = await openStore();
    await acknowledged.put(store, 5000);
    const torn = await store.put([noise(3000)]);
    await crash();
    await overwrite(volume(1), new Uint8Array(512), startOf(torn) + 1000);

    let isFull = true;
    const write: WritePieces = async (fd, pieces, byteStart) => {
      if (isFull) throw failure('ENOSPC');
      await writePieces(fd, pieces, byteStart);
    };
    const again = await openStore({ write });
    await acknowledged.expectIn(again);
    await expect(again.put([noise(100)])).rejects.toThrow('the disk is full (ENOSPC)');
    isFull = false;
    await acknowledged.put(again, 5000);
    await acknowledged.expectIn(again);
  });

  test('an object whose volume is gone is lost, which no retry can help', async () => {
    const store = await openStore();
    const objectId = await store.put([noise(100)]);
    await store.close();
    const again = await openStore();
    await rm(volume(1));
    await expect(again.read(objectId, 0, 100)).rejects.toMatchObject({
      code: 'KAFKA_STORAGE_ERROR',
      retriable: false,
      effect: 'none',
      details: { path: volume(1), reason: 'ENOENT' },
    });
  });
});

describe('failing disks', () => {
  test('a group whose write failed has no effect, and its volume is not written to again', async () => {
    const acknowledged = new Acknowledged();
    let isFailing = false;
    const write: WritePieces = async (fd, pieces, byteStart) => {
      if (isFailing && !isFill(pieces)) {
        await writePieces(fd, [Buffer.concat(pieces).subarray(0, 700)], byteStart);
        throw failure('EIO');
      }
      await writePieces(fd, pieces, byteStart);
    };
    const store = await openStore({ write });
    await acknowledged.put(store, 1000);

    isFailing = true;
    const refusal = {
      code: 'KAFKA_STORAGE_ERROR',
      effect: 'none',
      message: `failed to write to ${volume(1)}: the disk failed (EIO)`,
    };
    const failed = await Promise.allSettled([store.put([noise(1000)]), store.put([noise(10)])]);
    for (const { status, reason } of failed as PromiseRejectedResult[]) {
      expect(status).toBe('rejected');
      expect(reason).toMatchObject(refusal);
    }
    for (let count = 0; count < 30; count += 1) await expect(store.put([noise(10)])).rejects.toThrow('the disk failed');
    // However often it fails, it costs one more volume, and the spare that is made for that one.
    expect((await readdir(join(dir, 'volumes'))).length).toBeLessThanOrEqual(3);

    isFailing = false;
    expect(volumeNumberOf(await acknowledged.put(store, 1000))).toBe(2);
    await acknowledged.expectIn(store);
    await crash();
    const again = await openStore();
    await acknowledged.put(again, 10);
    await acknowledged.expectIn(again);
  });

  test('a full disk refuses a large object and leaves nothing of it behind', async () => {
    let isFull = false;
    const store = await openStore({
      write: async (fd, pieces, byteStart) => {
        if (isFull) throw failure('ENOSPC');
        await writePieces(fd, pieces, byteStart);
      },
    });
    isFull = true;
    await expect(store.put([noise(1 * MiB)])).rejects.toMatchObject({
      code: 'KAFKA_STORAGE_ERROR',
      retriable: true,
      effect: 'none',
      message: expect.stringContaining('the disk is full (ENOSPC)'),
    });
    expect(await readdir(join(dir, 'objects', 'tmp'))).toEqual([]);
    isFull = false;
    expect(await store.put([noise(1 * MiB)])).toHaveLength(32);
  });

  test('a folder that cannot be made is refused with its path', async () => {
    await writeFile(dir, 'a file');
    await expect(openStore()).rejects.toMatchObject({
      code: 'KAFKA_STORAGE_ERROR',
      message: expect.stringContaining(dir),
    });
  });
});

describe('files open for reading', () => {
  test('are kept open, the least used closed first, and never one that is in use', async () => {
    const paths = await Promise.all(
      ['a', 'b', 'c', 'd'].map(async (name) => {
        await writeFile(join(root, name), name);
        return join(root, name);
      }),
    );
    const files = new ReadFiles(2);
    const fdOf = (path: string) => files.with(path, async ({ fd }) => fd);
    const [a = '', b = '', c = '', d = ''] = paths;
    const first = await fdOf(a);
    expect(await fdOf(a)).toBe(first);
    await files.with(a, async ({ fd }) => {
      for (const path of [b, c, d]) await fdOf(path);
      expect(fd).toBe(first);
      expect(await files.with(a, async (again) => again.fd)).toBe(first);
    });
    files.close();
    await expect(files.with(join(root, 'none'), async () => {})).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Filling a volume, not writing a group. */
function isFill(pieces: readonly Uint8Array[]): boolean {
  return pieces.length === 1 && pieces[0]?.length === 256 * KiB;
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}
