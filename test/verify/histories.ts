/** Histories made by hand: a good one, and what it takes to spoil it. */

import type {
  CommitOffsetOperation,
  CommittedOffset,
  FetchOffsetsOperation,
  FetchOperation,
  GroupOperation,
  History,
  ListOffsetsOperation,
  ListOperation,
  LookForGroupsOperation,
  MemberOperation,
  Operation,
  PollOperation,
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

/** Handed out by a consumer of the library. */
export function poll(
  handedOut: readonly (readonly [offset: number, value: string])[],
  [start, end, more]: At<PollOperation>,
): PollOperation {
  const records = handedOut.map(([offset, value]) => ({ offset, value, timestamp: value.length }));
  const outcome = { kind: 'ok', records } as const;
  return { id: start, type: 'poll', ...timed(start, end), partition: 0, session: 'polls', outcome, ...more };
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

/** Of `memberId` in group `billing`, told to hold `assignment`, as `topicId/partition`, at `memberEpoch`. */
export function member(
  type: MemberOperation['type'],
  memberId: string,
  told: readonly [memberEpoch: number, assignment?: readonly string[]] | MemberOperation['outcome'],
  [start, end, more]: At<MemberOperation>,
): MemberOperation {
  const outcome =
    'kind' in told ? told : ({ kind: 'ok', memberEpoch: told[0], assignment: told[1] } as MemberOperation['outcome']);
  return {
    id: start,
    type,
    ...timed(start, end),
    topic: '',
    group: 'billing',
    memberId,
    instanceId: undefined,
    memberEpoch: outcome.kind === 'ok' && type !== 'join' ? outcome.memberEpoch : 0,
    owned: undefined,
    sessionTimeoutMs: 45_000,
    rebalanceTimeoutMs: 60_000,
    isStray: false,
    outcome,
    ...more,
  };
}

/** Of partition 0, by `memberId` at `memberEpoch`; without both from outside. */
export function commit(
  offset: number,
  by: readonly [memberId: string, memberEpoch: number] | undefined,
  [start, end, more]: At<CommitOffsetOperation>,
): CommitOffsetOperation {
  return {
    id: start,
    type: 'commitOffset',
    ...timed(start, end),
    request: start,
    group: 'billing',
    topicId: undefined,
    partition: 0,
    member: by && { memberId: by[0], memberEpoch: by[1] },
    offset,
    metadata: `commit ${start}`,
    outcome: { kind: 'ok' },
    ...more,
  };
}

/** Of partition 0: `offset` as the commit that began at `committedAt` has set it; nothing without both. */
export function committed(
  found: readonly [offset: number, committedAt: number] | undefined,
  [start, end, more]: At<FetchOffsetsOperation>,
): FetchOffsetsOperation {
  const offsets =
    found === undefined ? [] : [{ topicId: 'a', partition: 0, offset: found[0], metadata: `commit ${found[1]}` }];
  return {
    id: start,
    type: 'fetchOffsets',
    ...timed(start, end),
    group: 'billing',
    outcome: { kind: 'ok', offsets },
    ...more,
  };
}

export function lookForGroups(
  type: LookForGroupsOperation['type'],
  outcome: LookForGroupsOperation['outcome'],
  [start, end, more]: At<LookForGroupsOperation>,
): LookForGroupsOperation {
  const group = type === 'listGroups' ? '' : 'billing';
  return { id: start, type, ...timed(start, end), topic: '', group, outcome, ...more };
}

export function changeGroup(
  type: GroupOperation['type'],
  offsets: readonly CommittedOffset[],
  [start, end, more]: At<GroupOperation>,
): GroupOperation {
  const where = type === 'deleteGroup' ? { topic: '' } : {};
  return {
    id: start,
    type,
    ...timed(start, end),
    ...where,
    group: 'billing',
    outcome: { kind: 'ok', offsets },
    ...more,
  };
}

export function historyOf(operations: readonly Operation[], topics: readonly TopicLife[] = [orders]): History {
  return { operations: operations.toSorted((a, b) => a.start - b.start), topics, topicStaleMsMax: 1_000 };
}
