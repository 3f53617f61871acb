import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ObjectId } from '../../lib/ids.ts';
import type { ProducerState } from '../../lib/store/items.ts';
import { addToSequence } from '../../lib/store/producer-state.ts';
import { decodeEntries, decodeState, encodeEntry, encodeState, type TailEntry } from '../../lib/store/tail-entries.ts';

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const safe = fc.maxSafeInteger();
const producerEpoch = fc.integer({ min: 0, max: 32_767 });
const sequence = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const objectId = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((id) => Buffer.from(id).toString('hex') as ObjectId);
const coordinates = fc.record({
  objectId,
  byteStart: uint32,
  byteLength: uint32,
  offsetCount: uint32,
  maxTimestamp: safe,
});
const batch = fc.record({
  producerId: fc.maxSafeNat(),
  producerEpoch,
  baseSequence: sequence,
  offsetDelta: uint32,
  recordCount: uint32,
  timestamp: safe,
});
const entry: fc.Arbitrary<TailEntry> = fc.oneof(
  fc.record({ coordinates, batches: fc.array(batch, { maxLength: 8 }) }),
  // One batch that fills its entry, as a function makes them.
  fc.tuple(coordinates, batch).map(([coordinates, batch]) => {
    const { offsetCount: recordCount, maxTimestamp: timestamp } = coordinates;
    return { coordinates, batches: [{ ...batch, offsetDelta: 0, recordCount, timestamp }] };
  }),
);

test('entries are read as they were written, alone and one after another', () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 5 }), (entries) => {
      const encoded = entries.map(encodeEntry);
      expect(encoded.flatMap(decodeEntries)).toEqual(entries);
      expect(decodeEntries(Buffer.concat(encoded))).toEqual(entries);
    }),
  );
});

test('a state is read as it was written, its sequences one after another', () => {
  const remembered = fc.record({ recordCount: uint32, baseOffset: fc.maxSafeNat(), timestamp: safe });
  const state = fc
    .record({
      producerId: fc.maxSafeNat(),
      producerEpoch,
      first: sequence,
      batches: fc.array(remembered, { maxLength: 5 }),
    })
    .map(({ first, batches, ...producer }): ProducerState => {
      let baseSequence = first;
      const own = batches.map((batch) => {
        const whole = { ...batch, baseSequence };
        baseSequence = addToSequence(baseSequence, batch.recordCount);
        return whole;
      });
      return { ...producer, batches: own };
    });
  fc.assert(
    fc.property(state, (given) => {
      expect(decodeState(given.producerId, encodeState(given))).toEqual(given);
    }),
  );
});

test('an entry of an everyday batch takes 25 bytes, with a producer 32', () => {
  const timestamp = Date.UTC(2026, 10, 23);
  const everyday = {
    objectId: `${(timestamp + 90).toString(16).padStart(12, '0')}7abc8def0123456789ab` as ObjectId,
    byteStart: 0,
    byteLength: 900_000,
    offsetCount: 1_000,
    maxTimestamp: timestamp,
  };
  expect(encodeEntry({ coordinates: everyday, batches: [] })).toHaveLength(25);
  const producer = { producerId: 5_000, producerEpoch: 0, baseSequence: 5_000_000 };
  const filled = { ...producer, offsetDelta: 0, recordCount: 1_000, timestamp };
  expect(encodeEntry({ coordinates: everyday, batches: [filled] })).toHaveLength(32);
});

test('bytes of a newer version are refused', () => {
  const encoded = Buffer.from(encodeEntry({ coordinates: fc.sample(coordinates, 1)[0] as never, batches: [] }));
  encoded[0] = 3;
  expect(() => decodeEntries(encoded)).toThrow('entry has flags 3, known are 0 to 2');
});
