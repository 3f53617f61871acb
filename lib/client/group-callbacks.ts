/** Calls what the user of a consumer gave it to be called, and knows who asks from inside of that. */

import { AsyncLocalStorage } from 'node:async_hooks';

export class GroupCallbacks {
  readonly #calls = new AsyncLocalStorage<{ isOver: boolean }>();

  /** Whether who asks runs in a callback that has not ended: that is not to wait for what waits for it. */
  get isInside(): boolean {
    return this.#calls.getStore()?.isOver === false;
  }

  async call(callback: () => void | Promise<void>): Promise<void> {
    const call = { isOver: false };
    try {
      await this.#calls.run(call, callback);
    } finally {
      // What it has begun and left running is no part of it.
      call.isOver = true;
    }
  }
}
