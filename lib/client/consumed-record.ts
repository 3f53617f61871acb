/** What a consumer hands out, decoded from the record batches it fetched. */

import { MiB } from '../limits.ts';
import { bytesOf, type RecordHeader } from '../record/record.ts';
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

/** The records of one partition that came together, or as many of them as there is room for. */
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

/** Records that are handed out together take so much memory; soft by one record, and by what else is in its batch. */
const consumedBatchBytesMax = 64 * MiB;
/** What a record takes beside its bytes, and what a header does: objects, and views for key and values. */
const overheadBytes = { record: 350, header: 200 };

/**
 * The same, many together: decoded when they are asked for, since an answer of a few megabytes can hold gigabytes. The
 * last one's `nextOffset` is the answer's.
 */
export function* readBatches(topic: string, fetched: FetchedPartition, end: number): Generator<ConsumedBatch> {
  const { partition } = fetched;
  let records: ConsumedRecord[] = [];
  let bytes = 0;
  for (const record of readRecords(topic, fetched, end)) {
    records.push(record);
    bytes += bytesOf(record, overheadBytes);
    if (bytes < consumedBatchBytesMax) continue;
    yield { topic, partition, records, nextOffset: record.offset + 1 };
    records = [];
    bytes = 0;
  }
  if (records.length > 0) yield { topic, partition, records, nextOffset: Math.min(fetched.nextOffset, end) };
}

const decoder = new TextDecoder();

function toText(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : decoder.decode(bytes);
}
