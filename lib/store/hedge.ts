/**
 * Sends a second, equal request when the first one is slow, and takes whichever succeeds first.
 *
 * One slow host or one lost packet then costs the delay and not the whole wait. Only for requests that may be carried out
 * twice. After "The Tail at Scale" (Dean and Barroso, 2013); what it brings here is in `DECISIONS.md`.
 */

import type { Clock } from '../clock.ts';
import { nobodyAsks } from './retry.ts';

/** The second request goes out when the first has taken longer than this share of those before it. */
const quantile = 0.95;
/** Latencies remembered; with fewer than the minimum the delay is the longest. */
const latenciesMax = 128;
const latenciesMin = 16;
const delayMsMin = 5;
const delayMsMax = 250;
/** Second requests per request, so that a slow day costs no more than this; and how many of them may be saved up. */
export const hedgeShareMax = 0.05;
const savedMax = 4;

export class Hedge {
  readonly #clock: Clock;
  readonly #latenciesMs: number[] = [];
  #next = 0;
  #saved = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * `send` is called once or twice and must end when its signal is aborted: when `signal` is, or when the other request has
   * won. A first request that fails before the second is sent ends the call; when both fail, the error is the second's.
   */
  async run<T>(send: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    this.#saved = Math.min(savedMax, this.#saved + hedgeShareMax);
    const decided = new AbortController();
    const stop = AbortSignal.any([signal, decided.signal]);
    const startMs = this.#clock.nowMs();
    try {
      const first = send(stop);
      const delay = this.#clock.sleep(this.#delayMs(), stop);
      const isSlow = await Promise.race([first.then(() => false), delay.then(() => true)]);
      const answer = isSlow && !stop.aborted && this.#spend() ? await firstOf(first, send(stop)) : await first;
      // When the second won, the first would have taken longer than this, which is all the quantile needs to know.
      this.#learn(this.#clock.nowMs() - startMs);
      return answer;
    } finally {
      decided.abort(nobodyAsks);
    }
  }

  #delayMs(): number {
    if (this.#latenciesMs.length < latenciesMin) return delayMsMax;
    const sorted = Float64Array.from(this.#latenciesMs).sort();
    const latencyMs = sorted[Math.floor(sorted.length * quantile)] ?? delayMsMax;
    return Math.min(delayMsMax, Math.max(delayMsMin, latencyMs));
  }

  #learn(latencyMs: number): void {
    this.#latenciesMs[this.#next] = latencyMs;
    this.#next = (this.#next + 1) % latenciesMax;
  }

  #spend(): boolean {
    if (this.#saved < 1) return false;
    this.#saved -= 1;
    return true;
  }
}

async function firstOf<T>(first: Promise<T>, second: Promise<T>): Promise<T> {
  try {
    return await Promise.any([first, second]);
  } catch (error) {
    throw (error as AggregateError).errors[1];
  }
}
