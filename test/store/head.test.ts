import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ObjectId, TopicId } from '../../lib/ids.ts';
import { headProducersMax, tailEntriesMax } from '../../lib/limits.ts';
import { appendToHead, isRollDue, rollHead } from '../../lib/store/head.ts';
import type { Head, Page, ProducerState } from '../../lib/store/items.ts';
import type { NewBatch } from '../../lib/store/metadata-store.ts';

const emptyHead: Head = {
  topicId: '' as TopicId,
  partition: 0,
  logStartOffset: 0,
  logEndOffset: 0,
  tailBase: 0,
  tail: [],
  rolledMaxTimestamp: undefined,
  logBytes: 0,
  producers: [],
  movedProducerIdMax: undefined,
};

/** Sent by a producer in small numbers, so that duplicates, gaps and newer epochs come up often. */
const sent = fc.record({
  producerId: fc.nat(40),
  producerEpoch: fc.nat(1),
  step: fc.constantFrom('next', 'next', 'next', 'again', 'gap', 'none'),
  recordCount: fc.integer({ min: 1, max: 3 }),
  timestamp: fc.nat(1000),
});
const steps = fc.array(
  fc.oneof({ weight: 5, arbitrary: fc.array(sent, { minLength: 1, maxLength: 8 }) }, fc.constant('roll' as const)),
  { maxLength: 60 },
);

interface Kept {
  producerEpoch: number;
  batches: { baseSequence: number; recordCount: number; baseOffset: number; timestamp: number }[];
}

test('appends and rolls do what a model does that keeps every batch and every producer', () => {
  fc.assert(
    fc.property(steps, (given) => {
      let head = emptyHead;
      const moved = new Map<number, ProducerState>();
      const pages: Page[] = [];
      // The model: all batches by offset, all producers for ever.
      const log: { offset: number; recordCount: number; timestamp: number }[] = [];
      const known = new Map<number, Kept>();
      let end = 0;
      let objects = 0;
      for (const step of given) {
        if (step === 'roll') {
          if (head.tail.length === 0) continue;
          const rolled = rollHead(head, head);
          head = rolled.head;
          pages.push(rolled.page);
          for (const state of rolled.movedProducers) moved.set(state.producerId, state);
          expect(head.producers.length).toBeLessThanOrEqual(headProducersMax);
          continue;
        }
        objects += 1;
        const objectId = String(objects).padStart(32, '0') as ObjectId;
        const expected: unknown[] = [];
        const batches = step.map((one, index): NewBatch => {
          const { producerId, producerEpoch, recordCount, timestamp } = one;
          const kept = known.get(producerId);
          const isOwn = kept?.producerEpoch === producerEpoch;
          const last = isOwn ? kept?.batches.at(-1) : undefined;
          const next = last === undefined ? 0 : last.baseSequence + last.recordCount;
          const isAgain = one.step === 'again' && last !== undefined;
          const baseSequence = isAgain ? last.baseSequence : one.step === 'gap' ? next + 7 : next;
          const count = isAgain ? last.recordCount : recordCount;
          const producer = one.step === 'none' ? undefined : { producerId, producerEpoch, baseSequence };
          if (producer !== undefined && kept !== undefined && producerEpoch < kept.producerEpoch) {
            expected.push('INVALID_PRODUCER_EPOCH');
          } else if (producer !== undefined && isAgain) {
            expected.push({ outcome: 'duplicate', baseOffset: last.baseOffset, timestamp: last.timestamp });
          } else if (producer !== undefined && baseSequence !== next) {
            expected.push('OUT_OF_ORDER_SEQUENCE_NUMBER');
          } else {
            expected.push({ outcome: 'committed', baseOffset: end, timestamp });
            if (producer !== undefined) {
              const batch = { baseSequence, recordCount: count, baseOffset: end, timestamp };
              known.set(producerId, {
                producerEpoch,
                batches: [...(isOwn ? (kept?.batches ?? []) : []), batch].slice(-5),
              });
            }
            log.push({ offset: end, recordCount: count, timestamp });
            end += count;
          }
          const coordinates = {
            objectId,
            byteStart: index * 10,
            byteLength: 10,
            offsetCount: count,
            maxTimestamp: timestamp,
          };
          return { coordinates, recordCount: count, timestamp, producer };
        });
        const before = JSON.stringify(head);
        const appended = appendToHead(head, batches, (producerId) => moved.get(producerId));
        expect(JSON.stringify(head)).toBe(before);
        expect(appended.outcomes.map((one) => (one.outcome === 'refused' ? one.error.code : one))).toEqual(expected);
        if (appended.outcomes.some(({ outcome }) => outcome === 'committed')) {
          head = appended.head;
          for (const producerId of appended.takenBack) moved.delete(producerId);
        }
      }
      expect(head.logEndOffset).toBe(end);
      expect(head.logBytes).toBe(log.length * 10);
      const entries = [...pages.flatMap((page) => page.entries), ...head.tail];
      expect(entries.reduce((sum, entry) => sum + entry.offsetCount, 0)).toBe(end);
      let highest = Number.NEGATIVE_INFINITY;
      let next = 0;
      for (const page of pages) {
        expect(page.baseOffset).toBe(next);
        const within = log.filter(({ offset }) => offset <= page.lastOffset);
        highest = Math.max(...within.map(({ timestamp }) => timestamp));
        expect(page.maxTimestampSoFar).toBe(highest);
        next = page.lastOffset + 1;
      }
      expect(head.tailBase).toBe(next);
      const states = new Map([...moved, ...head.producers.map((state) => [state.producerId, state] as const)]);
      expect(new Map([...states].map(([id, { producerEpoch, batches }]) => [id, { producerEpoch, batches }]))).toEqual(
        known,
      );
    }),
    { numRuns: 300 },
  );
});

test('of the appends that grow a tail, one for each mark makes a roll due, however many entries each adds', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 40 }), (counts) => {
      let head = emptyHead;
      let dueCount = 0;
      for (const [append, count] of counts.entries()) {
        const appendedFrom = head.logEndOffset;
        const batches = Array.from({ length: count }, (_, index): NewBatch => {
          const objectId = String(append * 10 + index).padStart(32, '0') as ObjectId;
          const coordinates = { objectId, byteStart: 0, byteLength: 1, offsetCount: 1 + (index % 3), maxTimestamp: 0 };
          return { coordinates, recordCount: 1, timestamp: 0, producer: undefined };
        });
        ({ head } = appendToHead(head, batches, () => undefined));
        const isDue = isRollDue(head, appendedFrom);
        if (head.tail.length <= tailEntriesMax) expect(isDue).toBe(false);
        if (isDue) dueCount += 1;
      }
      expect(dueCount).toBe(Math.floor((head.tail.length - 1) / tailEntriesMax));
    }),
  );
});

test('an append that added nothing makes no roll due', () => {
  const tail = Array.from({ length: tailEntriesMax + 1 }, () => ({
    objectId: '00000000000000000000000000000000' as ObjectId,
    byteStart: 0,
    byteLength: 1,
    offsetCount: 1,
    maxTimestamp: 0,
  }));
  const head = { ...emptyHead, tail, logEndOffset: tail.length };
  expect(isRollDue(head, head.logEndOffset)).toBe(false);
  expect(isRollDue(head, head.logEndOffset - 1)).toBe(true);
});

test('a roll moves as many producers as there are', () => {
  const producers = Array.from({ length: 200_000 }, (_, producerId): ProducerState => {
    const batch = { baseSequence: 0, recordCount: 1, baseOffset: producerId, timestamp: 0 };
    return { producerId, producerEpoch: 0, batches: [batch] };
  });
  const entry = {
    objectId: '' as ObjectId,
    byteStart: 0,
    byteLength: 1,
    batchCount: 1,
    offsetCount: 1,
    maxTimestamp: 0,
  };
  const head = { ...emptyHead, logEndOffset: 1, tail: [entry], producers } as unknown as Head;
  const rolled = rollHead(head, head);
  expect(rolled.movedProducers.length).toBe(producers.length - headProducersMax);
  expect(rolled.head.movedProducerIdMax).toBe(producers.length - headProducersMax - 1);
});
