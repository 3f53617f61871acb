/** Tries a request again: a bounded number of times, with full jitter, within the caller's deadline. */

import type { Clock, RandomBytes } from '../clock.ts';
import type { Timestamp } from '../ids.ts';

/** Attempts of one call, the first included. */
export const attemptsMax = 10;
/** First delays: after a lost race or a broken connection, and when the service asks for less load. */
export const retryDelayMs = 20;
export const throttledDelayMs = 100;
/** No delay is longer, whichever attempt it follows. */
export const delayMsMax = 2_000;

export interface RetryOptions {
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly deadline: Timestamp;
  /** What one attempt may take before it is given up as lost; less when the deadline is nearer. */
  readonly attemptMsMax: number;
  /**
   * What to do about the error of an attempt, `AttemptTimeout` among them: the longest first delay in ms before the next
   * attempt, doubled with each one, or undefined when sending again cannot help or must not be done.
   */
  readonly delayAfter: (error: unknown) => number | undefined;
}

/** The attempt had no answer in time. What it did is not known. */
export class AttemptTimeout extends Error {
  override readonly name = 'AttemptTimeout';
}

/**
 * Why a call failed for good. `errors` holds the error of every attempt in order: an earlier attempt that got no answer may
 * have had an effect, whatever the last one says. Empty when the deadline had passed before the first attempt.
 */
export class RetryError extends Error {
  override readonly name = 'RetryError';
  readonly reason: 'refused' | 'deadline' | 'attempts';
  /** Private, so that who logs the error writes its cause and not every attempt. */
  readonly #errors: readonly unknown[];

  constructor(reason: 'refused' | 'deadline' | 'attempts', errors: readonly unknown[]) {
    super(`${errors.length} attempts failed (${reason})`, { cause: errors.at(-1) });
    this.#errors = errors;
    this.reason = reason;
  }

  get errors(): readonly unknown[] {
    return this.#errors;
  }
}

/**
 * Resolves with what the first successful attempt answers; rejects with `RetryError` alone.
 *
 * `attempt` gets a signal that is aborted when its time is up, and its number from 1 on. It is left behind then even if it
 * pays the signal no heed. Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export async function retry<T>(
  options: RetryOptions,
  attempt: (signal: AbortSignal, attemptNumber: number) => Promise<T>,
): Promise<T> {
  const { clock, randomBytes, deadline, attemptMsMax, delayAfter } = options;
  const errors: unknown[] = [];
  for (;;) {
    const leftMs = deadline - clock.nowMs();
    if (leftMs <= 0) throw new RetryError('deadline', errors);
    try {
      return await within(clock, Math.min(leftMs, attemptMsMax), (signal) => attempt(signal, errors.length + 1));
    } catch (error) {
      errors.push(error);
    }
    const firstDelayMs = delayAfter(errors.at(-1));
    if (firstDelayMs === undefined) throw new RetryError('refused', errors);
    if (errors.length === attemptsMax) throw new RetryError('attempts', errors);
    const delayMs = randomFraction(randomBytes) * Math.min(delayMsMax, firstDelayMs * 2 ** (errors.length - 1));
    // Waiting out a delay that ends behind the deadline would only make the caller wait for the same answer.
    if (clock.nowMs() + delayMs >= deadline) throw new RetryError('deadline', errors);
    await clock.sleep(delayMs);
  }
}

/** Runs `call` for at most `ms`; then aborts its signal and rejects with `AttemptTimeout`. */
async function within<T>(clock: Clock, ms: number, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const timeout = new AbortController();
  const ended = new AbortController();
  const timeIsUp = new Promise<never>((_, reject) => {
    void clock.sleep(ms, ended.signal).then(() => {
      if (!ended.signal.aborted) reject(new AttemptTimeout(`no answer within ${Math.round(ms)} ms`));
    });
  });
  try {
    return await Promise.race([call(timeout.signal), timeIsUp]);
  } catch (error) {
    timeout.abort(error);
    throw error;
  } finally {
    ended.abort(nobodyAsks);
  }
}

/** The reason for an abort that only ends a wait. Without one an error is made, which costs more than the rest of it. */
export const nobodyAsks = 'ended';

/** From 0 up to but not including 1. */
export function randomFraction(randomBytes: RandomBytes): number {
  const bytes = randomBytes(new Uint8Array(4));
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) / 2 ** 32;
}
