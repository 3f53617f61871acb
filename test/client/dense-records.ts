/** A topic that takes little and holds much. */

import type { Millrace } from '../../lib/client/index.ts';
import { MiB } from '../../lib/limits.ts';

/** 30 records of 3 MiB, five in each batch, which takes a few kilobytes: 22 of them are 64 MiB. */
export async function fillDensely(client: Millrace): Promise<void> {
  await client.admin.createTopic('orders', { config: { 'max.message.bytes': 16 * MiB } });
  const producer = client.producer('orders', {
    compression: 'zstd',
    batchBytesMax: 16 * MiB,
    bufferBytesMax: 128 * MiB,
  });
  await Promise.all(Array.from({ length: 30 }, (_, index) => producer.send({ value: Buffer.alloc(3 * MiB, index) })));
}
