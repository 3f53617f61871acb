/** Which records a log shows, where, and how often. */

import type { Offset } from '../ids.ts';
import { answerOf, endOf, type Operation, type ProduceOperation, recordsOf } from './history.ts';
import { appendKey, type PartitionLog, type SortedHistory } from './partition-logs.ts';
import { named, placed, type Violation } from './violation.ts';

/** 1: an acked record is readable at its acked offset. */
export function ackedIsReadable(log: PartitionLog): Violation[] {
  return log.produces.flatMap((operation) => {
    const answer = answerOf(operation);
    if (answer === undefined) return [];
    return operation.values.flatMap((value, index) => {
      const offset = answer.baseOffset + index;
      const seen = log.shown.get(offset);
      if (seen === undefined || seen.value === value) return [];
      const text = `${value} was acked for ${placed(log, offset)} by ${named(operation)}, where ${named(seen.operation)} read ${seen.value}`;
      return [{ text, log, offset, operations: [operation, seen.operation] }];
    });
  });
}

/** 1, and Jepsen's lost write: whoever reads a log to its end behind all acks meets every acked record. */
export function ackedIsReadToTheEnd(log: PartitionLog): Violation[] {
  if (log.life.leaving !== undefined) return [];
  const acked = log.appends.filter(({ end }) => end !== Number.POSITIVE_INFINITY);
  const lastAck = Math.max(...acked.map(({ end }) => end));
  // What was read before that may be gone again.
  const reads = log.reads.filter(({ start }) => start > lastAck);
  const shown = new Set(reads.flatMap(recordsOf).map(({ offset }) => offset));
  return acked.flatMap((append) => {
    const offset = Array.from(
      { length: append.nextOffset - append.baseOffset },
      (_, at) => append.baseOffset + at,
    ).find((at) => !shown.has(at));
    if (offset === undefined) return [];
    const value = append.operation.values[offset - append.baseOffset];
    const text = `${value} was acked for ${placed(log, offset)} by ${named(append.operation)}, and nobody read it after the last ack`;
    return [{ text, log, offset, operations: [append.operation] }];
  });
}

/** 2, and Jepsen's inconsistent offsets: an offset never shows two values, nor two timestamps. */
export function offsetHasOneValue(log: PartitionLog): Violation[] {
  const violations: Violation[] = [];
  for (const operation of log.reads) {
    for (const { offset, value, timestamp } of recordsOf(operation)) {
      const first = log.shown.get(offset);
      if (first === undefined || (first.value === value && first.timestamp === timestamp)) continue;
      const text = `${placed(log, offset)} showed ${first.value} (${first.timestamp}) to ${named(first.operation)} and ${value} (${timestamp}) to ${named(operation)}`;
      violations.push({ text, log, offset, operations: [first.operation, operation] });
    }
  }
  const ackedAt = new Map<Offset, { readonly value: string; readonly operation: ProduceOperation }>();
  for (const { baseOffset, operation, end } of log.appends) {
    if (end === Number.POSITIVE_INFINITY) continue;
    for (const [index, value] of operation.values.entries()) {
      const offset = baseOffset + index;
      const first = ackedAt.get(offset) ?? { value, operation };
      ackedAt.set(offset, first);
      if (first.operation === operation) continue;
      const text = `${placed(log, offset)} was given to ${first.value} by ${named(first.operation)} and to ${value} by ${named(operation)}`;
      violations.push({ text, log, offset, operations: [first.operation, operation] });
    }
  }
  return violations;
}

/** 3: what a fetch gives begins at the offset asked for and leaves no gap up to the offset to go on with. */
export function offsetsAreContiguous(log: PartitionLog): Violation[] {
  return log.fetches.flatMap((operation) => {
    const answer = answerOf(operation);
    if (answer === undefined) return [];
    const violation = (text: string, offset: Offset) => ({ text, log, offset, operations: [operation] });
    const violations: Violation[] = [];
    let expected = answer.offset;
    for (const { offset } of answer.records) {
      if (offset !== expected) {
        violations.push(violation(`${named(operation)} read ${placed(log, offset)} where ${expected} was due`, offset));
      }
      expected = offset + 1;
    }
    const { nextOffset, highWatermark, offset } = answer;
    if (nextOffset !== expected) {
      const text = `${named(operation)} read ${placed(log, offset)} up to ${expected} and was sent on to ${nextOffset}`;
      violations.push(violation(text, expected));
    }
    if (nextOffset > highWatermark) {
      const text = `${named(operation)} read ${placed(log, offset)} up to ${nextOffset}, above the high watermark ${highWatermark}`;
      violations.push(violation(text, highWatermark));
    }
    return violations;
  });
}

/** 3: a batch is in the log as a whole or not at all, also when its sender never heard of it, and nothing is in its midst. */
export function batchesAreWhole({ logs, sendsOf }: SortedHistory): Violation[] {
  return logs.flatMap((log) =>
    [...log.shown.values()].flatMap(({ offset, value, operation }): Violation[] => {
      const [sent] = sendsOf.get(value) ?? [];
      if (sent === undefined) return [];
      const at = sent.values.indexOf(value);
      for (const step of [-1, 1]) {
        const due = sent.values[at + step];
        const beside = log.shown.get(offset + step);
        // Nothing can be said of offsets that nobody read; before the first one there is nothing.
        if (due === undefined || beside?.value === due || (beside === undefined && offset + step >= 0)) continue;
        const text = `${value} of the batch of ${named(sent)} is at ${placed(log, offset)}, and ${due} is not at ${offset + step}`;
        return [{ text, log, offset, operations: [sent, operation] }];
      }
      return [];
    }),
  );
}

/** A fetch that asks for what is there gets some of it, from one partition at least, or is told of an error. */
export function fetchesGoOn({ operations, logs }: SortedHistory): Violation[] {
  const fetches = operations.filter((operation) => operation.type === 'fetch');
  const told = new Set(fetches.filter(({ outcome }) => outcome.kind !== 'ok').map(({ request }) => request));
  const requests = Map.groupBy(
    logs.flatMap((log) => log.fetches.map((operation) => ({ log, operation }))),
    ({ operation }) => operation.request,
  );
  return [...requests].flatMap(([request, parts]) => {
    if (told.has(request)) return [];
    const isStuck = parts.every(({ operation }) => answerOf(operation)?.records.length === 0);
    const behind = parts.find(({ operation }) => {
      const answer = answerOf(operation);
      return answer !== undefined && answer.offset < answer.highWatermark;
    });
    if (!isStuck || behind === undefined) return [];
    const { log, operation } = behind;
    const offset = answerOf(operation)?.offset ?? 0;
    const text = `${named(operation)} got nothing from ${placed(log, offset)}, below the high watermark`;
    return [{ text, log, offset, operations: [operation] }];
  });
}

/** 4, and Jepsen's aborted read: what is read was sent to this log, and not refused with effect none. */
export function onlyWhatWasSentIsRead(history: SortedHistory): Violation[] {
  return history.logs.flatMap((log) =>
    [...log.shown.values()].flatMap(({ value, offset, operation, timestamp }) => {
      const sends = history.sendsOf.get(value) ?? [];
      const toHere = sends.filter(
        (sent) => sent.partition === log.partition && history.livesOf(sent).includes(log.life),
      );
      const violation = (text: string, ...more: readonly Operation[]) => [
        {
          text: `${named(operation)} read ${value} at ${placed(log, offset)}, ${text}`,
          log,
          offset,
          operations: [operation, ...more],
        },
      ];
      const [first] = toHere;
      if (sends.length === 0) return violation('which nobody sent');
      if (first === undefined) return violation('which was not sent to this log', ...sends);
      if (toHere.every(({ outcome }) => outcome.kind === 'failed')) return violation('which was refused', ...toHere);
      if (toHere.every(({ start }) => start > endOf(operation))) return violation('before it was sent', ...toHere);
      const isKept = toHere.some(
        (sent) =>
          sent.timestamps[sent.values.indexOf(value)] === timestamp ||
          (answerOf(sent)?.timestamp ?? timestamp) === timestamp,
      );
      return isKept ? [] : violation(`with timestamp ${timestamp}, which is neither its own nor the log's`, ...toHere);
    }),
  );
}

/** 5: a record appears as often as it may: once for a producer id, once for each attempt without one. */
export function nothingAppearsTwice(history: SortedHistory): Violation[] {
  return history.logs.flatMap((log) => {
    const places = Map.groupBy(log.shown.values(), ({ value }) => value);
    return [...places].flatMap(([value, shown]) => {
      if (shown.length === 1) return [];
      const sends = log.produces.filter(({ values, outcome }) => outcome.kind !== 'failed' && values.includes(value));
      const allowed = new Set(sends.map(appendKey)).size;
      if (shown.length <= Math.max(allowed, 1)) return [];
      const offsets = shown.map(({ offset }) => offset).join(', ');
      const text = `${value} is at ${offsets} of ${log.life.topic}/${log.partition}, and was sent ${allowed} times`;
      return [
        { text, log, offset: shown[0]?.offset ?? 0, operations: [...sends, ...shown.map((one) => one.operation)] },
      ];
    });
  });
}
