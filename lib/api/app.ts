/**
 * The HTTP door as one function from request to answer; servers and Lambdas put it behind their own listeners.
 * PROTOCOL.md says what every path does.
 */

import { type Context, Hono } from 'hono';
import type { Clock, RandomBytes } from '../clock.ts';
import { eventStreamKeepAliveMs, eventStreamMsMax } from '../limits.ts';
import type { Log } from '../log.ts';
import { WaitingLine } from '../waiting-line.ts';
import { type Answer, toResponse } from './answer.ts';
import {
  type ApiDeps,
  type AskedRequest,
  type Carriage,
  checkNoBody,
  type Handler,
  parseQuery,
  type RequestLine,
} from './http.ts';
import { HttpRefusal, type OnError, problemAnswer, problemOf } from './problem.ts';
import { type Route, readsBody, routes } from './routes.ts';

/** What a request line of the log says about a finished request. */
export interface FinishedRequest extends RequestLine {
  readonly method: string;
  readonly status: number;
  readonly durationMs: number;
}

export interface AppOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** Names of the routes answered here; the others are refused with 421. @default all */
  readonly apis?: ReadonlySet<string>;
  /** Chooses the partition of keyless records. @default the platform's */
  readonly randomBytes?: RandomBytes;
  /** Told of each request when its answer begins. */
  readonly onRequest?: (request: FinishedRequest) => void;
  /** Told of bugs and of failures that answer with 5xx. */
  readonly onError?: OnError;
  /** Aborted when the process is about to end: long polls answer, event streams end. */
  readonly stopping?: AbortSignal;
  /** @default limits.eventStreamMsMax */
  readonly eventStreamMsMax?: number;
  /** @default limits.eventStreamKeepAliveMs */
  readonly eventStreamKeepAliveMs?: number;
}

export interface App {
  /** Never rejects: every failure is an answer. */
  answer(request: AskedRequest, carriage?: Carriage): Promise<Answer>;
  /** The same in the words of the Fetch standard. */
  fetch(request: Request, carriage?: Carriage): Promise<Response>;
}

interface Env {
  Bindings: Carriage;
}

export function createApp(options: AppOptions): App {
  const { clock, onRequest } = options;
  const deps: ApiDeps = {
    log: options.log,
    clock,
    randomBytes: options.randomBytes ?? ((bytes) => crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>)),
    onError: options.onError ?? (() => {}),
    stopping: options.stopping,
    manyRecords: new WaitingLine(),
    eventStreamMsMax: options.eventStreamMsMax ?? eventStreamMsMax,
    eventStreamKeepAliveMs: options.eventStreamKeepAliveMs ?? eventStreamKeepAliveMs,
  };

  const run = async (c: Context<Env>, handle: Handler, route?: Route): Promise<Answer> => {
    const startMs = clock.nowMs();
    const { raw: request } = c.req;
    const line: RequestLine = { api: route?.api ?? 'none' };
    const param = (name: string) => c.req.param(name) ?? '';
    let answer: Answer;
    try {
      if (route !== undefined) checkIsServed(route.api, options.apis);
      const query = route === undefined ? {} : parseQuery(request.url, route.query ?? []);
      if (route !== undefined && !readsBody(route)) await checkNoBody({ request, carriage: c.env });
      answer = await handle(deps, { request, carriage: c.env, param, query, line });
    } catch (error) {
      const headers = error instanceof HttpRefusal ? error.headers : undefined;
      answer = problemAnswer(problemOf(error, deps.onError), undefined, headers);
    }
    const { method } = request;
    onRequest?.({ ...line, method, status: answer.status, durationMs: clock.nowMs() - startMs });
    return answer;
  };

  const hono = new Hono<Env>();
  // Hono hands on what a handler returns and never looks into it, so that it need not be a `Response`.
  const handled = (answer: Promise<Answer>) => answer as Promise<unknown> as Promise<Response>;
  for (const route of routes) hono.on(route.method, route.path, (c) => handled(run(c, route.handle, route)));
  // Looking for the other methods of a path only when none has matched keeps the usual way short.
  hono.notFound((c) => handled(run(c, async () => refuse(c.req.method, c.req.path))));

  const answer = async (request: AskedRequest, carriage: Carriage = {}): Promise<Answer> => {
    const answered = (await hono.fetch(request as Request, carriage)) as Answer | Response;
    // To HEAD Hono gives what GET gives, as a `Response` without a body.
    if (!(answered instanceof Response)) return answered;
    return { status: answered.status, headers: Object.fromEntries(answered.headers), body: null };
  };
  return { answer, fetch: async (request, carriage) => toResponse(await answer(request, carriage)) };
}

/** 421 Misdirected Request (RFC 9110, section 15.5.20): the path exists, and another function answers it. */
function checkIsServed(api: string, apis: ReadonlySet<string> | undefined): void {
  if (apis === undefined || apis.has(api)) return;
  throw new HttpRefusal(421, `${api} is not answered by this function, only ${[...apis].join(', ')}`);
}

const pathPatterns = routes.map(({ method, path }) => {
  return { method, pattern: new RegExp(`^${path.replaceAll(/:[a-z]+/g, '[^/]+').replaceAll('.', '\\.')}$`) };
});

function refuse(method: string, path: string): never {
  const seen = JSON.stringify(path.slice(0, 200));
  const methods = pathPatterns.filter(({ pattern }) => pattern.test(path)).map((route) => route.method as string);
  if (methods.length === 0) {
    // Of an endpoint with a path too many, or of a browser.
    const hint = path.startsWith('/v1/') ? '' : '; every path begins with /v1/';
    throw new HttpRefusal(404, `path ${seen} does not exist${hint}`);
  }
  if (methods.includes('GET')) methods.push('HEAD');
  const allow = methods.join(', ');
  throw new HttpRefusal(405, `method ${method} is not allowed at ${seen}; use ${allow}`, { allow });
}
