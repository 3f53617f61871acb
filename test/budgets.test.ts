/** Section by section what a request may ask of the stores: exact counts, so that a new request is a decision. */

import { expect, test } from 'vitest';
import { createApp } from '../lib/api/app.ts';
import { Millrace } from '../lib/client/index.ts';
import { directTransport } from '../lib/client/transport-direct.ts';
import { systemClock } from '../lib/clock.ts';
import { tailEntriesMax } from '../lib/limits.ts';
import type { Log } from '../lib/log.ts';
import { encodeCoordinates } from '../lib/store/coordinates.ts';
import type { MetadataStore } from '../lib/store/metadata-store.ts';
import { encodeProducers } from '../lib/store/producer-bytes.ts';
import { batchOf, fetchFrom, openTestTopic, orders, recorded, send } from './log-fixture.ts';

/** A log whose store calls are counted from the next `take` on. */
async function openCounted(partitionCount = 1) {
  let calls: { objects: [string, ...unknown[]][]; metadata: [string, ...unknown[]][] } = { objects: [], metadata: [] };
  const opened = await openTestTopic({
    partitionCount,
    // Time stands still, so that the cached topic does not age.
    clock: { ...systemClock, nowMs: () => 1_700_000_000_000 },
    objects: (store) => {
      const counted = recorded(store);
      calls = { ...calls, objects: counted.calls };
      return counted.store;
    },
    metadata: (store) => {
      const counted = recorded(store);
      calls = { ...calls, metadata: counted.calls };
      return counted.store;
    },
  });
  const take = () => {
    const names = [...calls.objects.splice(0), ...calls.metadata.splice(0)].map(([name]) => name);
    return Object.fromEntries(names.toSorted().map((name) => [name, names.filter((other) => other === name).length]));
  };
  // The topic is looked up once and cached.
  await send(opened.log, batchOf({ timestamps: [1_700_000_000_000] }));
  take();
  return { ...opened, take };
}

async function append(log: Log, batchCount: number): Promise<void> {
  for (let sent = 0; sent < batchCount; sent++) await send(log, batchOf({ timestamps: [1_700_000_000_000] }));
}

async function headBytes(metadataStore: MetadataStore, log: Log): Promise<number> {
  const { topicId } = await log.topics.get(orders);
  const [head] = await metadataStore.getHeads(topicId, [0]);
  return encodeCoordinates(head?.tail ?? []).length + encodeProducers(head?.producers ?? []).length;
}

test('a produce over any number of partitions is one object and one commit for each partition', async () => {
  const { log, take } = await openCounted(6);
  for (const partitionCount of [1, 3, 6]) {
    const batches = Array.from({ length: partitionCount }, (_, partition) => ({
      partition,
      batch: batchOf({ timestamps: [1, 2, 3, 4, 5] }),
    }));
    await log.produce({ topic: orders, batches });
    expect(take()).toEqual({ put: 1, commitBatches: partitionCount });
  }
});

test('a producer of the client reads no heads, however many partitions its topic has', async () => {
  const { log, take } = await openCounted(100);
  await using client = new Millrace({ transport: directTransport(createApp({ log, clock: systemClock })) });
  await client.producer(orders).send({ value: 'one', timestamp: 1_700_000_000_000 });
  expect(take()).toEqual({ commitBatches: 1, nextProducerId: 1, put: 1 });
});

test('batches of one partition in one request share a commit', async () => {
  const { log, take } = await openCounted();
  await send(
    log,
    batchOf({ timestamps: [1_700_000_000_000] }),
    batchOf({ timestamps: [1_700_000_000_000] }),
    batchOf({ timestamps: [1_700_000_000_000] }),
  );
  expect(take()).toEqual({ put: 1, commitBatches: 1 });
});

test('concurrent produces share objects and commits', async () => {
  const { log, take } = await openCounted();
  await Promise.all(Array.from({ length: 32 }, () => send(log, batchOf({ timestamps: [1_700_000_000_000] }))));
  const { put, commitBatches } = take();
  // All 32 came in one turn; a first one may go alone.
  expect(put).toBeLessThanOrEqual(2);
  expect(commitBatches).toBe(put);
});

test('rolls are under one in twenty appends, one by one and by eight writers at once', async () => {
  const one = await openCounted();
  await append(one.log, 1_000);
  const { rollTail: rollsAlone = 0 } = one.take();
  expect(rollsAlone).toBeGreaterThan(40);
  expect(rollsAlone / 1_000).toBeLessThan(1 / 20);

  const eight = await openCounted();
  await Promise.all(Array.from({ length: 8 }, () => append(eight.log, 125)));
  const { rollTail: rollsTogether = 0, commitBatches = 0 } = eight.take();
  expect(rollsTogether / commitBatches).toBeLessThan(1 / 20);
  expect(rollsTogether / 1_000).toBeLessThan(1 / 20);
});

test('a fetch at the tail is one read of the head and one read for each object touched', async () => {
  const { log, take } = await openCounted();
  await send(log, batchOf({ timestamps: [1_700_000_000_000] }));
  await send(log, batchOf({ timestamps: [1_700_000_000_000] }));
  take();
  await fetchFrom(log, 2);
  expect(take()).toEqual({ getHeads: 1, read: 1 });
  await fetchFrom(log, 0);
  expect(take()).toEqual({ getHeads: 1, read: 3 });
  await fetchFrom(log, 'latest');
  expect(take()).toEqual({ getHeads: 1 });
});

test('what lies side by side in one object is one read, over partitions too', async () => {
  const { log, take } = await openCounted(4);
  const batches = [0, 1, 2, 3].map((partition) => ({
    partition,
    batch: batchOf({ timestamps: [1], valueBytes: 1_000 }),
  }));
  await log.produce({ topic: orders, batches });
  take();
  const partitions = [1, 2, 3].map((partition) => ({ partition, offset: 0 }));
  const results = await log.fetch({ topic: orders, partitions, maxBytes: 1e6, minBytes: 0, maxWaitMs: 0 });
  expect(results.map((result) => ('batches' in result ? result.batches.length : result.error))).toEqual([1, 1, 1]);
  expect(take()).toEqual({ getHeads: 1, read: 1 });
});

test('a fetch far behind costs the same however long the log is behind it', async () => {
  const { log, take } = await openCounted();
  const costAt = async () => {
    take();
    // A limit below one batch: the first is always given, so just it is read.
    await fetchFrom(log, 3, { maxBytes: 1 });
    return take();
  };
  await append(log, 100);
  const near = await costAt();
  await append(log, 5_000);
  expect(await costAt()).toEqual(near);
  expect(near).toEqual({ getHeads: 1, findPages: 1, read: 1 });
}, 60_000);

test('a head does not grow with the log, and holds five idempotent producers in 2 KB', async () => {
  const { log, metadataStore, take } = await openCounted();
  const producers = [0, 1, 2, 3, 4].map((producerId) => ({ producerId, baseSequence: 0 }));
  let bytesMax = 0;
  for (let sent = 0; sent < 200; sent++) {
    const producer = producers[sent % 5] as (typeof producers)[number];
    const { producerId, baseSequence } = producer;
    await send(log, batchOf({ timestamps: [1, 2], producer: { producerId, producerEpoch: 0, baseSequence } }));
    producer.baseSequence += 2;
    bytesMax = Math.max(bytesMax, await headBytes(metadataStore, log));
  }
  expect(bytesMax).toBeLessThanOrEqual(2_048);
  take();
});

test('after 1,000 appends and after 10,000 the calls and the size of the head are the same', async () => {
  const { log, metadataStore, take } = await openCounted();
  // So many appends are one round of the tail, so both rounds begin with it in the same state.
  const round = tailEntriesMax + 1;
  const costOfRound = async () => {
    take();
    await append(log, round);
    const calls = take();
    await fetchFrom(log, 'latest');
    return { calls, tailFetch: take(), bytes: await headBytes(metadataStore, log) };
  };
  await append(log, round * 48 - 1);
  const early = await costOfRound();
  await append(log, round * 428);
  expect(await costOfRound()).toEqual(early);
}, 120_000);
