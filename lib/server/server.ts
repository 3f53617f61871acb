/**
 * The app of `lib/api` on node:http, for one machine and for containers. Everything a stranger can make it hold is bounded:
 * bytes of bodies and answers, requests at once, connections, the time a request may take to arrive, how long a reader may
 * take nothing.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type AppOptions, createApp, type FinishedRequest } from '../api/app.ts';
import { problemAnswer } from '../api/problem.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { Effect } from '../errors.ts';
import {
  answerBytesHeldMax,
  answerStallMsMax,
  bodyBytesHeldMax,
  eventStreamMsMax,
  KiB,
  requestBytesMax,
  requestsInFlightMax,
} from '../limits.ts';
import type { Log } from '../log.ts';
import { isFetch } from '../wire.ts';
import { byteLengthOf, IncomingRequest, send } from './exchange.ts';
import { RequestsInFlight } from './in-flight.ts';
import { type Logger, silentLogger } from './logger.ts';
import { declaresMoreThan, readBody } from './read-body.ts';
import {
  answerMalformed,
  badRequest,
  malformedProblem,
  refuse,
  stoppingProblem,
  throttlingProblem,
  tooLargeProblem,
} from './refusals.ts';

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
  /** @default limits.bodyBytesHeldMax */
  readonly bodyBytesHeldMax?: number;
  /** @default limits.answerBytesHeldMax */
  readonly answerBytesHeldMax?: number;
  /** @default limits.answerStallMsMax */
  readonly answerStallMsMax?: number;
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
/** Answered however busy the server is: whoever asks would kill a process that does not. */
const healthPath = '/v1/health';
/** An answer up to this size is sent even when those that wait take all the room; so is the usual piece of an event stream. */
const answerBytesSmall = 256 * KiB;

const onlyReads = ({ method, url }: IncomingMessage) => method === 'GET' || isFetch(method, url);

export async function startServer(options: ServerOptions): Promise<Server> {
  const { port, host = '127.0.0.1', logger = silentLogger, closeMsMax = 10_000 } = options;
  const bodyBytesMax = options.requestBytesMax ?? requestBytesMax;
  const inFlightMax = options.requestsInFlightMax ?? requestsInFlightMax;
  const stallMsMax = options.answerStallMsMax ?? answerStallMsMax;
  // The time beyond its own lets a stream's end through to a reader that is slow and not stalled.
  const sendTimes = { stallMsMax, streamMsMax: (options.eventStreamMsMax ?? eventStreamMsMax) + stallMsMax };
  const stopping = new AbortController();
  const app = createApp({
    ...options,
    clock: options.clock ?? systemClock,
    stopping: stopping.signal,
    ...(options.logger !== undefined && { onRequest: (line: FinishedRequest) => logger.info('request', { ...line }) }),
    onError: (error) => logger.error('request failed', { error }),
  });
  const answerTo = (incoming: IncomingMessage, body: Uint8Array, outgoing: ServerResponse) => {
    let request: IncomingRequest;
    try {
      request = new IncomingRequest(incoming, body, outgoing);
    } catch (error) {
      return badRequest(error);
    }
    return app.answer(request, { body, whenSent: (run) => outgoing.once('finish', run) });
  };

  const room = { bytesLeft: options.bodyBytesHeldMax ?? bodyBytesHeldMax };
  const answerBytesMax = options.answerBytesHeldMax ?? answerBytesHeldMax;
  let answerBytesLeft = answerBytesMax;
  const tooManyAnswers = (effect: Effect) => throttlingProblem(`${answerBytesMax} bytes of answers`, effect);
  const inFlight = new RequestsInFlight();
  /** Those whose body is whole: the app is at work on them. */
  const working = new WeakSet<ServerResponse>();

  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    if (stopping.signal.aborted) return refuse(incoming, outgoing, stoppingProblem());
    if (incoming.url !== healthPath) {
      if (inFlight.size >= inFlightMax) return refuse(incoming, outgoing, throttlingProblem(`${inFlightMax} requests`));
      if (answerBytesLeft <= 0 && onlyReads(incoming)) return refuse(incoming, outgoing, tooManyAnswers('none'));
    }
    const { socket } = incoming;
    let bodyBytes = 0;
    let answerBytes = 0;
    let isOver = false;
    /** Of an answer, or now of its stream. False when there is no room, or nobody who would give it back. */
    const hold = (byteLength: number): boolean => {
      if (isOver || (answerBytesLeft <= 0 && byteLength > answerBytesSmall)) return false;
      answerBytesLeft += answerBytes - byteLength;
      answerBytes = byteLength;
      return true;
    };
    inFlight.add(socket, outgoing, () => {
      hold(0);
      isOver = true;
      room.bytesLeft += bodyBytes;
      if (stopping.signal.aborted) setImmediate(() => server.closeIdleConnections());
    });
    const body = await readBody(incoming, bodyBytesMax, room);
    if (body === 'cut-off') return;
    if (body === 'too-large') return refuse(incoming, outgoing, tooLargeProblem(bodyBytesMax));
    if (body === 'too-many') return refuse(incoming, outgoing, throttlingProblem(`${bodyBytesHeldMax} bytes`));
    bodyBytes = body.bytes.byteLength;
    working.add(outgoing);
    let answer = await answerTo(incoming, body.bytes, outgoing);
    if (isOver) return;
    if (!hold(byteLengthOf(answer.body))) {
      // There was room when the request came. Only fetches find so much, and whatever else might must not be thought undone.
      answer = problemAnswer(tooManyAnswers(onlyReads(incoming) ? 'none' : 'unknown'));
    }
    await send(answer, outgoing, { ...sendTimes, hold });
  };

  const server = createServer({
    headersTimeout: headersMsMax,
    requestTimeout: requestMsMax,
    keepAliveTimeout: keepAliveMs,
    connectionsCheckingInterval: connectionCheckMs,
    maxHeaderSize: headerBytesMax,
    noDelay: true,
    // `IncomingRequest` refuses it too, and the answer is a problem document.
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
  // Of another expectation (RFC 9110, section 10.1.1, leaves it to us); node:http would answer 417 without a problem.
  server.on('checkExpectation', onRequest);
  server.on('timeout', (socket: Socket) => {
    // A request that waits for its answer, or a stream for a record, is not to blame for the silence.
    const isWaiting = inFlight.has(socket) && socket.writableLength === 0;
    if (!isWaiting) socket.destroy();
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    // What is wrong behind a request that is being worked on has no answer of its own on this connection.
    const isWorking = [...inFlight.of(socket)].some((outgoing) => working.has(outgoing));
    if (isWorking || error.code === 'ECONNRESET' || !socket.writable) return socket.destroy();
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
    for (const outgoing of inFlight) outgoing.shouldKeepAlive = false;
    stopping.abort();
    const cut = setTimeout(() => {
      logger.warn('connections cut', { requests: inFlight.size });
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
