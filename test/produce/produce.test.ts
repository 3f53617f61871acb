import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { LogError } from '../../lib/errors.ts';
import { parseTopicName } from '../../lib/ids.ts';
import { MiB, tailEntriesRefused } from '../../lib/limits.ts';
import type { ProduceResult } from '../../lib/log.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import { decodeFooter } from '../../lib/store/object-layout.ts';
import type { ObjectStore } from '../../lib/store/object-store.ts';
import {
  batchOf,
  errorOf,
  fetchFrom,
  offsetsIn,
  openTestLog,
  openTestTopic,
  orders,
  produced,
  send,
  turns,
} from '../log-fixture.ts';

const producer = (producerId: number, baseSequence: number) => ({ producerId, producerEpoch: 0, baseSequence });

describe('produce', () => {
  test('answers each batch in the order of the request, with its offset', async () => {
    const { log } = await openTestTopic({ partitionCount: 3 });
    const batches = [2, 0, 2, 1, 0, 2].map((partition, index) => ({
      partition,
      batch: batchOf({ timestamps: Array.from({ length: index + 1 }, () => index) }),
    }));
    const results = (await log.produce({ topic: orders, batches })).map(produced);
    expect(results.map(({ partition, baseOffset, recordCount }) => [partition, baseOffset, recordCount])).toEqual([
      [2, 0, 1],
      [0, 0, 2],
      [2, 1, 3],
      [1, 0, 4],
      [0, 2, 5],
      [2, 4, 6],
    ]);
    expect(results.map(({ timestamp }) => timestamp)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(offsetsIn((await fetchFrom(log, 0)).batches)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test('stores what is right and refuses what is wrong, each with its own error', async () => {
    const { log } = await openTestTopic({ partitionCount: 2 });
    const damaged = batchOf();
    damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1;
    const results = await log.produce({
      topic: orders,
      batches: [
        { partition: 0, batch: damaged },
        { partition: 0, batch: batchOf() },
        { partition: 2, batch: batchOf() },
        { partition: -1, batch: batchOf() },
        { partition: 1, batch: batchOf({ producer: producer(7, 5) }) },
        { partition: 1, batch: batchOf() },
      ],
    });
    const seen = results.map((result) => ('error' in result ? result.error.code : result.baseOffset));
    const unknown = 'UNKNOWN_TOPIC_OR_PARTITION';
    expect(seen).toEqual(['CORRUPT_MESSAGE', 0, unknown, unknown, 'OUT_OF_ORDER_SEQUENCE_NUMBER', 0]);
    for (const result of results) if ('error' in result) expect(result.error.effect).toBe('none');
  });

  test('answers a resend with the first answer and appends nothing', async () => {
    const { log } = await openTestTopic();
    const batch = () => batchOf({ count: 3, producer: producer(7, 0) });
    const [first] = await send(log, batch());
    const [again, next] = await send(log, batch(), batchOf({ producer: producer(7, 3) }));
    expect(again).toEqual({ ...produced(first), isDuplicate: true });
    expect(next).toMatchObject({ baseOffset: 3, isDuplicate: false });
    expect((await fetchFrom(log, 'latest')).highWatermark).toBe(4);
  });

  test('keeps the order of batches that were sent without waiting', async () => {
    const { log } = await openTestTopic();
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, index) => send(log, batchOf({ producer: producer(7, index) }))),
    );
    expect(results.map(([result]) => produced(result).baseOffset)).toEqual(Array.from({ length: 50 }, (_, at) => at));
  });

  // 200 batches of 2 KB that each decompressed to 64 MiB kept the process from everything else for 25 s.
  describe('of batches that decompress to much', () => {
    const large = (mebibytes: number) => batchOf({ valueBytes: mebibytes * MiB, codec: 'zstd' });
    const users = parseTopicName('users');
    const noise = (bytes: number) =>
      encodeBatch({ records: [{ key: null, value: randomBytes(bytes), headers: [], timestamp: Date.now() }] });

    test('refuses those beyond what one request may decompress to, and takes them in the next', async () => {
      const { log } = await openTestTopic();
      const batches = [large(60), large(60), large(60), batchOf(), large(1)];
      const results = await send(log, ...batches);
      const seen = results.map((result) => ('error' in result ? result.error.code : result.baseOffset));
      expect(seen).toEqual([0, 1, 'MESSAGE_TOO_LARGE', 2, 'MESSAGE_TOO_LARGE']);
      const { effect, retriable, details, message } = errorOf(results[2]);
      expect([effect, retriable, details]).toEqual(['none', true, { bytesMax: 128 * MiB, reason: 'too-large' }]);
      expect(message).toMatch(/^the batches of the request decompress to more than 134217728 bytes, \d+ were left/);
      expect(produced((await send(log, batches[4] as Uint8Array))[0]).baseOffset).toBe(3);
    });

    test('hands each on as it is ready, and tells of a bug that comes before the last is', async () => {
      let putCount = 0;
      const objects = (store: ObjectStore): ObjectStore => ({
        ...store,
        put: () => {
          putCount += 1;
          return Promise.reject(new Error(`bug ${putCount}`));
        },
      });
      const { log } = await openTestTopic({ objects });
      await expect(send(log, ...Array.from({ length: 4 }, () => large(5)))).rejects.toThrow('bug 1');
      expect(putCount).toBeGreaterThan(1);
    });

    // 30 MB without a codec, of a topic that has gzip, kept the process from everything else for half a second.
    test('lets others go on while it compresses what came without a codec', async () => {
      const puts: (readonly Uint8Array[])[] = [];
      const objects = (store: ObjectStore): ObjectStore => ({
        ...store,
        put: (parts) => {
          puts.push(parts);
          return store.put(parts);
        },
      });
      const { log } = await openTestTopic({ objects, config: { 'compression.type': 'gzip' } });
      await log.topics.create({ topic: users });
      await Promise.all([log.topics.get(orders), log.topics.get(users)]);
      const plain = Array.from({ length: 24 }, () => noise(1_000_000));
      await Promise.all([
        send(log, ...plain),
        log.produce({ topic: users, batches: [{ partition: 0, batch: batchOf() }] }),
      ]);
      // Behind what was ready at the first turn, and not behind all of it.
      const place = puts.findIndex((parts) => parts.slice(0, -1).some(({ length }) => length < 1_000));
      expect(place).toBeGreaterThanOrEqual(0);
      expect(place).toBeLessThan(puts.length - 1);
    });

    test('lets others go on meanwhile, and none of the same topic overtake', async () => {
      const { log } = await openTestTopic();
      await log.topics.create({ topic: users });
      await send(log, batchOf());
      await log.produce({ topic: users, batches: [{ partition: 0, batch: batchOf() }] });
      const answered: string[] = [];
      const note = (what: string) => (results: readonly ProduceResult[]) => {
        answered.push(`${what}: ${results.map((result) => produced(result).baseOffset)}`);
      };
      const batch = batchOf();
      await Promise.all([
        send(log, ...Array.from({ length: 8 }, () => large(5))).then(note('large')),
        send(log, batchOf()).then(note('behind it')),
        send(log, large(5), large(5)).then(note('another large')),
        send(log, batchOf()).then(note('behind both')),
        log.produce({ topic: users, batches: [{ partition: 0, batch }] }).then(note('of another topic')),
      ]);
      expect(answered).toEqual([
        'of another topic: 1',
        'large: 1,2,3,4,5,6,7,8',
        'behind it: 9',
        'another large: 10,11',
        'behind both: 12',
      ]);
    });
  });

  test('lays the batches of all partitions into one object whose footer names each', async () => {
    const objects: Buffer[] = [];
    const keep = (store: ObjectStore): ObjectStore => ({
      ...store,
      put: (body) => {
        objects.push(Buffer.concat(body));
        return store.put(body);
      },
    });
    const { log } = await openTestTopic({ partitionCount: 3, objects: keep });
    const sent = [1, 0, 1, 2].map((partition, index) => ({
      partition,
      batch: batchOf({ timestamps: [index], valueBytes: 10 + index }),
    }));
    const bytes = sent.map(({ batch }) => Buffer.from(batch));
    await log.produce({ topic: orders, batches: sent });
    expect(objects).toHaveLength(1);
    const [object] = objects as [Buffer];
    const { topicId } = await log.topics.get(orders);
    const rows = decodeFooter(object);
    expect(rows.map((row) => [row.topicId, row.partition, row.offsetCount, row.maxTimestamp])).toEqual([
      [topicId, 0, 1, 1],
      [topicId, 1, 1, 0],
      [topicId, 1, 1, 2],
      [topicId, 2, 1, 3],
    ]);
    const stored = rows.map(({ byteStart, byteLength }) => object.subarray(byteStart, byteStart + byteLength));
    expect(stored).toEqual([bytes[1], bytes[0], bytes[2], bytes[3]]);
  });

  // A million batches of 70 bytes were 69 MB of what may wait, and 2.7 GB of the process.
  test('counts of small batches that wait what each takes of the process', async () => {
    let store = () => {};
    const stored = new Promise<void>((resolve) => {
      store = resolve;
    });
    const objects = (objectStore: ObjectStore): ObjectStore => ({
      ...objectStore,
      put: (body) => stored.then(() => objectStore.put(body)),
    });
    const { log } = await openTestTopic({ objects });
    const batches = Array.from({ length: 10_000 }, () => batchOf());
    const requests = Array.from({ length: 4 }, () => send(log, ...batches));
    await turns();
    store();
    const refused = (await Promise.all(requests)).map((results) => results.filter((one) => 'error' in one));
    expect(refused.slice(0, 3)).toEqual([[], [], []]);
    const { code, effect } = errorOf(refused[3]?.[0]);
    expect([code, effect]).toEqual(['THROTTLING_QUOTA_EXCEEDED', 'none']);
  });

  test('refuses an unknown topic as a whole', async () => {
    await expect(send(openTestLog().log, batchOf())).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' });
  });

  test('tells that a topic was deleted by another process, and finds it made again', async () => {
    const { log, metadataStore } = await openTestTopic();
    const { topicId } = await log.topics.get(orders);
    await metadataStore.deleteTopic(orders, topicId);
    const [result] = await send(log, batchOf());
    expect(errorOf(result)).toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION', retriable: true, effect: 'none' });
    await log.topics.create({ topic: orders });
    expect(produced((await send(log, batchOf()))[0]).baseOffset).toBe(0);
  });

  test('rolls a tail that is far too long before it appends', async () => {
    const { log, metadataStore } = await openTestTopic();
    const { topicId } = await log.topics.get(orders);
    const [produce] = await send(log, batchOf());
    expect(produced(produce).baseOffset).toBe(0);
    const [head] = await metadataStore.getHeads(topicId, [0]);
    const [coordinates] = head?.tail ?? [];
    if (coordinates === undefined) throw new Error('there is no entry');
    const batches = Array.from({ length: tailEntriesRefused }, () => ({
      coordinates,
      recordCount: 1,
      timestamp: 1,
      producer: undefined,
    }));
    await metadataStore.commitBatches({ topicId, partition: 0, batches });
    expect(produced((await send(log, batchOf()))[0]).baseOffset).toBe(tailEntriesRefused + 1);
  });

  test('finishes what was accepted when the log closes', async () => {
    const { log } = await openTestTopic();
    const sending = send(log, batchOf());
    await log.close();
    expect(produced((await sending)[0]).baseOffset).toBe(0);
  });
});

describe('produce tells the effect of a failing store', () => {
  test('an object that could not be stored: none', async () => {
    let isFailing = true;
    const failure = new LogError('KAFKA_STORAGE_ERROR', 'no space', { effect: 'none' });
    const objects = (store: ObjectStore): ObjectStore => ({
      ...store,
      put: (body) => (isFailing ? Promise.reject(failure) : store.put(body)),
    });
    const { log } = await openTestTopic({ objects });
    expect(errorOf((await send(log, batchOf()))[0])).toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'none' });
    isFailing = false;
    expect(produced((await send(log, batchOf()))[0]).baseOffset).toBe(0);
  });

  test('a commit whose answer was lost: unknown, and a resend with a producer id appends nothing twice', async () => {
    let isFailing = true;
    const { log } = await openTestTopic({
      metadata: (store) => ({
        ...store,
        commitBatches: async (commit) => {
          const outcome = await store.commitBatches(commit);
          if (isFailing) throw new LogError('KAFKA_STORAGE_ERROR', 'connection lost');
          return outcome;
        },
      }),
    });
    const batch = () => batchOf({ producer: producer(7, 0) });
    expect(errorOf((await send(log, batch()))[0])).toMatchObject({ effect: 'unknown', retriable: true });
    isFailing = false;
    expect((await send(log, batch()))[0]).toMatchObject({ baseOffset: 0, isDuplicate: true });
  });

  test('a roll that fails hurts no append', async () => {
    const { log } = await openTestTopic({
      metadata: (store) => ({ ...store, rollTail: () => Promise.reject(new LogError('KAFKA_STORAGE_ERROR', 'no')) }),
    });
    for (let index = 0; index < 40; index++) produced((await send(log, batchOf()))[0]);
    expect((await fetchFrom(log, 0)).highWatermark).toBe(40);
  });
});
