/** Lambda in this process: environments that serve one invoke at a time, started as they are needed, and its limits. */

import { type InvokeCommandInput, RequestTooLargeException } from '@aws-sdk/client-lambda';
import { composeFunction, type FunctionName } from '../../functions/compose.ts';
import { InvokeSlot } from '../../functions/invoke.ts';
import type { InvokeClient } from '../../lib/client/index.ts';
import { systemClock } from '../../lib/clock.ts';
import type { OpenLog } from '../../lib/create-log.ts';

type Handler = ReturnType<typeof composeFunction>['buffered'];

/** Of requests and of answers, as Lambda's messages have them. */
const requestBytesMax = 6_291_456;
const answerBytesMax = 6_291_556;
const timeoutMs = 28_000;

/**
 * The functions `produce`, `fetch`, `topics` and `group` over one log. A bug in them is thrown into the test's lap, until `destroy`:
 * an invoke whose caller has gone runs on, and finds the log closed.
 */
export function lambdaOver(log: OpenLog): InvokeClient & { destroy(): void } {
  let isDestroyed = false;
  const idle: Record<FunctionName, Handler[]> = { produce: [], fetch: [], topics: [], group: [] };
  const telemetry = {
    finished: () => {},
    failed: (error: unknown) => {
      if (!isDestroyed) throw error;
    },
  };
  const clock = systemClock;

  async function send(command: object): Promise<unknown> {
    const { FunctionName: name, Payload } = (command as { input: InvokeCommandInput }).input;
    const payload = Buffer.from(Payload as Uint8Array);
    if (payload.length > requestBytesMax) {
      throw new RequestTooLargeException({ $metadata: {}, message: `Request must be smaller than ${requestBytesMax}` });
    }
    const environments = idle[name as FunctionName];
    const handle =
      environments.pop() ??
      composeFunction(name as FunctionName, { log, clock, slot: new InvokeSlot(clock), telemetry, isStreaming: false })
        .buffered;
    const endMs = clock.nowMs() + timeoutMs;
    const context = {
      awsRequestId: crypto.randomUUID(),
      getRemainingTimeInMillis: () => endMs - clock.nowMs(),
    };
    const answer = Buffer.from(JSON.stringify(await handle(JSON.parse(payload.toString()), context)));
    environments.push(handle);
    if (answer.length <= answerBytesMax) return { StatusCode: 200, Payload: answer };
    const told = { errorType: 'Function.ResponseSizeTooLarge', errorMessage: `Response payload size exceeded` };
    return { StatusCode: 200, FunctionError: 'Unhandled', Payload: Buffer.from(JSON.stringify(told)) };
  }
  const destroy = () => {
    isDestroyed = true;
  };
  return { send, destroy };
}
