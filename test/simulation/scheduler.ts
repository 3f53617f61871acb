/**
 * Virtual time: what happens next is the earliest event, and among those of one moment the one that chance picks.
 *
 * An event is run to its end before the next one is taken: it, and every continuation of a promise that it sets off.
 * Nothing in between goes back to Node's event loop, so nothing from outside can come in between.
 */

import type { Clock } from '../../lib/clock.ts';
import type { Chance } from '../../lib/verify/chance.ts';

/** Whoever owns an event may hold it back (frozen) or drop it (dead) when it is due. */
export interface Actor {
  readonly name: string;
  /** Runs `event` now, later, or never. */
  deliver(event: () => void): void;
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  readonly actor: Actor | undefined;
}

/** A run that takes more events than this goes round in circles. */
const eventsMax = 2_000_000;

export class Stuck extends Error {
  override readonly name = 'Stuck';
}

export class Scheduler {
  readonly startMs: number;
  nowMs: number;
  eventCount = 0;
  /** On whose behalf the event that is running runs, and whatever it sets off. */
  actor: Actor | undefined;
  readonly #chance: Chance;
  /** A binary heap: the earliest first. */
  readonly #events: Event[] = [];
  readonly #listeners = new Set<() => void>();

  constructor(chance: Chance, startMs: number) {
    this.#chance = chance;
    this.startMs = startMs;
    this.nowMs = startMs;
  }

  /** `run` in `ms` from now, on behalf of `actor` if one is given. */
  after(ms: number, run: () => void, actor?: Actor): void {
    this.#push({ atMs: this.nowMs + Math.max(0, ms), order: this.#chance.fraction(), run, actor });
  }

  /** Before anything else that happens, on behalf of whoever is running. */
  next(run: () => void): void {
    this.#push({ atMs: this.nowMs, order: -1, run, actor: this.actor });
  }

  /** True time, in whole milliseconds. */
  readonly clock: Clock = {
    nowMs: () => Math.floor(this.nowMs),
    sleep: (ms, signal) => this.#sleep(ms, undefined, signal),
  };

  /** As a clock sleeps; of `actor`, which may be held or dead when it is time to wake. */
  sleepOf(actor: Actor, ms: number, signal?: AbortSignal): Promise<void> {
    return this.#sleep(ms, actor, signal);
  }

  #sleep(ms: number, actor?: Actor, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const forget = signal === undefined ? () => {} : this.onAbort(signal, resolve);
      const wake = () => {
        forget();
        resolve();
      };
      this.after(ms, wake, actor);
    });
  }

  /**
   * Runs `run` when `signal` is aborted; what is returned takes that back. Node keeps a signal made of others for as long as
   * somebody listens to it, and those who listened for a process that died never leave by themselves: `end` sends them home.
   */
  onAbort(signal: AbortSignal, run: () => void): () => void {
    const forget = () => {
      signal.removeEventListener('abort', heard);
      this.#listeners.delete(forget);
    };
    const heard = () => {
      forget();
      run();
    };
    signal.addEventListener('abort', heard);
    this.#listeners.add(forget);
    return forget;
  }

  /** Nothing is run any more. */
  end(): void {
    for (const forget of [...this.#listeners]) forget();
  }

  /** Runs events until `work` is settled. Throws `Stuck` when nothing is left to happen before that. */
  async run<T>(work: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = () => {
      isSettled = true;
    };
    work.then(settle, settle);
    await quiet();
    while (!isSettled) {
      const event = this.#pop();
      if (event === undefined) throw new Stuck('nothing is left to happen, and somebody still waits');
      if (++this.eventCount > eventsMax) throw new Stuck(`${eventsMax} events, and no end`);
      this.nowMs = event.atMs;
      this.actor = event.actor;
      if (event.actor === undefined) event.run();
      else event.actor.deliver(event.run);
      await quiet();
    }
    return await work;
  }

  #push(event: Event): void {
    const events = this.#events;
    let at = events.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, events[parent] as Event)) break;
      events[at] = events[parent] as Event;
      at = parent;
    }
    events[at] = event;
  }

  #pop(): Event | undefined {
    const events = this.#events;
    const first = events[0];
    const last = events.pop();
    if (first === undefined || last === undefined || events.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= events.length) break;
      if (child + 1 < events.length && isBefore(events[child + 1] as Event, events[child] as Event)) child += 1;
      if (!isBefore(events[child] as Event, last)) break;
      events[at] = events[child] as Event;
      at = child;
    }
    events[at] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs;
}

const { nextTick } = process;

/** Resolves when no continuation of a promise is left to run: Node's ticks come behind them. */
function quiet(): Promise<void> {
  return new Promise((resolve) => nextTick(resolve));
}
