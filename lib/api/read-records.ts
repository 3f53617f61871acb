/** From fetched batches to the records that were asked for. */

import type { Offset } from '../ids.ts';
import type { FetchResult } from '../log.ts';
import type { DecodedRecord } from '../record/record.ts';
import { decodeRecords, readBatchHeader } from '../record/record-batch.ts';
import { type JsonRecordRead, recordToJson } from './json-records.ts';

export type FetchedPartition = Extract<FetchResult, { readonly batches: readonly Uint8Array[] }>;

/** In order, from the offset asked for on; control batches hold no records for anyone. Decodes a batch at a time. */
export function* wantedRecords({ batches, offset }: FetchedPartition): Generator<DecodedRecord> {
  for (const batch of batches) {
    if (readBatchHeader(batch).isControl) continue;
    for (const record of decodeRecords(batch)) {
      if (record.offset >= offset) yield record;
    }
  }
}

/** What the records of one JSON answer may still take. Shared by the partitions of one request. */
export interface Budget {
  bytesLeft: number;
}

/** JSON around a record that is not its key, value or headers: names, offset, timestamp. */
const recordOverheadBytes = 64;
/** About what a header takes in memory and as JSON, even an empty one. */
const headerOverheadBytes = 64;

/**
 * The records as JSON, and where to go on.
 *
 * `maxBytes` counts batches as they are stored; what they decompress to can be a thousand times more. So a JSON answer
 * has a budget, and ends in the midst of a batch when that is used up: the next fetch goes on there.
 */
export function readJsonRecords(
  fetched: FetchedPartition,
  budget: Budget,
): { readonly records: readonly JsonRecordRead[]; readonly nextOffset: Offset } {
  const records: JsonRecordRead[] = [];
  for (const record of wantedRecords(fetched)) {
    if (budget.bytesLeft <= 0) return { records, nextOffset: Number(record.offset) };
    budget.bytesLeft -= recordBytes(record);
    records.push(recordToJson(record));
  }
  return { records, nextOffset: fetched.nextOffset };
}

function recordBytes({ key, value, headers }: DecodedRecord): number {
  let bytes = recordOverheadBytes + (key?.byteLength ?? 0) + (value?.byteLength ?? 0);
  for (const [name, header] of headers) bytes += headerOverheadBytes + name.length + (header?.byteLength ?? 0);
  return bytes;
}
