/** The calls of the protocol that producer, consumer and admin share, on any transport. */

import { type RandomBytes, randomFraction } from '../clock.ts';
import { type ErrorCode, isLogError, LogError } from '../errors.ts';
import { jsonContentType, problemToError } from '../wire.ts';
import type { Transport, TransportRequest, TransportResponse } from './transport.ts';

/** One exchange takes no longer than this; a long poll adds the time it may wait. */
export const requestTimeoutMs = 30_000;

/** What is left of a deadline may be too little for any answer; this much is given all the same. */
export const requestTimeoutMsMin = 100;

export type CallOptions = Pick<TransportRequest, 'query' | 'role' | 'signal'> & {
  readonly json?: unknown;
  readonly timeoutMs?: number;
  /** A member that the answer of a log has here. */
  readonly has?: string;
};

/**
 * Sends JSON, gives the parsed answer. Throws the problem document of a failure as the `LogError` it came from; a GET has no
 * effect, however it fails.
 */
export async function callJson<T>(
  transport: Transport,
  method: TransportRequest['method'],
  path: string,
  options: CallOptions = {},
): Promise<T> {
  const answer = ask<T>(transport, method, path, options);
  return method === 'GET' ? answer.catch((error: unknown) => Promise.reject(withoutEffect(error))) : answer;
}

async function ask<T>(
  transport: Transport,
  method: TransportRequest['method'],
  path: string,
  { json, has, timeoutMs = requestTimeoutMs, ...rest }: CallOptions,
): Promise<T> {
  const body = json === undefined ? undefined : Buffer.from(JSON.stringify(json));
  const headers = body === undefined ? {} : { 'content-type': jsonContentType };
  const response = await transport({
    method,
    path,
    headers: { accept: jsonContentType, ...headers },
    ...(body === undefined ? {} : { body: [body] }),
    timeoutMs,
    ...rest,
  });
  if (response.status >= 300) throw errorOf(response);
  if (response.status === 204) return undefined as T;
  const answer = parseBody(response);
  if (has !== undefined && !(typeof answer === 'object' && answer !== null && has in answer)) {
    throw notOfALog(response, `${has} is not in its answer`);
  }
  return answer as T;
}

/** What stands at the endpoint is another server, or a page of something before the log. */
function notOfALog({ status }: TransportResponse, why: string, cause?: unknown): LogError {
  return new LogError<ErrorCode>('UNKNOWN_SERVER_ERROR', `what answered with status ${status} is no log: ${why}`, {
    details: { reason: 'not-of-a-log' },
    cause,
  });
}

/** The failure that an answer tells of. */
export function errorOf(response: TransportResponse): LogError {
  let problem: unknown;
  try {
    problem = parseBody(response);
  } catch {
    // No document of ours, for example a proxy's page: the status says what is known.
    problem = undefined;
  }
  const error = isProblem(problem) ? problemToError(problem, response.status) : foreignError(problem, response);
  const seconds = Number(response.header('retry-after'));
  if (!(seconds > 0) || (error.details !== undefined && 'retryAfterMs' in error.details)) return error;
  const { code, message, retriable, effect } = error;
  return new LogError(code, message, {
    retriable,
    effect,
    details: { ...error.details, retryAfterMs: seconds * 1000 },
  });
}

function isProblem(document: unknown): boolean {
  return typeof document === 'object' && document !== null && 'code' in document;
}

/** What something before the log has answered: API Gateway and function URLs tell the reason as `message`. */
function foreignError(document: unknown, { status, header }: TransportResponse): LogError {
  if (status >= 300 && status < 400) {
    const location = header('location') ?? 'another place';
    const told = `the server answered with status ${status}, to go to ${location}; requests are not sent on, name that endpoint`;
    return new LogError<ErrorCode>('INVALID_REQUEST', told, { effect: 'none', details: { reason: 'not-of-a-log' } });
  }
  const { message, Message } = (document ?? {}) as { readonly message?: unknown; readonly Message?: unknown };
  const reason = typeof message === 'string' ? message : Message;
  const error = problemToError(undefined, status);
  if (typeof reason !== 'string') {
    // Another server knows no path of a log.
    if (status !== 404 && status !== 405) return error;
    return new LogError<ErrorCode>(error.code, error.message, { details: { reason: 'not-of-a-log' } });
  }
  const { code, effect } = error;
  // API Gateway has no other answer when it could not call the function at this moment.
  return new LogError(code, `${error.message}: ${reason}`, { effect, retriable: error.retriable || status >= 500 });
}

export function parseBody(response: TransportResponse): unknown {
  try {
    return JSON.parse(Buffer.from(response.body).toString('utf8'));
  } catch (cause) {
    throw notOfALog(response, 'its answer is not JSON', cause);
  }
}

export function topicPath(topic: string, rest = ''): string {
  return `/v1/topics/${encodeURIComponent(topic)}${rest}`;
}

/** A log may ask for patience, within reason. */
const retryAfterMsMax = 30_000;

/**
 * The wait before attempt `attempt` (from 1), in whole milliseconds: doubles from 50 ms to 2 s, half of it by chance; or
 * what the log asked for.
 */
export function retryDelayMs(attempt: number, error: LogError, randomBytes: RandomBytes): number {
  const { retryAfterMs } = (error.details ?? {}) as { retryAfterMs?: unknown };
  if (typeof retryAfterMs === 'number') return Math.ceil(Math.min(retryAfterMs, retryAfterMsMax));
  const fullMs = Math.min(50 * 2 ** Math.min(attempt - 1, 10), 2_000);
  return Math.round(fullMs / 2 + randomFraction(randomBytes) * (fullMs / 2));
}

/** The same failure, of a request that appends nothing. */
export function withoutEffect(error: unknown): unknown {
  if (!isLogError(error)) return error;
  const { code, message, retriable, details, cause } = error;
  return new LogError<ErrorCode>(code, message, {
    retriable,
    effect: 'none',
    cause,
    ...(details !== undefined && { details }),
  });
}
