/** From a failure to an RFC 9457 problem document. Only `LogError` speaks to callers; anything else is a bug. */

import { isLogError, LogError } from '../errors.ts';
import { errorToProblem, type Problem, problemContentType } from '../wire.ts';
import type { Answer } from './answer.ts';

/** Told of every failure that someone may have to act on: bugs and everything else that answers with 5xx. */
export type OnError = (error: unknown) => void;

/** A refusal for which HTTP has a finer status than the code's own: 404, 405, 406, 415. */
export class HttpRefusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = 'HttpRefusal';
    this.status = status;
    this.headers = headers;
  }
}

export function problemOf(error: unknown, onError: OnError): Problem {
  if (error instanceof HttpRefusal) {
    return errorToProblem(new LogError('INVALID_REQUEST', error.message), error.status);
  }
  if (isLogError(error)) {
    const problem = errorToProblem(error);
    if (problem.status >= 500) onError(error);
    return problem;
  }
  onError(error);
  return errorToProblem(new LogError('UNKNOWN_SERVER_ERROR', 'an unexpected failure; the server log has the details'));
}

/** `extra` members stand beside the problem's own, for example the `results` of a produce that failed everywhere. */
export function problemAnswer(
  problem: Problem,
  extra?: Readonly<Record<string, unknown>>,
  headers?: Readonly<Record<string, string>>,
): Answer {
  return {
    status: problem.status,
    headers: { 'content-type': problemContentType, ...headers, ...retryAfter(problem) },
    body: JSON.stringify(extra === undefined ? problem : { ...problem, ...extra }),
  };
}

/** Seconds, rounded up: `Retry-After: 0` would invite a storm. */
export function retryAfter(problem: Problem): Record<string, string> {
  if (problem.code !== 'THROTTLING_QUOTA_EXCEEDED') return {};
  const ms = problem.details?.retryAfterMs;
  return { 'retry-after': String(Math.max(1, Math.ceil((typeof ms === 'number' ? ms : 1000) / 1000))) };
}
