/** One order for everything that a history tells, and the time beside it. */

import type { Clock } from '../clock.ts';
import type { Timestamp } from '../ids.ts';
import type { Instant } from './history.ts';

export interface Moment {
  readonly instant: Instant;
  readonly ms: Timestamp;
}

/** Each call is a moment behind the one before it. */
export type Instants = () => Moment;

export function createInstants(clock: Pick<Clock, 'nowMs'>): Instants {
  let last = 0;
  return () => {
    last += 1;
    return { instant: last, ms: clock.nowMs() };
  };
}
