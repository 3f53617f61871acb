/**
 * The produce function: `POST /v1/topics/{topic}/records` and `/batches`, and `POST /v1/producers`.
 *
 * By invoke it takes the request form of the same paths, and the plain form:
 * ```
 * echo '{"topic":"orders","records":[{"key":"k","value":"v"}]}' |
 *   aws lambda invoke --function-name … --payload fileb:///dev/stdin answer.json
 * ```
 * A produce that cannot finish in time answers REQUEST_TIMED_OUT, and its `effect` says whether anything may have been
 * appended. With a producer id a retry appends nothing twice; an invoke that Lambda retries by itself has none unless
 * the event carries it.
 */

import { openFunction } from './runtime.ts';

export const handler = openFunction('produce');
