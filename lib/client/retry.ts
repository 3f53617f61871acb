/** When to try again: by the error's own word, further apart each time, within a deadline. */

import type { Clock } from '../clock.ts';
import { type ErrorCode, isLogError, type LogError } from '../errors.ts';

const backoffMsMin = 50;
const backoffMsMax = 2_000;
/** A server may ask for patience, within reason. */
const retryAfterMsMax = 30_000;
/** Retriable by Kafka's table, yet unlikely to pass with time alone: damaged bytes, a topic that is not there. */
const doubtful: ReadonlySet<ErrorCode> = new Set(['CORRUPT_MESSAGE', 'UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_ID']);
const doubtfulAttemptsMax = 3;

/** `attempt` counts the failures so far, from 1 on. */
export function canRetry(error: LogError, attempt: number): boolean {
  return error.retriable && (!doubtful.has(error.code) || attempt < doubtfulAttemptsMax);
}

/** Doubles with each attempt, between half and all of it by chance, and never shorter than the server asks for. */
export function retryDelayMs(error: LogError, attempt: number, chance: () => number = Math.random): number {
  const fullMs = Math.min(backoffMsMin * 2 ** Math.min(attempt - 1, 10), backoffMsMax);
  return Math.max(fullMs * (0.5 + chance() / 2), Math.min(retryAfterMs(error), retryAfterMsMax));
}

function retryAfterMs(error: LogError): number {
  const details = error.details as { readonly retryAfterMs?: unknown } | undefined;
  return typeof details?.retryAfterMs === 'number' ? details.retryAfterMs : 0;
}

export interface RetryOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  /** No attempt starts after this; the last error is thrown then. */
  readonly deadlineMs: number;
  /** Whether an attempt that may have had an effect is repeated. @default true */
  readonly repeatsUnknown?: boolean;
  readonly chance?: () => number;
}

/** Calls `attempt` until it succeeds or its error cannot be helped. Throws that error, or the signal's reason. */
export async function retrying<T>(options: RetryOptions, attempt: () => Promise<T>): Promise<T> {
  const { clock, signal, deadlineMs, repeatsUnknown = true } = options;
  for (let count = 1; ; count += 1) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (!isLogError(error) || !canRetry(error, count)) throw error;
      if (error.effect === 'unknown' && !repeatsUnknown) throw error;
      const delayMs = retryDelayMs(error, count, options.chance);
      if (clock.nowMs() + delayMs >= deadlineMs) throw error;
      await clock.sleep(delayMs, signal);
    }
  }
}
