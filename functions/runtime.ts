/**
 * Puts a function together, once for each environment and outside of its handler: clients, connections and caches live
 * across invokes. The only reader of the environment.
 *
 * | variable                    | holds                                                                        |
 * |-----------------------------|------------------------------------------------------------------------------|
 * | MILLRACE_BUCKET             | name of the bucket                                                           |
 * | MILLRACE_TABLE              | name of the table                                                            |
 * | MILLRACE_RESPONSE_STREAMING | `1`: HTTP answers are streamed; API Gateway or the function URL must be too   |
 * | MILLRACE_TOPIC_METRICS      | `0`: no metrics of single topics                                             |
 *
 * Region and credentials are in the variables that Lambda sets; endpoints of emulators come with AWS_ENDPOINT_URL.
 */

import * as z from 'zod';
import { openAwsLog } from '../lib/aws-log.ts';
import { systemClock } from '../lib/clock.ts';
import { composeFunction, type FunctionName, type MakeOthers } from './compose.ts';
import type { BeginStream, Handler, StreamHandler } from './handler.ts';
import { InvokeSlot } from './invoke.ts';
import { createTelemetry } from './telemetry.ts';

/** What Lambda's runtime for Node.js has beside the standard. */
declare const awslambda: {
  streamifyResponse(handler: StreamHandler): Handler;
  readonly HttpResponseStream: { readonly from: BeginStream };
};

/** Throws when a variable is missing: the function then fails at its first start, with the variable's name. */
export function openFunction(name: FunctionName, makeOthers?: MakeOthers): Handler {
  const variables = parseEnvironment(process.env);
  const { MILLRACE_BUCKET, MILLRACE_TABLE } = variables;
  const isStreaming = variables.MILLRACE_RESPONSE_STREAMING === '1';
  const clock = systemClock;
  const slot = new InvokeSlot(clock);
  const telemetry = createTelemetry(MILLRACE_TABLE, variables.MILLRACE_TOPIC_METRICS !== '0');
  const log = openAwsLog({ bucket: MILLRACE_BUCKET, table: MILLRACE_TABLE, ...slot.bounds });
  const { buffered, streaming } = composeFunction(name, { log, clock, slot, telemetry, isStreaming }, makeOthers);
  if (!isStreaming) return buffered;
  const { streamifyResponse, HttpResponseStream } = awslambda;
  return streamifyResponse(streaming((stream, head) => HttpResponseStream.from(stream, head)));
}

const names = {
  MILLRACE_BUCKET: 'the name of the S3 bucket that holds the records',
  MILLRACE_TABLE: 'the name of the DynamoDB table that holds the index',
};

const environment = z.object({
  MILLRACE_BUCKET: z.string().min(1),
  MILLRACE_TABLE: z.string().min(1),
  MILLRACE_RESPONSE_STREAMING: z.enum(['0', '1']).optional(),
  MILLRACE_TOPIC_METRICS: z.enum(['0', '1']).optional(),
});

export function parseEnvironment(variables: Readonly<Record<string, string | undefined>>): z.infer<typeof environment> {
  const parsed = environment.safeParse(variables);
  if (parsed.success) return parsed.data;
  const wrong = [...new Set(parsed.error.issues.map(({ path }) => String(path[0])))].map((name) => {
    const value = variables[name];
    if (name in names)
      return `${name} is ${value === undefined ? 'missing' : 'empty'}: ${names[name as keyof typeof names]}`;
    return `${name} is ${JSON.stringify(value)}, allowed are 0 and 1`;
  });
  throw new Error(`environment of the function: ${wrong.join('; ')}`);
}
