/**
 * The answer to a produce: 200 when everything worked, 207 when some of it did, and when nothing did the first failure's
 * own status and problem, with all the results beside it.
 */

import type { ProduceResult } from '../log.ts';
import { json } from './http.ts';
import { type OnError, problemOf, problemResponse } from './problem.ts';

export function produceResponse(results: readonly ProduceResult[], onError: OnError): Response {
  const entries = results.map((result) => {
    const { partition } = result;
    if ('error' in result) return { partition, ...problemOf(result.error, onError) };
    return { partition, baseOffset: result.baseOffset, recordCount: result.recordCount, timestamp: result.timestamp };
  });
  const failures = results.filter((result) => 'error' in result);
  const [first] = failures;
  if (first === undefined) return json({ results: entries });
  if (failures.length < results.length) return json({ results: entries }, 207);
  return problemResponse(problemOf(first.error, ignore), { results: entries });
}

/** The entries above have reported what there is to report. */
function ignore() {}
