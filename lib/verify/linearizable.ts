/**
 * Whether a partition behaved as one log in one place, whose appends and reads each happened at one moment between their
 * start and their end.
 *
 * The model is that of s2-verification: the state is the log; an append adds its records at the end; a read of the end
 * gives its length; a read of records gives a prefix (that it shows the right ones is `offsetHasOneValue`'s business). An
 * append without an answer happened at any moment from its start on, or never. Porcupine has to search for an order; here
 * every append is known by its offset, so the order is given, and one pass finds whether moments can be put to it.
 */

import type { Instant } from './history.ts';
import { endOf } from './history.ts';
import type { Append, PartitionLog, Watermark } from './partition-logs.ts';
import { named, type Violation } from './violation.ts';

/** The moments must rise along the log: each step is taken as early as those before it allow. */
export function appendsAreLinearizable(log: PartitionLog): Violation[] {
  const violations: Violation[] = [];
  const reads = log.watermarks.toSorted((a, b) => a.highWatermark - b.highWatermark);
  let nextRead = 0;
  /** The operation that allows nothing behind it to be earlier. */
  let latest: { readonly at: Instant; readonly step: Append | Watermark } | undefined;

  const take = (step: Append | Watermark, end: Instant) => {
    if (latest === undefined || latest.at <= end) return;
    violations.push({
      text: `${named(step.operation)} ended before ${named(latest.step.operation)} began, yet ${tell(latest.step)}, and ${tell(step)}`,
      log,
      offset: 'baseOffset' in step ? step.baseOffset : step.highWatermark,
      operations: [latest.step.operation, step.operation],
    });
  };
  const readsUpTo = (offset: number) => {
    const from = nextRead;
    while (nextRead < reads.length && (reads[nextRead]?.highWatermark ?? 0) <= offset) nextRead += 1;
    // Reads of one end see the same state, so they are judged by what lies before and then count together.
    for (const [, same] of Map.groupBy(reads.slice(from, nextRead), ({ highWatermark }) => highWatermark)) {
      for (const read of same) take(read, endOf(read.operation));
      for (const read of same) pass(read, read.operation.start);
    }
  };
  const pass = (step: Append | Watermark, start: Instant) => {
    if (latest === undefined || start > latest.at) latest = { at: start, step };
  };

  for (const append of log.appends) {
    readsUpTo(append.baseOffset);
    const inside = reads[nextRead];
    if (inside !== undefined && inside.highWatermark < append.nextOffset) {
      violations.push({
        text: `${named(inside.operation)} saw the log end at ${inside.highWatermark}, in the middle of the batch at ${append.baseOffset} to ${append.nextOffset - 1}`,
        log,
        offset: inside.highWatermark,
        operations: [inside.operation, append.operation],
      });
    }
    take(append, append.end);
    pass(append, append.start);
  }
  readsUpTo(Number.POSITIVE_INFINITY);
  return violations;
}

function tell(step: Append | Watermark): string {
  if (!('baseOffset' in step)) return `${named(step.operation)} saw the log end at ${step.highWatermark}`;
  return `${named(step.operation)} is at ${step.baseOffset}`;
}
