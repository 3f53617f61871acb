/**
 * The HTTP door as one function from `Request` to `Response`; servers and Lambdas put it behind their own listeners.
 * PROTOCOL.md says what every path does.
 */

import { Hono } from 'hono';
import type { Clock, RandomBytes } from '../clock.ts';
import { eventStreamKeepAliveMs, eventStreamMsMax } from '../limits.ts';
import type { Log } from '../log.ts';
import type { ApiDeps, Call, Carriage, Handler, RequestLine } from './http.ts';
import { HttpRefusal, type OnError, problemOf, problemResponse } from './problem.ts';
import { routes } from './routes.ts';

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
  fetch(request: Request, carriage?: Carriage): Promise<Response>;
}

export function createApp(options: AppOptions): App {
  const { clock, onRequest } = options;
  const deps: ApiDeps = {
    log: options.log,
    clock,
    randomBytes: options.randomBytes ?? ((bytes) => crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>)),
    onError: options.onError ?? (() => {}),
    stopping: options.stopping,
    eventStreamMsMax: options.eventStreamMsMax ?? eventStreamMsMax,
    eventStreamKeepAliveMs: options.eventStreamKeepAliveMs ?? eventStreamKeepAliveMs,
  };

  const answer = async (api: string, handle: Handler, call: Omit<Call, 'line'>): Promise<Response> => {
    const startMs = clock.nowMs();
    const line: RequestLine = { api };
    let response: Response;
    try {
      if (api !== 'none') checkIsServed(api, options.apis);
      response = await handle(deps, { ...call, line });
    } catch (error) {
      const headers = error instanceof HttpRefusal ? error.headers : undefined;
      response = problemResponse(problemOf(error, deps.onError), undefined, headers);
    }
    const { method } = call.request;
    onRequest?.({ ...line, method, status: response.status, durationMs: clock.nowMs() - startMs });
    return response;
  };

  const hono = new Hono<{ Bindings: Carriage }>();
  for (const { api, method, path, handle } of routes) {
    hono.on(method, path, (c) =>
      answer(api, handle, {
        request: c.req.raw,
        carriage: c.env,
        param: (name) => c.req.param(name) ?? '',
        query: () => c.req.query(),
      }),
    );
  }
  // Looking for the other methods of a path only when none has matched keeps the usual way short.
  hono.notFound((c) =>
    answer('none', async () => refuse(c.req.method, c.req.path), {
      request: c.req.raw,
      carriage: c.env,
      param: () => '',
      query: () => ({}),
    }),
  );
  return { fetch: async (request, carriage = {}) => hono.fetch(request, carriage) };
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
  if (methods.length === 0) throw new HttpRefusal(404, `path ${seen} does not exist`);
  if (methods.includes('GET')) methods.push('HEAD');
  const allow = methods.join(', ');
  throw new HttpRefusal(405, `method ${method} is not allowed at ${seen}; use ${allow}`, { allow });
}
