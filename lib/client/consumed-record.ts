/** What a consumer hands out, decoded from the record batches it fetched. */

import type { RecordHeader } from '../record/record.ts';
import { checkCrc, decodeRecords, readBatchHeader } from '../record/record-batch.ts';
import type { FetchedPartition } from './fetch-batches.ts';

/** A record as it was read. Bytes are views into its batch: copy them to keep one record of many. */
export class ConsumedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since the Unix epoch. */
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];

  constructor(fields: Omit<ConsumedRecord, 'keyText' | 'valueText'>) {
    this.topic = fields.topic;
    this.partition = fields.partition;
    this.offset = fields.offset;
    this.timestamp = fields.timestamp;
    this.key = fields.key;
    this.value = fields.value;
    this.headers = fields.headers;
  }

  /** The key as UTF-8 text. */
  get keyText(): string | null {
    return toText(this.key);
  }

  /** The value as UTF-8 text. */
  get valueText(): string | null {
    return toText(this.value);
  }
}

/** The records of one partition that came together. */
export interface ConsumedBatch {
  readonly topic: string;
  readonly partition: number;
  /** At least one, in order. */
  readonly records: readonly ConsumedRecord[];
  /** Where to go on when all of them are done with. */
  readonly nextOffset: number;
}

/** From the offset asked for up to `end` (exclusive). Throws CORRUPT_MESSAGE. */
export function* readRecords(topic: string, fetched: FetchedPartition, end: number): Generator<ConsumedRecord> {
  const { partition } = fetched;
  for (const batch of fetched.batches) {
    checkCrc(batch);
    if (readBatchHeader(batch).isControl) continue;
    for (const { offset: offset64, timestamp, key, value, headers } of decodeRecords(batch)) {
      const offset = Number(offset64);
      if (offset < fetched.offset || offset >= end) continue;
      yield new ConsumedRecord({ topic, partition, offset, timestamp: Number(timestamp), key, value, headers });
    }
  }
}

const decoder = new TextDecoder();

function toText(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : decoder.decode(bytes);
}
