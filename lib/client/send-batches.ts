/** One produce request with record batches. */

import { LogError } from '../errors.ts';
import { batchesContentType, encodeFrames, type Frame, jsonContentType, problemToError } from '../wire.ts';
import { errorOf, parseBody, requestTimeoutMs, topicPath } from './api-calls.ts';
import type { Transport } from './transport.ts';

export interface BatchPlace {
  readonly baseOffset: number;
  readonly timestamp: number;
}

/** One result per frame, in order. Throws when the request as a whole failed. */
export async function sendBatches(
  transport: Transport,
  topic: string,
  frames: readonly Frame[],
  timeoutMs: number = requestTimeoutMs,
): Promise<(BatchPlace | LogError)[]> {
  const response = await transport({
    method: 'POST',
    path: topicPath(topic, '/batches'),
    headers: { 'content-type': batchesContentType, accept: jsonContentType },
    body: encodeFrames(frames),
    timeoutMs,
  });
  const document = (response.status < 300 ? parseBody(response) : parseProblem(response)) as
    | { results?: unknown }
    | undefined;
  const results = document?.results;
  if (!Array.isArray(results)) throw errorOf(response);
  if (results.length !== frames.length) {
    throw new LogError(
      'UNKNOWN_SERVER_ERROR',
      `${frames.length} batches were sent, the answer tells of ${results.length}`,
    );
  }
  return results.map((result: Partial<BatchPlace> & { code?: unknown; status?: number }) => {
    if (typeof result.code === 'string') return problemToError(result, result.status ?? response.status);
    if (typeof result.baseOffset !== 'number')
      return new LogError('UNKNOWN_SERVER_ERROR', 'a result has no baseOffset');
    return { baseOffset: result.baseOffset, timestamp: result.timestamp ?? -1 };
  });
}

/** A failure of all batches is a problem document that also has the results; a failure of the request has none. */
function parseProblem(response: Parameters<typeof errorOf>[0]): unknown {
  try {
    return parseBody(response);
  } catch {
    return undefined;
  }
}
