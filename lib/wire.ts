/**
 * What the HTTP door and the client must agree on, byte for byte: content types, frames of record batches, the header
 * with the watermarks, and the problem document. `lib/api/PROTOCOL.md` is the normative text.
 */

import { type Effect, type ErrorCode, errorTable, LogError } from './errors.ts';
import type { Offset, Partition } from './ids.ts';
import { fetchPartitionsMax } from './limits.ts';

export const jsonContentType = 'application/json';
export const batchesContentType = 'application/vnd.millrace.batches';
export const eventStreamContentType = 'text/event-stream';
export const problemContentType = 'application/problem+json';

/** Answers with record batches carry each partition's watermarks here, since frames hold only batches. */
export const partitionsHeader = 'millrace-partitions';

/**
 * A fetch of many partitions is a POST for the sake of its body: it has no effect. Topics and groups may be called `fetch` as
 * well. `target`: path with or without a query.
 */
export function isFetch(method: string | undefined, target: string | undefined = ''): boolean {
  return method === 'POST' && /^\/v1\/topics\/[^/]+\/fetch(\?|$)/.test(target);
}

// ---- frames

/**
 * ```
 * | bytes | type       | field                                     |
 * |-------|------------|-------------------------------------------|
 * | 0-3   | int32      | partition                                 |
 * | 4-7   | int32      | byteLength of the batch                   |
 * | 8-    | byteLength | one record batch v2                       |
 * ```
 */
export interface Frame {
  readonly partition: Partition;
  readonly batch: Uint8Array;
}

/** Before each batch. */
export const frameHeaderBytes = 8;

/** The frames one after another, as parts: a batch is not copied but follows its 8 bytes of header. */
export function encodeFrames(frames: readonly Frame[]): Uint8Array<ArrayBuffer>[] {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (const { partition, batch } of frames) {
    const header = new Uint8Array(frameHeaderBytes);
    const view = new DataView(header.buffer);
    view.setInt32(0, partition);
    view.setInt32(4, batch.byteLength);
    parts.push(header, batch as Uint8Array<ArrayBuffer>);
  }
  return parts;
}

/**
 * The frames of `body`; batches are views into it, and nothing inside them is looked at.
 * INVALID_REQUEST when a frame is cut off, its length or partition is negative, or there are more than `frameCountMax`.
 */
export function decodeFrames(body: Uint8Array, frameCountMax = Number.POSITIVE_INFINITY): Frame[] {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const frames: Frame[] = [];
  let at = 0;
  while (at < body.byteLength) {
    const left = body.byteLength - at;
    if (left < frameHeaderBytes) {
      throw invalid(`frame ${frames.length} ends after ${left} bytes; its header takes ${frameHeaderBytes}`);
    }
    const partition = view.getInt32(at);
    const byteLength = view.getInt32(at + 4);
    if (partition < 0) throw invalid(`frame ${frames.length} names partition ${partition}; partitions count from 0`);
    if (byteLength < 0 || byteLength > left - frameHeaderBytes) {
      throw invalid(`frame ${frames.length} claims ${byteLength} bytes; ${left - frameHeaderBytes} follow`);
    }
    if (frames.length === frameCountMax) throw invalid(`the body has more than ${frameCountMax} frames`);
    const batchStart = at + frameHeaderBytes;
    frames.push({ partition, batch: body.subarray(batchStart, batchStart + byteLength) });
    at = batchStart + byteLength;
  }
  return frames;
}

// ---- watermarks beside frames

/** One partition of a fetch answered with batches. With `code` it failed; offsets that are not known are then −1. */
export interface PartitionEntry {
  readonly partition: Partition;
  readonly nextOffset: Offset;
  readonly highWatermark: Offset;
  readonly logStartOffset: Offset;
  readonly code?: ErrorCode;
}

/** `partition:nextOffset:highWatermark:logStartOffset[:CODE]`, comma separated, in the order asked for. */
export function formatPartitions(entries: readonly PartitionEntry[]): string {
  return entries
    .map((entry) => {
      const numbers = `${entry.partition}:${entry.nextOffset}:${entry.highWatermark}:${entry.logStartOffset}`;
      return entry.code === undefined ? numbers : `${numbers}:${entry.code}`;
    })
    .join(',');
}

/** INVALID_REQUEST when the header is not what `formatPartitions` writes. */
export function parsePartitions(header: string): PartitionEntry[] {
  if (header === '') return [];
  const entries = header.split(',', fetchPartitionsMax + 1);
  if (entries.length > fetchPartitionsMax) {
    throw invalid(`header ${partitionsHeader} has more than ${fetchPartitionsMax} entries`);
  }
  return entries.map((text) => {
    const match = /^ *(\d{1,10}):(-1|\d{1,16}):(-1|\d{1,16}):(-1|\d{1,16})(?::([A-Z_]{1,64}))? *$/.exec(text);
    if (match === null) throw invalid(`header ${partitionsHeader} has the entry ${JSON.stringify(text.slice(0, 80))}`);
    const [, partition, nextOffset, highWatermark, logStartOffset, code] = match;
    return {
      partition: Number(partition),
      nextOffset: Number(nextOffset),
      highWatermark: Number(highWatermark),
      logStartOffset: Number(logStartOffset),
      ...(code === undefined ? {} : { code: isErrorCode(code) ? code : 'UNKNOWN_SERVER_ERROR' }),
    };
  });
}

// ---- problems

/** RFC 9457, with the members of `LogError`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly retriable: boolean;
  readonly effect: Effect;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** `status` only where HTTP has a finer word than the table, for example 415 for a kind of INVALID_REQUEST. */
export function errorToProblem(error: LogError, status: number = errorTable[error.code][2]): Problem {
  return {
    type: `urn:millrace:error:${error.code}`,
    title: error.code.toLowerCase().replaceAll('_', ' '),
    status,
    detail: error.message,
    code: error.code,
    retriable: error.retriable,
    effect: error.effect,
    ...(error.details === undefined ? {} : { details: plainDetails(error.details) }),
  };
}

/**
 * The error a problem document tells of; `problem` is whatever came over the wire. Where it is no document of ours (a
 * proxy answered, an older or newer server), the status decides, and the effect is `unknown` unless the status denies it.
 */
export function problemToError(problem: unknown, fallbackStatus: number): LogError {
  const seen: Partial<Record<keyof Problem, unknown>> = typeof problem === 'object' && problem !== null ? problem : {};
  const status = typeof seen.status === 'number' ? seen.status : fallbackStatus;
  const detail = typeof seen.detail === 'string' ? seen.detail : `the server answered with status ${status}`;
  const code = typeof seen.code === 'string' && isErrorCode(seen.code) ? seen.code : codeOfStatus(status);
  const details = typeof seen.details === 'object' && seen.details !== null ? { details: seen.details } : {};
  const effect = seen.effect === 'none' || seen.effect === 'unknown' ? { effect: seen.effect } : {};
  const retriable = typeof seen.retriable === 'boolean' ? { retriable: seen.retriable } : {};
  return new LogError(code, detail, { ...details, ...effect, ...retriable } as ConstructorParameters<
    typeof LogError
  >[2]);
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 401 || status === 403) return 'TOPIC_AUTHORIZATION_FAILED';
  if (status === 408 || status === 504) return 'REQUEST_TIMED_OUT';
  if (status === 413) return 'MESSAGE_TOO_LARGE';
  if (status === 429) return 'THROTTLING_QUOTA_EXCEEDED';
  if (status === 502 || status === 503) return 'KAFKA_STORAGE_ERROR';
  return status >= 400 && status < 500 ? 'INVALID_REQUEST' : 'UNKNOWN_SERVER_ERROR';
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorTable, code);
}

/** 64-bit numbers beyond a safe integer become text: JSON has no other place for them. */
function plainDetails(details: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(details).map(([name, value]) => [name, typeof value === 'bigint' ? String(value) : value]),
  );
}

function invalid(message: string): LogError {
  return new LogError('INVALID_REQUEST', message);
}
