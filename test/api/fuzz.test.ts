import { describe, expect, it } from 'vitest';
import { crc32c } from '../../lib/record/crc32c.ts';
import { fieldAt } from '../../lib/record/record-batch.ts';
import { batchesContentType, encodeFrames } from '../../lib/wire.ts';
import { readGolden } from '../record/golden.ts';
import { openApp } from './harness.ts';

const requestCount = 40_000;
const seeds = ['ok', 'ok-gzip'].map((name) => readGolden(`bad/${name}.bin`));
const more = ['java-snappy', 'java-lz4', 'java-zstd', 'java-headers', 'java-nulls'].map((name) =>
  firstBatch(readGolden(`${name}.bin`)),
);

function firstBatch(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, 12 + new DataView(bytes.buffer, bytes.byteOffset).getInt32(8));
}

/** Mulberry32: small, fast, and the same on every machine. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

type Random = ReturnType<typeof randomFrom>;

/** A batch with some bytes changed, cut or repeated; half of the time with its checksum right again, to get further in. */
function mutatedBatch(random: Random): Uint8Array {
  const all = [...seeds, ...more];
  let batch = new Uint8Array(all[random(all.length)] ?? []);
  for (let times = 1 + random(4); times > 0; times -= 1) {
    const at = random(batch.length);
    const kind = random(6);
    if (kind === 0) batch = batch.slice(0, at + 1);
    else if (kind === 1) batch = new Uint8Array(Buffer.concat([batch, batch.subarray(at, at + random(40))]));
    else if (kind === 2) batch[at] = (batch[at] ?? 0) ^ (1 << random(8));
    else if (kind === 3) batch.fill(random(2) * 255, at, at + 1 + random(8));
    else batch[at] = random(256);
  }
  if (random(2) === 0 && batch.length > 61) {
    const view = new DataView(batch.buffer);
    if (random(4) > 0) view.setInt32(fieldAt.batchLength, batch.length - 12);
    view.setUint32(fieldAt.crc, crc32c(batch, fieldAt.attributes));
  }
  return batch;
}

function body(random: Random): Uint8Array<ArrayBuffer> {
  if (random(20) === 0) return Uint8Array.from({ length: random(200) }, () => random(256));
  const frames = Array.from({ length: 1 + random(2) }, () => ({ partition: random(3), batch: mutatedBatch(random) }));
  const bytes = new Uint8Array(Buffer.concat(encodeFrames(frames)));
  if (random(20) === 0) bytes[random(bytes.length)] = random(256);
  return random(20) === 0 ? bytes.slice(0, random(bytes.length)) : bytes;
}

describe('the door for record batches', () => {
  it(`answers ${requestCount} mutated requests with results or problems, and never with a 5xx`, {
    timeout: 240_000,
  }, async () => {
    await using door = openApp();
    await door.call('POST', '/v1/topics', { topic: 'orders', partitions: 2 });
    const random = randomFrom(20_261_123);
    const counts = new Map<string, number>();
    const headers = { 'content-type': batchesContentType };
    for (let index = 0; index < requestCount; index += 1) {
      const sent = body(random);
      const response = await door.fetch('/v1/topics/orders/batches', { method: 'POST', body: sent, headers });
      const { status } = response;
      const json = (await response.json()) as { code?: string; effect?: string };
      counts.set(json.code ?? String(status), 1 + (counts.get(json.code ?? String(status)) ?? 0));
      if (status === 200 || status === 207) continue;
      if (status < 400 || status >= 500 || json.code === undefined || json.effect !== 'none') {
        expect.fail(
          `request ${index} (${Buffer.from(sent).toString('hex')}) was answered with ${status} ${JSON.stringify(json)}`,
        );
      }
    }
    expect(door.errors).toEqual([]);
    // Mutations that never get past the first check would prove little.
    for (const code of ['CORRUPT_MESSAGE', 'INVALID_RECORD', 'UNSUPPORTED_VERSION', 'INVALID_REQUEST', '200', '207']) {
      expect(counts.get(code), code).toBeGreaterThan(50);
    }
    // What was let in can be read by everyone.
    for (const partition of [0, 1]) {
      const highWatermark = await door.highWatermark('orders', partition);
      let offset = 0;
      while (offset < highWatermark) {
        const { status, json } = await door.call(
          'GET',
          `/v1/topics/orders/partitions/${partition}/records?offset=${offset}`,
        );
        expect(status).toBe(200);
        expect(json.nextOffset).toBeGreaterThan(offset);
        offset = json.nextOffset;
      }
    }
  });
});
