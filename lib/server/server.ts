/**
 * The app of `lib/api` on node:http, for one machine and for containers. Everything a stranger can make it hold is bounded:
 * body bytes, requests at once, connections, the time a request may take to arrive.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { type AppOptions, createApp, type FinishedRequest } from '../api/app.ts';
import { type Clock, systemClock } from '../clock.ts';
import { LogError } from '../errors.ts';
import { requestBytesMax, requestsInFlightMax } from '../limits.ts';
import type { Log } from '../log.ts';
import { errorToProblem, type Problem, problemContentType } from '../wire.ts';
import { type Logger, silentLogger } from './logger.ts';
import { declaresMoreThan, drain, readBody } from './read-body.ts';

export interface ServerOptions extends Pick<AppOptions, 'randomBytes' | 'eventStreamMsMax' | 'eventStreamKeepAliveMs'> {
  readonly log: Log;
  /** @default the system's */
  readonly clock?: Clock;
  /** 0: any free one. */
  readonly port: number;
  /** @default 127.0.0.1: there is no authentication at this door */
  readonly host?: string;
  /** @default silent */
  readonly logger?: Logger;
  /** @default limits.requestBytesMax */
  readonly requestBytesMax?: number;
  /** @default limits.requestsInFlightMax */
  readonly requestsInFlightMax?: number;
  /** How long `close` waits for requests under way. @default 10 s */
  readonly closeMsMax?: number;
}

export interface Server {
  readonly url: string;
  readonly port: number;
  /**
   * Stops accepting, ends the waits and event streams, answers what was accepted, then closes. Connections that are still
   * busy after `closeMsMax` are cut. Does not close the log.
   */
  close(): Promise<void>;
}

const connectionsMax = 10_000;
/** Longer than the idle time of the usual load balancers (60 s), so that they and not we close first. */
const keepAliveMs = 65_000;
const headersMsMax = 10_000;
const requestMsMax = 60_000;
const headerBytesMax = 16 * 1024;
/** How often overdue connections are looked for. */
const connectionCheckMs = 5_000;
const drainMsMax = 2_000;

export async function startServer(options: ServerOptions): Promise<Server> {
  const { port, host = '127.0.0.1', logger = silentLogger, closeMsMax = 10_000 } = options;
  const bodyBytesMax = options.requestBytesMax ?? requestBytesMax;
  const inFlightMax = options.requestsInFlightMax ?? requestsInFlightMax;
  const stopping = new AbortController();
  const app = createApp({
    ...options,
    clock: options.clock ?? systemClock,
    stopping: stopping.signal,
    ...(options.logger !== undefined && { onRequest: (line: FinishedRequest) => logger.info('request', { ...line }) }),
    onError: (error) => logger.error('request failed', { error }),
  });
  const listener = getRequestListener((request) => app.fetch(request), {
    errorHandler: (error) => badRequest(error instanceof Error ? error.message : 'malformed request'),
  });

  /** Requests whose body is whole and whose answer is not. */
  const working = new Set<ServerResponse>();
  /** Sockets with such a request: what is wrong behind it on the same connection has no answer of its own. */
  const workingSockets = new WeakMap<Socket, number>();
  let inFlightCount = 0;

  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    if (stopping.signal.aborted) return refuse(incoming, outgoing, stoppingProblem());
    if (inFlightCount >= inFlightMax) return refuse(incoming, outgoing, throttlingProblem(inFlightMax));
    inFlightCount += 1;
    outgoing.once('close', () => {
      inFlightCount -= 1;
    });
    const body = await readBody(incoming, bodyBytesMax);
    if (body === 'cut-off') return;
    if (body === 'too-large') return refuse(incoming, outgoing, tooLargeProblem(bodyBytesMax));

    const { socket } = incoming;
    working.add(outgoing);
    workingSockets.set(socket, (workingSockets.get(socket) ?? 0) + 1);
    outgoing.once('close', () => {
      working.delete(outgoing);
      workingSockets.set(socket, (workingSockets.get(socket) ?? 1) - 1);
      if (stopping.signal.aborted) setImmediate(() => server.closeIdleConnections());
    });
    // The listener takes a body that was read already from here.
    Object.assign(incoming, { rawBody: body.bytes });
    await listener(incoming, outgoing);
  };

  const server = createServer({
    headersTimeout: headersMsMax,
    requestTimeout: requestMsMax,
    keepAliveTimeout: keepAliveMs,
    connectionsCheckingInterval: connectionCheckMs,
    maxHeaderSize: headerBytesMax,
    noDelay: true,
    // The listener refuses it too, and with a problem document.
    requireHostHeader: false,
  });
  server.maxConnections = connectionsMax;
  const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    handle(incoming, outgoing).catch((error: unknown) => {
      logger.error('request failed', { error });
      outgoing.destroy();
    });
  };
  server.on('request', onRequest);
  server.on('checkContinue', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    if (!declaresMoreThan(incoming, bodyBytesMax)) outgoing.writeContinue();
    onRequest(incoming, outgoing);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const isBusy = (workingSockets.get(socket) ?? 0) > 0;
    if (isBusy || error.code === 'ECONNRESET' || !socket.writable) return socket.destroy();
    answerMalformed(socket, malformedProblem(error));
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', (error) => logger.error('server failed', { error }));
  const { port: boundPort } = server.address() as AddressInfo;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${boundPort}`;
  logger.info('listening', { url });

  let closed: Promise<void> | undefined;
  const close = async () => {
    const done = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const outgoing of working) outgoing.shouldKeepAlive = false;
    stopping.abort();
    const cut = setTimeout(() => {
      logger.warn('connections cut', { requests: working.size });
      server.closeAllConnections();
    }, closeMsMax);
    await done;
    clearTimeout(cut);
    logger.info('closed', { url });
  };
  return {
    url,
    port: boundPort,
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

/** Answers before the body was read, and then takes the connection down, for its rest cannot be told from a request. */
async function refuse(incoming: IncomingMessage, outgoing: ServerResponse, problem: Problem): Promise<void> {
  const body = Buffer.from(JSON.stringify(problem));
  const retryAfter = problem.retriable ? { 'retry-after': '1' } : {};
  outgoing.writeHead(problem.status, {
    'content-type': problemContentType,
    'content-length': body.byteLength,
    connection: 'close',
    ...retryAfter,
  });
  outgoing.write(body);
  await drain(incoming, requestBytesMax, drainMsMax);
  outgoing.end();
}

/** For bytes that never became a request; node:http leaves the answer to us. */
function answerMalformed(socket: Socket, problem: Problem): void {
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    `content-type: ${problemContentType}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  // Reading on for a moment lets the answer arrive at a client that is still sending.
  socket.resume();
  setTimeout(() => socket.destroy(), drainMsMax).unref();
}

const malformedStatuses: Readonly<Record<string, readonly [status: number, detail: string]>> = {
  HPE_HEADER_OVERFLOW: [431, `the request headers have more than ${headerBytesMax} bytes`],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'the chunk extensions of the body are too long'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, `the request did not arrive within ${requestMsMax} ms`],
};

function malformedProblem({ code = '' }: NodeJS.ErrnoException): Problem {
  const [status, detail] = malformedStatuses[code] ?? [400, `the request is not HTTP/1.1 (${code})`];
  return errorToProblem(new LogError('INVALID_REQUEST', detail), status);
}

function badRequest(detail: string): Response {
  const problem = errorToProblem(
    new LogError('INVALID_REQUEST', `${detail.charAt(0).toLowerCase()}${detail.slice(1, 200)}`),
  );
  return new Response(JSON.stringify(problem), { status: 400, headers: { 'content-type': problemContentType } });
}

function tooLargeProblem(bytesMax: number): Problem {
  return errorToProblem(
    new LogError('MESSAGE_TOO_LARGE', `the body has more than ${bytesMax} bytes`, { details: { bytesMax } }),
  );
}

function throttlingProblem(inFlightMax: number): Problem {
  return errorToProblem(
    new LogError('THROTTLING_QUOTA_EXCEEDED', `${inFlightMax} requests are under way, which is all this server takes`, {
      details: { retryAfterMs: 1000 },
    }),
  );
}

/** Nothing was tried, so unlike other storage errors this one may be retried without a thought. */
function stoppingProblem(): Problem {
  return errorToProblem(new LogError('KAFKA_STORAGE_ERROR', 'the server is stopping', { effect: 'none' }));
}
