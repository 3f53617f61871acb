/** Histories made by hand: a good one, and what it takes to spoil it. */

import type {
  FetchOperation,
  History,
  ListOffsetsOperation,
  ListOperation,
  Operation,
  ProduceOperation,
  ProducerOperation,
  TopicLife,
  TopicOperation,
} from '../../lib/verify/history.ts';

const topic = 'orders';

export const orders: TopicLife = {
  topic,
  topicId: 'a',
  from: 0,
  fromMs: 0,
  leaving: undefined,
  to: undefined,
  partitionCounts: [{ count: 2, from: 0, fromMs: 0 }],
};

/** From `start` to `end`, as instants and as times; `more` replaces what is to be otherwise. */
type At<Op> = readonly [start: number, end: number | undefined, more?: Partial<Op>];

function timed(start: number, end: number | undefined) {
  return { client: 'client', topic, start, end, startMs: start * 1_000, endMs: end === undefined ? end : end * 1_000 };
}

export const refused = { kind: 'failed', code: 'OUT_OF_ORDER_SEQUENCE_NUMBER', isRetriable: false } as const;
export const unknown = { kind: 'unknown', code: 'REQUEST_TIMED_OUT', isRetriable: true } as const;

/** Acked at `baseOffset`, or what `outcome` says. Records have their own name's length as timestamp. */
export function produce(
  values: readonly string[],
  outcome: number | ProduceOperation['outcome'],
  [start, end, more]: At<ProduceOperation>,
): ProduceOperation {
  return {
    id: start,
    type: 'produce',
    ...timed(start, end),
    request: start,
    partition: 0,
    values,
    timestamps: values.map(({ length }) => length),
    producer: undefined,
    outcome:
      typeof outcome === 'number'
        ? {
            kind: 'ok',
            baseOffset: outcome,
            timestamp: Math.max(...values.map(({ length }) => length)),
            isDuplicate: false,
          }
        : outcome,
    ...more,
  };
}

export const by = (producerId: number, producerEpoch: number, baseSequence: number) => ({
  producer: { producerId, producerEpoch, baseSequence },
});

/** Read from `offset` on; the high watermark is behind the last record unless `answer` says otherwise. */
export function fetch(
  offset: number,
  values: readonly string[],
  [start, end, more]: At<FetchOperation>,
  answer: Partial<Extract<FetchOperation['outcome'], { kind: 'ok' }>> = {},
): FetchOperation {
  const records = values.map((value, index) => ({ offset: offset + index, value, timestamp: value.length }));
  const nextOffset = offset + values.length;
  return {
    id: start,
    type: 'fetch',
    ...timed(start, end),
    request: start,
    partition: 0,
    asked: offset,
    session: undefined,
    outcome: { kind: 'ok', offset, records, nextOffset, highWatermark: nextOffset, logStartOffset: 0, ...answer },
    ...more,
  };
}

export function listOffsets(
  timestamp: ListOffsetsOperation['timestamp'],
  offset: number | undefined,
  found: number | undefined,
  [start, end, more]: At<ListOffsetsOperation>,
): ListOffsetsOperation {
  const outcome = { kind: 'ok', offset, timestamp: found } as const;
  return { id: start, type: 'listOffsets', ...timed(start, end), partition: 0, timestamp, outcome, ...more };
}

export function changeTopic(
  type: TopicOperation['type'],
  outcome: TopicOperation['outcome'],
  [start, end, more]: At<TopicOperation>,
): TopicOperation {
  return { id: start, type, ...timed(start, end), outcome, ...more };
}

export function nextProducer(producerId: number, [start, end]: At<ProducerOperation>): ProducerOperation {
  return { id: start, type: 'nextProducer', ...timed(start, end), topic: '', outcome: { kind: 'ok', producerId } };
}

export function list(topicIds: readonly string[], [start, end]: At<ListOperation>): ListOperation {
  const topics = topicIds.map((topicId) => ({ topic, topicId }));
  return { id: start, type: 'list', ...timed(start, end), topic: '', outcome: { kind: 'ok', topics } };
}

export function historyOf(operations: readonly Operation[], topics: readonly TopicLife[] = [orders]): History {
  return { operations: operations.toSorted((a, b) => a.start - b.start), topics, topicStaleMsMax: 1_000 };
}
