import { copyFile, mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { createLog } from '../../lib/create-log.ts';
import { parseTopicName } from '../../lib/ids.ts';
import { MiB } from '../../lib/limits.ts';
import type { Log } from '../../lib/log.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import { decodeRecords } from '../../lib/record/record-batch.ts';
import type { WritePieces } from '../../lib/store/file-io.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { placeOf } from '../../lib/store/object-id.ts';
import { openFileObjectStore } from '../../lib/store/object-store-files.ts';
import { recordBytes } from '../../lib/store/volume.ts';
import { type Random, seededRandom } from '../support/random.ts';
import { checkHistory, type Outcome, type Reading, type SentRecord } from './checker.ts';
import { copyMetadata, copyObjects, metadataFile, tearMetadata, watchedWrite, writeFolder } from './power-loss.ts';
import { createValues, nameOf } from './values.ts';

const topic = parseTopicName('journal');
const partitionCount = 2;
const failureCount = 24;
const randomBytes = (bytes: Uint8Array) => crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);

const dirs: string[] = [];
async function newDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-torn-'));
  dirs.push(dir);
  return dir;
}
afterEach(async () => {
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true, force: true });
});

function openObjects(dir: string, write?: WritePieces) {
  return openFileObjectStore({
    dir,
    clock: systemClock,
    randomBytes,
    volumeBytesOf: () => 3 * MiB,
    ...(write && { write }),
  });
}

async function openLog(dir: string, write?: WritePieces): Promise<Log> {
  const objectStore = await openObjects(dir, write);
  const metadataStore = openSqliteMetadataStore(join(dir, metadataFile));
  return createLog({ objectStore, metadataStore, clock: systemClock, randomBytes });
}

let newValue: ReturnType<typeof createValues> | undefined;

interface Mutable extends SentRecord {
  outcome: Outcome;
}

interface Sender {
  readonly name: string;
  readonly partition: number;
  readonly producer: Awaited<ReturnType<Log['nextProducer']>>;
  sequence: number;
}

async function newSender(log: Log, name: string, partition: number): Promise<Sender> {
  return { name, partition, producer: await log.nextProducer(), sequence: 0 };
}

/** Sends one batch after another until aborted; every record is written down in `sent`. */
async function send(log: Log, sender: Sender, sent: Mutable[], random: Random, signal: AbortSignal): Promise<void> {
  const { name, partition, producer } = sender;
  newValue ??= createValues(random);
  while (!signal.aborted) {
    const make = newValue;
    const baseSequence = sender.sequence;
    const byteLength = random.pick([10, 500, 5000, 60_000, random.integer(0, 20) === 0 ? 1.2 * MiB : 100]);
    const made = Array.from({ length: byteLength > MiB ? 1 : random.integer(1, 5) }, () => {
      const value = make(`${name}/${sender.sequence}`, byteLength);
      const record: Mutable = {
        value: value.name,
        partition,
        sender: name,
        sequence: sender.sequence++,
        isIdempotent: true,
        outcome: { kind: 'unknown' },
      };
      sent.push(record);
      return { record, bytes: value.bytes };
    });
    const records = made.map(({ bytes }) => ({ key: null, value: bytes, headers: [], timestamp: Date.now() }));
    const batch = encodeBatch({ records, producer: { ...producer, baseSequence } });
    const [result] = await log.produce({ topic, batches: [{ partition, batch }] });
    if (result === undefined || 'error' in result) throw result?.error ?? new Error('no result');
    made.forEach(({ record }, index) => {
      record.outcome = { kind: 'acked', offset: result.baseOffset + index };
    });
  }
}

async function read(log: Log, partition: number): Promise<Reading> {
  const records: Reading['records'][number][] = [];
  for (let offset = 0; ; ) {
    const limits = { maxBytes: 4 * MiB, minBytes: 1, maxWaitMs: 0 };
    const [result] = await log.fetch({ topic, partitions: [{ partition, offset }], ...limits });
    if (result === undefined || 'error' in result) throw result?.error ?? new Error('no result');
    for (const record of result.batches.flatMap((batch) => [...decodeRecords(batch)])) {
      records.push({ offset: Number(record.offset), value: nameOf(record.value ?? new Uint8Array(0)) });
    }
    const { nextOffset, highWatermark } = result;
    if (nextOffset >= highWatermark) return { partition, fromOffset: 0, highWatermark, records };
    offset = nextOffset;
  }
}

const readAll = (log: Log) => Promise.all(Array.from({ length: partitionCount }, (_, each) => read(log, each)));

test('a power failure at any moment loses nothing that was acknowledged before it', { timeout: 60_000 }, async () => {
  const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
  console.log(`power failure test: MILLRACE_SEED=${seed}`);
  const random = seededRandom(seed);
  const dir = await newDir();
  const { write, underWay } = watchedWrite();
  const log = await openLog(dir, write);
  await log.topics.create({ topic, partitionCount, config: { 'max.message.bytes': String(4 * MiB) } });
  const sent: Mutable[] = [];
  const senders = await Promise.all(
    [0, 1, 2, 3].map((each) => newSender(log, `sender-${each}`, each % partitionCount)),
  );
  let tornCount = 0;
  let unackedSeenCount = 0;

  for (let failure = 1; failure <= failureCount; failure += 1) {
    const ending = new AbortController();
    const sending = Promise.all(senders.map((sender) => send(log, sender, sent, random, ending.signal)));
    await new Promise((resolve) => setTimeout(resolve, random.integer(2, 40)));
    const metadata = copyMetadata(dir);
    const known = sent.map((record): SentRecord => ({ ...record }));
    await new Promise((resolve) => setTimeout(resolve, random.integer(0, 3)));
    if (underWay.size > 0) tornCount += 1;
    const torn = tearMetadata(metadata, copyMetadata(dir), random);
    const objects = copyObjects(dir, underWay, random);
    // Those sent since may be in the WAL's torn end; what became of them is not known at the time of the failure.
    const since = sent.slice(known.length).map((record): SentRecord => ({ ...record, outcome: { kind: 'unknown' } }));

    ending.abort();
    await sending;

    const copy = await newDir();
    await writeFolder(copy, torn, objects);
    const recovered = await openLog(copy);
    const now = await readAll(recovered);
    const all = [...known, ...since];
    expect(checkHistory({ sent: all, before: [], now }).slice(0, 10), `failure ${failure}, seed ${seed}`).toEqual([]);
    const readCount = now.reduce((sum, { records }) => sum + records.length, 0);
    unackedSeenCount += readCount - known.filter(({ outcome }) => outcome.kind === 'acked').length;
    expect((await readdir(join(copy, 'objects/tmp'))).filter((name) => name !== 'spare.vol.tmp')).toEqual([]);

    // And the log goes on behind the torn end, through another start.
    const more: Mutable[] = [];
    const sender = await newSender(recovered, `after-${failure}`, failure % partitionCount);
    await send(recovered, sender, more, random, AbortSignal.timeout(5));
    await recovered.close();
    const again = await openLog(copy);
    const history = { sent: [...all, ...more], before: now, now: await readAll(again) };
    expect(checkHistory(history).slice(0, 10), `behind failure ${failure}, seed ${seed}`).toEqual([]);
    await again.close();
    await rm(copy, { recursive: true, force: true });
  }

  await log.close();
  console.log(
    `${failureCount} power failures, ${tornCount} in the middle of a write; ${sent.length} records, ` +
      `${unackedSeenCount} times one was read that had not been acknowledged yet`,
  );
  expect(tornCount).toBeGreaterThan(0);
});

// A killed process leaves a whole group in the page cache, which the next start takes for durable. When the power fails
// later, that group may be gone while groups behind it, written and synced since, are there.
test('a hole where unacknowledged objects were does not hide the acknowledged ones behind it', async () => {
  const dir = await newDir();
  const first = await openObjects(dir);
  const before = await first.put([Buffer.from('before the hole')]);
  const lost = await first.put([Buffer.alloc(5000, 1)]);
  const behind = await first.put([Buffer.from('behind the hole')]);
  await first.close();
  const place = placeOf(lost);
  const file = await open(join(dir, 'volumes/0000000001.vol'), 'r+');
  await file.write(Buffer.alloc(recordBytes(5000)), 0, recordBytes(5000), place?.byteStart ?? 0);
  await file.close();

  const second = await openObjects(dir);
  const next = await second.put([Buffer.from('after the failure')]);
  expect(placeOf(next)?.volumeNumber).toBe(2);
  await second.close();
  const third = await openObjects(dir);
  for (const [objectId, text] of [
    [before, 'before the hole'],
    [behind, 'behind the hole'],
    [next, 'after the failure'],
  ] as const) {
    expect(Buffer.from(await third.read(objectId, 0, text.length)).toString()).toBe(text);
  }
  await expect(third.read(lost, 0, 5000)).rejects.toMatchObject({ code: 'KAFKA_STORAGE_ERROR', retriable: false });
  await third.close();
});

// A killed process may leave commits in the WAL that were written but not yet synced. The next process reads them, shows
// them to readers and answers resends from them, so they have to be on disk before it does.
test('what a start finds in the WAL is made durable before anything is answered from it', async () => {
  const dir = await newDir();
  const killed = await openLog(dir);
  await killed.topics.create({ topic, partitionCount });
  const copy = await newDir();
  const metadata = copyMetadata(dir);
  expect(metadata.get(`${metadataFile}-wal`)?.length).toBeGreaterThan(0);
  await writeFolder(copy, metadata);
  await killed.close();

  const opened = openSqliteMetadataStore(join(copy, metadataFile));
  expect(await opened.getTopic(topic)).toMatchObject({ partitionCount });
  // Only a checkpoint, which syncs WAL and database, brings it into the database's own file.
  const withoutWal = join(await newDir(), metadataFile);
  await copyFile(join(copy, metadataFile), withoutWal);
  const found = openSqliteMetadataStore(withoutWal);
  expect(await found.getTopic(topic)).toMatchObject({ partitionCount });
  await found.close();
  await opened.close();
});
