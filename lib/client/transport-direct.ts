/** Requests to an app in this very process: the same bytes, without a socket. */

import { type Clock, systemClock } from '../clock.ts';
import { isLogError, LogError } from '../errors.ts';
import { makeTransport, type Transport, type TransportRequest, type TransportResponse } from './transport.ts';

/** What every door of the server is made of: `Request -> Response`. */
export interface FetchApp {
  /** The body stands beside the request, and is the app's own from then on. */
  fetch(request: Request, body?: Uint8Array): Response | Promise<Response>;
}

export interface DirectTransportOptions {
  /** Ends what the app runs on. */
  readonly close?: () => Promise<void>;
  /** Measures the deadlines of requests. @default the system's */
  readonly clock?: Clock;
}

const origin = 'http://direct.invalid';

export function directTransport(app: FetchApp, options: DirectTransportOptions = {}): Transport {
  const { close = async () => {}, clock = systemClock } = options;

  async function send(request: TransportRequest): Promise<TransportResponse> {
    const { signal, timeoutMs } = request;
    signal?.throwIfAborted();
    const ending = new AbortController();
    const ended = signal === undefined ? ending.signal : AbortSignal.any([ending.signal, signal]);
    // What the app does with an aborted request is its own business; the caller hears of the abort.
    const deadline = clock.sleep(timeoutMs, ended).then(() => {
      signal?.throwIfAborted();
      throw new LogError('REQUEST_TIMED_OUT', `the log did not answer within ${timeoutMs} ms`);
    });
    try {
      return await Promise.race([answerOf(app, request, ended), deadline]);
    } catch (error) {
      if (signal?.aborted || isLogError(error)) throw error;
      throw new LogError('UNKNOWN_SERVER_ERROR', 'the log failed in this process', { cause: error });
    } finally {
      ending.abort();
    }
  }
  return makeTransport('the log in this process', send, close);
}

async function answerOf(app: FetchApp, request: TransportRequest, signal: AbortSignal): Promise<TransportResponse> {
  const { method, path, query, headers, body: parts } = request;
  const url = origin + path + (query === undefined ? '' : `?${new URLSearchParams(query)}`);
  const sent = new Request(url, { method, headers: { ...headers }, signal });
  const response = await app.fetch(sent, parts === undefined ? undefined : Buffer.concat(parts));
  const body = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, header: (name) => response.headers.get(name) ?? undefined, body };
}
