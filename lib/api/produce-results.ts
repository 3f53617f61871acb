/**
 * The answer to a produce: 200 when everything worked, 207 when some of it did, and when nothing did the first failure's
 * own status and problem, with all the results beside it.
 */

import type { ProduceResult } from '../log.ts';
import type { Answer } from './answer.ts';
import { json } from './http.ts';
import { type OnError, problemAnswer, problemOf } from './problem.ts';

export function produceAnswer(results: readonly ProduceResult[], onError: OnError): Answer {
  let failureCount = 0;
  const entries = results.map((result) => {
    const { partition } = result;
    if (!('error' in result)) {
      const { baseOffset, recordCount, timestamp } = result;
      return { partition, baseOffset, recordCount, timestamp };
    }
    failureCount += 1;
    return { partition, ...problemOf(result.error, onError) };
  });
  const [first] = results;
  if (first !== undefined && 'error' in first && failureCount === results.length) {
    return problemAnswer(problemOf(first.error, ignore), { results: entries });
  }
  return json({ results: entries }, failureCount === 0 ? 200 : 207);
}

/** The entries above have reported what there is to report. */
function ignore() {}
