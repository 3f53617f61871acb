/** Client, app and log on one clock and one source of chance, so that a run can be had again. */

import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { createApp } from '../../lib/api/app.ts';
import { LogError, Millrace } from '../../lib/client/index.ts';
import { makeTransport } from '../../lib/client/transport.ts';
import { directTransport } from '../../lib/client/transport-direct.ts';
import type { Clock, RandomBytes } from '../../lib/clock.ts';
import { createLog } from '../../lib/create-log.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';
import { seededRandom } from '../support/random.ts';
import { readAll } from './doors.ts';

/** Time stands still while anything can run, and then jumps to the end of the shortest sleep. */
function virtualClock(startMs: number): Clock & { runUntil<T>(result: Promise<T>): Promise<T> } {
  let nowMs = startMs;
  const sleepers = new Set<{ readonly untilMs: number; readonly wake: () => void }>();
  return {
    nowMs: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const wake = () => {
          sleepers.delete(sleeper);
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        const sleeper = { untilMs: nowMs + ms, wake };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', wake, { once: true });
      }),
    async runUntil(result) {
      let isSettled = false;
      const settle = () => {
        isSettled = true;
      };
      result.then(settle, settle);
      while (!isSettled) {
        for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
        const [next] = [...sleepers].sort((a, b) => a.untilMs - b.untilMs);
        if (isSettled || next === undefined) continue;
        nowMs = Math.max(nowMs, next.untilMs);
        next.wake();
      }
      return result;
    },
  };
}

function seededBytes(seed: number): RandomBytes {
  const random = seededRandom(seed);
  return (bytes) => {
    for (const index of bytes.keys()) bytes[index] = random.integer(0, 255);
    return bytes;
  };
}

/** Everything the log was asked, when, and what became of it. */
async function history(seed: number, { isDown = false } = {}): Promise<{ lines: string[]; values: (string | null)[] }> {
  const clock = virtualClock(1_700_000_000_000);
  const randomBytes = seededBytes(seed);
  const fates = seededRandom(seed);
  const lines: string[] = [];
  const objectStore = createMemoryObjectStore({ clock, randomBytes });
  const log = createLog({ objectStore, metadataStore: openSqliteMetadataStore(':memory:'), clock, randomBytes });
  const direct = directTransport(createApp({ log, clock, randomBytes }), { clock, close: () => log.close() });
  const lossy = makeTransport(
    direct.endpoint,
    async (request) => {
      const hash = createHash('sha256');
      for (const part of request.body ?? []) hash.update(part);
      const isLost = isDown ? request.path.endsWith('/batches') : fates.integer(1, 100) <= 30;
      await clock.sleep(fates.integer(0, 40));
      const line = `${clock.nowMs()} ${request.path} ${hash.digest('hex').slice(0, 12)}`;
      lines.push(isLost ? `${line} lost` : line);
      if (isLost) throw new LogError('KAFKA_STORAGE_ERROR', 'lost', { effect: 'none' });
      return direct(request);
    },
    () => direct.close(),
  );
  const client = new Millrace({ transport: lossy, clock, randomBytes });
  const work = async () => {
    while (true) {
      const isMade = await client.admin.createTopic('orders', { partitions: 3 }).then(
        () => true,
        () => false,
      );
      if (isMade) break;
    }
    const producer = client.producer('orders', { batchBytesMax: 200, lingerMs: 30 });
    const sent = Array.from({ length: 60 }, (_, index) => producer.send({ value: `value ${index}` }));
    await Promise.allSettled(sent);
    const values = (await readAll(client, 'orders')).map(({ value }) => value);
    await client.close();
    return values;
  };
  return { values: await clock.runUntil(work()), lines };
}

test('the same seed gives the same requests at the same times, another seed others', async () => {
  const first = await history(1);
  const again = await history(1);
  const other = await history(2);
  expect(first.values.toSorted()).toEqual(Array.from({ length: 60 }, (_, index) => `value ${index}`).toSorted());
  expect(first.lines.some((line) => line.endsWith('lost'))).toBe(true);
  expect(again).toEqual(first);
  expect(other.lines).not.toEqual(first.lines);
});

test('a log that is down for two minutes takes no time to wait for', async () => {
  const startedAt = performance.now();
  const { lines, values } = await history(3, { isDown: true });
  expect(values).toEqual([]);
  const [first = '', last = ''] = [lines[0], lines.at(-1)];
  expect(Number.parseInt(last, 10) - Number.parseInt(first, 10)).toBeGreaterThan(100_000);
  expect(performance.now() - startedAt).toBeLessThan(10_000);
});
