/** The disk under SQLite: a write that fails, and a COMMIT that fails and was carried out, or was not. */

import { StatementSync } from 'node:sqlite';
import type { Chance } from '../../lib/verify/chance.ts';
import type { Replaced } from './virtual-globals.ts';

type Statement = (...parameters: unknown[]) => unknown;

/** What SQLite is replaced with as long as a simulation runs. */
export function failingDisk(chance: Chance, probability: () => number): Replaced[] {
  const run = StatementSync.prototype.run as Statement;
  const fails = () => probability() > 0 && chance.happens(probability());
  const full = () => Object.assign(new Error('database or disk is full'), { errcode: 13 });
  return [
    {
      target: StatementSync.prototype,
      name: 'run',
      value(this: StatementSync, ...parameters: unknown[]) {
        if (!fails()) return run.apply(this, parameters);
        if (this.sourceSQL === 'COMMIT' && chance.happens(0.5)) run.apply(this, parameters);
        throw full();
      },
    },
  ];
}
