/** What every handler needs of HTTP: the call it answers, its body, its query, and which format it may answer with. */

import type { z } from 'zod';
import type { Clock, RandomBytes } from '../clock.ts';
import { LogError } from '../errors.ts';
import { type GroupId, type Partition, parseTopicName, type TopicName } from '../ids.ts';
import { KiB, otherRequestBytesMax, partitionCountMax, requestBytesMax } from '../limits.ts';
import type { Log } from '../log.ts';
import type { WaitingLine } from '../waiting-line.ts';
import { jsonContentType } from '../wire.ts';
import type { Answer } from './answer.ts';
import { HttpRefusal, type OnError } from './problem.ts';

export interface ApiDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly onError: OnError;
  /** Aborted when the process is about to end: waits answer what is there, event streams end. */
  readonly stopping?: AbortSignal | undefined;
  /** One at a time, requests with so many JSON records that others get turns of the event loop in between. */
  readonly manyRecords: WaitingLine;
  readonly eventStreamMsMax: number;
  readonly eventStreamKeepAliveMs: number;
}

/** One line for the log of requests; handlers fill in what they learn. Never a record's content. */
export interface RequestLine {
  readonly api: string;
  topic?: TopicName;
  partition?: Partition;
  groupId?: GroupId;
  memberEpoch?: number;
  recordCount?: number;
  bytes?: number;
}

/** What a server can say beside the request itself. */
export interface Carriage {
  /** The body, when it was read already. It is taken over; reading it once more from the request would copy it. */
  readonly body?: Uint8Array | undefined;
  /** Calls `run` when the whole answer has left the process; never, when the caller went before. */
  readonly whenSent?: (run: () => void) => void;
}

/** What is asked of a request: a `Request` has it, and a server may have something that takes less to make. */
export type AskedRequest = Pick<Request, 'method' | 'url' | 'signal' | 'arrayBuffer'> & {
  readonly headers: Pick<Headers, 'get'>;
};

/** One request on its way through a handler. */
export interface Call {
  readonly request: AskedRequest;
  readonly carriage: Carriage;
  param(name: string): string;
  /** Of what the path knows, what was given with a value. */
  readonly query: Readonly<Record<string, string>>;
  readonly line: RequestLine;
}

export type Handler = (deps: ApiDeps, call: Call) => Promise<Answer>;

export function topicOf(call: Call): TopicName {
  const topic = parseTopicName(call.param('topic'));
  call.line.topic = topic;
  return topic;
}

export function partitionOf(call: Call): Partition {
  const text = call.param('partition');
  if (!/^\d{1,10}$/.test(text)) {
    throw new LogError('INVALID_REQUEST', `partition ${JSON.stringify(text.slice(0, 40))} is not a number from 0 on`);
  }
  const partition = Number(text);
  call.line.partition = partition;
  return partition;
}

// ---- in

/** The body, when it is of `contentType`; a request that names no type is taken at the path's word. */
export async function readBody(call: Call, contentType: string, bytesMax = requestBytesMax): Promise<Uint8Array> {
  const { headers } = call.request;
  const given = headers.get('content-type');
  if (given !== null && given !== contentType && mediaTypeOf(given) !== contentType) {
    throw new HttpRefusal(415, `content type ${JSON.stringify(given.slice(0, 80))} is not ${contentType}`);
  }
  const encoding = headers.get('content-encoding');
  if (encoding !== null && encoding !== 'identity') {
    throw new HttpRefusal(415, `content encoding ${JSON.stringify(encoding.slice(0, 80))} is not supported`);
  }
  let body: Uint8Array;
  try {
    body = call.carriage.body ?? new Uint8Array(await call.request.arrayBuffer());
  } catch (cause) {
    throw new LogError('INVALID_REQUEST', 'the body ended before its time', { cause });
  }
  call.line.bytes = body.byteLength;
  if (body.byteLength > bytesMax) {
    throw new LogError('MESSAGE_TOO_LARGE', `the body has ${body.byteLength} bytes; ${bytesMax} are allowed`, {
      details: { bytes: body.byteLength, bytesMax },
    });
  }
  return body;
}

const noBytes = new Uint8Array();
const emptyObject = Buffer.from('{}');

/**
 * For paths that read none: a body would be lost in silence, and a delete of some partitions be one of the topic.
 * INVALID_REQUEST for one that holds more than `{}`.
 */
export async function checkNoBody({ request, carriage }: Pick<Call, 'request' | 'carriage'>): Promise<void> {
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  const body = carriage.body ?? (isRead ? noBytes : new Uint8Array(await request.arrayBuffer()));
  if (body.byteLength === 0 || emptyObject.equals(body)) return;
  throw new LogError('INVALID_REQUEST', `a body of ${body.byteLength} bytes came; the path reads none`);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

export async function readJson<Schema extends z.ZodType>(
  call: Call,
  schema: Schema,
  bytesMax = otherRequestBytesMax,
): Promise<z.infer<Schema>> {
  return checkJson(decodeJson(await readBody(call, jsonContentType, bytesMax)), schema);
}

/** `readJson` in two steps, each of which takes a while for a large body. `what` names it in errors. */
export function decodeJson(body: Uint8Array, what = 'the body'): unknown {
  try {
    return parseJson(utf8.decode(body));
  } catch (cause) {
    const reason =
      cause instanceof SyntaxError
        ? 'is not JSON'
        : cause instanceof RangeError
          ? 'is nested too deep'
          : 'is not UTF-8';
    throw new LogError('INVALID_REQUEST', `${what} ${reason}`, { cause });
  }
}

export function checkJson<Schema extends z.ZodType>(json: unknown, schema: Schema): z.infer<Schema> {
  checkMembers(json);
  return parse(schema, json, 'body');
}

/** More than any object of a body can use but a record's value: one member for each partition (`baseSequences`). */
const membersMax = partitionCountMax;

/** The body and what it holds by name. A schema tells of every member that is wrong, which for millions takes minutes. */
function checkMembers(body: unknown): void {
  if (!hasMembers(body)) return;
  check('the body', body);
  for (const [name, value] of Object.entries(body)) if (hasMembers(value)) check(name, value);

  function check(what: string, value: object): void {
    // Nothing is called so but what a record holds, and a schema of names that it does not know skips it in silence.
    if (Object.hasOwn(value, '__proto__'))
      throw new LogError('INVALID_REQUEST', `${what.slice(0, 120)} has a __proto__`);
    const memberCount = Object.keys(value).length;
    if (memberCount <= membersMax) return;
    const message = `${what.slice(0, 120)} has ${memberCount} members; at most ${membersMax} are allowed`;
    throw new LogError('INVALID_REQUEST', message);
  }
}

function hasMembers(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const noQuery = {};

/**
 * The query by name. Every request goes through this before its handler, so that a path without parameters refuses them too.
 * INVALID_REQUEST for what is not `known` or is given twice; `?after=` means the same as no `after` at all.
 */
export function parseQuery(url: string, known: readonly string[]): Readonly<Record<string, string>> {
  const text = /\?([^#]*)/.exec(url)?.[1];
  if (text === undefined) return noQuery;
  const given = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(text)) {
    if (!known.includes(name)) {
      throw refused(name, `is not known here; ${known.length > 0 ? `use ${known.join(', ')}` : 'the path takes none'}`);
    }
    if (given.has(name)) throw refused(name, 'is given more than once');
    given.set(name, value);
  }
  return Object.fromEntries([...given].filter(([, value]) => value !== ''));

  function refused(name: string, why: string): LogError {
    return new LogError('INVALID_REQUEST', `query parameter ${JSON.stringify(name.slice(0, 40))} ${why}`);
  }
}

export function readQuery<Schema extends z.ZodType>(call: Call, schema: Schema): z.infer<Schema> {
  return parse(schema, call.query, 'query');
}

interface JsonWithSource {
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown;
  rawJSON(source: string): unknown;
  isRawJSON(value: unknown): boolean;
}

const jsonWithSource = JSON as unknown as JsonWithSource;

/**
 * A number with so many digits, or such an exponent, may be more than a double holds; JSON.parse alone would round it in
 * silence. To look at every number makes it several times slower, so that digits within a string (of a card, an id) are
 * no reason unless what stands before them could stand before a number.
 */
const longNumber = /[:,[]\s*-?(?:[\d.]{16}|[\d.]{1,15}[eE][+-]?\d{3})/;
/** The same of one number: what one says must not depend on how long another one is. */
const isLong = /^-?(?:[\d.]{16}|[\d.]{1,15}[eE][+-]?\d{3})/;

/** JSON.parse, except that numbers a double cannot hold keep their text, so that a record's value is stored as sent. */
function parseJson(text: string): unknown {
  if (!longNumber.test(text)) return JSON.parse(text);
  return jsonWithSource.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && isLong.test(source) && String(value) !== source
      ? jsonWithSource.rawJSON(source)
      : value,
  );
}

/**
 * The first issue is all that is told, and an array of millions of wrong items makes as many: so zod stops there.
 * `abortEarly` is what its `validate` sets, which has no issues to tell.
 */
const firstIssue = { reportInput: true, abortEarly: true };

/** What stands in the body at `at`, for a body that is checked piece by piece. */
export function checkJsonAt<Schema extends z.ZodType>(json: unknown, schema: Schema, at: string): z.infer<Schema> {
  return parse(schema, json, at, at);
}

function parse<Schema extends z.ZodType>(schema: Schema, value: unknown, root: string, at = ''): z.infer<Schema> {
  const parsed = schema.safeParse(value, firstIssue);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = (issue?.path ?? []).map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`));
  const where = (at + path.join('')).replace(/^\./, '') || root;
  const text = (issue && plainText(issue)) ?? issue?.message ?? 'is wrong';
  throw new LogError(
    'INVALID_REQUEST',
    `${where.slice(0, 120)}${seen(issue?.input)}: ${text.charAt(0).toLowerCase()}${text.slice(1, 300)}`,
  );
}

/** Where the schema's own words would mislead: it does not know of what is absent, nor of numbers that kept their text. */
function plainText({ code, input }: z.core.$ZodIssue): string | undefined {
  if (input === undefined && code === 'invalid_type') return 'it is missing';
  return rawNumber(input) === undefined ? undefined : 'it is not a number that a double holds';
}

/** The text of a number that `parseJson` has kept, which is an object otherwise. */
function rawNumber(input: unknown): string | undefined {
  return jsonWithSource.isRawJSON(input) ? JSON.stringify(input) : undefined;
}

/** A number, or a short text; of what is larger its length. What is absent the message tells. */
function seen(input: unknown): string {
  const raw = rawNumber(input);
  if (raw !== undefined) return ` ${raw.slice(0, seenLengthMax)}`;
  if (Array.isArray(input)) return ` of ${input.length} items`;
  if (typeof input === 'string' && input.length > seenLengthMax) return ` of ${input.length} characters`;
  return typeof input === 'number' || typeof input === 'string' ? ` ${JSON.stringify(input)}` : '';
}
const seenLengthMax = 80;

// ---- out

const jsonHeaders = { 'content-type': jsonContentType };

export function json(body: unknown, status = 200, headers: Readonly<Record<string, string>> = jsonHeaders): Answer {
  return { status, headers, body: JSON.stringify(body) };
}

/** From here on memory is given back by hand. Node's pools hold smaller pieces only, several to a buffer. */
export const releasedBytesMin = Math.max(16 * KiB, 2 * Buffer.poolSize);

/**
 * Gives back the memory under `bytes` now, when it is much; nothing may look at it again, through other views neither.
 * Memory outside of its heap moves V8 to collect all garbage: with reads of 1 MiB that was every 50 ms, and took a third
 * of the processor; and on a busy machine, where it collects too late, 2 GiB of batches made a process of 314 MB.
 */
export function release({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength >= releasedBytesMin) buffer.transfer(0);
}

/**
 * The one of `offered` (best first) that `Accept` likes most (RFC 9110, section 12.5.1). 406 when it likes none.
 */
export function negotiate<T extends string>(call: Call, offered: readonly [T, ...T[]]): T {
  const accept = call.request.headers.get('accept');
  if (accept === null || accept === '*/*' || accept === '') return offered[0];
  const ranges = accept.split(',', 64).map(parseRange);
  let best: T | undefined;
  let bestQuality = 0;
  for (const type of offered) {
    const quality = qualityOf(type, ranges);
    if (quality > bestQuality) [best, bestQuality] = [type, quality];
  }
  if (best === undefined) {
    throw new HttpRefusal(406, `accept ${JSON.stringify(accept.slice(0, 80))} allows none of ${offered.join(', ')}`);
  }
  return best;
}

interface MediaRange {
  readonly type: string;
  readonly quality: number;
}

function parseRange(text: string): MediaRange {
  const quality = /;\s*q=([01](?:\.\d{0,3})?)\s*(?:;|$)/i.exec(text)?.[1];
  return { type: mediaTypeOf(text), quality: quality === undefined ? 1 : Number(quality) };
}

/** The most specific range that covers `type` decides. */
function qualityOf(type: string, ranges: readonly MediaRange[]): number {
  const group = `${type.slice(0, type.indexOf('/'))}/*`;
  for (const wanted of [type, group, '*/*']) {
    const range = ranges.find((candidate) => candidate.type === wanted);
    if (range !== undefined) return range.quality;
  }
  return 0;
}

/** `text/html; charset=utf-8` without its parameters, in lower case. */
function mediaTypeOf(text: string): string {
  const end = text.indexOf(';');
  return (end === -1 ? text : text.slice(0, end)).trim().toLowerCase();
}
