/**
 * `GET /v1/topics/{topic}/partitions/{partition}/records` and `POST /v1/topics/{topic}/fetch`: records as JSON, or record
 * batches as frames with the watermarks in a header. The event stream has a file of its own.
 */

import { isLogError, LogError } from '../errors.ts';
import type { Offset, Partition } from '../ids.ts';
import type { FetchRequest, FetchResult } from '../log.ts';
import {
  batchesContentType,
  encodeFrames,
  eventStreamContentType,
  formatPartitions,
  jsonContentType,
  type PartitionEntry,
  partitionsHeader,
} from '../wire.ts';
import type { Answer } from './answer.ts';
import { streamRecords } from './event-stream.ts';
import {
  type ApiDeps,
  type Call,
  type Handler,
  json,
  negotiate,
  partitionOf,
  readJson,
  readQuery,
  release,
  topicOf,
} from './http.ts';
import { type OnError, problemAnswer, problemOf } from './problem.ts';
import { type Budget, type FetchedPartition, newBudget, readJsonRecords } from './read-records.ts';
import { fetchBody, fetchDefaults, fetchQuery } from './schemas.ts';

export const fetchOne: Handler = async (deps, call) => {
  const topic = topicOf(call);
  const partition = partitionOf(call);
  const format = negotiate(call, [jsonContentType, batchesContentType, eventStreamContentType]);
  const query = readQuery(call, fetchQuery);
  const offset = parseOffset(query.offset);
  if (format === eventStreamContentType) return streamRecords(deps, call, { topic, partition, offset });

  const limits = limitsOf(query);
  const [result] = await deps.log.fetch({
    topic,
    partitions: [{ partition, offset }],
    ...limits,
    ...waitSignal(deps, call, limits),
  });
  if (result === undefined) throw new Error('a fetch of one partition gave no result');
  if ('error' in result) throw result.error;
  if (format === batchesContentType) return batchesAnswer(call, [result]);
  return json({ ...readJsonRecords(result, newBudget()), ...watermarksOf(result) });
};

export const fetchMany: Handler = async (deps, call) => {
  const topic = topicOf(call);
  const format = negotiate(call, [jsonContentType, batchesContentType]);
  const body = await readJson(call, fetchBody);
  checkDistinct(body.partitions);
  const limits = limitsOf(body);
  const results = await deps.log.fetch({
    topic,
    partitions: body.partitions,
    ...limits,
    ...waitSignal(deps, call, limits),
  });
  if (format === batchesContentType && !results.every(isFailed)) {
    // The answer has room for their codes alone.
    for (const result of results) if ('error' in result) problemOf(result.error, deps.onError);
    return batchesAnswer(call, results);
  }

  const budget = newBudget();
  const entries = results.map((result) => jsonEntry(result, budget, deps.onError));
  const failures = entries.filter((entry) => 'code' in entry);
  const [first] = failures;
  if (first === undefined) return json({ partitions: entries });
  if (failures.length < entries.length) return json({ partitions: entries }, 207);
  const { partition: _, ...problem } = first;
  return problemAnswer(
    problem,
    { partitions: entries },
    format === batchesContentType ? watermarksHeader(results) : {},
  );
};

/** `earliest` where nothing is said. A negative number goes on to the log, which answers OFFSET_OUT_OF_RANGE as Kafka does. */
function parseOffset(text: string | undefined): Offset | 'earliest' | 'latest' {
  if (text === undefined) return 'earliest';
  if (text === 'earliest' || text === 'latest') return text;
  const offset = Number(text);
  if (Number.isSafeInteger(offset)) return offset;
  throw new LogError('INVALID_REQUEST', `offset ${text} is beyond ${Number.MAX_SAFE_INTEGER}`);
}

interface Limits {
  readonly maxBytes: number;
  readonly minBytes: number;
  readonly maxWaitMs: number;
}

function limitsOf(given: { [Name in keyof Limits]?: number | undefined }): Limits {
  const {
    maxBytes = fetchDefaults.maxBytes,
    minBytes = fetchDefaults.minBytes,
    maxWaitMs = fetchDefaults.maxWaitMs,
  } = given;
  return { maxBytes, minBytes, maxWaitMs };
}

/** A wait ends when the caller has gone, and when the process is about to. */
export function waitSignal(
  { stopping }: ApiDeps,
  { request }: Call,
  { maxWaitMs }: { readonly maxWaitMs: number },
): Pick<FetchRequest, 'signal'> {
  if (maxWaitMs === 0) return {};
  return { signal: stopping === undefined ? request.signal : AbortSignal.any([request.signal, stopping]) };
}

function checkDistinct(partitions: readonly { readonly partition: Partition }[]): void {
  const seen = new Set<Partition>();
  for (const { partition } of partitions) {
    if (seen.has(partition)) throw new LogError('INVALID_REQUEST', `partitions names ${partition} more than once`);
    seen.add(partition);
  }
}

function watermarksOf({ highWatermark, logStartOffset }: FetchedPartition) {
  return { highWatermark, logStartOffset };
}

function jsonEntry(result: FetchResult, budget: Budget, onError: OnError) {
  const { partition } = result;
  if ('error' in result) return { partition, ...problemOf(result.error, onError) };
  try {
    return { partition, ...readJsonRecords(result, budget), ...watermarksOf(result) };
  } catch (error) {
    // A batch that cannot be read fails its own partition.
    if (isLogError(error)) return { partition, ...problemOf(error, onError) };
    throw error;
  }
}

/** 200, or 207 when a partition failed; its code stands in the header, since frames have no room for it. */
function batchesAnswer({ carriage }: Call, results: readonly FetchResult[]): Answer {
  const frames = results.flatMap((result) =>
    'error' in result ? [] : result.batches.map((batch) => ({ partition: result.partition, batch })),
  );
  const headers = { 'content-type': batchesContentType, ...watermarksHeader(results) };
  // One write of one body costs less than a stream of parts, and the parts are in memory anyway.
  const body = Buffer.concat(encodeFrames(frames));
  for (const { batch } of frames) release(batch);
  carriage.whenSent?.(() => release(body));
  return { status: results.some(isFailed) ? 207 : 200, headers, body };
}

function watermarksHeader(results: readonly FetchResult[]): Record<string, string> {
  return { [partitionsHeader]: formatPartitions(results.map(partitionEntry)) };
}

function partitionEntry(result: FetchResult): PartitionEntry {
  if (!('error' in result)) return result;
  const { partition, error } = result;
  const known = isLogError(error, 'OFFSET_OUT_OF_RANGE') ? error.details : undefined;
  const { highWatermark = -1, logStartOffset = -1 } = known ?? {};
  return { partition, nextOffset: -1, highWatermark, logStartOffset, code: error.code };
}

function isFailed(result: FetchResult): boolean {
  return 'error' in result;
}
