/** The names of the topics that a member of a group reads: as they were given, or those that match a pattern. */

import { Admin } from './admin.ts';
import type { GroupConsumerDeps } from './group-consumer-deps.ts';
import type { Subscription } from './group-options.ts';

/** Topics that match a pattern are looked for this often. */
const patternAgeMsMax = 60_000;

export class SubscribedTopics {
  readonly #deps: Pick<GroupConsumerDeps, 'transport' | 'clock' | 'leaving'>;
  readonly #subscription: Subscription;
  #found: { readonly topics: readonly string[]; readonly readAtMs: number } | undefined;
  #isReading = false;

  constructor(deps: Pick<GroupConsumerDeps, 'transport' | 'clock' | 'leaving'>, subscription: Subscription) {
    this.#deps = deps;
    this.#subscription = subscription;
  }

  /**
   * For a pattern it waits, and throws, only until topics were looked for once. From then on that is done beside: nobody is
   * to lose a membership because a list is slow, or fails. It is tried again when this is called next.
   */
  async names(): Promise<readonly string[]> {
    const subscription = this.#subscription;
    if (typeof subscription === 'string') return [subscription];
    if (!(subscription instanceof RegExp)) return subscription;
    if (this.#found === undefined) return await this.#read(subscription);
    const ageMs = this.#deps.clock.nowMs() - this.#found.readAtMs;
    // Below zero the clock was set back, and its age is not known.
    const isOld = ageMs < 0 || ageMs >= patternAgeMsMax;
    if (isOld && !this.#isReading) this.#read(subscription).catch(() => {});
    return this.#found.topics;
  }

  async #read(pattern: RegExp): Promise<readonly string[]> {
    const { transport, clock, leaving } = this.#deps;
    this.#isReading = true;
    try {
      const topics: string[] = [];
      for await (const { topic } of new Admin(transport).listTopics({ signal: leaving })) {
        if (topic.search(pattern) !== -1) topics.push(topic);
      }
      this.#found = { topics, readAtMs: clock.nowMs() };
      return topics;
    } finally {
      this.#isReading = false;
    }
  }
}
