/**
 * The log as a function sees it: what goes through is counted, a fetch gives no more than its answer can carry, and a
 * store that gave up since the invoke has no time left is told by Kafka's word for that.
 */

import type { Clock } from '../lib/clock.ts';
import { isLogError, LogError } from '../lib/errors.ts';
import type { FetchResult, Log } from '../lib/log.ts';
import { readBatchHeader } from '../lib/record/record-batch.ts';
import { RetryError } from '../lib/store/retry.ts';
import type { InvokeSlot } from './invoke.ts';

/** Before each batch of an answer stands its frame (`lib/wire.ts`). */
const frameHeaderBytes = 8;
/** A timer may come so much before its time. */
const earlyMs = 10;

export function measuredLog(log: Log, slot: InvokeSlot, clock: Clock): Log {
  const timely = <R extends object>(results: readonly R[]): readonly R[] =>
    results.map((result) => {
      const error = 'error' in result ? timedOut(result.error) : undefined;
      return error === undefined ? result : { ...result, error };
    });

  /** REQUEST_TIMED_OUT in the place of a store's error that the deadline has brought about. */
  const timedOut = (error: unknown): LogError | undefined => {
    if (!isLogError(error, 'KAFKA_STORAGE_ERROR') || !error.retriable) return undefined;
    const { answerByMs = Number.POSITIVE_INFINITY } = slot.current ?? {};
    const gaveUp = error.cause instanceof RetryError && error.cause.reason === 'deadline';
    if (!gaveUp && clock.nowMs() < answerByMs - earlyMs) return undefined;
    return new LogError('REQUEST_TIMED_OUT', `the function ran out of time: ${error.message}`, {
      effect: error.effect,
      cause: error,
    });
  };
  const orTimedOut = (error: unknown): never => {
    throw timedOut(error) ?? error;
  };

  return {
    ...log,

    async produce(request) {
      const results = timely(await log.produce(request).catch(orTimedOut));
      const usage = slot.current?.usage;
      results.forEach((result, index) => {
        if (usage === undefined || 'error' in result || result.isDuplicate) return;
        usage.recordsIn += result.recordCount;
        usage.bytesIn += request.batches[index]?.batch.byteLength ?? 0;
      });
      return results;
    },

    async fetch(request) {
      const { usage, fetchBytesMax = Number.POSITIVE_INFINITY } = slot.current ?? {};
      const maxBytes = Math.min(request.maxBytes, fetchBytesMax);
      const found = await log.fetch({ ...request, maxBytes }).catch(orTimedOut);
      const results = cutToFit(timely(found), fetchBytesMax);
      for (const result of results) {
        if (usage === undefined || 'error' in result) continue;
        for (const batch of result.batches) {
          usage.recordsOut += readBatchHeader(batch).recordCount;
          usage.bytesOut += batch.byteLength;
        }
      }
      return results;
    },
  };
}

/**
 * Whole batches until their frames take `bytesMax`, in order; the rest is for the next fetch. Only a batch that fits no
 * answer even alone is MESSAGE_TOO_LARGE, and only where it is the first of its partition: before that, there is
 * something to read (KIP-74).
 */
export function cutToFit(results: readonly FetchResult[], bytesMax: number): FetchResult[] {
  let bytes = 0;
  let isFull = false;
  return results.map((result): FetchResult => {
    if ('error' in result) return result;
    const { partition, offset, batches } = result;
    let count = 0;
    for (const batch of batches) {
      const frameBytes = frameHeaderBytes + batch.byteLength;
      if (count === 0 && frameBytes > bytesMax) return { partition, error: tooLarge(partition, frameBytes, bytesMax) };
      isFull ||= bytes + frameBytes > bytesMax;
      if (isFull) break;
      bytes += frameBytes;
      count += 1;
    }
    if (count === batches.length) return result;
    const last = count === 0 ? undefined : readBatchHeader(batches[count - 1] as Uint8Array);
    const nextOffset = last === undefined ? offset : Number(last.baseOffset) + last.lastOffsetDelta + 1;
    return { ...result, batches: batches.slice(0, count), nextOffset };
  });
}

function tooLarge(partition: number, bytes: number, bytesMax: number): LogError {
  return new LogError(
    'MESSAGE_TOO_LARGE',
    `a batch of partition ${partition} takes ${bytes} bytes, an answer of a function carries ${bytesMax}; ` +
      'read it with response streaming or in process (millrace/direct)',
    { details: { bytes, bytesMax } },
  );
}
