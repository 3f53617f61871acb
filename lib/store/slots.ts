/** Lets so many calls run at once; the others wait for their turn, in order. */

import type { Clock } from '../clock.ts';
import type { Timestamp } from '../ids.ts';

export class Slots {
  readonly #clock: Clock;
  readonly #waiting: AbortController[] = [];
  #freeCount: number;

  constructor(clock: Clock, count: number) {
    this.#clock = clock;
    this.#freeCount = count;
  }

  /** Resolves with whether a slot was taken, which is to be given back; false when `deadline` came first. */
  async take(deadline: Timestamp): Promise<boolean> {
    if (this.#freeCount > 0) {
      this.#freeCount -= 1;
      return true;
    }
    const turn = new AbortController();
    this.#waiting.push(turn);
    await this.#clock.sleep(deadline - this.#clock.nowMs(), turn.signal);
    if (turn.signal.aborted) return true;
    this.#waiting.splice(this.#waiting.indexOf(turn), 1);
    return false;
  }

  give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#freeCount += 1;
    else next.abort();
  }
}
