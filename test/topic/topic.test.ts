import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { LogError } from '../../lib/errors.ts';
import { parseTopicName } from '../../lib/ids.ts';
import type { MetadataStore } from '../../lib/store/metadata-store.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { murmur2, partitionForKey } from '../../lib/topic/partitioner.ts';
import { changeConfig, describeConfig, topicConfig } from '../../lib/topic/topic-config.ts';
import { createTopics } from '../../lib/topic/topics.ts';
import { openTestLog, orders, recorded, systemRandom, turns } from '../log-fixture.ts';
import { readGoldenJson } from '../record/golden.ts';

describe('the partitioner', () => {
  test("hashes and partitions every golden key as Kafka's Java client does", () => {
    const golden = readGoldenJson<{ key: string; murmur2: number; partitions: number[] }[]>('murmur2.json');
    expect(golden).toHaveLength(243);
    for (const one of golden) {
      const key = Buffer.from(one.key, 'base64');
      expect(murmur2(key)).toBe(one.murmur2);
      expect(one.partitions.map((_, index) => partitionForKey(key, index + 1))).toEqual(one.partitions);
    }
  });
});

describe('topic config', () => {
  test('defaults are in force until they are set, and null takes a key back', () => {
    expect(topicConfig({})).toEqual({
      messageBytesMax: 1_048_588,
      timestampType: 'CreateTime',
      compressionType: 'producer',
      timestampBeforeMaxMs: Number.POSITIVE_INFINITY,
      timestampAfterMaxMs: 3_600_000,
    });
    const set = changeConfig({}, { 'max.message.bytes': 100, 'compression.type': 'zstd' });
    expect(set).toEqual({ 'max.message.bytes': '100', 'compression.type': 'zstd' });
    expect(topicConfig(set)).toMatchObject({ messageBytesMax: 100, compressionType: 'zstd' });
    expect(describeConfig(set)['max.message.bytes']).toEqual({ value: '100', source: 'topic' });
    expect(changeConfig(set, { 'max.message.bytes': null, 'compression.type': 'gzip' })).toEqual({
      'compression.type': 'gzip',
    });
  });

  test('what is printed is parsed back', () => {
    const config = {
      'message.timestamp.before.max.ms': '9223372036854775807',
      'message.timestamp.type': 'LogAppendTime',
    };
    const printed = Object.fromEntries(Object.entries(describeConfig(config)).map(([key, { value }]) => [key, value]));
    expect(topicConfig(changeConfig({}, printed))).toEqual(topicConfig(config));
  });

  test('unsupported and unknown keys and bad values are refused with what is allowed', () => {
    const refused: [Record<string, unknown>, RegExp][] = [
      [{ 'retention.ms': '1' }, /"retention.ms" is not supported yet; allowed are max.message.bytes/],
      [{ 'no.such.key': null }, /"no.such.key" is no config of a topic/],
      [{ toString: '1' }, /is no config/],
      [{ 'max.message.bytes': '-1' }, /is "-1", allowed is a whole number from 0 to/],
      [{ 'max.message.bytes': '1.5' }, /1\.5/],
      [{ 'max.message.bytes': 17 * 1024 * 1024 }, /allowed is a whole number/],
      [{ 'max.message.bytes': {} }, /allowed is a string or a number/],
      [{ 'max.message.bytes': 10n }, /allowed is a string or a number/],
      [{ 'max.message.bytes': undefined }, /allowed is a string or a number/],
      [{ 'compression.type': 'brotli' }, /is "brotli", allowed is producer, uncompressed, gzip, snappy, lz4, zstd/],
      [{ 'message.timestamp.type': 'createtime' }, /CreateTime, LogAppendTime/],
    ];
    for (const [changes, message] of refused) {
      expect(() => changeConfig({}, changes)).toThrow(message);
      expect(() => changeConfig({}, changes)).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG' }));
    }
  });
});

describe('topic names', () => {
  test('are 1 to 249 of the allowed characters, and neither one dot nor two', () => {
    const allowed = fc.string({ unit: fc.constantFrom(...'azAZ09._-'), minLength: 1, maxLength: 249 });
    fc.assert(fc.property(allowed, (name) => name === '.' || name === '..' || parseTopicName(name) === name));
    const bad = fc.oneof(
      fc.constantFrom<unknown>('', '.', '..', 'a'.repeat(250), 'a\n', 'ä', 5, null, undefined, {}),
      fc.string({ minLength: 1 }).filter((name) => /[^a-zA-Z0-9._-]/.test(name)),
    );
    fc.assert(
      fc.property(bad, (name) => {
        expect(() => parseTopicName(name)).toThrow(expect.objectContaining({ code: 'INVALID_TOPIC_EXCEPTION' }));
      }),
    );
  });
});

describe('topics', () => {
  test('have at least one partition, only grow, and say what is allowed', async () => {
    const { topics } = openTestLog().log;
    for (const partitionCount of [0, -1, 1.5, Number.NaN, 10_001]) {
      const create = topics.create({ topic: orders, partitionCount });
      await expect(create).rejects.toThrow(`partition count is ${partitionCount}, allowed is 1 to 10000`);
    }
    expect((await topics.create({ topic: orders })).partitions).toHaveLength(1);
    expect((await topics.alter({ topic: orders, partitionCount: 3 })).partitions).toHaveLength(3);
    await expect(topics.alter({ topic: orders, partitionCount: 2 })).rejects.toMatchObject({
      code: 'INVALID_PARTITIONS',
    });
    expect((await topics.describe(orders)).partitionCount).toBe(3);
  });

  test('that collide are told apart from those that exist', async () => {
    const { topics } = openTestLog().log;
    await topics.create({ topic: parseTopicName('a.b') });
    const create = (name: string) => topics.create({ topic: parseTopicName(name) });
    await expect(create('a.b')).rejects.toMatchObject({ code: 'TOPIC_ALREADY_EXISTS' });
    await expect(create('a_b')).rejects.toThrow(/a_b collides with topic a.b/);
  });

  test('that are unknown are refused by every call, and a deleted one is gone at once', async () => {
    const { topics } = openTestLog().log;
    await topics.create({ topic: orders });
    expect(await topics.get(orders)).toMatchObject({ topic: 'orders' });
    await topics.delete(orders);
    const calls = [topics.get(orders), topics.describe(orders), topics.alter({ topic: orders }), topics.delete(orders)];
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' });
    expect(await topics.list({ limit: 10 })).toEqual([]);
  });

  test('an alter that meets others starts over and keeps what they changed', async () => {
    const { topics } = openTestLog().log;
    await topics.create({ topic: orders });
    await Promise.all([
      topics.alter({ topic: orders, config: { 'max.message.bytes': '7' } }),
      topics.alter({ topic: orders, config: { 'compression.type': 'lz4' } }),
      topics.alter({ topic: orders, partitionCount: 2 }),
    ]);
    const described = await topics.describe(orders);
    expect(described.partitionCount).toBe(2);
    expect(described.config['max.message.bytes']?.value).toBe('7');
    expect(described.config['compression.type']?.value).toBe('lz4');
  });

  test('are looked up once in five seconds, and again when they are forgotten or changed here', async () => {
    let nowMs = 0;
    const clock = { nowMs: () => nowMs, sleep: async () => {} };
    const { store, calls } = recorded(openSqliteMetadataStore(':memory:'));
    const { cache, ...topics } = createTopics({ metadataStore: store, clock, randomBytes: systemRandom });
    await topics.create({ topic: orders });
    const lookUps = async () => {
      calls.length = 0;
      await cache.get(orders);
      return calls.length;
    };
    expect([await lookUps(), await lookUps()]).toEqual([1, 0]);
    nowMs = 4_999;
    expect(await lookUps()).toBe(0);
    nowMs = 5_000;
    expect([await lookUps(), await lookUps()]).toEqual([1, 0]);
    cache.forget(orders);
    expect(await lookUps()).toBe(1);
    await topics.alter({ topic: orders, partitionCount: 2 });
    expect((await cache.get(orders)).partitionCount).toBe(2);
    await store.close();
  });

  // Where a look-up takes its time it brought back what an alter had changed meanwhile, for five seconds; and of requests that
  // came together each looked up for itself, and a later one was committed first when its answer came first.
  describe('whose look-up takes its time', () => {
    let nowMs = 0;
    const clock = { ...systemClock, nowMs: () => nowMs };
    function openSlowTopics() {
      nowMs = 0;
      const metadataStore = openSqliteMetadataStore(':memory:');
      onTestFinished(() => metadataStore.close());
      /** Ends the look-ups, in the order in which they began. */
      const answers: (() => void)[] = [];
      const getTopic: MetadataStore['getTopic'] = async (name) => {
        const found = await metadataStore.getTopic(name);
        await new Promise<void>((resolve) => answers.push(resolve));
        return found;
      };
      const deps = { clock, randomBytes: systemRandom };
      const { cache } = createTopics({ ...deps, metadataStore: { ...metadataStore, getTopic } });
      return { cache, answers, others: createTopics({ ...deps, metadataStore }) };
    }

    test('are looked up once for all who ask meanwhile, and answered in the order of their questions', async () => {
      const { cache, answers, others } = openSlowTopics();
      await others.create({ topic: orders });
      const answered: number[] = [];
      const asked = [1, 2, 3].map(async (caller) => {
        await cache.get(orders);
        answered.push(caller);
      });
      await turns();
      expect(answers).toHaveLength(1);
      answers[0]?.();
      await Promise.all(asked);
      expect(answered).toEqual([1, 2, 3]);
    });

    test('are not kept as they were before they were forgotten', async () => {
      const { cache, answers, others } = openSlowTopics();
      await others.create({ topic: orders });
      const before = cache.get(orders);
      await turns();
      await others.alter({ topic: orders, partitionCount: 2 });
      cache.forget(orders);
      answers[0]?.();
      expect((await before).partitionCount).toBe(1);
      const after = cache.get(orders);
      await turns();
      answers[1]?.();
      expect((await after).partitionCount).toBe(2);
    });

    test('are looked up anew for who asks when that look-up is old: the process was frozen', async () => {
      const { cache, answers, others } = openSlowTopics();
      await others.create({ topic: orders });
      const before = cache.get(orders);
      await turns();
      await others.alter({ topic: orders, partitionCount: 2 });
      nowMs = 60_000;
      const after = cache.get(orders);
      answers[0]?.();
      expect((await before).partitionCount).toBe(1);
      await turns();
      answers[1]?.();
      expect((await after).partitionCount).toBe(2);
    });

    test('are found by who asks when they have been made, though a look-up before that finds none', async () => {
      const { cache, answers, others } = openSlowTopics();
      const before = cache.get(orders);
      await turns();
      await others.create({ topic: orders });
      const after = cache.get(orders);
      answers[0]?.();
      await expect(before).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' });
      await turns();
      answers[1]?.();
      expect((await after).partitionCount).toBe(1);
    });
  });

  // A topic was made, or altered, and the read of its heads for the answer failed: the caller was told that nothing had been
  // done. The simulation found it (seed 37).
  test('that were made or altered are never told to be unchanged', async () => {
    let isDown = false;
    const { log } = openTestLog({
      metadata: (store) => ({
        ...store,
        getHeads: async (...heads) => {
          if (isDown) throw new LogError('KAFKA_STORAGE_ERROR', 'down', { effect: 'none' });
          return await store.getHeads(...heads);
        },
      }),
    });
    isDown = true;
    expect((await log.topics.create({ topic: orders, partitionCount: 2 })).partitions).toEqual([
      { partition: 0, logStartOffset: 0, highWatermark: 0 },
      { partition: 1, logStartOffset: 0, highWatermark: 0 },
    ]);
    await expect(log.topics.alter({ topic: orders, partitionCount: 3 })).rejects.toMatchObject({
      code: 'KAFKA_STORAGE_ERROR',
      effect: 'unknown',
    });
    isDown = false;
    expect((await log.topics.describe(orders)).partitions).toHaveLength(3);
  });

  // A clock that was set back by an hour made a looked-up topic young for an hour more: a process went on with a topic
  // that had been deleted and made again, or did not find new partitions. The simulation found it (seed 1274).
  test('are looked up again after the clock was set back', async () => {
    let nowMs = 3_600_000;
    const clock = { nowMs: () => nowMs, sleep: async () => {} };
    const metadataStore = openSqliteMetadataStore(':memory:');
    const deps = { metadataStore, clock, randomBytes: systemRandom };
    const { cache, ...topics } = createTopics(deps);
    await topics.create({ topic: orders });
    expect((await cache.get(orders)).partitionCount).toBe(1);
    nowMs = 0;
    await createTopics(deps).alter({ topic: orders, partitionCount: 2 });
    expect((await cache.get(orders)).partitionCount).toBe(2);
    await metadataStore.close();
  });
});
