/** When to kill: at times chosen by chance, and at what the server is seen to be doing. */

import { watch } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../support/random.ts';
import type { LoadEvents } from './load.ts';

export type Moment =
  | { readonly at: 'time'; readonly ms: number }
  /** Right when the nth request was sent, or the nth answer came. */
  | { readonly at: 'request' | 'answer'; readonly count: number }
  /** At the nth change the server makes there. */
  | { readonly at: 'temporary file' | 'volume' | 'metadata'; readonly count: number };

const folders = { 'temporary file': 'objects/tmp', volume: 'volumes', metadata: '.' } as const;
/** A moment that does not come is over after this. */
const waitMsMax = 400;

export function randomMoment(random: Random): Moment {
  const at = random.pick<Moment['at']>([
    'time',
    'time',
    'time',
    'request',
    'answer',
    'temporary file',
    'volume',
    'metadata',
  ]);
  if (at === 'time') return { at, ms: random.integer(5, 400) };
  return { at, count: random.integer(1, at === 'temporary file' ? 6 : 120) };
}

export interface Waiting extends LoadEvents {
  /** Resolves at the moment. */
  readonly come: Promise<void>;
}

export function waitFor(moment: Moment, dir: string): Waiting {
  const { promise: come, resolve } = Promise.withResolvers<void>();
  let count = 0;
  const step = (at: Moment['at']) => {
    if (at !== moment.at || moment.at === 'time') return;
    count += 1;
    if (count === moment.count) resolve();
  };
  const timer = setTimeout(resolve, moment.at === 'time' ? moment.ms : waitMsMax);
  const { at } = moment;
  const watcher =
    at === 'temporary file' || at === 'volume' || at === 'metadata'
      ? watch(join(dir, folders[at]), () => step(at))
      : undefined;
  come.then(() => {
    clearTimeout(timer);
    watcher?.close();
  });
  return { come, onRequest: () => step('request'), onAnswer: () => step('answer') };
}
