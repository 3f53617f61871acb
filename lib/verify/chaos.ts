/** Trouble that a caller can cause from outside: connections that are cut while a request is on its way or being answered. */

import { type Transport, wrapTransport } from '../client/transport.ts';
import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { Chance } from './chance.ts';

/** Mostly much less, since a log nearby answers in a millisecond: some requests are cut, and some answers. */
const cutAfterMsMax = 40;

export interface CutTransport {
  readonly transport: Transport;
  /** Connections cut so far. */
  readonly cutCount: () => number;
}

export function cutConnections(inner: Transport, clock: Clock, chance: Chance, probability: number): CutTransport {
  let cutCount = 0;
  const transport = wrapTransport(inner, async (request) => {
    if (!chance.happens(probability)) return await inner(request);
    const cut = new AbortController();
    const ended = new AbortController();
    void clock.sleep(chance.fraction() ** 3 * cutAfterMsMax, ended.signal).then(() => {
      if (!ended.signal.aborted) cut.abort();
    });
    const { signal } = request;
    try {
      return await inner({ ...request, signal: signal ? AbortSignal.any([signal, cut.signal]) : cut.signal });
    } catch (error) {
      signal?.throwIfAborted();
      if (!cut.signal.aborted) throw error;
      cutCount += 1;
      throw new LogError('REQUEST_TIMED_OUT', 'the connection was cut on purpose');
    } finally {
      ended.abort();
    }
  });
  return { transport, cutCount: () => cutCount };
}
