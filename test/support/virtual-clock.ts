/** Time that passes only when nothing else is left to do. */

import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../lib/clock.ts';

export interface VirtualClock extends Clock {
  /** `nowMs` is whole, as clocks are; this is not. */
  exactMs(): number;
  /** Lets time pass until `work` has ended. Throws when it waits for something that this clock does not know. */
  run<T>(work: Promise<T>): Promise<T>;
  /** Time stands still until `work`, which takes its real time, has ended. */
  standStill<T>(work: Promise<T>): Promise<T>;
}

/** Promises and what Node puts behind them (streams, ticks) come before time: they get so many turns of the event loop. */
const turnsBeforeTime = 4;

export function createVirtualClock(startMs = 0): VirtualClock {
  let nowMs = startMs;
  let stillCount = 0;
  /** Sorted by time, those of one instant in the order they were set. */
  const timers: { readonly atMs: number; readonly wake: () => void }[] = [];

  return {
    nowMs: () => Math.floor(nowMs),
    exactMs: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const wake = () => {
          const index = timers.indexOf(timer);
          if (index !== -1) timers.splice(index, 1);
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        const timer = { atMs: nowMs + Math.max(0, ms), wake };
        const after = timers.findLastIndex(({ atMs }) => atMs <= timer.atMs);
        timers.splice(after + 1, 0, timer);
        signal?.addEventListener('abort', wake, { once: true });
      }),
    async run(work) {
      let isDone = false;
      const done = () => {
        isDone = true;
      };
      work.then(done, done);
      for (;;) {
        for (let turns = 0; turns < turnsBeforeTime; turns = stillCount > 0 ? 0 : turns + 1) {
          await turn();
          if (isDone) return await work;
        }
        const [first] = timers;
        if (first === undefined) throw new Error('the work waits for something that is not the clock');
        nowMs = first.atMs;
        first.wake();
      }
    },
    async standStill(work) {
      stillCount += 1;
      try {
        return await work;
      } finally {
        stillCount -= 1;
      }
    },
  };
}
