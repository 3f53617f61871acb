/** `POST /v1/topics/{topic}/batches`: record batches as clients encoded them; the log checks what is inside. */

import { LogError } from '../errors.ts';
import { framesMax } from '../limits.ts';
import { batchesContentType, decodeFrames, jsonContentType } from '../wire.ts';
import { type Handler, negotiate, readBody, release, topicOf } from './http.ts';
import { produceAnswer } from './produce-results.ts';

export const produceBatches: Handler = async ({ log, onError }, call) => {
  const topic = topicOf(call);
  negotiate(call, [jsonContentType]);
  const body = await readBody(call, batchesContentType);
  const batches = decodeFrames(body, framesMax);
  if (batches.length === 0) throw new LogError('INVALID_REQUEST', 'the body holds no frame; send at least one');
  const results = await log.produce({ topic, batches });
  release(body);
  return produceAnswer(results, onError);
};
