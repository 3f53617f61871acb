/** The disk under SQLite: a write that fails, and a COMMIT that fails and was carried out, or was not. */

import { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Chance } from '../../lib/verify/chance.ts';
import type { Replaced } from './virtual-globals.ts';

type Statement = (...parameters: unknown[]) => unknown;

/** What SQLite is replaced with as long as a simulation runs. */
export function failingDisk(chance: Chance, probability: () => number): Replaced[] {
  const { exec } = DatabaseSync.prototype;
  const run = StatementSync.prototype.run as Statement;
  const fails = () => probability() > 0 && chance.happens(probability());
  const full = () => Object.assign(new Error('database or disk is full'), { errcode: 13 });
  return [
    {
      target: DatabaseSync.prototype,
      name: 'exec',
      value(this: DatabaseSync, sql: string) {
        const isFailing = sql === 'COMMIT' && fails();
        if (!isFailing || chance.happens(0.5)) exec.call(this, sql);
        if (isFailing) throw full();
      },
    },
    {
      target: StatementSync.prototype,
      name: 'run',
      value(this: StatementSync, ...parameters: unknown[]) {
        if (fails()) throw full();
        return run.apply(this, parameters);
      },
    },
  ];
}
