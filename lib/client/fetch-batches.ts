/** One fetch of many partitions as record batches. */

import { type ErrorCode, LogError } from '../errors.ts';
import {
  batchesContentType,
  decodeFrames,
  jsonContentType,
  parsePartitions,
  partitionsHeader,
  problemContentType,
  problemToError,
} from '../wire.ts';
import { errorOf, parseBody, requestTimeoutMs, topicPath } from './api-calls.ts';
import type { Transport, TransportResponse } from './transport.ts';

export interface FetchedPartition {
  readonly partition: number;
  /** The one asked for; the first batch may begin before it. */
  readonly offset: number;
  readonly batches: readonly Uint8Array[];
  readonly nextOffset: number;
  readonly highWatermark: number;
}

export interface FetchWanted {
  /** Partition and offset; read in this order until `maxBytes` are there. */
  readonly partitions: readonly (readonly [partition: number, offset: number])[];
  readonly maxBytes: number;
  readonly maxWaitMs: number;
  readonly signal: AbortSignal;
}

/** Where one request may not name all, naming each of them once takes no longer than this when there is nothing new. */
const roundMsMax = 2_000;

/**
 * How long one of the `requestCount` requests may wait that together name all partitions that are wanted. With something
 * to catch up none does: what is there may be another request's.
 */
export function waitMsOf(maxWaitMs: number, requestCount: number, isAnyBehind: boolean): number {
  if (requestCount === 1) return maxWaitMs;
  return isAnyBehind ? 0 : Math.min(maxWaitMs, Math.floor(roundMsMax / requestCount));
}

/** Per partition its batches, or its error. Throws when the request as a whole failed. */
export async function fetchBatches(
  transport: Transport,
  topic: string,
  { partitions, maxBytes, maxWaitMs, signal }: FetchWanted,
): Promise<(FetchedPartition | { readonly partition: number; readonly error: LogError })[]> {
  const wanted = partitions.map(([partition, offset]) => ({ partition, offset }));
  const response = await transport({
    method: 'POST',
    path: topicPath(topic, '/fetch'),
    headers: { 'content-type': jsonContentType, accept: `${batchesContentType}, ${problemContentType}` },
    body: [Buffer.from(JSON.stringify({ partitions: wanted, maxBytes, minBytes: 1, maxWaitMs }))],
    timeoutMs: requestTimeoutMs + maxWaitMs,
    signal,
  });
  // Where all of them failed it says more than the header, which has but their codes.
  const failures = response.status < 300 ? undefined : failuresOf(response);
  if (failures !== undefined) return failures;
  const watermarks = response.header(partitionsHeader);
  if (watermarks === undefined) {
    throw response.status < 300
      ? new LogError('UNKNOWN_SERVER_ERROR', `answer has no header ${partitionsHeader}`)
      : errorOf(response);
  }
  const batchesOf = Map.groupBy(response.status < 300 ? decodeFrames(response.body) : [], ({ partition }) => partition);
  const offsetOf = new Map(partitions);
  return parsePartitions(watermarks).map(({ partition, nextOffset, highWatermark, logStartOffset, code }) => {
    const offset = offsetOf.get(partition) ?? nextOffset;
    if (code !== undefined) {
      // What is not known is -1.
      const bounds = highWatermark < 0 ? '' : ` (log start offset ${logStartOffset}, high watermark ${highWatermark})`;
      const message = `partition ${partition} of topic ${topic}, offset ${offset}: ${code}${bounds}`;
      const details = { partition, offset, logStartOffset, highWatermark };
      return { partition, error: new LogError<ErrorCode>(code, message, { details, effect: 'none' }) };
    }
    const batches = (batchesOf.get(partition) ?? []).map(({ batch }) => batch);
    return { partition, offset, batches, nextOffset, highWatermark };
  });
}

/** Where every partition failed the answer is the first one's problem, and beside it stands one for each partition. */
export function failuresOf(response: TransportResponse): { partition: number; error: LogError }[] | undefined {
  let document: { readonly partitions?: unknown } | null;
  try {
    document = parseBody(response) as { readonly partitions?: unknown } | null;
  } catch {
    return undefined;
  }
  const entries = document?.partitions;
  if (!Array.isArray(entries) || entries.length === 0) return undefined;
  return entries.map((entry: { readonly partition: number }) => {
    return { partition: entry.partition, error: problemToError(entry, response.status) };
  });
}
