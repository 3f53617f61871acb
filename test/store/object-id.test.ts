import { randomFillSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { createObjectIds } from '../../lib/store/object-id.ts';

/** Folders and prefixes are chosen by the last digit; when ids of quiet writers ended in 0 or 8, all lay in one. */
test.each([
  ['one id a millisecond', 1],
  ['many ids a millisecond', 0],
])('the last digit of an id is spread evenly: %s', (_, stepMs) => {
  let nowMs = 1_700_000_000_000;
  const clock = { ...systemClock, nowMs: () => (nowMs += stepMs) };
  const objectIds = createObjectIds(clock, (bytes) => randomFillSync(bytes));
  const counts = new Map<string, number>();
  for (let count = 0; count < 16_000; count++) {
    const digit = objectIds.unplaced().slice(-1);
    counts.set(digit, (counts.get(digit) ?? 0) + 1);
  }
  expect(counts.size).toBe(16);
  // Six standard deviations from 1,000.
  for (const [digit, count] of counts) expect(Math.abs(count - 1_000), `digit ${digit}: ${count}`).toBeLessThan(184);
});
