/**
 * `npm run bench`: how fast the log is, beside what this machine can do in the same minutes.
 *
 * The log runs in a process of its own, the load in this one; then the same once more through the library, in process.
 * Every number stands beside the machine's own: durable writes of the same size, and a bare node:http server that echoes
 * the same bytes to the same client. Each column measures the machine right before the log, since disks have moods.
 */

import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MiB } from '../../lib/limits.ts';
import * as column from './columns.ts';
import { openDirectDoor, openHttpDoor } from './doors.ts';
import { openEcho } from './echo.ts';
import { measureWrites } from './machine-writes.ts';
import { medianOf } from './measure.ts';
import { type Row, toJson, toText } from './report.ts';

const usage = `Usage: npm run bench -- [options]

  --only NAME[,NAME]  one, many, batches, catch-up, json, client, memory (default: all)
  --quick             shorter loops, and a memory column of 256 MiB instead of 2 GiB
  --dir DIR           where the data goes meanwhile (default: ${tmpdir()})
  --json              the report as JSON on standard output

Examples:
  npm run bench -- --quick
  npm run bench -- --only one,batches --dir /var/tmp`;

const { values: options } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    dir: { type: 'string', default: tmpdir() },
    json: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(usage);
  process.exit(0);
}
const dir = mkdtempSync(join(options.dir, 'millrace-bench-'));
process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
const durationMs = options.quick ? 1_000 : 4_000;
const duration = { durationMs };
const writeMs = durationMs / 3;
/** A disk changes its mood within seconds, so what is compared by latency takes turns. */
const roundCount = 5;
const memoryBytes = (options.quick ? 256 : 2048) * MiB;
const catchUpBytes = (options.quick ? 32 : 128) * MiB;
const MB = 1_000_000;

const doors = async () => ({
  http: await openHttpDoor(dir),
  direct: await openDirectDoor(dir),
  echo: await openEcho(),
});
type Doors = Awaited<ReturnType<typeof doors>>;

const columns: Record<string, (doors: Doors) => Promise<Row[]>> = {
  async one({ http, direct, echo }) {
    const short = { durationMs: durationMs / roundCount };
    const measureRound = async (round: number) => ({
      ...measureWrites(dir, column.oneRecord.length, writeMs / roundCount),
      roundTrip: await echo.post(column.oneRecord, 1, short),
      overHttp: await column.oneInFlight(http, short, `one-${round}`),
      inProcess: await column.oneInFlight(direct, short, `one-${round}`),
    });
    const rounds: Awaited<ReturnType<typeof measureRound>>[] = [];
    for (let round = 0; round < roundCount; round++) rounds.push(await measureRound(round));
    const median = (name: keyof (typeof rounds)[number]) => medianOf(rounds.map((round) => round[name]));
    const writes = { inPlace: median('inPlace'), append: median('append'), newFile: median('newFile') };
    const [roundTrip, overHttp, inProcess] = [median('roundTrip'), median('overHttp'), median('inProcess')];
    const machine = (which: 'p50Ms' | 'p99Ms') => ({
      'write in place': writes.inPlace[which],
      append: writes.append[which],
      'new file': writes.newFile[which],
      'HTTP echo': roundTrip[which],
    });
    const target = (how: 'inPlace' | 'append', words: string) => ({
      target: `1 record in flight: p50, 3 writes (${words}) and a round trip`,
      measured: overHttp.p50Ms,
      limit: 3 * writes[how].p50Ms + roundTrip.p50Ms,
      unit: 'ms',
      kind: 'at most' as const,
    });
    return [
      {
        column: 'one',
        what: '1 record of 1 KiB in flight, p50',
        unit: 'ms',
        http: overHttp.p50Ms,
        direct: inProcess.p50Ms,
        machine: machine('p50Ms'),
        targets: [target('append', 'sequential'), target('inPlace', 'in place, to aim at')],
      },
      {
        column: 'one',
        what: '1 record of 1 KiB in flight, p99',
        unit: 'ms',
        http: overHttp.p99Ms,
        direct: inProcess.p99Ms,
        machine: machine('p99Ms'),
      },
      {
        column: 'one',
        what: '1 record of 1 KiB in flight',
        unit: '/s',
        http: overHttp.callsPerSecond,
        direct: inProcess.callsPerSecond,
        machine: { 'HTTP echo': roundTrip.callsPerSecond },
      },
    ];
  },

  async many({ http, direct, echo }) {
    const ceiling = await echo.post(column.oneRecord, column.manyCallers, duration);
    const single = await column.oneInFlight(http, { durationMs: durationMs / 2 }, 'single');
    const overHttp = await column.manyInFlight(http, duration);
    const inProcess = await column.manyInFlight(direct, duration);
    return [
      {
        column: 'many',
        what: `${column.manyCallers} callers, 1 record of 1 KiB each`,
        unit: '/s',
        http: overHttp.callsPerSecond,
        direct: inProcess.callsPerSecond,
        machine: { 'HTTP echo': ceiling.callsPerSecond },
        targets: [
          {
            target: `${column.manyCallers} callers: 5 times the rate of one`,
            measured: overHttp.callsPerSecond,
            limit: 5 * single.callsPerSecond,
            unit: '/s',
            kind: 'at least',
          },
        ],
      },
      {
        column: 'many',
        what: `${column.manyCallers} callers, p99`,
        unit: 'ms',
        http: overHttp.p99Ms,
        direct: inProcess.p99Ms,
        machine: { 'HTTP echo': ceiling.p99Ms },
      },
    ];
  },

  async batches({ http, direct, echo }) {
    const bytes = column.fullBatch.length / MB;
    const writes = measureWrites(dir, column.fullBatch.length, writeMs);
    const ceiling = await echo.post(column.fullBatch, column.batchesInFlight, duration);
    const overHttp = await column.batches(http, duration);
    const inProcess = await column.batches(direct, duration);
    const target = (how: 'inPlace' | 'append', words: string) => ({
      target: `64 KiB batches: half the rate of synced writes (${words})`,
      measured: overHttp.callsPerSecond * bytes,
      limit: 0.5 * writes[how].callsPerSecond * bytes,
      unit: 'MB/s',
      kind: 'at least' as const,
    });
    return [
      {
        column: 'batches',
        what: `64 KiB batches, ${column.batchesInFlight} in flight`,
        unit: 'MB/s',
        http: overHttp.callsPerSecond * bytes,
        direct: inProcess.callsPerSecond * bytes,
        machine: {
          'write in place': writes.inPlace.callsPerSecond * bytes,
          append: writes.append.callsPerSecond * bytes,
          'new file': writes.newFile.callsPerSecond * bytes,
          'HTTP echo': ceiling.callsPerSecond * bytes,
        },
        targets: [target('append', 'sequential'), target('inPlace', 'in place, to aim at')],
      },
    ];
  },

  async 'catch-up'({ http, direct, echo }) {
    const bytes = new Uint8Array(1 * MiB);
    const back = await echo.post(bytes, 1, duration);
    const echoed = back.callsPerSecond * bytes.length;
    const answered = await echo.get(bytes.length, duration);
    const overHttp = await column.catchUp(http, { ...duration, bytes: catchUpBytes });
    const inProcess = await column.catchUp(direct, { ...duration, bytes: catchUpBytes });
    const target = (how: string, rate: number) => ({
      target: `catch-up read: half the rate of the bare server (${how})`,
      measured: overHttp / MB,
      limit: (0.5 * rate) / MB,
      unit: 'MB/s',
      kind: 'at least' as const,
    });
    return [
      {
        column: 'catch-up',
        what: 'catch-up read, fetches of 1 MiB',
        unit: 'MB/s',
        http: overHttp / MB,
        direct: inProcess / MB,
        machine: { 'HTTP echo, there and back': echoed / MB, 'HTTP answer out of memory': answered / MB },
        targets: [target('echo', echoed), target('answer out of memory, to aim at', answered)],
      },
    ];
  },

  async json({ http, echo }) {
    const ceiling = await echo.post(column.jsonRecord, column.manyCallers, duration);
    const measured = await column.jsonRecords(http, duration);
    return [
      {
        column: 'json',
        what: `${column.manyCallers} callers, 1 record of 1 KiB each, as JSON`,
        unit: '/s',
        http: measured.callsPerSecond,
        machine: { 'HTTP echo': ceiling.callsPerSecond },
      },
    ];
  },

  async client({ http }) {
    const measured = await column.clientRecords(http, duration);
    return [
      {
        column: 'client',
        what: `producer.send of records of 1 KiB, ${column.clientSends} waiting at once`,
        unit: '/s',
        http: measured.callsPerSecond,
      },
      {
        column: 'client',
        what: 'producer.send, p50',
        unit: 'ms',
        http: measured.p50Ms,
      },
    ];
  },

  async memory() {
    // A fresh server: what the other columns left in memory does not count.
    const fresh = await openHttpDoor(join(dir, 'memory'));
    let rssBytesMax = 0;
    const look = () => {
      rssBytesMax = Math.max(rssBytesMax, fresh.rssBytesMax());
    };
    look();
    await column.writeAndReadAll(fresh, memoryBytes, look);
    look();
    await fresh.close();
    return [
      {
        column: 'memory',
        what: `memory of the server while ${memoryBytes / MiB} MiB are written and read`,
        unit: 'MB',
        http: rssBytesMax / MB,
        targets: [
          { target: 'memory of the server', measured: rssBytesMax / MB, limit: 250, unit: 'MB', kind: 'at most' },
        ],
      },
    ];
  },
};

const wanted = options.only?.split(',') ?? Object.keys(columns);
const unknown = wanted.filter((name) => columns[name] === undefined);
if (unknown.length > 0) {
  console.error(`bench: --only ${unknown.join(',')} is not one of ${Object.keys(columns).join(', ')}`);
  process.exit(2);
}

const startMs = performance.now();
const rows: Row[] = [];
const opened = await doors();
try {
  for (const name of wanted) {
    console.error(`measuring ${name} ...`);
    rows.push(...((await columns[name]?.(opened)) ?? []));
  }
} finally {
  await Promise.all([opened.http.close(), opened.direct.close(), opened.echo.close()]);
}
const report = {
  at: new Date().toISOString(),
  node: process.version,
  cpus: `${cpus().length} x ${cpus()[0]?.model.trim()}`,
  fileSystem: fileSystemOf(options.dir),
  elapsedMs: performance.now() - startMs,
  rows,
};
console.log(options.json ? toJson(report) : toText(report));

/** A file system in memory answers every sync at once, and then the numbers say nothing about durability. */
function fileSystemOf(folder: string): string {
  const tmpfs = 0x01021994;
  const { type } = statfsSync(folder);
  return type === tmpfs ? 'data IN MEMORY (tmpfs: give --dir)' : `file system 0x${type.toString(16)}`;
}
