/** The calls of the HTTP protocol as typed functions over a transport. None of them retries. */

import { isLogError, LogError } from '../errors.ts';
import type { Int64, Offset, Partition, ProducerEpoch, ProducerId, Timestamp } from '../ids.ts';
import type { TopicDescription, TopicSummary } from '../log.ts';
import {
  batchesContentType,
  decodeFrames,
  encodeFrames,
  type Frame,
  jsonContentType,
  type PartitionEntry,
  parsePartitions,
  partitionsHeader,
  problemToError,
} from '../wire.ts';
import type { Transport, TransportRequest, TransportResponse } from './transport.ts';

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs: number;
}

export interface ProducerIdentity {
  readonly producerId: ProducerId;
  readonly producerEpoch: ProducerEpoch;
}

/** What became of the batch of one partition. */
export type BatchResult =
  | { readonly partition: Partition; readonly baseOffset: Offset; readonly timestamp: Timestamp }
  | { readonly partition: Partition; readonly error: LogError };

export interface FetchedBatches {
  readonly partition: Partition;
  /** In order; the first may begin below the offset asked for. Views into the answer. */
  readonly batches: readonly Uint8Array[];
  readonly nextOffset: Offset;
  readonly highWatermark: Offset;
  readonly logStartOffset: Offset;
}
export type FetchedPartition = FetchedBatches | { readonly partition: Partition; readonly error: LogError };

const topicsPath = '/v1/topics';

export function topicPath(topic: string): string {
  return `${topicsPath}/${encodeURIComponent(topic)}`;
}

// ---- topics

export function callJson(
  transport: Transport,
  call: Pick<TransportRequest, 'method' | 'path' | 'query'> & { readonly body?: unknown },
  options: CallOptions,
): Promise<unknown> {
  const { body, ...request } = call;
  const headers = { accept: jsonContentType, ...(body === undefined ? {} : { 'content-type': jsonContentType }) };
  const bytes = body === undefined ? {} : { body: [Buffer.from(JSON.stringify(body))] };
  return transport({ ...request, ...options, headers, ...bytes }).then((response) => {
    if (response.status >= 200 && response.status < 300) {
      return response.body.byteLength === 0 ? undefined : readJson(transport, response);
    }
    throw problemOf(response);
  });
}

export async function describeTopic(
  transport: Transport,
  topic: string,
  options: CallOptions,
): Promise<TopicDescription> {
  return (await callJson(transport, { method: 'GET', path: topicPath(topic) }, options)) as TopicDescription;
}

export async function listTopicsPage(
  transport: Transport,
  page: { readonly limit?: number; readonly after?: string },
  options: CallOptions,
): Promise<{ readonly topics: readonly TopicSummary[]; readonly next?: string }> {
  const query = {
    ...(page.limit === undefined ? {} : { limit: String(page.limit) }),
    ...(page.after === undefined ? {} : { after: page.after }),
  };
  const answer = await callJson(transport, { method: 'GET', path: topicsPath, query }, options);
  return answer as { topics: TopicSummary[]; next?: string };
}

export async function listOffsets(
  transport: Transport,
  wanted: { readonly topic: string; readonly partition: Partition; readonly timestamp: Timestamp | string },
  options: CallOptions,
): Promise<{ readonly offset: Offset | undefined; readonly timestamp: Int64 | undefined }> {
  const path = `${topicPath(wanted.topic)}/partitions/${wanted.partition}/offsets`;
  const query = { timestamp: String(wanted.timestamp) };
  const answer = (await callJson(transport, { method: 'GET', path, query }, options)) as {
    offset: number | null;
    timestamp: number | string | null;
  };
  const { timestamp } = answer;
  return {
    offset: answer.offset ?? undefined,
    timestamp: typeof timestamp === 'string' ? BigInt(timestamp) : (timestamp ?? undefined),
  };
}

// ---- produce

export async function newProducer(transport: Transport, options: CallOptions): Promise<ProducerIdentity> {
  return (await callJson(transport, { method: 'POST', path: '/v1/producers' }, options)) as ProducerIdentity;
}

/**
 * One result per frame, in their order; every partition once at most. Throws when nothing is known of any of them: no
 * answer, or one that is not of a log.
 */
export async function produceBatches(
  transport: Transport,
  topic: string,
  frames: readonly Frame[],
  options: CallOptions,
): Promise<readonly BatchResult[]> {
  const response = await transport({
    method: 'POST',
    path: `${topicPath(topic)}/batches`,
    headers: { 'content-type': batchesContentType, accept: jsonContentType },
    body: encodeFrames(frames),
    ...options,
  });
  const isPartial = response.status === 200 || response.status === 207;
  const results = entriesOf(response, 'results');
  if (results === undefined) {
    if (!isPartial) throw problemOf(response);
    // Something between us and the log answered in its place; what the log did cannot be known.
    throw new LogError('KAFKA_STORAGE_ERROR', `${transport.endpoint} answered a produce with no results`);
  }
  const byPartition = new Map(results.map((entry) => [entry.partition, entry]));
  return frames.map(({ partition }): BatchResult => {
    const entry = byPartition.get(partition);
    if (entry === undefined) {
      const message = `${transport.endpoint} answered without a result for partition ${partition}`;
      return { partition, error: new LogError('KAFKA_STORAGE_ERROR', message) };
    }
    if ('code' in entry) return { partition, error: problemToError(entry, response.status) };
    return { partition, baseOffset: Number(entry.baseOffset), timestamp: Number(entry.timestamp) };
  });
}

// ---- fetch

export interface FetchCall {
  readonly partitions: readonly { readonly partition: Partition; readonly offset: Offset | 'earliest' | 'latest' }[];
  readonly maxBytes: number;
  readonly minBytes: number;
  readonly maxWaitMs: number;
}

/** One entry per partition asked for, in that order. */
export async function fetchBatches(
  transport: Transport,
  topic: string,
  call: FetchCall,
  options: CallOptions,
): Promise<readonly FetchedPartition[]> {
  const response = await transport({
    method: 'POST',
    path: `${topicPath(topic)}/fetch`,
    headers: { 'content-type': jsonContentType, accept: batchesContentType },
    body: [Buffer.from(JSON.stringify(call))],
    ...options,
  });
  const header = response.header(partitionsHeader);
  if (header === undefined) {
    // Where all partitions failed the answer is a problem document with an entry for each.
    const failed = entriesOf(response, 'partitions');
    if (failed === undefined) throw problemOf(response);
    const byPartition = new Map(failed.map((entry) => [entry.partition, entry]));
    return call.partitions.map(({ partition }) => {
      return { partition, error: problemToError(byPartition.get(partition), response.status) };
    });
  }
  const batches = new Map<Partition, Uint8Array[]>();
  for (const { partition, batch } of decodeFrames(response.body, Number.POSITIVE_INFINITY)) {
    const already = batches.get(partition);
    if (already === undefined) batches.set(partition, [batch]);
    else already.push(batch);
  }
  const entries = new Map(parsePartitions(header).map((entry) => [entry.partition, entry]));
  return call.partitions.map(({ partition, offset }): FetchedPartition => {
    const entry = entries.get(partition);
    if (entry === undefined) {
      const message = `${transport.endpoint} answered without partition ${partition}`;
      return { partition, error: new LogError('KAFKA_STORAGE_ERROR', message) };
    }
    if (entry.code !== undefined) return { partition, error: codeToError(topic, offset, entry, entry.code) };
    const { nextOffset, highWatermark, logStartOffset } = entry;
    return { partition, batches: batches.get(partition) ?? [], nextOffset, highWatermark, logStartOffset };
  });
}

function codeToError(
  topic: string,
  offset: FetchCall['partitions'][number]['offset'],
  entry: PartitionEntry,
  code: NonNullable<PartitionEntry['code']>,
): LogError {
  const { partition, highWatermark, logStartOffset } = entry;
  if (code !== 'OFFSET_OUT_OF_RANGE') return new LogError(code, `partition ${partition} of ${topic} cannot be fetched`);
  const message = `offset ${offset} of ${topic}, partition ${partition}, is not within ${logStartOffset} and ${highWatermark}`;
  return new LogError('OFFSET_OUT_OF_RANGE', message, {
    details: { partition, offset: typeof offset === 'number' ? offset : -1, logStartOffset, highWatermark },
  }) as LogError;
}

// ---- answers

type Entry = Readonly<Record<string, unknown>>;

/** `results` or `partitions` of an answer that succeeded or failed in part or in all. */
function entriesOf(response: TransportResponse, name: 'results' | 'partitions'): readonly Entry[] | undefined {
  const answer = parsed(response.body);
  if (typeof answer !== 'object' || answer === null) return undefined;
  const entries = (answer as Entry)[name];
  return Array.isArray(entries) ? entries : undefined;
}

function readJson(transport: Transport, response: TransportResponse): unknown {
  const answer = parsed(response.body);
  if (answer !== undefined) return answer;
  throw new LogError('KAFKA_STORAGE_ERROR', `${transport.endpoint} answered with something that is not JSON`);
}

function problemOf(response: TransportResponse): LogError {
  const error = problemToError(parsed(response.body), response.status);
  const seconds = Number(response.header('retry-after'));
  const details = error.details as { readonly retryAfterMs?: unknown } | undefined;
  if (!(seconds > 0) || details?.retryAfterMs !== undefined) return error;
  const { code, message, effect, retriable, cause } = error;
  return new LogError<typeof code>(code, message, {
    details: { ...error.details, retryAfterMs: seconds * 1000 },
    effect,
    retriable,
    cause,
  } as ConstructorParameters<typeof LogError>[2]);
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
  } catch {
    return undefined;
  }
}

/** What was thrown, as a `LogError`; anything else is a bug here and goes on. */
export function asLogError(error: unknown): LogError {
  if (isLogError(error)) return error;
  throw error;
}
