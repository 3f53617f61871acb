/** What a producer must know of its topic: read when it is first needed, and again when it may have changed. */

import { isLogError } from '../errors.ts';
import type { TopicSummary } from '../log.ts';
import { callJson, requestTimeoutMs, requestTimeoutMsMin, retryDelayMs, topicPath } from './api-calls.ts';
import type { ClientDeps } from './client-deps.ts';

/** A topic that grew is noticed after this. */
const topicAgeMsMax = 60_000;

export class TopicReader {
  readonly #deps: ClientDeps;
  readonly #topic: string;
  #held: { readonly summary: TopicSummary; readonly readAtMs: number } | undefined;

  constructor(deps: ClientDeps, topic: string) {
    this.#deps = deps;
    this.#topic = topic;
  }

  /** Undefined when it is to be read first. */
  fresh(): TopicSummary | undefined {
    if (this.#held === undefined) return undefined;
    const ageMs = this.#deps.clock.nowMs() - this.#held.readAtMs;
    // Below zero the clock was set back, and its age is not known.
    return ageMs >= 0 && ageMs <= topicAgeMsMax ? this.#held.summary : undefined;
  }

  /** It is not as it was read. */
  forget(): void {
    this.#held = undefined;
  }

  /** Tries again until `deadlineMs`. Whatever it throws had no effect. */
  async read(deadlineMs: number): Promise<TopicSummary> {
    const { transport, clock, randomBytes } = this.#deps;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const timeoutMs = Math.max(Math.min(requestTimeoutMs, deadlineMs - clock.nowMs()), requestTimeoutMsMin);
        const path = topicPath(this.#topic);
        const asked = { role: 'producer', query: { offsets: 'false' }, has: 'partitionCount', timeoutMs } as const;
        const summary = await callJson<TopicSummary>(transport, 'GET', path, asked);
        this.#held = { summary, readAtMs: clock.nowMs() };
        return summary;
      } catch (error) {
        // That the topic is missing will not pass by waiting.
        if (!isLogError(error) || isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION')) throw error;
        const delayMs = retryDelayMs(attempt, error, randomBytes);
        if (!error.retriable || clock.nowMs() + delayMs >= deadlineMs) throw error;
        await clock.sleep(delayMs);
      }
    }
  }
}
