/** What producers with an id, and those that keep an order, may rely on. */

import type { Offset } from '../ids.ts';
import { producerBatchesMax } from '../limits.ts';
import { answerOf, endOf, type ProduceOperation } from './history.ts';
import { appendKey, type PartitionLog, type SortedHistory } from './partition-logs.ts';
import { named, placed, type Violation } from './violation.ts';

/** 5: for a producer id the sequences follow each other along the log from 0, and its epochs rise. */
export function sequencesFollow(history: SortedHistory): Violation[] {
  return history.logs.flatMap((log) => {
    const last = new Map<number, { readonly epoch: number; readonly sequence: number }>();
    const violations: Violation[] = [];
    /** Nothing can be said of what stands behind offsets that nobody read. */
    let isWhole = true;
    let due = 0;
    for (const shown of [...log.shown.values()].toSorted((a, b) => a.offset - b.offset)) {
      if (shown.offset !== due) {
        last.clear();
        isWhole = false;
      }
      due = shown.offset + 1;
      const sent = (history.sendsOf.get(shown.value) ?? []).find(({ producer }) => producer !== undefined);
      if (sent?.producer === undefined) continue;
      const { producerId, producerEpoch: epoch, baseSequence } = sent.producer;
      const sequence = (baseSequence + sent.values.indexOf(shown.value)) % 2 ** 31;
      const before = last.get(producerId);
      last.set(producerId, { epoch, sequence });
      if (before === undefined && !isWhole) continue;
      const expected = before?.epoch === epoch ? (before.sequence + 1) % 2 ** 31 : 0;
      if (sequence === expected && (before === undefined || before.epoch <= epoch)) continue;
      const behind = before === undefined ? 'nothing' : `sequence ${before.sequence} of epoch ${before.epoch}`;
      const text = `producer ${producerId} has sequence ${sequence} of epoch ${epoch} in ${placed(log, shown.offset)}, behind ${behind}`;
      violations.push({ text, log, offset: shown.offset, operations: [sent, shown.operation] });
    }
    return violations;
  });
}

/**
 * 5: every resend of an idempotent batch that is acked gets the same answer, and so is every resend of an acked batch that
 * is one of the last five: that many are remembered, as Kafka remembers them.
 */
export function resendsGetTheFirstAnswer(log: PartitionLog): Violation[] {
  const violations: Violation[] = [];
  const ofProducers = log.produces.filter(({ producer }) => producer !== undefined);
  const byIdentity = Map.groupBy(ofProducers, ({ producer }) => producer?.producerId);
  for (const attempts of Map.groupBy(ofProducers, appendKey).values()) {
    const first = attempts.find(({ outcome }) => outcome.kind === 'ok');
    const answer = first && answerOf(first);
    if (first === undefined || answer === undefined) continue;
    for (const resend of attempts) {
      const again = answerOf(resend);
      const where = { log, offset: answer.baseOffset, operations: [first, resend] };
      if (again !== undefined && (again.baseOffset !== answer.baseOffset || again.timestamp !== answer.timestamp)) {
        const text = `${named(resend)} was acked for ${again.baseOffset} (${again.timestamp}), the same batch before by ${named(first)} for ${answer.baseOffset} (${answer.timestamp})`;
        violations.push({ text, ...where });
      }
      const { outcome, start } = resend;
      const isRefused = outcome.kind === 'failed' && outcome.code === 'OUT_OF_ORDER_SEQUENCE_NUMBER';
      if (!isRefused || endOf(first) >= start || log.life.from >= first.start) continue;
      const { producerEpoch, baseSequence } = first.producer ?? { producerEpoch: 0, baseSequence: 0 };
      const later = (byIdentity.get(first.producer?.producerId) ?? []).filter(
        ({ producer, start: sent }) =>
          sent < endOf(resend) &&
          ((producer?.producerEpoch ?? 0) > producerEpoch || (producer?.baseSequence ?? 0) > baseSequence),
      );
      const isNewer = later.some(({ producer }) => (producer?.producerEpoch ?? 0) > producerEpoch);
      if (isNewer || new Set(later.map(appendKey)).size >= producerBatchesMax) continue;
      violations.push({
        text: `${named(resend)} was refused as out of order, and acked before by ${named(first)}`,
        ...where,
      });
    }
  }
  return violations;
}

/** What a producer that keeps an order sent later is not acked for an earlier place (Jepsen's nonmonotonic send). */
export function sendsKeepTheirOrder(log: PartitionLog): Violation[] {
  const sessions = Map.groupBy(log.produces, ({ session }) => session);
  return [...sessions].flatMap(([session, sends]) => {
    if (session === undefined) return [];
    let last: { readonly offset: Offset; readonly operation: ProduceOperation } | undefined;
    return sends.flatMap((operation): Violation[] => {
      const offset = answerOf(operation)?.baseOffset;
      const before = last;
      if (offset === undefined) return [];
      last = { offset, operation };
      if (before === undefined || offset > before.offset) return [];
      const text = `${named(operation)} was acked for ${placed(log, offset)}, and ${named(before.operation)}, sent before it, for ${before.offset}`;
      return [{ text, log, offset, operations: [before.operation, operation] }];
    });
  });
}

/** Once a newer epoch of a producer id has been acked, an older one is refused: no zombie writes. */
export function fencedProducersStayOut(log: PartitionLog): Violation[] {
  const acked = log.produces.filter(({ producer, outcome }) => producer !== undefined && outcome.kind === 'ok');
  return [...Map.groupBy(acked, ({ producer }) => producer?.producerId).values()].flatMap((ofProducer) =>
    ofProducer.flatMap((zombie) => {
      const epoch = zombie.producer?.producerEpoch ?? 0;
      const newer = ofProducer.find(
        (other) => (other.producer?.producerEpoch ?? 0) > epoch && endOf(other) < zombie.start,
      );
      if (newer === undefined) return [];
      const text = `${named(zombie)} was acked with epoch ${epoch} after ${named(newer)} with epoch ${newer.producer?.producerEpoch}`;
      return [{ text, log, offset: answerOf(zombie)?.baseOffset ?? 0, operations: [newer, zombie] }];
    }),
  );
}

/** Whoever is told this by mistake gives up, or begins anew under another epoch. */
const refusals: readonly string[] = ['OUT_OF_ORDER_SEQUENCE_NUMBER', 'INVALID_PRODUCER_EPOCH', 'UNKNOWN_PRODUCER_ID'];

/**
 * 5: a producer that does everything right is accepted: a batch is not refused for its sequence or its epoch when all that
 * its producer sent before it at this epoch is acked, and nobody sent with a newer epoch.
 */
export function rightProducersAreAccepted({ logs, livesOf }: SortedHistory): Violation[] {
  // Of two topics the later one may have refused it, which knows nothing of what the one before it acked.
  return logs.flatMap((log) =>
    refusedIn(log).filter(({ operations }) => operations.every((one) => livesOf(one).length === 1)),
  );
}

function refusedIn(log: PartitionLog): Violation[] {
  const ofProducers = Map.groupBy(log.produces, ({ producer }) => producer?.producerId);
  return log.produces.flatMap((operation) => {
    const { outcome, producer, start } = operation;
    if (producer === undefined || outcome.kind !== 'failed' || !refusals.includes(outcome.code)) return [];
    const { producerId, producerEpoch, baseSequence } = producer;
    const ofProducer = ofProducers.get(producerId) ?? [];
    const isNewer = (other: ProduceOperation) => (other.producer?.producerEpoch ?? 0) > producerEpoch;
    const sent = ofProducer.filter((other) => other.start < endOf(operation));
    if (sent.some(isNewer)) return [];
    const ofEpoch = sent.filter((other) => other.producer?.producerEpoch === producerEpoch);
    const acked = ofEpoch.filter((other) => other.outcome.kind === 'ok' && endOf(other) < start);
    const next = new Map(acked.map(({ producer: by, values }) => [by?.baseSequence, values.length]));
    let expected = 0;
    while (expected < baseSequence && next.has(expected)) expected += next.get(expected) ?? 0;
    // As many batches later it may have been appended and is forgotten.
    const later = ofEpoch.filter((other) => (other.producer?.baseSequence ?? 0) > baseSequence);
    if (expected !== baseSequence || new Set(later.map(appendKey)).size >= producerBatchesMax) return [];
    const text = `${named(operation)} was refused with ${outcome.code}, and sequence ${baseSequence} of epoch ${producerEpoch} was the next one of producer ${producerId}`;
    return [{ text, log, offset: 0, operations: [...acked.slice(-1), operation] }];
  });
}
