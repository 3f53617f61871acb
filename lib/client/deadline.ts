/** Work that ends: when it is done, when its caller aborts it, or when its time is up. */

import type { Clock } from '../clock.ts';
import type { LogError } from '../errors.ts';
import type { TransportRequest } from './transport.ts';

/**
 * What `work` resolves with. Throws the signal's reason when it is aborted, and `timedOut()` after `timeoutMs`; `work` is
 * then not waited for, but its signal is aborted.
 */
export async function withinDeadline<T>(
  clock: Clock,
  { signal, timeoutMs }: Pick<TransportRequest, 'signal' | 'timeoutMs'>,
  timedOut: () => LogError,
  work: (ended: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const ending = new AbortController();
  const ended = signal === undefined ? ending.signal : AbortSignal.any([ending.signal, signal]);
  const deadline = clock.sleep(timeoutMs, ended).then(() => {
    signal?.throwIfAborted();
    throw timedOut();
  });
  try {
    return await Promise.race([work(ended), deadline]);
  } catch (error) {
    // What the work says of an abort is its own business; the caller hears of what it did.
    signal?.throwIfAborted();
    throw error;
  } finally {
    ending.abort();
  }
}
