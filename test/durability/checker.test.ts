import { expect, test } from 'vitest';
import { checkHistory, type History, type Outcome, type Reading, type SentRecord } from './checker.ts';

const acked = (offset: number): Outcome => ({ kind: 'acked', offset });

function sent(sequence: number, outcome: Outcome, more: Partial<SentRecord> = {}): SentRecord {
  return { value: `v${sequence}`, partition: 0, sender: 'a', sequence, isIdempotent: true, outcome, ...more };
}

function reading(values: readonly string[], more: Partial<Reading> = {}): Reading {
  const fromOffset = more.fromOffset ?? 0;
  const records = values.map((value, index) => ({ offset: fromOffset + index, value }));
  return { partition: 0, fromOffset, highWatermark: fromOffset + values.length, records, ...more };
}

const check = (history: Partial<History>) => checkHistory({ sent: [], before: [], now: [], ...history });

const three = [sent(0, acked(0)), sent(1, acked(1)), sent(2, { kind: 'unknown' })];

test('a history without violations is found to be so, whatever became of the unknown record', () => {
  expect(check({ sent: three, now: [reading(['v0', 'v1', 'v2'])] })).toEqual([]);
  expect(check({ sent: three, before: [reading(['v0'])], now: [reading(['v0', 'v1'])] })).toEqual([]);
  expect(check({ sent: three, now: [reading(['v1', 'v2'], { fromOffset: 1 })] })).toEqual([]);
});

test('an acked record that is gone, or elsewhere, or altered, is found', () => {
  expect(check({ sent: three, now: [reading(['v0'])] })).toEqual([
    'ackedIsReadable: v1 was acked at 0/1, where undefined is',
  ]);
  const swapped = [sent(0, acked(0), { isIdempotent: false }), sent(1, acked(1), { sender: 'b', sequence: 0 })];
  expect(check({ sent: swapped, now: [reading(['v1', 'v0'])] })).toEqual([
    'ackedIsReadable: v0 was acked at 0/0, where v1 is',
    'ackedIsReadable: v1 was acked at 0/1, where v0 is',
  ]);
  expect(check({ sent: three, now: [reading(['v0', 'v1 damaged'])] })).toContain(
    'ackedIsReadable: v1 was acked at 0/1, where v1 damaged is',
  );
});

test('an offset that shows another value after a crash is found', () => {
  const unknown = [sent(0, { kind: 'unknown' }), sent(0, { kind: 'unknown' }, { value: 'w0', sender: 'b' })];
  expect(check({ sent: unknown, before: [reading(['v0'])], now: [reading(['w0'])] })).toEqual([
    'offsetHasOneValue: 0/0 showed v0 and then w0',
  ]);
});

test('gaps, overlaps and a watermark beyond the records are found', () => {
  const records = [
    { offset: 0, value: 'v0' },
    { offset: 2, value: 'v1' },
    { offset: 2, value: 'v2' },
  ];
  expect(check({ sent: [], now: [reading([], { records, highWatermark: 4 })] })).toEqual(
    expect.arrayContaining([
      'offsetsAreContiguous: 0/2 came where 1 was due',
      'offsetsAreContiguous: 0/2 came where 3 was due',
      'offsetsAreContiguous: 0 ends at 3, not at 4',
    ]),
  );
});

test('a refused record, a record of another partition and one nobody sent are found', () => {
  const some = [sent(0, { kind: 'refused' }), sent(1, { kind: 'unknown' }, { partition: 1, sender: 'b', sequence: 0 })];
  expect(check({ sent: some, now: [reading(['v0', 'v1', 'x'])] })).toEqual([
    'onlySentIsRead: v0 was refused and is at 0/0',
    'onlySentIsRead: v1 was sent to 1 and is in 0',
    'onlySentIsRead: 0/2 holds x, which nobody sent',
  ]);
});

test('a sequence twice, out of order, or missing between others is found', () => {
  const unknown = [0, 1, 2].map((sequence) => sent(sequence, { kind: 'unknown' }));
  const found = (values: readonly string[]) => check({ sent: unknown, now: [reading(values)] });
  expect(found(['v0', 'v1', 'v1'])).toEqual([
    "sequencesAppearOnceInOrder: a's sequence 1 is at 0/2, behind its sequence 1",
  ]);
  expect(found(['v0', 'v2'])).toEqual(["sequencesAppearOnceInOrder: a's sequence 2 is at 0/1, behind its sequence 0"]);
  expect(found(['v1', 'v2'])).toHaveLength(1);
  const plain = unknown.map((record) => ({ ...record, isIdempotent: false }));
  expect(check({ sent: plain, now: [reading(['v0', 'v2'])] })).toEqual([]);
  expect(check({ sent: plain, now: [reading(['v2', 'v0'])] })).toHaveLength(1);
});

test('a high watermark that falls is found', () => {
  const unknown = [sent(0, { kind: 'unknown' }), sent(1, { kind: 'unknown' })];
  expect(check({ sent: unknown, before: [reading(['v0', 'v1'])], now: [reading(['v0'])] })).toEqual([
    'watermarkNeverFalls: the high watermark of 0 fell from 2 to 1',
  ]);
});
