/** What every object store promises, as a suite. */

import { randomFillSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Clock, type RandomBytes, systemClock } from '../../lib/clock.ts';
import { isLogError } from '../../lib/errors.ts';
import type { ObjectId } from '../../lib/ids.ts';
import { KiB, MiB } from '../../lib/limits.ts';
import type { ObjectStore } from '../../lib/store/object-store.ts';

export interface ObjectStoreDeps {
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
}

/** Bytes of which no two ranges look alike. */
export function noise(byteLength: number): Buffer {
  return randomFillSync(Buffer.alloc(byteLength));
}

/** Small, around the copy limit, around a whole megabyte, and beyond it. */
const sizes = [
  0,
  1,
  15,
  16,
  17,
  1000,
  16 * KiB - 1,
  16 * KiB + 1,
  64 * KiB,
  1 * MiB - 1,
  1 * MiB,
  1 * MiB + 1,
  3 * MiB,
];

export function objectStoreContract(
  name: string,
  open: (deps: ObjectStoreDeps) => Promise<{ store: ObjectStore; remove: () => Promise<void> }>,
): void {
  describe(`object store contract: ${name}`, () => {
    let nowMs = 1_700_000_000_000;
    const deps: ObjectStoreDeps = {
      clock: { ...systemClock, nowMs: () => nowMs },
      randomBytes: (bytes) => randomFillSync(bytes),
    };
    let store: ObjectStore;
    let remove: () => Promise<void>;

    beforeEach(async () => {
      ({ store, remove } = await open(deps));
    });
    afterEach(async () => {
      await store.close();
      await remove();
    });

    /** The range must be refused as lost: not retriable, without effect. */
    async function expectLost(objectId: ObjectId, byteStart: number, byteLength: number): Promise<void> {
      const error = await store.read(objectId, byteStart, byteLength).then(
        () => 'was read',
        (reason: unknown) => reason,
      );
      expect(isLogError(error, 'KAFKA_STORAGE_ERROR') ? error : String(error)).toMatchObject({
        retriable: false,
        effect: 'none',
      });
    }

    test.each(sizes)('an object of %i bytes is read back as it was put', async (byteLength) => {
      const body = noise(byteLength);
      const objectId = await store.put([body]);
      expect(body.equals(await store.read(objectId, 0, byteLength))).toBe(true);
    });

    test('the parts of a body lie one after another, empty ones among them', async () => {
      const parts = [noise(10), noise(0), noise(20 * KiB), noise(7), noise(0)];
      const objectId = await store.put(parts);
      const whole = Buffer.concat(parts);
      expect(whole.equals(await store.read(objectId, 0, whole.length))).toBe(true);
    });

    test('a part may be a view into more bytes, of any kind', async () => {
      const bytes = noise(3000);
      const views = [bytes.subarray(100, 1100), new Uint8Array(bytes.buffer, bytes.byteOffset + 1500, 700)];
      for (const parts of [...views.map((view) => [view]), views]) {
        const objectId = await store.put(parts);
        const whole = Buffer.concat(parts);
        expect(whole.equals(await store.read(objectId, 0, whole.length))).toBe(true);
      }
    });

    test('a body may have very many parts', async () => {
      const parts = Array.from({ length: 3000 }, () => noise(20));
      const objectId = await store.put(parts);
      const whole = Buffer.concat(parts);
      expect(whole.equals(await store.read(objectId, 0, whole.length))).toBe(true);
    });

    test('a body without parts is an empty object', async () => {
      const objectId = await store.put([]);
      expect(await store.read(objectId, 0, 0)).toHaveLength(0);
      await expectLost(objectId, 0, 1);
    });

    test('objects of mixed sizes put at the same time are all readable', async () => {
      const bodies = Array.from({ length: 60 }, (_, index) => noise(sizes[index % (sizes.length - 1)] ?? 0));
      const objectIds = await Promise.all(bodies.map((body) => store.put([body])));
      expect(new Set(objectIds).size).toBe(bodies.length);
      for (const [index, body] of bodies.entries()) {
        expect(body.equals(await store.read(objectIds[index] as ObjectId, 0, body.length))).toBe(true);
      }
    });

    test('many ranges of one object may be read at the same time', async () => {
      const body = noise(1 * MiB);
      const objectId = await store.put([body]);
      const starts = Array.from({ length: 200 }, (_, index) => index * 5000);
      const ranges = await Promise.all(starts.map((byteStart) => store.read(objectId, byteStart, 6000)));
      for (const [index, byteStart] of starts.entries()) {
        expect(body.subarray(byteStart, byteStart + 6000).equals(ranges[index] as Uint8Array)).toBe(true);
      }
    });

    test('ids are UUIDv7', async () => {
      for (const body of [noise(10), noise(1 * MiB)]) {
        const objectId = await store.put([body]);
        expect(objectId).toMatch(/^[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
        expect(Number.parseInt(objectId.slice(0, 12), 16)).toBe(nowMs);
      }
    });

    test('ids sort by age, also across sizes and when the clock goes back', async () => {
      const objectIds: ObjectId[] = [];
      for (const byteLength of [10, 1 * MiB, 20, 1 * MiB, 30]) {
        objectIds.push(await store.put([noise(byteLength)]));
        nowMs += 1;
      }
      expect(objectIds.toSorted()).toEqual(objectIds);
      nowMs -= 60_000;
      const younger = await store.put([noise(10)]);
      expect(younger.slice(0, 12) >= (objectIds.at(-1) ?? '').slice(0, 12)).toBe(true);
    });

    test('no id is given twice within a millisecond', async () => {
      const objectIds = await Promise.all(Array.from({ length: 2000 }, () => store.put([noise(1)])));
      expect(new Set(objectIds).size).toBe(objectIds.length);
    });

    test.each([100, 20 * KiB, 1 * MiB])(
      'changes to the bytes put or read leave an object of %i bytes alone',
      async (byteLength) => {
        const body = noise(byteLength);
        const before = Buffer.from(body);
        const objectId = await store.put([body]);
        body.fill(0);
        (await store.read(objectId, 0, byteLength)).fill(1);
        expect(before.equals(await store.read(objectId, 0, byteLength))).toBe(true);
      },
    );

    test.each([100, 20 * KiB, 1 * MiB])(
      'ranges of an object of %i bytes are exact at both ends',
      async (byteLength) => {
        const body = noise(byteLength);
        const objectId = await store.put([body]);
        for (const [byteStart, end] of [
          [0, 1],
          [0, byteLength],
          [byteLength - 1, byteLength],
          [33, 90],
          [50, 50],
        ] as const) {
          const bytes = await store.read(objectId, byteStart, end - byteStart);
          expect(body.subarray(byteStart, end).equals(bytes)).toBe(true);
        }
        expect(await store.read(objectId, byteLength, 0)).toHaveLength(0);
      },
    );

    test.each([100, 1 * MiB])('a range beyond an object of %i bytes is refused as lost', async (byteLength) => {
      const objectId = await store.put([noise(byteLength)]);
      await store.put([noise(byteLength)]);
      await expectLost(objectId, 0, byteLength + 1);
      await expectLost(objectId, byteLength, 1);
      await expectLost(objectId, byteLength + 100, 0);
      await expectLost(objectId, -1, 1);
    });

    test('an object nobody put is refused as lost', async () => {
      const objectId = await store.put([noise(10)]);
      const own = await store.put([noise(1 * MiB)]);
      const others = [objectId, own].map(
        (id) => `${id.slice(0, -4)}${id.endsWith('0000') ? '1111' : '0000'}` as ObjectId,
      );
      for (const other of [...others, 'f'.repeat(32) as ObjectId, '../../../etc/passwd' as ObjectId, '' as ObjectId]) {
        await expectLost(other, 0, 1);
        await expectLost(other, 1, 1);
      }
    });

    test('a closed store refuses, and what was put before is answered', async () => {
      const puts = [store.put([noise(10)]), store.put([noise(1 * MiB)])];
      await store.close();
      await store.close();
      expect(await Promise.all(puts)).toHaveLength(2);
      await expect(store.put([noise(1)])).rejects.toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'none' });
      await expect(store.read((await puts[0]) as ObjectId, 0, 1)).rejects.toMatchObject({
        code: 'KAFKA_STORAGE_ERROR',
      });
    });
  });
}
