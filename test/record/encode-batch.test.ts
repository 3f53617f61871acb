import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkClientBatch } from '../../lib/record/check-batch.ts';
import { codecs } from '../../lib/record/compression.ts';
import { encodeBatch, recompressBatch, recordBytesBound } from '../../lib/record/encode-batch.ts';
import type { Record } from '../../lib/record/record.ts';
import {
  batchHeaderBytes,
  checkCrc,
  decodeRecords,
  readBatchHeader,
  splitBatches,
  stampBaseOffset,
  stampLogAppendTime,
} from '../../lib/record/record-batch.ts';
import { lowestTimestamp } from './golden.ts';

const bytes = fc.option(fc.uint8Array({ maxLength: 200 }));
const timestamp = fc.oneof(fc.integer({ min: -1, max: 2 ** 42 }), fc.maxSafeInteger());
const record: fc.Arbitrary<Record> = fc.record({
  key: bytes,
  value: bytes,
  headers: fc.array(fc.tuple(fc.string({ unit: 'grapheme', maxLength: 20 }), bytes), { maxLength: 4 }),
  timestamp,
});
const records = fc.array(record, { minLength: 1, maxLength: 12 });
const codec = fc.constantFrom(...codecs);
const producer = fc.option(
  fc.record({
    producerId: fc.maxSafeNat(),
    producerEpoch: fc.integer({ min: 0, max: 32767 }),
    baseSequence: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  }),
  { nil: undefined },
);

function withoutProducer<T>(given: T | undefined): { producer?: T } {
  return given === undefined ? {} : { producer: given };
}

describe('an encoded batch', () => {
  test('is what a producer may send, and holds the records and the producer it was given', () => {
    fc.assert(
      fc.property(records, codec, fc.maxSafeNat(), producer, (given, codecGiven, offset, producerGiven) => {
        const baseOffset = Math.min(offset, Number.MAX_SAFE_INTEGER - 100);
        const batch = encodeBatch({ records: given, codec: codecGiven, baseOffset, ...withoutProducer(producerGiven) });
        const times = given.map((one) => one.timestamp as number);
        const checked = checkClientBatch(batch);
        expect(checked.header.codec).toBe(codecGiven);
        expect(checked.recordCount).toBe(given.length);
        expect(checked.minTimestamp).toBe(lowestTimestamp(times));
        expect(checked.maxTimestamp).toBe(Math.max(...times));
        expect(checked.header.maxTimestamp).toBe(checked.maxTimestamp);
        expect(checked.producer).toEqual(producerGiven);
        expect([...decodeRecords(batch)]).toEqual(given.map((one, index) => ({ ...one, offset: baseOffset + index })));
      }),
      { numRuns: 1000 },
    );
  });

  test('keeps its checksum when base offset and leader epoch are stamped', () => {
    fc.assert(
      fc.property(records, codec, fc.maxSafeNat(), (given, codecGiven, offset) => {
        const batch = encodeBatch({ records: given, codec: codecGiven });
        const before = readBatchHeader(batch);
        stampBaseOffset(batch, offset);
        checkCrc(batch);
        expect(readBatchHeader(batch)).toEqual({ ...before, baseOffset: offset, leaderEpoch: 0 });
      }),
    );
  });

  test('gets a new checksum and one timestamp for all when the log stamps its append time', () => {
    fc.assert(
      fc.property(records, codec, fc.nat(2 ** 31), (given, codecGiven, appendTime) => {
        const batch = encodeBatch({ records: given, codec: codecGiven });
        stampLogAppendTime(batch, appendTime);
        checkCrc(batch);
        expect(readBatchHeader(batch)).toMatchObject({ timestampType: 'LogAppendTime', maxTimestamp: appendTime });
        expect([...decodeRecords(batch)]).toEqual(
          given.map((one, index) => ({ ...one, offset: index, timestamp: appendTime })),
        );
      }),
    );
  });

  test('keeps records and header under another codec', () => {
    fc.assert(
      fc.property(records, codec, codec, producer, (given, from, to, producerGiven) => {
        const batch = encodeBatch({ records: given, codec: from, baseOffset: 77, ...withoutProducer(producerGiven) });
        const again = recompressBatch(batch, to);
        expect(checkClientBatch(again).producer).toEqual(producerGiven);
        expect([...decodeRecords(again)]).toEqual([...decodeRecords(batch)]);
        expect(Buffer.compare(recompressBatch(again, 'none'), recompressBatch(batch, 'none'))).toBe(0);
        expect(again.buffer).not.toBe(batch.buffer);
      }),
    );
  });

  test('takes no more bytes than the bound says', () => {
    fc.assert(
      fc.property(records, (given) => {
        const bound = given.reduce((sum, one) => sum + recordBytesBound(one), batchHeaderBytes);
        expect(encodeBatch({ records: given }).length).toBeLessThanOrEqual(bound);
      }),
    );
  });

  test('is found again among others, also when the last is cut short', () => {
    fc.assert(
      fc.property(fc.array(records, { minLength: 1, maxLength: 4 }), fc.nat(), (given, cut) => {
        const batches = given.map((one) => encodeBatch({ records: one }));
        const last = batches[batches.length - 1] as Uint8Array;
        const partialBytes = cut % last.length;
        const whole = batches.slice(0, -1);
        const split = splitBatches(Buffer.concat([...whole, last.subarray(0, partialBytes)]));
        expect(split.partialBytes).toBe(partialBytes);
        expect(split.batches.map((one) => Buffer.from(one))).toEqual(whole.map((one) => Buffer.from(one)));
      }),
    );
  });
});

test('timestamps of 64 bits come back, years beyond what a number can count', () => {
  const given = [2n ** 62n, -1, 0, -(2n ** 63n), 2n ** 63n - 1n].map((one) => ({
    key: null,
    value: null,
    headers: [],
    timestamp: one,
  }));
  const batch = encodeBatch({ records: given });
  checkCrc(batch);
  expect([...decodeRecords(batch)].map((one) => one.timestamp)).toEqual(given.map((one) => one.timestamp));
  expect(readBatchHeader(batch).maxTimestamp).toBe(2n ** 63n - 1n);
});

test('a batch of two records is, byte for byte, what another client writes', () => {
  const utf8 = (text: string) => new TextEncoder().encode(text);
  const batch = encodeBatch({
    records: [
      { key: utf8('k'), value: utf8('v'), headers: [], timestamp: 1_700_000_000_000 },
      { key: utf8('k2'), value: utf8('v2'), headers: [], timestamp: 1_700_000_000_005 },
    ],
  });
  // The client wrote base sequence 0 where there is no producer; ours is -1, and so is the checksum another.
  const theirs =
    '000000000000000000000045ffffffff02ee1a9bbe0000000000010000018bcfe568000000018bcfe56805' +
    'ffffffffffffffffffff000000000000000210000000026b02760014000a02046b3204763200';
  batch.fill(0, 53, 57);
  Buffer.from(theirs, 'hex').copy(batch, 17, 17, 21);
  expect(Buffer.from(batch).toString('hex')).toBe(theirs);
  checkCrc(batch);
});

test('keys and values do not change when the buffers they came from do', () => {
  const key = new Uint8Array([1, 2, 3]);
  const batch = encodeBatch({ records: [{ key, value: key, headers: [], timestamp: 5 }] });
  key.fill(9);
  checkCrc(batch);
  expect([...decodeRecords(batch)][0]?.key).toEqual(new Uint8Array([1, 2, 3]));
});
