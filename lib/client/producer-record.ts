/** What a caller may give to `send`, and the record it becomes. */

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
    key: toBytes(sent.key),
    value: toBytes(sent.value),
    headers: sent.headers?.map(([name, value]) => [name, toBytes(value)] as const) ?? [],
    timestamp,
  };
}

function toBytes(value: string | Uint8Array | null | undefined): Uint8Array | null {
  if (value === undefined || value === null) return null;
  // Always a copy, since the caller may use its buffer again while the record waits.
  return typeof value === 'string' ? Buffer.from(value) : Buffer.from(value);
}
