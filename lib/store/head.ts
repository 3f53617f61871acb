/** What an append and a roll make of a head: pure, so that every metadata store does the same. */

import { assert } from '../errors.ts';
import type { Offset, ProducerId } from '../ids.ts';
import {
  entryBytesMax,
  headProducersIdleMax,
  headProducersMax,
  headProducersRefused,
  tailEntriesMax,
  tailEntriesRefused,
} from '../limits.ts';
import { joinCoordinates } from './coordinates.ts';
import type { Head, Page, ProducerState } from './items.ts';
import type { BatchOutcome, NewBatch } from './metadata-store.ts';
import { advanceProducer, classifySequence } from './producer-state.ts';

/**
 * Gives each batch its offsets, or says why not, in order: a later one is judged by what the earlier ones left behind.
 * `movedProducer` finds a state that a roll moved out of the head; it is asked only for ids that may be there.
 */
export function appendToHead(
  head: Head,
  batches: readonly NewBatch[],
  movedProducer: (producerId: ProducerId) => ProducerState | undefined,
): { readonly head: Head; readonly outcomes: readonly BatchOutcome[]; readonly takenBack: readonly ProducerId[] } {
  let { logEndOffset, logBytes } = head;
  const tail = [...head.tail];
  const producers = new Map(head.producers.map((state) => [state.producerId, state]));
  const takenBack: ProducerId[] = [];
  // Entries join only with what this append added: the tail that was there is never rewritten.
  let canJoin = false;

  const outcomes = batches.map((batch): BatchOutcome => {
    const { producer, coordinates, timestamp } = batch;
    if (producer !== undefined) {
      let state = producers.get(producer.producerId);
      if (state === undefined && producer.producerId <= (head.movedProducerIdMax ?? -1)) {
        state = movedProducer(producer.producerId);
      }
      const sequence = classifySequence(state, { ...batch, producer });
      if (sequence.verdict === 'duplicate') {
        return { outcome: 'duplicate', baseOffset: sequence.baseOffset, timestamp: sequence.timestamp };
      }
      if (sequence.verdict === 'refused') return { outcome: 'refused', error: sequence.error };
      if (state !== undefined && !producers.has(producer.producerId)) takenBack.push(producer.producerId);
      const { baseSequence } = producer;
      const remembered = { baseSequence, recordCount: batch.recordCount, baseOffset: logEndOffset, timestamp };
      // Deleted first: the map's order is the order of use, and a roll moves the longest unused.
      producers.delete(producer.producerId);
      producers.set(producer.producerId, advanceProducer(state, producer, remembered));
    }
    const baseOffset = logEndOffset;
    const joined = canJoin ? joinCoordinates(tail.at(-1), coordinates, entryBytesMax) : undefined;
    if (joined === undefined) tail.push(coordinates);
    else tail[tail.length - 1] = joined;
    canJoin = true;
    logEndOffset += coordinates.offsetCount;
    logBytes += coordinates.byteLength;
    return { outcome: 'committed', baseOffset, timestamp };
  });

  assert(Number.isSafeInteger(logEndOffset), `log end offset ${logEndOffset} is a safe integer`);
  return { head: { ...head, logEndOffset, logBytes, tail, producers: [...producers.values()] }, outcomes, takenBack };
}

/**
 * Whether the append that took the offsets from `appendedFrom` on is the one to move the tail into a page: the one that makes
 * it longer than `tailEntriesMax`, and should that roll fail, than twice as many, and so on. Of many processes that append to
 * one head, one rolls; where all did, all but one would have paid for a roll that is lost.
 */
export function isRollDue(head: Head, appendedFrom: Offset): boolean {
  let entriesBefore = head.tail.length;
  for (let offset = head.logEndOffset; offset > appendedFrom && entriesBefore > 0; ) {
    entriesBefore -= 1;
    offset -= head.tail[entriesBefore]?.offsetCount ?? 0;
  }
  return marksPassed(head.tail.length) > marksPassed(entriesBefore);
}

const marksPassed = (entries: number) => Math.floor(Math.max(0, entries - 1) / tailEntriesMax);

/** Whether nothing is appended before a roll has made room: each append reads and writes all of a head. */
export function isFull(head: Head): boolean {
  return head.tail.length >= tailEntriesRefused || head.producers.length >= headProducersRefused;
}

/** Rises with every batch of a producer, whatever its epoch. */
export function lastBaseOffset(state: ProducerState): Offset {
  return state.batches.at(-1)?.baseOffset ?? -1;
}

/**
 * Moves the entries of `seen` into a page. `stored` may have grown since: its tail begins with the tail of `seen`.
 * Producers beyond those a head keeps leave with it, the longest unused first: a state is billed with every append. Fewer
 * are kept of those that had no part in this tail.
 */
export function rollHead(
  stored: Head,
  seen: Head,
): { readonly head: Head; readonly page: Page; readonly movedProducers: readonly ProducerState[] } {
  assert(stored.tailBase === seen.tailBase, 'a roll works on the tail it has seen');
  assert(stored.tail.length >= seen.tail.length && seen.tail.length > 0, 'the tail only grows between rolls');
  const maxTimestampSoFar = seen.tail.reduce(
    (max, entry) => Math.max(max, entry.maxTimestamp),
    stored.rolledMaxTimestamp ?? Number.MIN_SAFE_INTEGER,
  );
  const offsetCount = seen.tail.reduce((sum, entry) => sum + entry.offsetCount, 0);
  const tailBase = seen.tailBase + offsetCount;
  const count = stored.producers.length;
  const idleCount = stored.producers.filter((state) => lastBaseOffset(state) < seen.tailBase).length;
  const movedCount = Math.max(0, count - headProducersMax, Math.min(idleCount, count - headProducersIdleMax));
  const movedProducers = stored.producers.slice(0, movedCount);
  return {
    page: { baseOffset: seen.tailBase, lastOffset: tailBase - 1, maxTimestampSoFar, entries: seen.tail },
    movedProducers,
    head: {
      ...stored,
      tailBase,
      tail: stored.tail.slice(seen.tail.length),
      rolledMaxTimestamp: maxTimestampSoFar,
      producers: stored.producers.slice(movedProducers.length),
      movedProducerIdMax: movedProducers.reduce<ProducerId | undefined>(
        (max, { producerId }) => Math.max(max ?? -1, producerId),
        stored.movedProducerIdMax,
      ),
    },
  };
}
