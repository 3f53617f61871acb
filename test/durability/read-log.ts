/** Reads partitions as they are, with record batches, so that nothing between the disk and the checker tidies up. */

import { KiB, MiB } from '../../lib/limits.ts';
import { checkCrc, decodeRecords } from '../../lib/record/record-batch.ts';
import { batchesContentType, decodeFrames, parsePartitions, partitionsHeader } from '../../lib/wire.ts';
import type { Reading } from './checker.ts';
import type { HttpCaller } from './http.ts';
import { nameOf } from './values.ts';

/** `maxBytes` differs from reading to reading, since where an answer is cut must not matter. */
export async function readPartition(
  http: HttpCaller,
  topic: string,
  partition: number,
  fromOffset: number,
  maxBytes = 4 * MiB,
): Promise<Reading> {
  const records: Reading['records'][number][] = [];
  let offset = fromOffset;
  for (;;) {
    const path = `/v1/topics/${topic}/partitions/${partition}/records?offset=${offset}&maxBytes=${Math.max(maxBytes, KiB)}`;
    const answer = await http.send('GET', path, { accept: batchesContentType });
    if (typeof answer === 'string' || answer.status !== 200) {
      const seen = typeof answer === 'string' ? answer : `${answer.status} ${answer.body.toString().slice(0, 500)}`;
      throw new Error(`reading ${partition} from ${offset} was answered: ${seen}`);
    }
    const [entry] = parsePartitions(String(answer.headers[partitionsHeader]));
    if (entry === undefined) throw new Error('an answer without watermarks');
    for (const { batch } of decodeFrames(answer.body)) {
      checkCrc(batch);
      for (const record of decodeRecords(batch)) {
        // The first batch may begin below the offset asked for.
        if (record.offset < offset) continue;
        records.push({ offset: Number(record.offset), value: nameOf(record.value ?? new Uint8Array(0)) });
      }
    }
    const { nextOffset, highWatermark } = entry;
    if (nextOffset >= highWatermark) return { partition, fromOffset, highWatermark, records };
    if (nextOffset <= offset) throw new Error(`reading ${partition} from ${offset} does not get on`);
    offset = nextOffset;
  }
}
