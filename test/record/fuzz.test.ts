/**
 * Damaged bytes of every kind, seeded: whatever comes in, `LogError` or a sound batch comes out. One case is a batch
 * with some bytes changed, moved, cut or added; every other one gets a right checksum (and length) again, so that the
 * damage reaches the decoders.
 */

import { describe, expect, test } from 'vitest';
import { isLogError } from '../../lib/errors.ts';
import { KiB, MiB } from '../../lib/limits.ts';
import { checkClientBatch } from '../../lib/record/check-batch.ts';
import { codecs, decompress } from '../../lib/record/compression.ts';
import { crc32c } from '../../lib/record/crc32c.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import { checkCrc, decodeRecords, readControlRecord, splitBatches } from '../../lib/record/record-batch.ts';
import { badFiles, goldenFiles, lowestTimestamp, readGolden } from './golden.ts';

const seed = Number(process.env.FUZZ_SEED ?? 20_260_101);

/** Mulberry32: 32 bits of state, the same numbers everywhere. */
function randomFrom(start: number): (below: number) => number {
  let state = start;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** The values that break things most. */
const nasty = [0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x40, 0xc0];

function mutate(original: Uint8Array, random: (below: number) => number): Uint8Array {
  let bytes = Buffer.from(original);
  for (let count = 1 + random(3); count > 0 && bytes.length > 0; count -= 1) {
    const at = random(bytes.length);
    switch (random(6)) {
      case 0:
        bytes[at] = (bytes[at] as number) ^ (1 << random(8));
        break;
      case 1:
        bytes[at] = nasty[random(nasty.length)] as number;
        break;
      case 2:
        bytes[at] = random(256);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.of(random(256)), bytes.subarray(at)]);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + random(4)))]);
        break;
      default:
        bytes.copyWithin(at, random(bytes.length), Math.min(bytes.length, at + random(16)));
    }
  }
  return bytes;
}

function repair(bytes: Uint8Array): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  buffer.writeInt32BE(buffer.length - 12, 8);
  buffer.writeUInt8(2, 16);
  buffer.writeUInt32BE(crc32c(buffer, 21), 17);
}

/** The result, or undefined for a `LogError`; anything else fails the test, with the bytes to repeat it. */
function sound<T>(bytes: Uint8Array, act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (isLogError(error)) return undefined;
    throw new Error(`seed ${seed}: ${Buffer.from(bytes).toString('hex').slice(0, 4000)}`, { cause: error });
  }
}

function tryAll(bytes: Uint8Array): 'accepted' | 'refused' {
  const checked = sound(bytes, () => checkClientBatch(bytes));
  sound(bytes, () => splitBatches(bytes).batches.forEach(checkCrc));
  sound(bytes, () => readControlRecord(bytes));
  const records = sound(bytes, () => [...decodeRecords(bytes, { budget: { bytesLeft: MiB } })]);
  if (checked === undefined) return 'refused';
  // What was let in can be read by everyone, and is what the check said.
  expect(records?.length).toBe(checked.recordCount);
  const timestamps = (records ?? []).map(({ timestamp }) => timestamp as number);
  expect([lowestTimestamp(timestamps), Math.max(...timestamps)]).toEqual([checked.minTimestamp, checked.maxTimestamp]);
  return 'accepted';
}

const encoded = codecs.map((codec) =>
  encodeBatch({
    codec,
    producer: { producerId: 7, producerEpoch: 1, baseSequence: 3 },
    records: Array.from({ length: 5 }, (_, index) => ({
      key: index === 2 ? null : Buffer.from(`key-${index}`),
      value: index === 3 ? null : Buffer.from('flour and water '.repeat(index * 3)),
      headers: index === 1 ? [['trace', Buffer.from('abc')] as const, ['größe', null] as const] : [],
      timestamp: 1_760_000_000_000 + index * 1000,
    })),
  }),
);

describe('nothing but a LogError comes out', () => {
  test.each([...codecs.entries()])('of 12,000 damaged batches (codec %i, %s)', (index) => {
    const random = randomFrom(seed + index);
    let accepted = 0;
    for (let round = 0; round < 12_000; round += 1) {
      const bytes = mutate(encoded[index] as Uint8Array, random);
      if (round % 2 === 0 && bytes.length > 21) repair(bytes);
      if (tryAll(bytes) === 'accepted') accepted += 1;
    }
    expect(accepted).toBeGreaterThan(10);
    expect(accepted).toBeLessThan(6_000);
  });

  test('of 4,000 damaged batches of other clients and of compacted logs', () => {
    const random = randomFrom(seed + 10);
    const small = goldenFiles
      .flatMap(({ file }) => splitBatches(readGolden(file)).batches)
      .concat(badFiles.map(({ file }) => readGolden(`bad/${file}`)))
      .filter((batch) => batch.length > 0 && batch.length < 2 * KiB);
    for (let round = 0; round < 4_000; round += 1) {
      const bytes = mutate(small[random(small.length)] as Uint8Array, random);
      if (round % 2 === 0 && bytes.length > 21) repair(bytes);
      tryAll(bytes);
    }
  });

  test('of 6,000 times random bytes behind a right header', () => {
    const random = randomFrom(seed + 20);
    for (let round = 0; round < 6_000; round += 1) {
      const bytes = Buffer.alloc(random(160));
      for (let at = 0; at < bytes.length; at += 1) bytes[at] = random(256);
      if (round % 3 !== 0 && bytes.length > 61) {
        bytes.set((encoded[random(codecs.length)] as Uint8Array).subarray(0, 61));
        repair(bytes);
      }
      tryAll(bytes);
    }
  });

  test('of 20,000 damaged blocks, and never more than is allowed', () => {
    const random = randomFrom(seed + 30);
    const source = Buffer.from('the river, the mill, the race; '.repeat(40));
    for (const [index, codec] of codecs.entries()) {
      if (codec === 'none') continue;
      const block = encodeBatch({ codec, records: [{ key: null, value: source, headers: [], timestamp: 0 }] }).subarray(
        61,
      );
      for (let round = 0; round < 5_000; round += 1) {
        const bytes = mutate(block, random);
        const out = sound(bytes, () => decompress(codec, bytes, 4 * KiB));
        if (out !== undefined) expect(out.length, `${index}`).toBeLessThanOrEqual(4 * KiB);
      }
    }
  });
});
