/**
 * One member of the demo's group, in a process of its own so that it can be killed: `node member.ts ENDPOINT TOPIC GROUP`.
 *
 * A batch is done, and may be committed, when the parent has been told of it. Ends when the parent says so, or is gone.
 */

import { Millrace } from '../../lib/client/index.ts';

/** What a member tells of a partition: offset, key and value of each record. */
export interface Told {
  readonly partition: number;
  readonly records: readonly (readonly [offset: number, key: string, value: string])[];
}

const [endpoint = '', topic = '', group = ''] = process.argv.slice(2);
const log = new Millrace({ endpoint });
const stop = new AbortController();
process.once('message', () => stop.abort());
process.once('disconnect', () => stop.abort());

const tell = (told: Told) =>
  new Promise<void>((resolve, reject) => {
    process.send?.(told, undefined, {}, (error) => (error === null ? resolve() : reject(error)));
  });

// The shortest session there is, so that nobody waits long for the partitions of one that was killed.
const consumer = log.consumer(topic, { group, sessionTimeoutMs: 6_000, signal: stop.signal });
for await (const { partition, records } of consumer.batches()) {
  await tell({
    partition,
    records: records.map(({ offset, keyText, valueText }) => [offset, keyText ?? '', valueText ?? '']),
  });
}
await log.close();
if (process.connected) process.disconnect();
