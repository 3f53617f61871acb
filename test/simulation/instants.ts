/** One order for everything that a history tells, and the time beside it. */

import type { Instant } from '../../lib/verify/history.ts';
import type { Scheduler } from './scheduler.ts';

export interface Moment {
  readonly instant: Instant;
  readonly ms: number;
}

export type Instants = () => Moment;

export function createInstants(scheduler: Scheduler): Instants {
  let last = 0;
  return () => {
    last += 1;
    return { instant: last, ms: Math.floor(scheduler.nowMs) };
  };
}
