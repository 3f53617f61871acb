/** A way to the log on which nothing takes longer than it may, whatever the log does. */

import { type Transport, wrapTransport } from '../client/transport.ts';
import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';

/** A request takes `timeoutMs` at most, and none goes on behind `endMs`, which may change. */
export function limitTime(inner: Transport, clock: Clock, timeoutMs: number, endMs: () => number): Transport {
  return wrapTransport(inner, async (request) => {
    const leftMs = endMs() - clock.nowMs();
    // Not retriable, for clients of the library to give up as well.
    if (leftMs <= 0) {
      throw new LogError('REQUEST_TIMED_OUT', 'the run is over', { retriable: false, effect: 'none' });
    }
    return await inner({ ...request, timeoutMs: Math.min(request.timeoutMs, timeoutMs, leftMs) });
  });
}
