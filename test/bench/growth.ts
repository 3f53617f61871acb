/**
 * Does an append, or a fetch at the tail, cost more after a million batches than after a thousand?
 *
 * Two logs on disk side by side, one with 1,000 batches and one with 1,000,000; the same rounds on both in turn, so that a
 * noisy machine hits both. Exit code 1 when a median ratio is above 1.2. Run: `node test/bench/growth.ts [--batches N]`.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseTopicName } from '../../lib/ids.ts';
import type { Log } from '../../lib/log.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import { openEmbeddedLog } from '../../lib/server/embedded.ts';

const { values: options } = parseArgs({
  options: { batches: { type: 'string', default: '1000000' }, json: { type: 'boolean' } },
});
const largeCount = Number(options.batches);
const smallCount = 1_000;
const roundCount = 60;
const perRound = 51;
/** Batches are appended by so many callers at once while a log is filled. */
const fillers = 256;
const ratioMax = 1.2;
const topic = parseTopicName('growth');

function batch(): Uint8Array {
  return encodeBatch({ records: [{ key: null, value: new Uint8Array(100), headers: [], timestamp: Date.now() }] });
}

async function append(log: Log): Promise<void> {
  const [result] = await log.produce({ topic, batches: [{ partition: 0, batch: batch() }] });
  if (result === undefined || 'error' in result) throw result?.error ?? new Error('no result');
}

async function fill(log: Log, count: number): Promise<void> {
  let left = count;
  const startMs = performance.now();
  const work = async () => {
    while (left-- > 0) {
      await append(log);
      if (left % 100_000 === 0 && left > 0) {
        const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
        process.stderr.write(
          `filled ${(count - left).toLocaleString('en')} of ${count.toLocaleString('en')} in ${seconds} s\n`,
        );
      }
    }
  };
  await Promise.all(Array.from({ length: fillers }, work));
}

/** Milliseconds of one append, and of one fetch of the last record, each the mean of a round. */
async function round(log: Log): Promise<{ append: number; fetch: number }> {
  const appendStart = performance.now();
  for (let index = 0; index < perRound; index++) await append(log);
  const appendMs = (performance.now() - appendStart) / perRound;
  const { partitions } = await log.topics.describe(topic);
  const offset = (partitions[0]?.highWatermark ?? 1) - 1;
  const fetchStart = performance.now();
  for (let index = 0; index < perRound; index++) {
    await log.fetch({ topic, partitions: [{ partition: 0, offset }], maxBytes: 65_536, minBytes: 0, maxWaitMs: 0 });
  }
  return { append: appendMs, fetch: (performance.now() - fetchStart) / perRound };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

async function openLog(dir: string): Promise<Log> {
  const log = await openEmbeddedLog({ dir });
  await log.topics.create({ topic });
  return log;
}

const folder = mkdtempSync(join(tmpdir(), 'millrace-growth-'));
try {
  const small = await openLog(join(folder, 'small'));
  const large = await openLog(join(folder, 'large'));
  await fill(small, smallCount);
  await fill(large, largeCount);
  const rounds: { small: { append: number; fetch: number }; large: { append: number; fetch: number } }[] = [];
  for (let index = 0; index < roundCount; index++) {
    // Who goes first changes, so that neither always finds the other's caches.
    if (index % 2 === 0) rounds.push({ small: await round(small), large: await round(large) });
    else {
      const largeRound = await round(large);
      rounds.push({ small: await round(small), large: largeRound });
    }
  }
  await small.close();
  await large.close();
  const report = (['append', 'fetch'] as const).map((what) => {
    const [smallMs, largeMs] = [
      median(rounds.map((one) => one.small[what])),
      median(rounds.map((one) => one.large[what])),
    ];
    return { what, smallMs, largeMs, ratio: median(rounds.map((one) => one.large[what] / one.small[what])) };
  });
  if (options.json) process.stdout.write(`${JSON.stringify({ smallCount, largeCount, ratioMax, report })}\n`);
  else {
    console.log(
      `median ms of one call, after ${smallCount.toLocaleString('en')} and after ${largeCount.toLocaleString('en')} batches`,
    );
    for (const { what, smallMs, largeMs, ratio } of report) {
      console.log(
        `${what.padEnd(8)} ${smallMs.toFixed(3)}  ${largeMs.toFixed(3)}  ratio ${ratio.toFixed(2)} (at most ${ratioMax})`,
      );
    }
  }
  if (report.some(({ ratio }) => !(ratio <= ratioMax))) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
