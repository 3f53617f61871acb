/** Requests to an app in this very process: the same bytes, without a socket. */

import { type Clock, systemClock } from '../clock.ts';
import { isLogError, LogError } from '../errors.ts';
import { withinDeadline } from './deadline.ts';
import {
  formatQuery,
  makeTransport,
  type Transport,
  type TransportRequest,
  type TransportResponse,
} from './transport.ts';

/** What every door of the server is made of: `Request -> Response`. */
export interface FetchApp {
  /** A body that stands beside the request is the app's own from then on. */
  fetch(request: Request, carriage?: { readonly body?: Uint8Array }): Response | Promise<Response>;
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

  function send(request: TransportRequest): Promise<TransportResponse> {
    const timedOut = () => new LogError('REQUEST_TIMED_OUT', `the log did not answer within ${request.timeoutMs} ms`);
    return withinDeadline(clock, request, timedOut, async (ended) => {
      try {
        return await answerOf(app, request, ended);
      } catch (error) {
        if (isLogError(error)) throw error;
        throw new LogError('UNKNOWN_SERVER_ERROR', 'the log failed in this process', { cause: error });
      }
    });
  }
  return makeTransport('the log in this process', send, close);
}

async function answerOf(app: FetchApp, request: TransportRequest, signal: AbortSignal): Promise<TransportResponse> {
  const { method, path, query, headers, body: parts } = request;
  const url = origin + path + formatQuery(query);
  const sent = new Request(url, { method, headers: { ...headers }, signal });
  const response = await app.fetch(sent, parts === undefined ? {} : { body: Buffer.concat(parts) });
  const body = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, header: (name) => response.headers.get(name) ?? undefined, body };
}
