/**
 * From an event to the app of `lib/api` and back, within the time of the invoke and the size of a payload.
 *
 * Every function mounts the same app and answers only its own routes: what a caller may do is an IAM policy on the
 * function, so the produce function must not delete topics.
 */

import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { toResponse } from '../lib/api/answer.ts';
import type { App } from '../lib/api/app.ts';
import { problemAnswer, problemOf } from '../lib/api/problem.ts';
import type { Clock } from '../lib/clock.ts';
import type { OpenLog } from '../lib/create-log.ts';
import { type Effect, LogError } from '../lib/errors.ts';
import { eventStreamContentType, isFetch, parsePartitions, partitionsHeader } from '../lib/wire.ts';
import { collectEvents } from './event-stream.ts';
import { type Answer, type EventRequest, encodeAnswer, formOf, isText, parseRequest } from './events.ts';
import { type AnswerForm, fetchBytesMax, fitAnswer, fitHeaders, requestBytesMax } from './fit-answer.ts';
import type { Invoke, InvokeSlot, LambdaContext } from './invoke.ts';
import { type PlainForm, plainResult } from './plain-form.ts';
import type { Telemetry } from './telemetry.ts';

export interface HandlerDeps {
  readonly app: App;
  readonly log: Pick<OpenLog, 'settled'>;
  readonly clock: Clock;
  readonly slot: InvokeSlot;
  readonly telemetry: Telemetry;
  readonly plain: PlainForm;
  readonly others?: OtherEvents | undefined;
}

/** Events that are no requests. */
export interface OtherEvents {
  /** Names them in the request line. */
  readonly api: string;
  accepts(event: unknown): boolean;
  /** Gives the failure that its caller was told of. Throws when nobody could be told. */
  answer(event: unknown, invoke: Invoke): Promise<unknown>;
}

/** One payload in, one out. Throws for failures of the plain form alone. */
export type Handler = (event: unknown, context: LambdaContext) => Promise<unknown>;
/** https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html */
export type StreamHandler = (event: unknown, stream: Writable, context: LambdaContext) => Promise<void>;
/** Makes the stream of an HTTP answer: status and headers go before its bytes. */
export type BeginStream = (stream: Writable, head: { statusCode: number; headers: Record<string, string> }) => Writable;

/** What the request line tells of an answer. */
interface Served {
  readonly status: number;
  readonly code: string | undefined;
  readonly answerBytes: number;
}

/** Behind the deadline of the stores, whose own answer says more. */
const giveUpMs = 100;

export function createHandlers(deps: HandlerDeps) {
  const { app, log, clock, slot, telemetry, plain, others } = deps;
  let isColdStart = true;

  const buffered: Handler = async (event, context) => {
    const form = formOf(event) ?? 'plain';
    const { answer } = await serve(context, (invoke) => answerWhole(form, event, invoke));
    if (answer === undefined) return null;
    return form === 'plain' ? plainResult(answer) : encodeAnswer(form, answer);
  };

  /** HTTP answers leave as they come and may have 200 MB; the other forms answer with one payload as ever. */
  const streaming = (begin: BeginStream): StreamHandler => {
    return async (event, stream, context) => {
      const form = formOf(event) ?? 'plain';
      if (form === 'plain' || form === 'request') {
        stream.end(JSON.stringify(await buffered(event, context)));
        return;
      }
      await serve(context, async (invoke): Promise<Served> => {
        const { response, effect } = await respond(form, event, invoke);
        const { status, headers } = response;
        if (isEventStream(response)) {
          return { status, code: undefined, answerBytes: await send(begin, stream, response, response.body ?? []) };
        }
        const answer = fitHeaders(form, { status, headers, body: await bytesOf(response) }, effect);
        await send(begin, stream, answer, [answer.body]);
        return servedOf(answer);
      });
    };
  };

  return { buffered, streaming };

  /** One invoke from its first to its last moment: its line is written, and nothing is under way when it is frozen. */
  async function serve<S extends Served>(context: LambdaContext, work: (invoke: Invoke) => Promise<S>): Promise<S> {
    const invoke = slot.begin(context);
    const wasColdStart = isColdStart;
    isColdStart = false;
    try {
      const served = await work(invoke);
      await untilDeadline(invoke, log.settled());
      const durationMs = clock.nowMs() - invoke.startMs;
      telemetry.finished({ ...served, invoke, durationMs, isColdStart: wasColdStart });
      return served;
    } catch (error) {
      telemetry.failed(error);
      throw error;
    } finally {
      slot.end();
    }
  }

  async function answerWhole(form: AnswerForm, event: unknown, invoke: Invoke): Promise<Served & { answer?: Answer }> {
    if (others?.accepts(event) === true) {
      invoke.line = { api: others.api };
      const failure = await others.answer(event, invoke);
      const problem = failure === undefined ? undefined : problemOf(failure, telemetry.failed);
      return { status: problem?.status ?? 200, code: problem?.code, answerBytes: 0 };
    }
    invoke.fetchBytesMax = fetchBytesMax;
    const { response, effect } = await respond(form, event, invoke);
    const { status, headers } = response;
    const body = isEventStream(response) ? await collectEvents(form, response, clock) : await bytesOf(response);
    const answer = fitAnswer(form, { status, headers, body }, effect);
    return { ...servedOf(answer), answer };
  }

  /** What the app says to the event, or why it was not asked. `effect` is what a lost answer may leave behind. */
  async function respond(
    form: AnswerForm,
    event: unknown,
    invoke: Invoke,
  ): Promise<{ readonly response: Response; readonly effect: Effect }> {
    let effect: Effect = 'none';
    try {
      const parsed = form === 'plain' ? plain(membersOf(event)) : parseRequest(form, event);
      checkSize(event);
      effect = isRead(parsed) ? 'none' : 'unknown';
      const answer = app.fetch(requestOf(parsed, invoke.waiting), { body: parsed.body ?? new Uint8Array() });
      const response = await untilDeadline(invoke, answer);
      if (response === undefined) throw new LogError('REQUEST_TIMED_OUT', 'the function ran out of time', { effect });
      return { response, effect };
    } catch (error) {
      return { response: toResponse(problemAnswer(problemOf(error, telemetry.failed))), effect };
    }
  }

  /** Undefined when the time is up first. */
  async function untilDeadline<T>(invoke: Invoke, work: Promise<T>): Promise<T | undefined> {
    const ended = new AbortController();
    const leftMs = Math.max(0, invoke.answerByMs + giveUpMs - clock.nowMs());
    try {
      return await Promise.race([work, clock.sleep(leftMs, ended.signal).then(() => undefined)]);
    } finally {
      ended.abort();
    }
  }
}

function membersOf(event: unknown): Readonly<Record<string, unknown>> {
  if (typeof event === 'object' && event !== null && !Array.isArray(event)) return event as Record<string, unknown>;
  const seen = event === null ? 'null' : Array.isArray(event) ? 'an array' : `a ${typeof event}`;
  throw new LogError('INVALID_REQUEST', `event is ${seen}; it must be an object`);
}

/** Lambda itself refuses what is larger; an emulator may not, and then shows what AWS would not let through. */
function checkSize(event: unknown): void {
  const { body } = event as { readonly body?: unknown };
  if (typeof body !== 'string' || body.length <= requestBytesMax) return;
  throw new LogError('MESSAGE_TOO_LARGE', `body takes ${body.length} bytes, an event carries ${requestBytesMax}`, {
    details: { bytes: body.length, bytesMax: requestBytesMax },
  });
}

const origin = 'https://millrace.invalid';

function requestOf({ method, target, headers }: EventRequest, signal: AbortSignal): Request {
  const seen = JSON.stringify(`${method} ${target}`.slice(0, 200));
  let request: Request;
  try {
    request = new Request(origin + target, { method, headers, signal });
  } catch (cause) {
    throw new LogError('INVALID_REQUEST', `${seen} is no request of HTTP`, { cause });
  }
  // A URL reads a backslash as a slash and takes `..` away, which would lead out of the topic whose rights were checked.
  const isSamePath = new URL(request.url).pathname === target.split('?')[0];
  if (!isSamePath) throw new LogError('INVALID_REQUEST', `${seen} has a path that is not written plainly`);
  return request;
}

function isRead({ method, target }: EventRequest): boolean {
  return method === 'GET' || method === 'HEAD' || isFetch(method, target);
}

/** Gives the bytes sent. */
async function send(
  begin: BeginStream,
  stream: Writable,
  { status, headers }: Pick<Answer, 'status' | 'headers'>,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<number> {
  let bytes = 0;
  const counted = async function* () {
    for await (const piece of pieces) {
      bytes += piece.byteLength;
      yield piece;
    }
  };
  await pipeline(counted, begin(stream, { statusCode: status, headers: Object.fromEntries(headers) }));
  return bytes;
}

function isEventStream({ headers }: Response): boolean {
  return headers.get('content-type') === eventStreamContentType;
}

async function bytesOf(response: Response): Promise<Uint8Array> {
  return new Uint8Array(await response.arrayBuffer());
}

function servedOf(answer: Answer): Served {
  return { status: answer.status, code: codeOf(answer), answerBytes: answer.body.byteLength };
}

/** Of a failed answer, or of the first partition that failed. */
function codeOf({ status, headers, body }: Answer): string | undefined {
  if (status < 207) return undefined;
  if (!isText({ headers })) return parsePartitions(headers.get(partitionsHeader) ?? '').find(({ code }) => code)?.code;
  const json = JSON.parse(Buffer.from(body).toString());
  return json.code ?? (json.results ?? json.partitions)?.find(({ code }: { code?: string }) => code)?.code;
}
