/**
 * Idempotence: what a producer's next batch must be, and which of its batches was sent before.
 *
 * Kafka's rules (`ProducerAppendInfo`, `ProducerStateEntry`), with one made stricter as transactions v2 did: a producer
 * that is unknown here must begin with sequence 0. Requests reach us over many connections, so the second batch of a new
 * producer may arrive before its first; taking it would make the first one fail for ever.
 *
 * Sequences count records and wrap: after 2147483647 comes 0.
 */

import { LogError } from '../errors.ts';
import type { Offset, Timestamp } from '../ids.ts';
import { producerBatchesMax } from '../limits.ts';
import type { ProducerBatch, ProducerState } from './items.ts';
import type { NewBatch } from './metadata-store.ts';

/** A sequence `count` records further on, modulo 2^31. */
export function addToSequence(sequence: number, count: number): number {
  return (sequence + count) % 2 ** 31;
}

export type SequenceVerdict =
  | { readonly verdict: 'next' }
  | { readonly verdict: 'duplicate'; readonly baseOffset: Offset; readonly timestamp: Timestamp }
  | { readonly verdict: 'refused'; readonly error: LogError };

/** Pure. Duplicates are looked for first, as Kafka does, and only at the state's own epoch. */
export function classifySequence(
  state: ProducerState | undefined,
  batch: NewBatch & { readonly producer: NonNullable<NewBatch['producer']> },
): SequenceVerdict {
  const { producerId, producerEpoch, baseSequence } = batch.producer;
  if (state !== undefined && producerEpoch === state.producerEpoch) {
    const first = state.batches.find(
      (seen) => seen.baseSequence === baseSequence && seen.recordCount === batch.recordCount,
    );
    if (first !== undefined) return { verdict: 'duplicate', baseOffset: first.baseOffset, timestamp: first.timestamp };
  }
  if (state !== undefined && producerEpoch < state.producerEpoch) {
    const error = new LogError(
      'INVALID_PRODUCER_EPOCH',
      `producer ${producerId} sent with epoch ${producerEpoch}, a newer one with epoch ${state.producerEpoch} is at work`,
      { details: { producerId, producerEpoch, currentProducerEpoch: state.producerEpoch } },
    );
    return { verdict: 'refused', error };
  }
  const expectedSequence = state === undefined || producerEpoch > state.producerEpoch ? 0 : sequenceAfter(state);
  if (baseSequence === expectedSequence) return { verdict: 'next' };
  const error = new LogError(
    'OUT_OF_ORDER_SEQUENCE_NUMBER',
    `producer ${producerId} sent sequence ${baseSequence}, the next one is ${expectedSequence}`,
    { details: { producerId, baseSequence, expectedSequence } },
  );
  return { verdict: 'refused', error };
}

function sequenceAfter(state: ProducerState): number {
  const last = state.batches.at(-1);
  return last === undefined ? 0 : addToSequence(last.baseSequence, last.recordCount);
}

/** The state after `batch`, which was `next`, took its offsets. A newer epoch forgets the batches of the older one. */
export function advanceProducer(
  state: ProducerState | undefined,
  producer: NonNullable<NewBatch['producer']>,
  batch: ProducerBatch,
): ProducerState {
  const remembered = state?.producerEpoch === producer.producerEpoch ? state.batches : [];
  return {
    producerId: producer.producerId,
    producerEpoch: producer.producerEpoch,
    batches: [...remembered, batch].slice(-producerBatchesMax),
  };
}
