import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Log } from '../../lib/log.ts';
import { batchOf, openTestTopic, orders, send } from '../log-fixture.ts';

async function at(log: Log, timestamp: number | 'earliest' | 'latest' | 'max') {
  return await log.listOffsets({ topic: orders, partition: 0, timestamp });
}

test('an offset by time is the first record in offset order that is not older, through pages and tail', async () => {
  const timestamps = fc.array(fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 4 }), {
    minLength: 1,
    maxLength: 120,
  });
  await fc.assert(
    fc.asyncProperty(timestamps, async (batches) => {
      const { log } = await openTestTopic();
      for (const batch of batches) await send(log, batchOf({ timestamps: batch }));
      const records = batches.flat();
      for (let asked = 0; asked <= 61; asked += 1) {
        const offset = records.findIndex((timestamp) => timestamp >= asked);
        const expected = offset === -1 ? [undefined, undefined] : [offset, records[offset]];
        const found = await at(log, asked);
        expect([found.offset, found.timestamp], `asked for ${asked}`).toEqual(expected);
      }
      const highest = Math.max(...records);
      expect(await at(log, 'max')).toEqual({ offset: records.indexOf(highest), timestamp: highest });
      await log.close();
    }),
    { numRuns: 40 },
  );
});

test('a search by time asks for a number of pages that grows with the logarithm of the log', async () => {
  let pageCalls = 0;
  const { log } = await openTestTopic({
    metadata: (store) => ({
      ...store,
      findPages: (...args) => {
        pageCalls += 1;
        return store.findPages(...args);
      },
    }),
  });
  for (let sent = 0; sent < 4_000; sent += 1) await send(log, batchOf({ timestamps: [sent] }));
  expect(await at(log, 1_234)).toEqual({ offset: 1_234, timestamp: 1_234 });
  expect(pageCalls).toBeLessThanOrEqual(Math.ceil(Math.log2(4_000)) + 1);
});

test('an empty partition has ends but no records by time', async () => {
  const { log } = await openTestTopic();
  expect(await at(log, 'earliest')).toEqual({ offset: 0, timestamp: undefined });
  expect(await at(log, 'latest')).toEqual({ offset: 0, timestamp: undefined });
  expect(await at(log, 'max')).toEqual({ offset: undefined, timestamp: undefined });
  expect(await at(log, 0)).toEqual({ offset: undefined, timestamp: undefined });
});
