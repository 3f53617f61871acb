/** What a checker found. */

import type { Offset } from '../ids.ts';
import type { Operation } from './history.ts';
import type { PartitionLog } from './partition-logs.ts';

export interface Violation {
  readonly text: string;
  /** Where, when it concerns one log. */
  readonly log?: PartitionLog;
  readonly offset?: Offset;
  /** Whoever took part in it, as far as it is known. */
  readonly operations: readonly Operation[];
}

export function named({ type, id, client }: Operation): string {
  return `${type} ${id} of ${client}`;
}

export function placed({ life, partition }: PartitionLog, offset: Offset): string {
  return `${life.topic}/${partition} at ${offset}`;
}
