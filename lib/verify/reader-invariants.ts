/** What readers are told: watermarks, polls, offsets by time, and which errors. */

import type { Offset } from '../ids.ts';
import { answerOf, endOf, type Instant, type Operation, type ReadOperation, recordsOf } from './history.ts';
import type { PartitionLog, SortedHistory, Watermark } from './partition-logs.ts';
import { named, placed, type Violation } from './violation.ts';

/** 6: high watermark and log start offset never go back, and the start is never above the watermark. */
export function watermarksNeverFall(log: PartitionLog): Violation[] {
  const bound = (tell: (seen: Watermark) => number | undefined, name: string): Violation[] => {
    const byEnd = log.watermarks.toSorted((a, b) => endOf(a.operation) - endOf(b.operation));
    let highest: { readonly seen: Watermark; readonly at: number } | undefined;
    let next = 0;
    return log.watermarks
      .toSorted((a, b) => a.operation.start - b.operation.start)
      .flatMap((seen) => {
        for (let before = byEnd[next]; before !== undefined; before = byEnd[++next]) {
          if (endOf(before.operation) >= seen.operation.start) break;
          const at = tell(before);
          if (at !== undefined && at > (highest?.at ?? -1)) highest = { seen: before, at };
        }
        const at = tell(seen);
        if (at === undefined || highest === undefined || at >= highest.at) return [];
        const text = `${name} fell from ${highest.at}, seen by ${named(highest.seen.operation)}, to ${at}, seen by ${named(seen.operation)}`;
        return [{ text, log, offset: at, operations: [highest.seen.operation, seen.operation] }];
      });
  };
  const crossed = log.watermarks
    .filter(({ logStartOffset = 0, highWatermark }) => logStartOffset > highWatermark)
    .map(({ operation, logStartOffset, highWatermark }) => ({
      text: `${named(operation)} saw a log that starts at ${logStartOffset} and ends at ${highWatermark}`,
      log,
      offset: highWatermark,
      operations: [operation],
    }));
  return [
    ...bound(({ highWatermark }) => highWatermark, 'high watermark'),
    ...bound(({ logStartOffset }) => logStartOffset, 'log start offset'),
    ...crossed,
  ];
}

/** Where a reader begins: at the offset that it names; `earliest` is the log start, and `latest` is judged as a watermark. */
export function readsBeginWhereTheyAsked(log: PartitionLog): Violation[] {
  const fetches = log.fetches.flatMap((operation): Violation[] => {
    const { asked } = operation;
    const { offset, logStartOffset } = answerOf(operation) ?? { offset: 0, logStartOffset: 0 };
    if (asked === 'latest' || offset === (asked === 'earliest' ? logStartOffset : asked)) return [];
    const text = `${named(operation)} asked for ${asked} of ${placed(log, logStartOffset)}, where the log starts, and began at ${offset}`;
    return [{ text, log, offset, operations: [operation] }];
  });
  const listings = log.listings.flatMap((operation): Violation[] => {
    const { timestamp: asked } = operation;
    if ((asked !== 'earliest' && asked !== 'latest') || answerOf(operation)?.offset !== undefined) return [];
    return [{ text: `${named(operation)} asked for ${asked} and got nothing`, log, operations: [operation] }];
  });
  return [...fetches, ...listings];
}

/** Nothing deletes records yet, so that every log starts at its first one. With retention this is to become a bound. */
export function logsStartAtTheirFirstRecord(log: PartitionLog): Violation[] {
  const starts = [
    ...log.watermarks.map(({ operation, logStartOffset: offset }) => ({ operation, offset })),
    ...log.listings
      .filter(({ timestamp }) => timestamp === 'earliest')
      .map((operation) => ({ operation, offset: answerOf(operation)?.offset })),
  ];
  return starts.flatMap(({ operation, offset = 0 }) => {
    if (offset === 0) return [];
    const text = `${named(operation)} was told that the log starts at ${placed(log, offset)}, and nobody deleted anything`;
    return [{ text, log, offset, operations: [operation] }];
  });
}

/**
 * 7, Jepsen's internal and external nonmonotonic and skipped polls: a session goes up by one record after the other, and
 * one that begins at the earliest begins where logs start.
 */
export function pollsGoUpAndSkipNothing({ operations, logs }: SortedHistory): Violation[] {
  const logOf = new Map(logs.flatMap((log) => log.reads.map((read) => [read as Operation, log] as const)));
  const polls = operations.filter((operation) => operation.type === 'fetch' || operation.type === 'poll');
  const ofSession = ({ session, topic, partition }: ReadOperation) => `${session} ${topic}/${partition}`;
  return [...Map.groupBy(polls, ofSession).values()].flatMap((session) => {
    let last: { readonly offset: Offset; readonly poll: ReadOperation } | undefined;
    return session.flatMap((poll) =>
      recordsOf(poll).flatMap(({ offset }): Violation[] => {
        const before = last;
        last = { offset, poll };
        const log = logOf.get(poll);
        if (poll.session === undefined || offset === (before === undefined ? 0 : before.offset + 1)) return [];
        if (before === undefined) {
          if (poll.type !== 'poll' || poll.from !== 'earliest' || log === undefined) return [];
          const text = `skipped poll: session ${poll.session} began with ${placed(log, offset)}, and not at the earliest`;
          return [{ text, log, offset, operations: [poll] }];
        }
        // A session may go on in a topic that was made anew, and where that cannot be told nothing is said.
        if (log === undefined || logOf.get(before.poll) !== log) return [];
        const kind = before.poll === poll ? 'internal' : 'external';
        const what = offset <= before.offset ? 'nonmonotonic' : 'skipped';
        const text = `${kind} ${what} poll: session ${poll.session} read ${placed(log, offset)} after ${before.offset}`;
        return [{ text, log, offset, operations: [before.poll, poll] }];
      }),
    );
  });
}

/** A time finds the first record in the log that is not older; `max` the first one of those with the highest timestamp. */
export function timesFindTheFirstRecord(log: PartitionLog): Violation[] {
  const records = [...log.shown.values()].toSorted((a, b) => a.offset - b.offset);
  const committed = committedBefore(log);
  return log.listings.flatMap((operation) => {
    const { timestamp: asked, start } = operation;
    const answer = answerOf(operation);
    if (answer === undefined || asked === 'earliest' || asked === 'latest') return [];
    const violation = (text: string, offset: Offset) => [
      { text: `${named(operation)} asked for time ${asked} and ${text}`, log, offset, operations: [operation] },
    ];
    const certain = records.filter(({ offset }) => offset < committed(start));
    const { offset, timestamp } = answer;
    if (offset === undefined) {
      const missed = certain.find((record) => asked === 'max' || record.timestamp >= asked);
      return missed === undefined
        ? []
        : violation(`got nothing, yet ${placed(log, missed.offset)} is there`, missed.offset);
    }
    const end = log.watermarks.find((seen) => seen.operation.start > endOf(operation) && seen.highWatermark <= offset);
    if (end !== undefined) {
      return violation(`got ${offset}, where nothing was when ${named(end.operation)} came later`, offset);
    }
    const found = log.shown.get(offset);
    if (found !== undefined && found.timestamp !== timestamp) {
      return violation(`got ${offset} with time ${timestamp}, where the record has ${found.timestamp}`, offset);
    }
    const wanted = asked === 'max' ? (timestamp ?? 0) : asked;
    if ((timestamp ?? 0) < wanted) return violation(`got ${offset}, which is older (${timestamp})`, offset);
    const earlier = records.find((record) => record.offset < offset && record.timestamp >= wanted);
    if (earlier !== undefined) return violation(`got ${offset}, yet ${earlier.offset} comes before it`, earlier.offset);
    const higher = asked === 'max' ? certain.find((record) => record.timestamp > wanted) : undefined;
    return higher === undefined ? [] : violation(`got ${offset}, yet ${higher.offset} is younger`, higher.offset);
  });
}

/** A fetch inside of what is certainly there is not out of range, and a reader is never told that data is gone. */
export function whatIsThereIsServed({ operations, logs, livesOf, mayFailForGood = false }: SortedHistory): Violation[] {
  const bounds = new Map(logs.map((log) => [log, committedBefore(log)]));
  return operations.flatMap((operation): Violation[] => {
    const { outcome } = operation;
    if (outcome.kind !== 'failed' && outcome.kind !== 'unknown') return [];
    if (operation.type !== 'fetch' && operation.type !== 'listOffsets') return [];
    if (outcome.code === 'KAFKA_STORAGE_ERROR' && !outcome.isRetriable && !mayFailForGood) {
      return [{ text: `${named(operation)} was told that what it asked for is lost`, operations: [operation] }];
    }
    const lives = livesOf(operation);
    const log = logs.find(({ life, partition }) => lives[0] === life && partition === operation.partition);
    if (outcome.code !== 'OFFSET_OUT_OF_RANGE' || operation.type !== 'fetch' || lives.length > 1 || log === undefined)
      return [];
    const { asked, start } = operation;
    if (typeof asked === 'number' && (asked < 0 || asked > (bounds.get(log)?.(start) ?? 0))) return [];
    const text = `${named(operation)} asked for ${asked}, which is in range, and was told it is not`;
    return [{ text, log, operations: [operation] }];
  });
}

/** How far the log certainly reached at an instant. */
function committedBefore(log: PartitionLog): (instant: Instant) => Offset {
  const known = [
    ...log.appends.map(({ end, nextOffset }) => ({ end, nextOffset })),
    ...log.watermarks.map(({ operation, highWatermark }) => ({ end: endOf(operation), nextOffset: highWatermark })),
  ].sort((a, b) => a.end - b.end);
  let highest = 0;
  for (const one of known) {
    highest = Math.max(highest, one.nextOffset);
    one.nextOffset = highest;
  }
  return (instant) => {
    let [from, to] = [0, known.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((known[middle]?.end ?? 0) < instant) from = middle + 1;
      else to = middle;
    }
    return known[from - 1]?.nextOffset ?? 0;
  };
}
