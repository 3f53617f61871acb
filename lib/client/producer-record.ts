/** What a caller may give to `send`, and the record it becomes. */

import { isUint8Array } from 'node:util/types';
import { LogError } from '../errors.ts';
import type { Record } from '../record/record.ts';

/** Text is stored as UTF-8. A null value is a tombstone. */
export interface ProducerRecord {
  readonly key?: string | Uint8Array | null;
  readonly value?: string | Uint8Array | null;
  /** In order; names may repeat. */
  readonly headers?: readonly (readonly [name: string, value: string | Uint8Array | null])[];
  /** Milliseconds since the Unix epoch. @default now */
  readonly timestamp?: number;
  /** @default by the key, as every Kafka client does; without a key some partition */
  readonly partition?: number;
}

export function toRecord(sent: ProducerRecord, nowMs: number): Record {
  const { timestamp = nowMs, partition } = sent;
  if (!Number.isSafeInteger(timestamp)) {
    throw new LogError('INVALID_TIMESTAMP', `timestamp is ${timestamp}, allowed are whole milliseconds since 1970`);
  }
  if (partition !== undefined && !(Number.isSafeInteger(partition) && partition >= 0)) {
    throw new LogError('INVALID_REQUEST', `partition is ${partition}, allowed is a whole number from 0 on`);
  }
  return {
    key: toBytes(sent.key, 'key'),
    value: toBytes(sent.value, 'value'),
    headers: sent.headers?.map(([name, value]) => [name, toBytes(value, `header ${name}`)] as const) ?? [],
    timestamp,
  };
}

function toBytes(value: string | Uint8Array | null | undefined, what: string): Uint8Array | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string') return Buffer.from(value);
  // Always a copy, since the caller may use its buffer again while the record waits.
  if (isUint8Array(value)) return Buffer.from(value);
  // Only who writes no TypeScript gets here.
  throw new LogError('INVALID_REQUEST', `${what} is of type ${typeof value}, allowed are text, bytes and null`);
}
