/** From fetched batches to the records that were asked for. */

import type { Offset } from '../ids.ts';
import { batchDecompressedBytesMax, fetchBytesMax, requestDecompressedBytesMax } from '../limits.ts';
import type { FetchResult } from '../log.ts';
import { bytesOf, type DecodedRecord } from '../record/record.ts';
import { type DecompressionBudget, decodeRecords, readBatchHeader } from '../record/record-batch.ts';
import { type JsonRecordRead, recordToJson } from './json-records.ts';

export type FetchedPartition = Extract<FetchResult, { readonly batches: readonly Uint8Array[] }>;

/** In order, from the offset asked for on; control batches hold no records for anyone. Decodes a batch at a time. */
export function* wantedRecords({ batches, offset }: FetchedPartition): Generator<DecodedRecord> {
  for (const batch of batches) {
    if (!readBatchHeader(batch).isControl) yield* decodeRecords(batch, { fromOffset: offset });
  }
}

/** What the records of one JSON answer may still take. Shared by the partitions of one request. */
export interface Budget {
  bytesLeft: number;
  recordCount: number;
  /** Also of batches of which little is wanted, or that turn out to be wrong. */
  readonly decompression: DecompressionBudget;
}

export function newBudget(): Budget {
  return { bytesLeft: fetchBytesMax, recordCount: 0, decompression: { bytesLeft: requestDecompressedBytesMax } };
}

/** JSON around a record (names, offset, timestamp), and about what a header takes in memory and as JSON, even an empty one. */
const overheadBytes = { record: 64, header: 64 };

/**
 * The records as JSON, and where to go on.
 *
 * `maxBytes` counts batches as they are stored; what they decompress to can be a thousand times more. So a JSON answer
 * has a budget, and ends in the midst of a batch when that is used up: the next fetch goes on there. Only the first
 * record of an answer may take more than the budget has.
 */
export function readJsonRecords(
  { batches, offset, nextOffset }: FetchedPartition,
  budget: Budget,
): { readonly records: readonly JsonRecordRead[]; readonly nextOffset: Offset } {
  const records: JsonRecordRead[] = [];
  for (const batch of batches) {
    const { isControl, baseOffset } = readBatchHeader(batch);
    if (isControl) continue;
    // Before it is decompressed: for 256 partitions that would take the time of as many bombs.
    if (budget.bytesLeft <= 0 || budget.decompression.bytesLeft < batchDecompressedBytesMax) {
      return { records, nextOffset: Math.max(offset, Number(baseOffset)) };
    }
    for (const record of decodeRecords(batch, { budget: budget.decompression, fromOffset: offset })) {
      const bytes = recordBytes(record);
      if (bytes > budget.bytesLeft && budget.recordCount > 0) {
        budget.bytesLeft = 0;
        return { records, nextOffset: Number(record.offset) };
      }
      budget.bytesLeft -= bytes;
      budget.recordCount += 1;
      records.push(recordToJson(record));
    }
  }
  return { records, nextOffset };
}

/** The text is at most six times as long: `\u0000` is one byte of a record. */
export function recordBytes(record: DecodedRecord): number {
  return bytesOf(record, overheadBytes);
}
