/** What is measured of the log. Each column is asked of both doors and makes a topic of its own. */

import { Millrace } from '../../lib/client/index.ts';
import { KiB, MiB } from '../../lib/limits.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import { jsonContentType } from '../../lib/wire.ts';
import { encodeRequest } from './connection.ts';
import { type Door, type HttpDoor, openHttpSender, type Sender } from './doors.ts';
import { type Measured, measure } from './measure.ts';

export const recordBytes = 1 * KiB;
export const manyCallers = 32;
export const batchesInFlight = 8;
export const partitionCount = 6;

/** A batch of records of `recordBytes` each, of values that do not compress to nothing. */
export function batchOf(recordCount: number): Uint8Array {
  const timestamp = Date.now();
  const value = Buffer.alloc(recordBytes);
  for (let at = 0; at < value.length; at++) value[at] = 32 + ((at * 7919) % 89);
  return encodeBatch({
    records: Array.from({ length: recordCount }, () => ({ key: null, value, headers: [], timestamp })),
  });
}

export const oneRecord = batchOf(1);
/** As many records of 1 KiB as fit a batch of 64 KiB. */
export const recordsPerBatch = 63;
export const fullBatch = batchOf(recordsPerBatch);

export interface Duration {
  readonly durationMs: number;
}

export async function oneInFlight(door: Door, { durationMs }: Duration, topic = 'one'): Promise<Measured> {
  return await produceLoop(door, topic, oneRecord, 1, durationMs);
}

export async function manyInFlight(door: Door, { durationMs }: Duration): Promise<Measured> {
  return await produceLoop(door, 'many', oneRecord, manyCallers, durationMs);
}

export async function batches(door: Door, { durationMs }: Duration): Promise<Measured> {
  return await produceLoop(door, 'batches', fullBatch, batchesInFlight, durationMs);
}

async function produceLoop(
  door: Door,
  topic: string,
  batch: Uint8Array,
  callerCount: number,
  durationMs: number,
): Promise<Measured> {
  await door.createTopic(topic, partitionCount);
  const sender = await door.openSender(topic, batch, callerCount, partitionCount);
  const measured = await measure({ callerCount, durationMs, warmUpMs: durationMs / 3 }, sender.send);
  sender.close();
  return measured;
}

export const jsonRecord = Buffer.from(JSON.stringify({ records: [{ value: 'millrace'.repeat(recordBytes / 8) }] }));

/** The door for people and small things: the server encodes the batches. */
export async function jsonRecords(door: HttpDoor, { durationMs }: Duration): Promise<Measured> {
  await door.createTopic('json', partitionCount);
  const request = encodeRequest('POST', '/v1/topics/json/records', { 'content-type': jsonContentType }, jsonRecord);
  const sender = await openHttpSender(door.url, [request], manyCallers);
  const measured = await measure({ callerCount: manyCallers, durationMs, warmUpMs: durationMs / 3 }, sender.send);
  sender.close();
  return measured;
}

/** Records that wait for their answers at once; the client makes batches of what waits. */
export const clientSends = 1_000;

/** The typed client: one `send` per record, acknowledged one by one. */
export async function clientRecords({ url }: HttpDoor, { durationMs }: Duration): Promise<Measured> {
  await using log = new Millrace({ endpoint: url });
  await log.admin.createTopic('client', { partitions: partitionCount });
  const producer = log.producer('client');
  const value = Buffer.alloc(recordBytes, 'millrace');
  let count = 0;
  const send = () => producer.send({ key: String(count++ % 1_000), value });
  return await measure({ callerCount: clientSends, durationMs, warmUpMs: durationMs / 3 }, send);
}

/** Reads one partition from its start, as often as the time allows. Bytes a second. */
export async function catchUp(door: Door, { durationMs, bytes }: Duration & { bytes: number }): Promise<number> {
  const topic = 'catch-up';
  await door.createTopic(topic, 1);
  const sender = await door.openSender(topic, fullBatch, batchesInFlight, 1);
  await sendBytes(sender, bytes);
  sender.close();

  const reader = await door.openReader(topic, 0);
  let offset = 0;
  let bytesRead = 0;
  const next = async () => {
    const { nextOffset, bytes } = await reader.fetch(offset);
    // The end: from the start again.
    offset = nextOffset === offset ? 0 : nextOffset;
    bytesRead += bytes;
  };
  await measure({ callerCount: 1, durationMs: 0, warmUpMs: durationMs / 3 }, next);
  bytesRead = 0;
  const startMs = performance.now();
  await measure({ callerCount: 1, durationMs, warmUpMs: 0 }, next);
  reader.close();
  return bytesRead / ((performance.now() - startMs) / 1000);
}

/** Writes `bytes` and reads them all back; calls `look` now and then. */
export async function writeAndReadAll(door: Door, bytes: number, look: () => void): Promise<void> {
  const topic = 'write-and-read';
  await door.createTopic(topic, 1);
  const sender = await door.openSender(topic, fullBatch, batchesInFlight, 1);
  for (let sent = 0; sent < bytes; sent += 64 * MiB) {
    await sendBytes(sender, Math.min(64 * MiB, bytes - sent));
    look();
  }
  sender.close();

  const reader = await door.openReader(topic, 0);
  let bytesRead = 0;
  for (let offset = 0; ; ) {
    const { nextOffset, bytes } = await reader.fetch(offset);
    if (nextOffset === offset) break;
    offset = nextOffset;
    bytesRead += bytes;
    look();
  }
  reader.close();
  if (bytesRead < bytes) throw new Error(`only ${bytesRead} of ${bytes} bytes were read back`);
}

async function sendBytes(sender: Sender, bytes: number): Promise<void> {
  let left = Math.ceil(bytes / fullBatch.length);
  const run = async (caller: number) => {
    while (left-- > 0) await sender.send(caller);
  };
  await Promise.all(Array.from({ length: batchesInFlight }, (_, caller) => run(caller)));
}
