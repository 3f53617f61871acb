/** Calls the log on behalf of clients and writes down what they asked and what they were told. */

import { isLogError } from '../errors.ts';
import type { TopicName } from '../ids.ts';
import type { Log, TopicDescription } from '../log.ts';
import { encodeBatch } from '../record/encode-batch.ts';
import type { DecodedRecord } from '../record/record.ts';
import { type Codec, decodeRecords, stampMaxTimestamp } from '../record/record-batch.ts';
import type { Chance } from './chance.ts';
import type { Workload } from './client.ts';
import type {
  FetchOperation,
  ListOffsetsOperation,
  ListOperation,
  Operation,
  Outcome,
  PollOperation,
  ProduceOperation,
  ProducerOperation,
  ReadRecord,
  TopicOperation,
} from './history.ts';
import type { Instants, Moment } from './instants.ts';
import { nameOf, recordOf } from './records.ts';

/** The log as callers call it, wherever it is. */
export interface CalledLog extends Pick<Log, 'produce' | 'fetch' | 'listOffsets' | 'nextProducer'> {
  readonly topics: Pick<Log['topics'], 'create' | 'list' | 'describe' | 'alter' | 'delete'>;
  readonly groups: Pick<
    Log['groups'],
    'join' | 'heartbeat' | 'leave' | 'commitOffsets' | 'fetchOffsets' | 'resetOffsets' | 'list' | 'describe' | 'delete'
  >;
}

/** Has `work` done by the log. Rejects with what `work` rejects with, or with what became of the way there and back. */
export type CallLog = <T>(caller: Caller, work: (log: CalledLog) => Promise<T>) => Promise<T>;

export interface Caller {
  readonly name: string;
  readonly chance: Chance;
  /** After this it gives up. */
  readonly timeoutMs: number;
  /** It asks nothing any more, and hears nothing. @default false */
  readonly isDead?: boolean;
}

export interface SentBatch {
  readonly partition: number;
  readonly values: readonly string[];
  readonly timestamps: readonly number[];
  readonly codec: Codec;
  readonly producer: ProduceOperation['producer'];
  /** What its header says that its records are not: a careless client's. */
  readonly claimedMaxTimestamp?: number | undefined;
}

export interface FetchOptions {
  /** A session of its own goes before that of all. */
  readonly partitions: readonly {
    readonly partition: number;
    readonly asked: FetchOperation['asked'];
    readonly session?: string;
  }[];
  readonly session?: string;
  readonly group?: string;
  readonly maxBytes: number;
  readonly minBytes: number;
  readonly maxWaitMs: number;
}

export type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };
const unanswered = { kind: 'unknown', code: 'REQUEST_TIMED_OUT', isRetriable: true } as const;

export class Recorder {
  readonly operations: Operation[] = [];
  readonly #call: CallLog;
  readonly now: Instants;
  readonly #onTold: (topic: TopicName) => void;
  #requestCount = 0;

  /** `onTold` hears of every topic of which a caller was told that it was made or deleted, just before that. */
  constructor(call: CallLog, now: Instants, onTold: (topic: TopicName) => void = () => {}) {
    this.#call = call;
    this.now = now;
    this.#onTold = onTold;
  }

  produce(caller: Caller, topic: TopicName, batches: readonly SentBatch[]): Promise<ProduceOperation[]> {
    const request = this.nextRequest();
    const operations = batches.map(({ partition, values, timestamps, producer }) =>
      this.begin<ProduceOperation>(caller, topic, {
        type: 'produce',
        request,
        partition,
        values,
        timestamps,
        producer,
      }),
    );
    return this.end(caller, operations, async (log) => {
      // Encoded anew for every delivery, since the log may stamp the bytes it is given.
      const encoded = batches.map(({ partition, values, timestamps, codec, producer, claimedMaxTimestamp }) => {
        const records = values.map((value, index) => recordOf(value, timestamps[index] ?? 0));
        const batch = encodeBatch({ records, codec, ...(producer === undefined ? {} : { producer }) });
        if (claimedMaxTimestamp !== undefined) stampMaxTimestamp(batch, claimedMaxTimestamp);
        return { partition, batch };
      });
      const results = await log.produce({ topic, batches: encoded });
      return results.map((result): ProduceOperation['outcome'] => {
        if ('error' in result) return outcomeOf(result.error);
        const { baseOffset, timestamp, isDuplicate } = result;
        return { kind: 'ok', baseOffset, timestamp, isDuplicate };
      });
    });
  }

  fetch(caller: Caller, topic: TopicName, options: FetchOptions): Promise<FetchOperation[]> {
    const { partitions, group, maxBytes, minBytes, maxWaitMs } = options;
    const request = this.nextRequest();
    const operations = partitions.map(({ partition, asked, session = options.session }) =>
      this.begin<FetchOperation>(caller, topic, { type: 'fetch', request, partition, asked, session, group }),
    );
    return this.end(caller, operations, async (log) => {
      const wanted = partitions.map(({ partition, asked }) => ({ partition, offset: asked }));
      const results = await log.fetch({ topic, partitions: wanted, maxBytes, minBytes, maxWaitMs });
      return results.map((result): FetchOperation['outcome'] => {
        if ('error' in result) return outcomeOf(result.error);
        const { offset, batches, nextOffset, highWatermark, logStartOffset } = result;
        const records = batches
          .flatMap((batch) => [...decodeRecords(batch)])
          .map(toRead)
          .filter((record) => record.offset >= offset);
        return { kind: 'ok', offset, records, nextOffset, highWatermark, logStartOffset };
      });
    });
  }

  /** One record by the way of a producer of the client, which batches it and tries again by itself. */
  async send(
    caller: Caller,
    topic: TopicName,
    sent: { readonly partition: number; readonly value: string; readonly timestamp: number; readonly session?: string },
    send: () => Promise<{ readonly offset: number; readonly timestamp: number }>,
  ): Promise<ProduceOperation> {
    const { partition, value, timestamp, session } = sent;
    const operation = this.begin<ProduceOperation>(caller, topic, {
      type: 'produce',
      request: this.nextRequest(),
      partition,
      values: [value],
      timestamps: [timestamp],
      producer: undefined,
      session,
    });
    const outcome = await send().then(
      ({ offset, timestamp: answered }): ProduceOperation['outcome'] => {
        return { kind: 'ok', baseOffset: offset, timestamp: answered, isDuplicate: false };
      },
      (error) => outcomeOf(error),
    );
    this.#settle([operation], [outcome]);
    return operation;
  }

  /** What a consumer of the client hands out, one record at a time; `undefined` is an error it ended with. */
  poll(
    caller: Caller,
    topic: TopicName,
    session: Pick<PollOperation, 'group' | 'from'> & { readonly name: string; readonly start: Moment },
    read: { readonly partition: number; readonly record: DecodedRecord } | { readonly error: unknown },
  ): Mutable<PollOperation> {
    const partition = 'record' in read ? read.partition : 0;
    const operation: Mutable<PollOperation> = this.begin<PollOperation>(caller, topic, {
      type: 'poll',
      partition,
      session: session.name,
      group: session.group,
      from: session.from,
    });
    operation.start = session.start.instant;
    operation.startMs = session.start.ms;
    const outcome: PollOperation['outcome'] =
      'error' in read ? outcomeOf(read.error) : { kind: 'ok', records: [toRead(read.record)] };
    this.#settle([operation], [outcome]);
    return operation;
  }

  async listOffsets(
    caller: Caller,
    topic: TopicName,
    partition: number,
    timestamp: ListOffsetsOperation['timestamp'],
  ): Promise<ListOffsetsOperation> {
    const operation = this.begin<ListOffsetsOperation>(caller, topic, { type: 'listOffsets', partition, timestamp });
    await this.end(caller, [operation], async (log) => {
      const found = await log.listOffsets({ topic, partition, timestamp });
      const time = found.timestamp === undefined ? undefined : Number(found.timestamp);
      return [{ kind: 'ok', offset: found.offset, timestamp: time }];
    });
    return operation;
  }

  async changeTopic(
    caller: Caller,
    type: TopicOperation['type'],
    topic: TopicName,
    change: { readonly partitionCount?: number; readonly config?: Record<string, unknown> } = {},
  ): Promise<TopicOperation> {
    const operation = this.begin<TopicOperation>(caller, topic, { type });
    const onOk = type === 'delete' || type === 'create' ? () => this.#onTold(topic) : undefined;
    await this.end(
      caller,
      [operation],
      async ({ topics }) => {
        let described: TopicDescription | undefined;
        if (type === 'create') described = await topics.create({ topic, ...change });
        else if (type === 'alter') described = await topics.alter({ topic, ...change });
        else if (type === 'describe') described = await topics.describe(topic);
        else await topics.delete(topic);
        return [{ kind: 'ok', topicId: described?.topicId, partitions: described?.partitions ?? [] }];
      },
      onOk,
    );
    return operation;
  }

  /** Of the topics that `workload` knows: a log may have others. */
  async list(caller: Caller, { topics: used, topicsBeside, listPageMax: limit }: Workload): Promise<ListOperation> {
    const known = new Set<string>([...used.map(({ topic }) => topic), ...topicsBeside]);
    const operation = this.begin<ListOperation>(caller, '', { type: 'list' });
    await this.end(caller, [operation], async (log) => {
      const topics: { topic: string; topicId: string }[] = [];
      for (let after: TopicName | undefined, isEnd = false; !isEnd; ) {
        const page = await log.topics.list({ ...(after === undefined ? {} : { after }), limit });
        topics.push(...page.map(({ topic, topicId }) => ({ topic, topicId })));
        after = page.at(-1)?.topic;
        isEnd = page.length < limit;
      }
      return [{ kind: 'ok', topics: topics.filter(({ topic }) => known.has(topic)) }];
    });
    return operation;
  }

  async nextProducer(caller: Caller): Promise<ProducerOperation> {
    const operation = this.begin<ProducerOperation>(caller, '', { type: 'nextProducer' });
    await this.end(caller, [operation], async (log) => {
      const { producerId } = await log.nextProducer();
      return [{ kind: 'ok', producerId }];
    });
    return operation;
  }

  nextRequest(): number {
    return this.#requestCount++;
  }

  /** Notes that `caller` asks for something: by `end` it learns what became of it. */
  begin<Op extends Operation>(
    { name }: Caller,
    topic: string,
    asked: Omit<Op, 'id' | 'client' | 'topic' | 'start' | 'end' | 'startMs' | 'endMs' | 'outcome'>,
  ): Mutable<Op> {
    const { instant: start, ms: startMs } = this.now();
    const timed = { id: this.operations.length, client: name, topic, start, end: undefined, startMs, endMs: undefined };
    const operation = { ...timed, ...asked, outcome: unanswered } as unknown as Op;
    this.operations.push(operation);
    return operation;
  }

  /** Has it done by the log. Outcomes in the order of `operations`; never rejects. */
  async end<Op extends Operation>(
    caller: Caller,
    operations: Mutable<Op>[],
    work: (log: CalledLog) => Promise<readonly Op['outcome'][]>,
    onOk: () => void = () => {},
  ): Promise<Mutable<Op>[]> {
    let outcomes: readonly Op['outcome'][];
    try {
      outcomes = await this.#call(caller, work);
      onOk();
    } catch (error) {
      outcomes = operations.map(() => outcomeOf(error));
    }
    this.#settle(operations, outcomes);
    return operations;
  }

  #settle<Op extends Operation>(operations: readonly Mutable<Op>[], outcomes: readonly Op['outcome'][]): void {
    const { instant, ms } = this.now();
    for (const [index, operation] of operations.entries()) {
      operation.outcome = outcomes[index] ?? { kind: 'bug', detail: 'there was no answer to it' };
      operation.end = instant;
      operation.endMs = ms;
    }
  }
}

function toRead(record: DecodedRecord): ReadRecord {
  return { offset: Number(record.offset), value: nameOf(record), timestamp: Number(record.timestamp) };
}

export function outcomeOf(error: unknown): Exclude<Outcome<object>, { kind: 'ok' }> {
  if (!isLogError(error)) return { kind: 'bug', detail: (error instanceof Error && error.stack) || String(error) };
  return { kind: error.effect === 'none' ? 'failed' : 'unknown', code: error.code, isRetriable: error.retriable };
}
