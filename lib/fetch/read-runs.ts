/** From coordinates to stamped batches: read in parallel, split, checked. */

import { assert, isLogError, LogError } from '../errors.ts';
import { fetchBytesHeldMax, readGapBytesMax, readsInFlightMax } from '../limits.ts';
import { checkCrc, lastOffsetDeltaOf, sizeInBytesOf, stampBaseOffset } from '../record/record-batch.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { LocatedRun } from './find-batches.ts';
import { planReads } from './plan-reads.ts';

/** A whole batch with its offset stamped; `nextOffset` is the one behind it. */
export interface StampedBatch {
  readonly batch: Uint8Array;
  readonly nextOffset: number;
}

/** How long a caller is told to wait when too much is read already. */
const retryAfterMs = 100;

/** `readRuns` for all fetches of a process. Throws THROTTLING_QUOTA_EXCEEDED beyond what it has room for. */
export function createRunReader(
  objectStore: ObjectStore,
): (runs: readonly LocatedRun[]) => ReturnType<typeof readRuns> {
  let bytesUnderWay = 0;
  return async (runs) => {
    const bytes = runs.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (bytesUnderWay > 0 && bytesUnderWay + bytes > fetchBytesHeldMax) {
      const message = `${bytesUnderWay} bytes are being read already, at most ${fetchBytesHeldMax} at once`;
      throw new LogError('THROTTLING_QUOTA_EXCEEDED', message, { details: { retryAfterMs } });
    }
    bytesUnderWay += bytes;
    try {
      return await readRuns(objectStore, runs);
    } finally {
      bytesUnderWay -= bytes;
    }
  };
}

/**
 * The bytes of each run, in the order of `runs`, with as few reads as is worth it; of one that is lost for good, the error.
 * Throws what may pass by itself.
 */
export async function readRuns(
  objectStore: ObjectStore,
  runs: readonly LocatedRun[],
): Promise<(Uint8Array | LogError)[]> {
  const reads = planReads(runs, readGapBytesMax);
  const bytesOf: (Uint8Array | LogError)[] = new Array(runs.length);
  let nextRead = 0;
  const readInTurn = async () => {
    for (let read = reads[nextRead++]; read !== undefined; read = reads[nextRead++]) {
      const bytes = await objectStore.read(read.objectId, read.byteStart, read.byteLength).catch((error: unknown) => {
        if (isLogError(error) && !error.retriable) return error;
        throw error;
      });
      if (isLogError(bytes)) {
        for (const index of read.wanted) bytesOf[index] = bytes;
        continue;
      }
      assert(bytes.length === read.byteLength, `a read of ${read.byteLength} bytes gave ${bytes.length}`);
      for (const index of read.wanted) {
        const run = runs[index] as LocatedRun;
        const from = run.byteStart - read.byteStart;
        bytesOf[index] = bytes.subarray(from, from + run.byteLength);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(readsInFlightMax, reads.length) }, readInTurn));
  return bytesOf;
}

/**
 * The batches of a run from the one that holds `offset` on. Offsets are stamped in place.
 *
 * Every checksum is checked before a batch is handed out. Throws KAFKA_STORAGE_ERROR for damaged bytes, naming the offset
 * at which they begin; good batches before them have been yielded by then.
 */
export function* stampedBatches(run: LocatedRun, bytes: Uint8Array, offset: number): Generator<StampedBatch> {
  let baseOffset = run.baseOffset;
  let byteStart = 0;
  while (byteStart < bytes.length) {
    const sizeInBytes = bytes.length - byteStart < 12 ? 0 : sizeInBytesOf(bytes, byteStart);
    const batch = bytes.subarray(byteStart, byteStart + sizeInBytes);
    try {
      checkCrc(batch);
    } catch (error) {
      if (!isLogError(error)) throw error;
      const message = `stored batch at offset ${baseOffset} is damaged (object ${run.objectId}, byte ${run.byteStart + byteStart}): ${error.message}`;
      throw new LogError('KAFKA_STORAGE_ERROR', message, { retriable: false, effect: 'none', cause: error });
    }
    const nextOffset = baseOffset + lastOffsetDeltaOf(batch) + 1;
    if (nextOffset > offset) {
      stampBaseOffset(batch, baseOffset);
      yield { batch, nextOffset };
    }
    baseOffset = nextOffset;
    byteStart += sizeInBytes;
  }
  assert(
    baseOffset === run.baseOffset + run.offsetCount,
    `run at offset ${run.baseOffset} holds ${run.offsetCount} offsets, its batches ${baseOffset - run.baseOffset}`,
  );
}
