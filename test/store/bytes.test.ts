import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ObjectId, TopicId } from '../../lib/ids.ts';
import { decodeCoordinates, encodeCoordinates, joinCoordinates } from '../../lib/store/coordinates.ts';
import { decodeFooter, encodeFooter } from '../../lib/store/object-layout.ts';
import { decodeProducers, encodeProducers } from '../../lib/store/producer-bytes.ts';

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const timestamp = fc.maxSafeInteger();
const place = { byteStart: uint32, byteLength: uint32, offsetCount: uint32, maxTimestamp: timestamp };
const objectId = fc.uuid().map((uuid) => uuid.replaceAll('-', '') as ObjectId);
const coordinates = fc.array(fc.record({ objectId, ...place }), { maxLength: 20 });
const batch = fc.record({ baseSequence: fc.nat(), recordCount: fc.nat(), baseOffset: fc.maxSafeNat(), timestamp });
const producers = fc.array(
  fc.record({
    producerId: fc.maxSafeNat(),
    producerEpoch: fc.nat(32767),
    batches: fc.array(batch, { minLength: 1, maxLength: 5 }),
  }),
  { maxLength: 20 },
);
const footer = fc.array(
  fc.record({ topicId: fc.uuid().map((uuid) => uuid as string as TopicId), partition: uint32, ...place }),
  { maxLength: 20 },
);

describe('bytes of the store', () => {
  test('coordinates come back as they were', () => {
    fc.assert(
      fc.property(coordinates, (given) => {
        expect(decodeCoordinates(encodeCoordinates(given))).toEqual(given);
      }),
    );
  });

  test('producer states come back as they were', () => {
    fc.assert(
      fc.property(producers, (given) => {
        expect(decodeProducers(encodeProducers(given))).toEqual(given);
      }),
    );
  });

  test('a footer comes back as it was, whatever lies before it', () => {
    fc.assert(
      fc.property(footer, fc.uint8Array({ maxLength: 100 }), (given, before) => {
        expect(decodeFooter(Buffer.concat([before, encodeFooter(given)]))).toEqual(given);
      }),
    );
  });

  test('coordinates of a newer version or cut short, and objects without a footer, are not taken for ours', () => {
    const one = { objectId: '0'.repeat(32) as ObjectId, byteStart: 0, byteLength: 1, offsetCount: 1, maxTimestamp: 1 };
    const encoded = encodeCoordinates([one]);
    expect(() => decodeCoordinates(encoded.subarray(1))).toThrow(/37 bytes each, not 36/);
    encoded[0] = 1;
    expect(() => decodeCoordinates(encoded)).toThrow(/newer version/);
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(7), Buffer.alloc(100), encodeFooter([]).fill(1, 0, 4)]) {
      expect(() => decodeFooter(bytes)).toThrow(/has no footer/);
    }
  });

  // Batches that compress well can hold very many records: joined, their count outgrew its four bytes.
  test('entries are not joined beyond the records that an entry can count', () => {
    const half = { objectId: '0'.repeat(32) as ObjectId, byteStart: 0, byteLength: 1, maxTimestamp: 1 };
    const first = { ...half, offsetCount: 2 ** 31 };
    expect(joinCoordinates(first, { ...first, byteStart: 1 }, 100)).toBeUndefined();
    expect(joinCoordinates(first, { ...first, byteStart: 1, offsetCount: 5 }, 100)?.offsetCount).toBe(2 ** 31 + 5);
  });
});
