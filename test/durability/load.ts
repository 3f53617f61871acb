/**
 * Producers that write down what they sent and what they were told, across the deaths of the server.
 *
 * Each sender has one request under way at most, so its records have an order; many senders run side by side.
 */

import { KiB, MiB } from '../../lib/limits.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import type { Record as LogRecord } from '../../lib/record/record.ts';
import { batchesContentType, encodeFrames, jsonContentType } from '../../lib/wire.ts';
import type { Random } from '../support/random.ts';
import type { Outcome, SentRecord } from './checker.ts';
import type { HttpCaller, Sent } from './http.ts';
import { createValues, type Value } from './values.ts';

export const topic = 'journal';
export const partitionCount = 4;

export interface LoadEvents {
  onRequest(): void;
  onAnswer(): void;
}

export interface Load {
  readonly sent: readonly SentRecord[];
  /** A resend that was answered with other offsets, an answer of a shape that cannot be, and the like. */
  readonly violations: readonly string[];
  /** Runs every sender until the server is gone or `signal` is aborted. What idempotent senders owe is sent first. */
  run(http: HttpCaller, events: LoadEvents, signal: AbortSignal): Promise<void>;
  /** Only what idempotent senders owe. */
  settle(http: HttpCaller): Promise<void>;
}

interface Mutable extends SentRecord {
  outcome: Outcome;
}

/** The records of one partition that are answered by one entry. */
interface Part {
  readonly partition: number;
  readonly records: Mutable[];
}

interface Request {
  readonly path: 'records' | 'batches';
  readonly body: Uint8Array;
  /** In the order of the results. */
  readonly parts: readonly Part[];
}

interface Sender {
  readonly isIdempotent: boolean;
  readonly pauseMs: () => number;
  next(): Request;
  /** The last request, while it is not wholly acked; resent as it is. Or acked, and resent now and then all the same. */
  owed: Request | undefined;
  last: Request | undefined;
}

export async function createLoad(http: HttpCaller, random: Random): Promise<Load> {
  const sent: Mutable[] = [];
  const violations: string[] = [];
  const newValue = createValues(random);
  const sequences = new Map<string, number>();

  const newRecord = (sender: string, partition: number, byteLength: number, isIdempotent: boolean) => {
    const key = `${sender}/${partition}`;
    const sequence = sequences.get(key) ?? 0;
    sequences.set(key, sequence + 1);
    const value = newValue(`${key}/${sequence}`, byteLength);
    const record: Mutable = {
      value: value.name,
      partition,
      sender,
      sequence,
      isIdempotent,
      outcome: { kind: 'unknown' },
    };
    sent.push(record);
    return { record, value };
  };

  /** JSON: `counts` records for each partition named, all in one request. */
  const jsonRequest = (sender: string, partitions: readonly number[], count: number, byteLength: () => number) => {
    const parts: Part[] = partitions.map((partition) => ({ partition, records: [] }));
    const records: { partition: number; value: string }[] = [];
    for (let index = 0; index < count; index += 1) {
      for (const part of parts) {
        const { record, value } = newRecord(sender, part.partition, byteLength(), false);
        part.records.push(record);
        records.push({ partition: part.partition, value: value.bytes.toString() });
      }
    }
    return { path: 'records', body: Buffer.from(JSON.stringify({ records })), parts } satisfies Request;
  };

  /** One batch for each partition named; a partition may be named twice. */
  const batchRequest = (
    sender: string,
    producerId: number | undefined,
    partitions: readonly number[],
    count: () => number,
    byteLength: () => number,
  ): Request => {
    const parts: Part[] = [];
    const frames = partitions.map((partition) => {
      const made = Array.from({ length: count() }, () =>
        newRecord(sender, partition, byteLength(), producerId !== undefined),
      );
      const baseSequence = made[0]?.record.sequence ?? 0;
      parts.push({ partition, records: made.map(({ record }) => record) });
      const records = made.map(({ value }) => toRecord(value));
      const producer = producerId === undefined ? {} : { producer: { producerId, producerEpoch: 0, baseSequence } };
      return { partition, batch: encodeBatch({ records, codec: random.pick(['none', 'none', 'lz4']), ...producer }) };
    });
    return { path: 'batches', body: Buffer.concat(encodeFrames(frames)), parts };
  };

  const smallBytes = () => random.pick([0, 20, 200, 1000, 4000, random.integer(0, 100 * KiB)]);
  const senders: Sender[] = [];
  const add = (isIdempotent: boolean, next: () => Request, pauseMs = () => 0) =>
    senders.push({ isIdempotent, next, pauseMs, owed: undefined, last: undefined });

  for (const caller of [0, 1, 2, 3]) {
    add(false, () => jsonRequest(`single-${caller}`, [caller % partitionCount], 1, smallBytes));
  }
  add(false, () =>
    jsonRequest('spread', [0, 1, 2, 3], random.integer(1, 10), () => random.pick([5, 50, 500, 20 * KiB])),
  );
  for (const home of [0, 1, 2]) {
    const producerId = await nextProducerId(http);
    const partitions = () => random.pick([[home], [home, home + 1], [home, home], [home, home + 1, home]]);
    const count = () => random.integer(1, 20);
    add(true, () => batchRequest(`idempotent-${home}`, producerId, partitions(), count, () => random.integer(0, 2000)));
  }
  const largeBytes = () => random.integer(1.1 * MiB, 2 * MiB);
  const one = () => 1;
  const rest = () => random.integer(40, 160);
  add(false, () => batchRequest('large', undefined, [3, 0], one, largeBytes), rest);
  const largeProducerId = await nextProducerId(http);
  add(true, () => batchRequest('idempotent-large', largeProducerId, [3], one, largeBytes), rest);

  /** True when every part is acked. */
  const noteAnswer = (request: Request, answer: Sent): boolean => {
    const entries = entriesOf(answer);
    if (entries !== undefined && entries.length !== request.parts.length) {
      violations.push(`${entries.length} results for ${request.parts.length} parts`);
      return false;
    }
    let isAcked = true;
    request.parts.forEach(({ partition, records }, index) => {
      const entry = entries?.[index];
      if (entry?.baseOffset === undefined || entry.partition !== partition) {
        isAcked = false;
        const isRefused = entry === undefined ? refusesAll(answer) : entry.effect === 'none';
        // A resend that is refused says nothing about the first time.
        if (isRefused && records[0]?.isIdempotent === false) {
          for (const record of records) record.outcome = { kind: 'refused' };
        }
        return;
      }
      const { baseOffset } = entry;
      records.forEach((record, at) => {
        const { outcome } = record;
        if (outcome.kind === 'acked' && outcome.offset !== baseOffset + at) {
          violations.push(`${record.value} was acked at ${outcome.offset}, its resend at ${baseOffset + at}`);
        }
        record.outcome = { kind: 'acked', offset: baseOffset + at };
      });
    });
    if (typeof answer !== 'string' && answer.status !== 200) {
      violations.push(`${request.path} was answered ${answer.status}: ${answer.body.toString().slice(0, 300)}`);
    }
    return isAcked;
  };

  /** False when the server is gone. */
  const send = async (http: HttpCaller, sender: Sender, request: Request, events?: LoadEvents): Promise<boolean> => {
    if (sender.isIdempotent) sender.owed = request;
    const contentType = request.path === 'records' ? jsonContentType : batchesContentType;
    const answering = http.send(
      'POST',
      `/v1/topics/${topic}/${request.path}`,
      { 'content-type': contentType },
      request.body,
    );
    events?.onRequest();
    const answer = await answering;
    if (noteAnswer(request, answer)) sender.owed = undefined;
    sender.last = request;
    if (typeof answer === 'string') return false;
    events?.onAnswer();
    return true;
  };

  const settle = async (http: HttpCaller, sender: Sender): Promise<void> => {
    const again = sender.isIdempotent
      ? (sender.owed ?? (random.integer(0, 1) === 0 ? sender.last : undefined))
      : undefined;
    if (again !== undefined) await send(http, sender, again);
  };

  return {
    sent,
    violations,
    settle: async (http) => void (await Promise.all(senders.map((sender) => settle(http, sender)))),
    run: async (http, events, signal) => {
      const runSender = async (sender: Sender) => {
        await settle(http, sender);
        while (!signal.aborted && sender.owed === undefined) {
          if (!(await send(http, sender, sender.next(), events))) return;
          const pauseMs = sender.pauseMs();
          if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
        }
      };
      await Promise.all(senders.map(runSender));
    },
  };
}

function toRecord({ bytes }: Value): LogRecord {
  return { key: null, value: bytes, headers: [], timestamp: Date.now() };
}

interface ResultEntry {
  readonly partition: number;
  readonly baseOffset?: number;
  readonly effect?: string;
}

function entriesOf(answer: Sent): readonly ResultEntry[] | undefined {
  if (typeof answer === 'string') return undefined;
  return (JSON.parse(answer.body.toString()) as { results?: ResultEntry[] }).results;
}

function refusesAll(answer: Sent): boolean {
  if (typeof answer === 'string') return answer === 'no connection';
  return (JSON.parse(answer.body.toString()) as { effect?: string }).effect === 'none';
}

async function nextProducerId(http: HttpCaller): Promise<number> {
  const answer = await http.send('POST', '/v1/producers');
  if (typeof answer === 'string') throw new Error('the server is gone');
  return (JSON.parse(answer.body.toString()) as { producerId: number }).producerId;
}
