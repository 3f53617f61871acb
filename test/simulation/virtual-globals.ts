/**
 * What the code under test asks of the runtime and not of its clock: `setImmediate` and `process.nextTick` (the flush queue and
 * SQLite's group commit gather what comes in one turn) become events like any other. Real time and real chance are refused while a
 * simulation runs, so that nobody uses them unseen.
 */

import { setImmediate } from 'node:timers/promises';
import type { Scheduler } from './scheduler.ts';

type Later = (run: (...args: unknown[]) => void, ...args: unknown[]) => void;
export type Replaced = { readonly target: object; readonly name: string; readonly value: unknown };

/** Runs `work` with time and chance taken from the runtime, and `more`, and so many frames in the stacks of errors, and gives them back. */
export async function withVirtualGlobals<T>(
  scheduler: Scheduler,
  more: readonly Replaced[],
  stackFrames: number,
  work: () => Promise<T>,
): Promise<T> {
  // Whoever has replaced some of these for a moment, as test runners do, gets the turn to put them back.
  await setImmediate();
  const refused = (name: string) => () => {
    throw new Error(`${name} was called inside a simulation; take a clock, or chance, as a parameter`);
  };
  const immediate: Later = (run, ...args) => scheduler.after(0, () => run(...args), scheduler.actor);
  // Node's own streams use it too, as zlib does when it is given damaged bytes.
  const tick: Later = (run, ...args) => scheduler.next(() => run(...args));
  const replaced: Replaced[] = [
    { target: globalThis, name: 'setImmediate', value: immediate },
    { target: process, name: 'nextTick', value: tick },
    { target: globalThis, name: 'setTimeout', value: refused('setTimeout') },
    { target: globalThis, name: 'setInterval', value: refused('setInterval') },
    { target: Date, name: 'now', value: refused('Date.now') },
    { target: Math, name: 'random', value: refused('Math.random') },
    { target: AbortSignal, name: 'timeout', value: refused('AbortSignal.timeout') },
    { target: crypto, name: 'getRandomValues', value: refused('crypto.getRandomValues') },
    { target: crypto, name: 'randomUUID', value: refused('crypto.randomUUID') },
    { target: Error, name: 'stackTraceLimit', value: stackFrames },
    ...more,
  ];
  const before = replaced.map(({ target, name }) => Object.getOwnPropertyDescriptor(target, name));
  for (const { target, name, value } of replaced) {
    Object.defineProperty(target, name, { value, configurable: true, writable: true });
  }
  try {
    return await work();
  } finally {
    for (const [index, { target, name }] of replaced.entries()) {
      const descriptor = before[index];
      if (descriptor === undefined) Reflect.deleteProperty(target, name);
      else Object.defineProperty(target, name, descriptor);
    }
  }
}
