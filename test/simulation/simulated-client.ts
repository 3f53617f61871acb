/** The library's client, over the HTTP apps of a simulation's environments. */

import { Millrace } from '../../lib/client/millrace.ts';
import { makeTransport } from '../../lib/client/transport.ts';
import type { Caller } from '../../lib/verify/recorder.ts';
import type { Fleet } from './fleet.ts';
import type { Scheduler } from './scheduler.ts';

export function openSimulatedClient(scheduler: Scheduler, fleet: Fleet, caller: Caller): Millrace {
  const { chance } = caller;
  const transport = makeTransport(
    'a simulated log',
    // An abort does not travel: whoever serves the request finds nobody there when it answers.
    async ({ signal, ...request }) => {
      signal?.throwIfAborted();
      if (caller.isDead) return await new Promise<never>(() => {});
      const answer = fleet.call(chance, request.timeoutMs, (environment) => environment.request(request));
      if (signal === undefined) return await answer;
      const aborted = Promise.withResolvers<never>();
      const forget = scheduler.onAbort(signal, () => aborted.reject(signal.reason));
      return await Promise.race([answer, aborted.promise]).finally(forget);
    },
    async () => {},
  );
  return new Millrace({ transport, clock: scheduler.clock, randomBytes: chance.bytes });
}
