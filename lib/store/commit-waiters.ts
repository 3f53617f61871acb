/** Readers that wait for the next commit to a partition, in one process. */

import type { Partition, TopicId } from '../ids.ts';

/** Holds nothing for a partition nobody waits for. */
export class CommitWaiters {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Resolves true at the next `wake` of one of the partitions, false when `signal` is aborted first. */
  wait(topicId: TopicId, partitions: readonly Partition[], signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const keys = partitions.map((partition) => `${topicId}/${partition}`);
      const end = (isCommit: boolean) => {
        for (const key of keys) this.#forget(key, woken);
        signal.removeEventListener('abort', aborted);
        resolve(isCommit);
      };
      const woken = () => end(true);
      const aborted = () => end(false);
      for (const key of keys) {
        const waiting = this.#waiting.get(key);
        if (waiting === undefined) this.#waiting.set(key, new Set([woken]));
        else waiting.add(woken);
      }
      signal.addEventListener('abort', aborted, { once: true });
    });
  }

  wake(topicId: TopicId, partition: Partition): void {
    const waiting = this.#waiting.get(`${topicId}/${partition}`);
    if (waiting !== undefined) for (const woken of [...waiting]) woken();
  }

  #forget(key: string, woken: () => void): void {
    const waiting = this.#waiting.get(key);
    waiting?.delete(woken);
    if (waiting?.size === 0) this.#waiting.delete(key);
  }
}
