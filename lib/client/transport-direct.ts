/** Requests to an app in this very process: the same bytes, without a socket. */

import { isLogError, LogError } from '../errors.ts';
import { makeTransport, type Transport, type TransportRequest, type TransportResponse } from './transport.ts';

/** What every door of the server is made of: `Request -> Response`. */
export interface FetchApp {
  fetch(request: Request): Response | Promise<Response>;
}

const origin = 'http://direct.invalid';

export function directTransport(app: FetchApp, close: () => Promise<void> = async () => {}): Transport {
  async function send(request: TransportRequest): Promise<TransportResponse> {
    const { signal } = request;
    signal?.throwIfAborted();
    const deadline = AbortSignal.timeout(request.timeoutMs);
    const ended = signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
    const query = request.query === undefined ? '' : `?${new URLSearchParams(request.query)}`;
    const answer = answerOf(
      app,
      new Request(origin + request.path + query, {
        method: request.method,
        headers: { ...request.headers },
        signal: ended,
        ...(request.body === undefined ? {} : { body: joined(request.body) }),
      }),
    );
    try {
      return await Promise.race([answer, rejected(ended)]);
    } catch (error) {
      // What the app does with an aborted request is its own business; the caller hears of the abort.
      signal?.throwIfAborted();
      if (deadline.aborted) {
        throw new LogError('REQUEST_TIMED_OUT', `the log did not answer within ${request.timeoutMs} ms`);
      }
      if (isLogError(error)) throw error;
      throw new LogError('UNKNOWN_SERVER_ERROR', 'the log failed in this process', { cause: error });
    }
  }
  return makeTransport('the log in this process', send, close);
}

async function answerOf(app: FetchApp, request: Request): Promise<TransportResponse> {
  const response = await app.fetch(request);
  const body = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, header: (name) => response.headers.get(name) ?? undefined, body };
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Buffer.concat(parts) as Uint8Array<ArrayBuffer>;
}

function rejected(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
