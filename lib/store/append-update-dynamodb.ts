/** The UpdateItem of an append: its condition, and what it sets. Pure. */

import type { UpdateItemCommandInput } from '@aws-sdk/client-dynamodb';
import type { ProducerEpoch, ProducerId } from '../ids.ts';
import { entryBytesMax, headProducersRefused, producerBatchesMax, tailEntriesRefused } from '../limits.ts';
import { joinCoordinates } from './coordinates.ts';
import type { BatchCoordinates, Head, ProducerState } from './items.ts';
import { binaryValue, expectedAfter, expectedOf, type Item, numberValue } from './items-dynamodb.ts';
import type { NewBatch } from './metadata-store.ts';
import { addToSequence } from './producer-state.ts';
import { type EntryBatch, encodeEntry, encodeState, type TailEntry } from './tail-entries.ts';

/** A head as it was answered, with the states of those producers that had moved out of it. */
export interface SeenHead {
  readonly head: Head;
  readonly moved: ReadonlyMap<ProducerId, ProducerState>;
}

/** What an append says about one producer. */
interface SentProducer {
  readonly producerId: ProducerId;
  readonly first: NonNullable<NewBatch['producer']>;
  readonly lastEpoch: ProducerEpoch;
  /** What its next batch must be once these are appended. */
  readonly expected: number;
}

/** Whether each producer's batches follow one another, so that what must hold for the first must hold for all of them. */
export function isOneRun(batches: readonly NewBatch[]): boolean {
  const expected = new Map<ProducerId, number>();
  return batches.every(({ producer, recordCount }) => {
    if (producer === undefined) return true;
    const { producerId, producerEpoch, baseSequence } = producer;
    const isNext =
      (expected.get(producerId) ?? expectedOf(producerEpoch, baseSequence)) === expectedOf(producerEpoch, baseSequence);
    expected.set(producerId, expectedOf(producerEpoch, addToSequence(baseSequence, recordCount)));
    return isNext;
  });
}

function sentProducers(batches: readonly NewBatch[]): SentProducer[] {
  const sent = new Map<ProducerId, SentProducer>();
  for (const { producer, recordCount } of batches) {
    if (producer === undefined) continue;
    const { producerId, producerEpoch, baseSequence } = producer;
    const first = sent.get(producerId)?.first ?? producer;
    const expected = expectedOf(producerEpoch, addToSequence(baseSequence, recordCount));
    sent.set(producerId, { producerId, first, lastEpoch: producerEpoch, expected });
  }
  return [...sent.values()];
}

type AppendUpdate = Pick<
  UpdateItemCommandInput,
  | 'UpdateExpression'
  | 'ConditionExpression'
  | 'ExpressionAttributeNames'
  | 'ExpressionAttributeValues'
  | 'ReturnValuesOnConditionCheckFailure'
>;

/** With no head seen, the condition is that each producer's batches are its next; else, that nothing changed for it since. */
export function appendUpdate(batches: readonly NewBatch[], seen: SeenHead | undefined): AppendUpdate {
  const producers = sentProducers(batches);
  const parts = producers.map((producer, index) =>
    seen === undefined ? nextOfProducer(producer, index) : unchangedProducer(producer, index, seen),
  );
  const conditions = [
    'attribute_exists(pk)',
    'size(tail) < :tailRefused AND size(p) < :producersRefused',
    ...parts.map(({ condition }) => condition),
  ];
  const sets = [
    'e = e + :offsets',
    'y = y + :bytes',
    'tail = list_append(tail, :entries)',
    ...parts.map(({ set }) => set),
  ];
  const names = Object.fromEntries(producers.map(({ producerId }, index) => [`#${index}`, String(producerId)]));
  const values: Item = {
    ':tailRefused': numberValue(tailEntriesRefused),
    ':producersRefused': numberValue(headProducersRefused),
    ':offsets': numberValue(sum(batches, ({ offsetCount }) => offsetCount)),
    ':bytes': numberValue(sum(batches, ({ byteLength }) => byteLength)),
    ':entries': { L: entriesOf(batches).map((entry) => binaryValue(encodeEntry(entry))) },
    ...Object.assign({}, ...parts.map(({ values }) => values)),
  };
  const absent = producers.filter((_, index) => parts[index]?.isAbsent).map(({ producerId }) => producerId);
  if (absent.length > 0 && seen === undefined) {
    // An id above all that ever moved out, and not in the head, was never here.
    conditions.push('m < :absent');
    values[':absent'] = numberValue(Math.min(...absent));
  } else if (absent.length > 0 && seen !== undefined) {
    // Only a roll moves producers out: what was found of them then is still so.
    conditions.push('b = :tailBase');
    values[':tailBase'] = numberValue(seen.head.tailBase);
  }
  return {
    UpdateExpression: `SET ${sets.join(', ')}`,
    ConditionExpression: conditions.join(' AND '),
    // An empty map of names is an error.
    ...(producers.length === 0 ? {} : { ExpressionAttributeNames: names }),
    ExpressionAttributeValues: values,
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
  };
}

/** What one producer adds to the request. Its map in the head is `p.#0`, if it is the first. */
interface ProducerPart {
  readonly condition: string;
  readonly set: string;
  readonly values: Item;
  /** Whether the producer is not in the head, or need not be. */
  readonly isAbsent: boolean;
}

/**
 * Sequence 0 is the next one of a producer that was never here, and of one with a newer epoch. (It also follows the highest
 * sequence. The condition does not hold then, and the head that comes back tells.)
 */
function nextOfProducer({ first, expected }: SentProducer, index: number): ProducerPart {
  const isFirst = first.baseSequence === 0;
  const [before, after] = [`:c${index}`, `:n${index}`];
  return {
    isAbsent: isFirst,
    condition: isFirst
      ? `(attribute_not_exists(p.#${index}) OR p.#${index}.n < ${before})`
      : `p.#${index}.n = ${before}`,
    set: isFirst ? `p.#${index} = ${after}` : `p.#${index}.n = ${after}`,
    values: {
      [before]: numberValue(expectedOf(first.producerEpoch, first.baseSequence)),
      [after]: isFirst ? { M: { n: numberValue(expected) } } : numberValue(expected),
    },
  };
}

function unchangedProducer(producer: SentProducer, index: number, { head, moved }: SeenHead): ProducerPart {
  const { producerId, lastEpoch, expected } = producer;
  const [before, after] = [`:c${index}`, `:n${index}`];
  const state = head.producers.find((one) => one.producerId === producerId);
  if (state?.producerEpoch === lastEpoch) {
    return {
      isAbsent: false,
      condition: `p.#${index}.n = ${before}`,
      set: `p.#${index}.n = ${after}`,
      values: { [before]: numberValue(expectedAfter(state)), [after]: numberValue(expected) },
    };
  }
  // New, with a newer epoch that forgets the batches of the older one, or taken back with those that it had.
  const movedState = state === undefined ? moved.get(producerId) : undefined;
  const isTakenBack = movedState?.producerEpoch === lastEpoch;
  const window = isTakenBack ? { w: binaryValue(encodeState(movedState)) } : {};
  return {
    isAbsent: state === undefined,
    condition: state === undefined ? `attribute_not_exists(p.#${index})` : `p.#${index}.n = ${before}`,
    set: `p.#${index} = ${after}`,
    values: {
      ...(state === undefined ? {} : { [before]: numberValue(expectedAfter(state)) }),
      [after]: { M: { n: numberValue(expected), ...window } },
    },
  };
}

/** The tail's new entries, neighbours in one object joined; each with what its producers are to be remembered by. */
function entriesOf(batches: readonly NewBatch[]): TailEntry[] {
  const entries: { coordinates: BatchCoordinates; batches: EntryBatch[] }[] = [];
  const remembered = lastOfEachProducer(batches);
  for (const batch of batches) {
    const last = entries.at(-1);
    const joined = joinCoordinates(last?.coordinates, batch.coordinates, entryBytesMax);
    const offsetDelta = joined === undefined ? 0 : joined.offsetCount - batch.coordinates.offsetCount;
    const { producer, recordCount, timestamp } = batch;
    const own =
      producer !== undefined && remembered.has(batch) ? [{ ...producer, offsetDelta, recordCount, timestamp }] : [];
    if (last === undefined || joined === undefined) entries.push({ coordinates: batch.coordinates, batches: own });
    else {
      last.coordinates = joined;
      last.batches.push(...own);
    }
  }
  return entries;
}

/** More than these a state does not keep, whatever it held before. */
function lastOfEachProducer(batches: readonly NewBatch[]): Set<NewBatch> {
  const byProducer = Map.groupBy(batches, ({ producer }) => producer?.producerId);
  return new Set([...byProducer.values()].flatMap((own) => own.slice(-producerBatchesMax)));
}

function sum(batches: readonly NewBatch[], of: (coordinates: BatchCoordinates) => number): number {
  return batches.reduce((total, { coordinates }) => total + of(coordinates), 0);
}
