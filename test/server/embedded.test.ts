import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TopicName } from '../../lib/ids.ts';
import { openEmbeddedLog } from '../../lib/server/embedded.ts';
import { batchOf } from '../api/harness.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-embedded-'));
});
afterEach(() => rm(dir, { recursive: true }));

const topic = 'orders' as TopicName;

test('a folder that is closed twice at once stays locked until all is written', async () => {
  const log = await openEmbeddedLog({ dir });
  await log.topics.create({ topic, partitionCount: 8 });
  const large = 'x'.repeat(1_000_000);
  const ended: string[] = [];
  const produced = log
    .produce({ topic, batches: Array.from({ length: 8 }, (_, partition) => ({ partition, batch: batchOf([large]) })) })
    .then((results) => {
      ended.push('produced');
      return results;
    });
  const closes = [log.close(), log.close()].map((close) => close.then(() => ended.push('closed')));

  let next: Awaited<ReturnType<typeof openEmbeddedLog>> | undefined;
  while (next === undefined) {
    next = await openEmbeddedLog({ dir }).catch(() => undefined);
    if (next !== undefined) expect(ended).toEqual(['produced', 'closed', 'closed']);
  }
  await Promise.all(closes);
  expect((await produced).every((result) => 'baseOffset' in result)).toBe(true);
  await next.close();
});
