/** Calls what the user of a consumer gave it to be called, and knows who asks from inside of that. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { LogError } from '../errors.ts';
import { withinDeadline } from './deadline.ts';
import type { GroupConsumerDeps } from './group-consumer-deps.ts';
import { groupDefaults } from './group-options.ts';

export class GroupCallbacks {
  readonly #deps: Pick<GroupConsumerDeps, 'clock' | 'options'>;
  readonly #calls = new AsyncLocalStorage<{ isOver: boolean }>();

  constructor(deps: Pick<GroupConsumerDeps, 'clock' | 'options'>) {
    this.#deps = deps;
  }

  /** Whether who asks runs in a callback that has not ended: that is not to wait for what waits for it. */
  get isInside(): boolean {
    return this.#calls.getStore()?.isOver === false;
  }

  /** Throws what the callback throws, or REQUEST_TIMED_OUT: who hangs in it has partitions that nobody reads. */
  async call(name: string, callback: () => void | Promise<void>): Promise<void> {
    const { clock, options } = this.#deps;
    const { group, processingTimeoutMs: timeoutMs = groupDefaults.processingTimeoutMs } = options;
    const call = { isOver: false };
    const timedOut = () => {
      const message = `${name} has not ended in ${timeoutMs} ms, as processingTimeoutMs allows; the consumer has left group ${group}`;
      return new LogError('REQUEST_TIMED_OUT', message, { retriable: false, effect: 'none' });
    };
    try {
      await withinDeadline(clock, { timeoutMs }, timedOut, () => this.#calls.run(call, async () => callback()));
    } finally {
      // What it has begun and left running is no part of it.
      call.isOver = true;
    }
  }
}
