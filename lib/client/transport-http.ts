/**
 * HTTP/1.1 over node:http: keep-alive connections, at most `socketsMax` of them for fetches, which may wait for records, and
 * as many for the rest; and a deadline for every request.
 */

import http from 'node:http';
import https from 'node:https';
import { LogError } from '../errors.ts';
import { KiB, MiB, requestBytesMax } from '../limits.ts';
import { isFetch } from '../wire.ts';
import { connectionError } from './connection-error.ts';
import {
  formatQuery,
  makeTransport,
  type Transport,
  type TransportRequest,
  type TransportResponse,
} from './transport.ts';

export interface HttpTransportOptions {
  /** For example `http://127.0.0.1:8092`; a path in it stands before every request's path. */
  readonly endpoint: string | URL;
}

/** Enough for several producers, or long polls, at once; more requests wait for a connection within their deadline. */
const socketsMax = 64;
/** An answer holds at most what a fetch may ask for, one batch beyond it, and frames. */
const answerBytesMax = 2 * requestBytesMax + 16 * MiB;
/** The header with the watermarks of 256 partitions alone may take 32 KiB; Node's own bound is 16 KiB. */
const answerHeaderBytesMax = 64 * KiB;
/** Shorter than the keep-alive time of common servers, so that a connection is rarely reused as it is being closed. */
const idleMs = 4_000;

export function httpTransport(options: HttpTransportOptions): Transport {
  const base = parseEndpoint(options.endpoint);
  const { request: open, Agent } = base.protocol === 'https:' ? https : http;
  const newAgent = () => new Agent({ keepAlive: true, maxSockets: socketsMax, timeout: idleMs, scheduling: 'lifo' });
  const agents = { ofFetches: newAgent(), ofTheRest: newAgent() };
  const prefix = base.pathname.replace(/\/+$/, '');
  const endpoint = base.origin + prefix;

  function send(request: TransportRequest): Promise<TransportResponse> {
    return new Promise((resolve, reject) => {
      const { signal } = request;
      if (signal?.aborted) return reject(signal.reason);
      const length = (request.body ?? []).reduce((sum, part) => sum + part.byteLength, 0);
      const outgoing = open({
        protocol: base.protocol,
        hostname: base.hostname.replace(/^\[(.*)\]$/, '$1'),
        port: base.port,
        // A fetch may wait for records, and must not keep others waiting: who is heard of too late loses its partitions.
        agent: isFetch(request.method, request.path) ? agents.ofFetches : agents.ofTheRest,
        maxHeaderSize: answerHeaderBytesMax,
        method: request.method,
        path: prefix + request.path + formatQuery(request.query),
        headers: { ...request.headers, ...(request.body === undefined ? {} : { 'content-length': length }) },
      });

      let isSettled = false;
      const settle = (act: () => void) => {
        if (isSettled) return;
        isSettled = true;
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        act();
      };
      const fail = (error: unknown) =>
        settle(() => {
          reject(error);
          outgoing.destroy();
        });
      const onAbort = () => fail(signal?.reason);
      const wasSent = () => outgoing.socket?.connecting === false;
      const timer = setTimeout(() => fail(timedOut(endpoint, request.timeoutMs, wasSent())), request.timeoutMs);
      signal?.addEventListener('abort', onAbort, { once: true });

      outgoing.on('error', (cause) => fail(connectionError(endpoint, cause)));
      outgoing.on('response', (incoming) => {
        const parts: Buffer[] = [];
        let bytes = 0;
        incoming.on('data', (part: Buffer) => {
          bytes += part.byteLength;
          if (bytes > answerBytesMax) return fail(tooLong(endpoint));
          parts.push(part);
        });
        incoming.on('error', (cause) => fail(connectionError(endpoint, cause)));
        incoming.on('end', () => {
          if (!incoming.complete) return fail(connectionError(endpoint, new Error('the answer was cut off')));
          const [only] = parts;
          const body = parts.length === 1 && only !== undefined ? only : Buffer.concat(parts, bytes);
          settle(() => resolve({ status: incoming.statusCode ?? 0, header: headerOf(incoming), body }));
        });
        incoming.on('close', () => fail(connectionError(endpoint, new Error('the answer was cut off'))));
      });

      for (const part of request.body ?? []) outgoing.write(part);
      outgoing.end();
    });
  }

  return makeTransport(endpoint, send, async () => {
    for (const agent of Object.values(agents)) agent.destroy();
  });
}

function parseEndpoint(endpoint: string | URL): URL {
  const url = URL.parse(String(endpoint));
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) {
    if (url.href === url.origin + url.pathname) return url;
    const message = `endpoint ${url.origin}${url.pathname} has a query, a fragment or a password; no request would carry it`;
    throw new LogError('INVALID_REQUEST', message);
  }
  throw new LogError(
    'INVALID_REQUEST',
    `endpoint ${JSON.stringify(String(endpoint).slice(0, 200))} is no address; write it like http://127.0.0.1:8092`,
  );
}

function headerOf(incoming: http.IncomingMessage): (name: string) => string | undefined {
  return (name) => {
    const value = incoming.headers[name];
    return Array.isArray(value) ? value.join(',') : value;
  };
}

function timedOut(endpoint: string, timeoutMs: number, wasSent: boolean): LogError {
  return new LogError('REQUEST_TIMED_OUT', `${endpoint} did not answer within ${timeoutMs} ms`, {
    effect: wasSent ? 'unknown' : 'none',
  });
}

function tooLong(endpoint: string): LogError {
  return new LogError('UNKNOWN_SERVER_ERROR', `${endpoint} answered with more than ${answerBytesMax} bytes`);
}
