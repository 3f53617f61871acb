/** Refusals that the app never sees: what is wrong with the connection, the framing, or the moment. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Answer } from '../api/answer.ts';
import { problemAnswer } from '../api/problem.ts';
import { type Effect, LogError } from '../errors.ts';
import { requestBytesMax } from '../limits.ts';
import { errorToProblem, type Problem, problemContentType } from '../wire.ts';
import { drain } from './read-body.ts';

const drainMsMax = 2_000;

/** Answers before the body was read, and then takes the connection down, for its rest cannot be told from a request. */
export async function refuse(incoming: IncomingMessage, outgoing: ServerResponse, problem: Problem): Promise<void> {
  const body = Buffer.from(JSON.stringify(problem));
  outgoing.writeHead(problem.status, {
    'content-type': problemContentType,
    'content-length': body.byteLength,
    connection: 'close',
    ...(problem.retriable && { 'retry-after': '1' }),
  });
  outgoing.write(body);
  await drain(incoming, requestBytesMax, drainMsMax);
  outgoing.end();
}

/** For bytes that never became a request; node:http leaves the answer to us. */
export function answerMalformed(socket: Socket, problem: Problem): void {
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
  HPE_HEADER_OVERFLOW: [431, 'the request headers are too large'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'the chunk extensions of the body are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request did not arrive in time'],
};

export function malformedProblem({ code = '' }: NodeJS.ErrnoException): Problem {
  const [status, detail] = malformedStatuses[code] ?? [400, `the request is not HTTP/1.1 (${code})`];
  return errorToProblem(new LogError('INVALID_REQUEST', detail), status);
}

/** For requests whose target or host make no URL. */
export function badRequest(error: unknown): Answer {
  const text = error instanceof Error ? error.message : 'malformed request';
  const detail = `${text.charAt(0).toLowerCase()}${text.slice(1, 200)}`;
  return problemAnswer(errorToProblem(new LogError('INVALID_REQUEST', detail)));
}

export function tooLargeProblem(bytesMax: number): Problem {
  const message = `the body has more than ${bytesMax} bytes`;
  return errorToProblem(new LogError('MESSAGE_TOO_LARGE', message, { details: { bytesMax } }));
}

/** `held`: what the server holds at most, for example `1024 requests`. */
export function throttlingProblem(held: string, effect: Effect = 'none'): Problem {
  const message = `${held} are under way, which is all this server takes`;
  return errorToProblem(
    new LogError('THROTTLING_QUOTA_EXCEEDED', message, { effect, details: { retryAfterMs: 1000 } }),
  );
}

/** Nothing was tried, so unlike other storage errors this one may be retried without a thought. */
export function stoppingProblem(): Problem {
  return errorToProblem(new LogError('KAFKA_STORAGE_ERROR', 'the server is stopping', { effect: 'none' }));
}
