/** Waits that end: after a time, or when a signal is aborted. */

/** Aborted at `deadlineMs` (ms since the Unix epoch), or with `signal`. */
export function deadlineSignal(deadlineMs: number, signal?: AbortSignal): AbortSignal {
  const timeout = AbortSignal.timeout(Math.max(0, deadlineMs - Date.now()));
  return signal === undefined ? timeout : AbortSignal.any([timeout, signal]);
}

/** Resolves after `ms`, or at once when `signal` is aborted; never rejects. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}
