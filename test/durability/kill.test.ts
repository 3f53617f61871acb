/**
 * The server is killed (`kill -9`) in the middle of produce, again and again on one data folder, and nothing that was
 * acknowledged may be lost, doubled or moved. MILLRACE_SEED repeats the choices of a run, though not its timing.
 */

import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MiB } from '../../lib/limits.ts';
import { seededRandom } from '../support/random.ts';
import { type ServerProcess, StartFailure, startServerProcess } from '../support/server-process.ts';
import { checkHistory, type Reading } from './checker.ts';
import { createHttpCaller } from './http.ts';
import { createLoad, partitionCount, topic } from './load.ts';
import { randomMoment, waitFor } from './moments.ts';
import { readPartition } from './read-log.ts';

const killCount = 54;
/** Every so often the process is killed while it starts, too. */
const startKillEvery = 6;
/** Records before the end of the last reading that are read again, to see that they are still the same. */
const rereadCount = 200;

test('every acknowledged record survives a kill at 54 random moments, once, in order', {
  timeout: 300_000,
}, async () => {
  const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
  const startedAt = performance.now();
  console.log(`kill test: MILLRACE_SEED=${seed}`);
  const random = seededRandom(seed);
  const dir = await mkdtemp(join(tmpdir(), 'millrace-kill-'));
  const partitions = Array.from({ length: partitionCount }, (_, partition) => partition);
  const startMs: number[] = [];
  const moments = new Map<string, number>();
  let leftBehindCount = 0;
  let server: ServerProcess | undefined;

  const start = async () => {
    server = await startServerProcess(dir);
    startMs.push(server.startMs);
    return { server, http: createHttpCaller(server.url) };
  };
  const readFrom = (http: ReturnType<typeof createHttpCaller>, fromOffsets: readonly number[]) => {
    const maxBytes = random.pick([64 * 1024, 1 * MiB, 8 * MiB]);
    return Promise.all(partitions.map((each) => readPartition(http, topic, each, fromOffsets[each] ?? 0, maxBytes)));
  };

  try {
    let { server: running, http } = await start();
    const created = await http.send(
      'POST',
      '/v1/topics',
      { 'content-type': 'application/json' },
      Buffer.from(JSON.stringify({ topic, partitions: partitionCount, config: { 'max.message.bytes': '4194304' } })),
    );
    expect(created).toMatchObject({ status: 201 });
    const load = await createLoad(http, random);
    const before: Reading[] = [];

    for (let kill = 1; kill <= killCount; kill += 1) {
      const moment = randomMoment(random);
      moments.set(moment.at, (moments.get(moment.at) ?? 0) + 1);
      const waiting = waitFor(moment, dir);
      const ending = new AbortController();
      const loading = load.run(http, waiting, ending.signal);
      await waiting.come;
      const dying = running.kill();
      ending.abort();
      await Promise.all([dying, loading]);
      http.close();
      if ((await temporaryFiles(dir)).length > 0) leftBehindCount += 1;

      if (kill % startKillEvery === 0) {
        const killAfterMs = random.integer(20, Math.round(startMs.at(-1) ?? 300));
        await expect(startServerProcess(dir, killAfterMs)).rejects.toThrow(StartFailure);
      }
      ({ server: running, http } = await start());
      const last = before.slice(-partitionCount);
      const now = await readFrom(
        http,
        last.map(({ highWatermark }) => Math.max(0, highWatermark - rereadCount)),
      );
      const violations = [...load.violations, ...checkHistory({ sent: load.sent, before: last, now })];
      expect(violations.slice(0, 20), `after kill ${kill} at ${JSON.stringify(moment)}, seed ${seed}`).toEqual([]);
      before.push(...now);
    }

    await load.settle(http);
    const now = await readFrom(http, []);
    const violations = [...load.violations, ...checkHistory({ sent: load.sent, before, now })];
    expect(violations.slice(0, 20), `at the end, seed ${seed}`).toEqual([]);
    const ackedCount = load.sent.filter(({ outcome }) => outcome.kind === 'acked').length;
    const owed = load.sent.filter(({ isIdempotent, outcome }) => isIdempotent && outcome.kind !== 'acked');
    expect(owed, 'records of idempotent senders that were never acknowledged').toEqual([]);

    const refused = await startServerProcess(dir).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(StartFailure);
    expect(refused).toMatchObject({ exitCode: 1, message: expect.stringContaining('is in use by process') });
    expect(await http.send('GET', '/v1/health')).toMatchObject({ status: 200 });

    http.close();
    expect(await running.stop()).toBe(0);
    expect(await temporaryFiles(dir)).toEqual([]);
    const volumes = (await readdir(join(dir, 'volumes'))).sort();
    expect(volumes.length, 'volumes').toBeGreaterThan(2);
    const readCount = now.reduce((sum, { records }) => sum + records.length, 0);
    const seconds = (performance.now() - startedAt) / 1000;
    console.log(
      [
        `${killCount} kills in ${seconds.toFixed(0)} s (${[...moments].map(([at, n]) => `${n} by ${at}`).join(', ')}),`,
        `${leftBehindCount} of them left temporary files behind; ${load.sent.length} records sent, ${ackedCount} acked,`,
        `${readCount} read, ${volumes.length} volumes; start-up p50 of the first and the last ten:`,
        `${median(startMs.slice(0, 10)).toFixed(0)} and ${median(startMs.slice(-10)).toFixed(0)} ms`,
      ].join(' '),
    );
    expect(median(startMs.slice(-10))).toBeLessThan(3 * median(startMs.slice(0, 10)) + 300);
  } finally {
    await server?.kill();
    await rm(dir, { recursive: true, force: true });
  }
});

async function temporaryFiles(dir: string): Promise<string[]> {
  return (await readdir(dir, { recursive: true })).filter((name) => name.endsWith('.tmp'));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
