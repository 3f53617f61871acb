/** What every metadata store must do. Knows nothing but the door: `MetadataStore`. */

import { beforeEach, describe, expect, test } from 'vitest';
import { type ObjectId, parseTopicName, type TopicId } from '../../lib/ids.ts';
import {
  entryBytesMax,
  headProducersIdleMax,
  headProducersMax,
  headProducersRefused,
  tailEntriesMax,
  tailEntriesRefused,
} from '../../lib/limits.ts';
import type { Head, TopicItem } from '../../lib/store/items.ts';
import type { BatchOutcome, MetadataStore, NewBatch } from '../../lib/store/metadata-store.ts';

/** `open` gives a store with nothing in it; what it opened is the caller's to remove. */
export function testMetadataStore(name: string, open: () => Promise<MetadataStore>): void {
  describe(`metadata store: ${name}`, () => {
    let store: MetadataStore;
    beforeEach(async () => {
      store = await open();
      return () => store.close();
    });
    const opened = () => store;
    describe('topics', () => testTopics(opened));
    describe('commits', () => testCommits(opened));
    describe('producers', () => testProducers(opened));
    describe('rolls and pages', () => testRolls(opened));
    describe('waiting and closing', () => testWaiting(opened));
  });
}

function testTopics(store: () => MetadataStore): void {
  test('a created topic is found as it was given, and has an empty head for each partition', async () => {
    const topic = topicItem('orders', { partitionCount: 2, config: { 'max.message.bytes': '100' } });
    expect(await store().createTopic(topic)).toEqual({ outcome: 'created' });
    expect(await store().getTopic(topic.topic)).toEqual(topic);
    const [first, second, beyond] = await store().getHeads(topic.topicId, [0, 1, 2]);
    expect(first).toEqual(emptyHead(topic.topicId, 0));
    expect(second).toEqual(emptyHead(topic.topicId, 1));
    expect(beyond).toBeUndefined();
  });

  test('heads come in the order asked for', async () => {
    const topicId = await createTopic(store(), { partitionCount: 3 });
    await commit(store(), topicId, [newBatch({ recordCount: 5 })], 1);
    const heads = await store().getHeads(topicId, [2, 9, 1, 0, 1]);
    expect(heads.map((head) => head?.logEndOffset)).toEqual([0, undefined, 5, 0, 5]);
    expect(heads.map((head) => head?.partition)).toEqual([2, undefined, 1, 0, 1]);
  });

  test('a name that is there, or differs only by dot and underscore, exists, and nothing of it changes', async () => {
    const there = topicItem('a.b_c', { config: { 'compression.type': 'zstd' } });
    await store().createTopic(there);
    for (const name of ['a.b_c', 'a_b.c', 'a.b.c', 'a_b_c']) {
      const attempt = topicItem(name);
      expect(await store().createTopic(attempt)).toEqual({ outcome: 'exists', topic: 'a.b_c' });
      expect(await store().getHeads(attempt.topicId, [0])).toEqual([undefined]);
      expect(await store().getTopic(attempt.topic)).toEqual(name === 'a.b_c' ? there : undefined);
    }
    expect(await store().createTopic(topicItem('a-b_c'))).toEqual({ outcome: 'created' });
  });

  test('of many who create one name at the same time exactly one succeeds', async () => {
    const outcomes = await Promise.all(
      ['x.y', 'x_y', 'x.y', 'x_y'].map((name) => store().createTopic(topicItem(name))),
    );
    expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual(['created', 'exists', 'exists', 'exists']);
  });

  test('an unknown topic is undefined', async () => {
    expect(await store().getTopic(parseTopicName('nobody'))).toBeUndefined();
  });

  test('a list goes by name, begins behind after, and ends at limit', async () => {
    await Promise.all(['b', 'a', 'd', 'C'].map((name) => store().createTopic(topicItem(name))));
    const names = async (page: { after?: string; limit: number }) => {
      const after = page.after === undefined ? {} : { after: parseTopicName(page.after) };
      return (await store().listTopics({ ...after, limit: page.limit })).map(({ topic }) => topic);
    };
    expect(await names({ limit: 10 })).toEqual(['C', 'a', 'b', 'd']);
    expect(await names({ limit: 2 })).toEqual(['C', 'a']);
    expect(await names({ after: 'a', limit: 2 })).toEqual(['b', 'd']);
    expect(await names({ after: 'aa', limit: 1 })).toEqual(['b']);
    expect(await names({ after: 'd', limit: 10 })).toEqual([]);
  });

  test('an alter replaces the config, adds heads and raises the version; an old version or id is a conflict', async () => {
    const topic = topicItem('orders', { config: { 'compression.type': 'zstd' } });
    await store().createTopic(topic);
    await commit(store(), topic.topicId, [newBatch({ recordCount: 3 })]);
    const change = { topic: topic.topic, topicId: topic.topicId, version: 1, config: { 'max.message.bytes': '9' } };
    expect(await store().alterTopic({ ...change, partitionCount: 3 })).toBe('altered');
    const altered = { ...topic, config: change.config, partitionCount: 3, version: 2 };
    expect(await store().getTopic(topic.topic)).toEqual(altered);
    const heads = await store().getHeads(topic.topicId, [0, 1, 2, 3]);
    expect(heads.map((head) => head?.logEndOffset)).toEqual([3, 0, 0, undefined]);

    expect(await store().alterTopic({ ...change, partitionCount: 9 })).toBe('conflict');
    expect(await store().alterTopic({ ...change, version: 2, topicId: newTopicId(), partitionCount: 9 })).toBe(
      'conflict',
    );
    expect(await store().alterTopic({ ...change, version: 2, topic: parseTopicName('other'), partitionCount: 9 })).toBe(
      'conflict',
    );
    expect(await store().getTopic(topic.topic)).toEqual(altered);
  });

  test('of two alters of one version one is a conflict', async () => {
    const topic = topicItem('orders');
    await store().createTopic(topic);
    const change = { topic: topic.topic, topicId: topic.topicId, version: 1, config: {}, partitionCount: 2 };
    const outcomes = await Promise.all([store().alterTopic(change), store().alterTopic(change)]);
    expect(outcomes.toSorted()).toEqual(['altered', 'conflict']);
  });

  test('a deleted topic is gone with heads, pages and producers; a wrong id deletes nothing', async () => {
    const topic = topicItem('orders', { partitionCount: 2 });
    await store().createTopic(topic);
    const { head } = await commit(store(), topic.topicId, [newBatch({ producer: [7, 0, 0] })]);
    await store().rollTail(head);
    expect(await store().deleteTopic(topic.topic, newTopicId())).toBe(false);
    expect(await store().deleteTopic(parseTopicName('other'), topic.topicId)).toBe(false);
    expect(await store().getTopic(topic.topic)).toEqual(topic);

    expect(await store().deleteTopic(topic.topic, topic.topicId)).toBe(true);
    expect(await store().getTopic(topic.topic)).toBeUndefined();
    expect(await store().getHeads(topic.topicId, [0, 1])).toEqual([undefined, undefined]);
    expect(await store().findPages(topic.topicId, 0, 0, 10)).toEqual([]);
    const late = { topicId: topic.topicId, partition: 0, batches: [newBatch()] };
    expect(await store().commitBatches(late)).toEqual({ outcome: 'missing' });
    expect(await store().rollTail(head)).toBe('lost');
    expect(await store().deleteTopic(topic.topic, topic.topicId)).toBe(false);
  });

  test('a topic made again under a new id shows nothing of the old one', async () => {
    const old = topicItem('orders');
    await store().createTopic(old);
    const { head } = await commit(store(), old.topicId, [newBatch({ producer: [7, 0, 0] })]);
    await store().rollTail(head);
    await store().deleteTopic(old.topic, old.topicId);
    const made = topicItem('orders');
    expect(await store().createTopic(made)).toEqual({ outcome: 'created' });
    expect(await store().getHeads(made.topicId, [0])).toEqual([emptyHead(made.topicId, 0)]);
    expect(await store().findPages(made.topicId, 0, 0, 10)).toEqual([]);
    expect(await store().commitBatches({ topicId: old.topicId, partition: 0, batches: [newBatch()] })).toEqual({
      outcome: 'missing',
    });
    expect(await store().alterTopic({ ...made, topicId: old.topicId })).toBe('conflict');
    const outcome = await commitOne(store(), made.topicId, newBatch({ producer: [7, 0, 1] }));
    expect(codeOf(outcome)).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
  });
}

function testCommits(store: () => MetadataStore): void {
  test('batches take offsets in the order given, and the head comes back as it was stored', async () => {
    const topicId = await createTopic(store());
    const batches = [newBatch({ recordCount: 2, timestamp: 50 }), newBatch({ recordCount: 3, timestamp: 40 })];
    const committed = await commit(store(), topicId, batches);
    expect(committed.batches).toEqual([
      { outcome: 'committed', baseOffset: 0, timestamp: 50 },
      { outcome: 'committed', baseOffset: 2, timestamp: 40 },
    ]);
    expect(committed.head).toEqual({
      ...emptyHead(topicId, 0),
      logEndOffset: 5,
      logBytes: 200,
      tail: batches.map(({ coordinates }) => coordinates),
    });
    expect(await store().getHeads(topicId, [0])).toEqual([committed.head]);
  });

  test('the order of calls is the order of offsets, without gap or overlap', async () => {
    const topicId = await createTopic(store(), { partitionCount: 2 });
    const counts = Array.from({ length: 40 }, (_, index) => 1 + (index % 7));
    const commits = await Promise.all(
      counts.map((recordCount, index) => commit(store(), topicId, [newBatch({ recordCount })], index % 2)),
    );
    for (const partition of [0, 1]) {
      let expected = 0;
      for (const [index, recordCount] of counts.entries()) {
        if (index % 2 !== partition) continue;
        expect(commits[index]?.batches[0]).toMatchObject({ outcome: 'committed', baseOffset: expected });
        expected += recordCount;
      }
      expect((await headOf(store(), topicId, partition)).logEndOffset).toBe(expected);
    }
  });

  test('a partition or a topic that is not there is missing', async () => {
    const topicId = await createTopic(store());
    const batches = [newBatch()];
    expect(await store().commitBatches({ topicId, partition: 1, batches })).toEqual({ outcome: 'missing' });
    expect(await store().commitBatches({ topicId: newTopicId(), partition: 0, batches })).toEqual({
      outcome: 'missing',
    });
  });

  test('neighbours in one object become one entry up to a limit; entries of an earlier commit stay as they are', async () => {
    const topicId = await createTopic(store());
    const objectId = newObjectId();
    const half = entryBytesMax / 2;
    const at = (byteStart: number, byteLength: number, recordCount: number, timestamp: number) =>
      newBatch({ objectId, byteStart, byteLength, recordCount, timestamp });
    await commit(store(), topicId, [at(0, 10, 1, 5)]);
    const { head } = await commit(store(), topicId, [
      at(10, half, 2, 9),
      at(10 + half, half, 3, 7),
      at(10 + 2 * half, 10, 4, 1),
      at(40 + 2 * half, 10, 5, 1),
      newBatch({ byteStart: 50 + 2 * half, recordCount: 6, timestamp: 1 }),
    ]);
    const seen = head.tail.map(({ byteStart, byteLength, offsetCount, maxTimestamp }) => [
      byteStart,
      byteLength,
      offsetCount,
      maxTimestamp,
    ]);
    expect(seen).toEqual([
      [0, 10, 1, 5],
      [10, entryBytesMax, 5, 9],
      [10 + entryBytesMax, 10, 4, 1],
      [40 + entryBytesMax, 10, 5, 1],
      [50 + entryBytesMax, 100, 6, 1],
    ]);
    expect(head.logEndOffset).toBe(21);
  });

  test('a tail that is far too long takes nothing more until it is rolled', async () => {
    const topicId = await createTopic(store());
    const batches = Array.from({ length: tailEntriesRefused }, () => newBatch());
    await commit(store(), topicId, batches);
    const refused = await store().commitBatches({ topicId, partition: 0, batches: [newBatch()] });
    if (refused.outcome !== 'tail full') throw new Error(`outcome is ${refused.outcome}`);
    expect(refused.head.logEndOffset).toBe(tailEntriesRefused);
    expect(await headOf(store(), topicId)).toEqual(refused.head);
    expect(await store().rollTail(refused.head)).toBe('rolled');
    expect(await commitOne(store(), topicId, newBatch())).toMatchObject({ baseOffset: tailEntriesRefused });
  });

  test('safe integers survive', async () => {
    const topicId = await createTopic(store());
    const producer = [Number.MAX_SAFE_INTEGER, 32767, 0] as const;
    for (const timestamp of [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, -1]) {
      await commit(store(), topicId, [newBatch({ timestamp })]);
    }
    const { head } = await commit(store(), topicId, [newBatch({ timestamp: 1, producer, byteLength: 2 ** 32 - 1 })]);
    const stored = await headOf(store(), topicId);
    expect(stored).toEqual(head);
    expect(stored.tail.map(({ maxTimestamp }) => maxTimestamp)).toEqual([
      Number.MAX_SAFE_INTEGER,
      Number.MIN_SAFE_INTEGER,
      -1,
      1,
    ]);
    expect(stored.producers[0]).toMatchObject({ producerId: Number.MAX_SAFE_INTEGER, producerEpoch: 32767 });
  });
}

function testProducers(store: () => MetadataStore): void {
  test('a duplicate within the last five batches gets the first answer again and appends nothing', async () => {
    const topicId = await createTopic(store());
    for (let index = 0; index < 6; index++) {
      const batch = newBatch({ recordCount: 2, timestamp: 100 + index, producer: [7, 0, 2 * index] });
      expect(await commitOne(store(), topicId, batch)).toMatchObject({ outcome: 'committed', baseOffset: 2 * index });
    }
    const before = await headOf(store(), topicId);
    for (let index = 1; index < 6; index++) {
      const resent = newBatch({ recordCount: 2, timestamp: 999, producer: [7, 0, 2 * index] });
      const first = { outcome: 'duplicate', baseOffset: 2 * index, timestamp: 100 + index };
      expect(await commitOne(store(), topicId, resent)).toEqual(first);
    }
    const forgotten = await commitOne(store(), topicId, newBatch({ recordCount: 2, producer: [7, 0, 0] }));
    expect(codeOf(forgotten)).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
    expect(await headOf(store(), topicId)).toEqual(before);
  });

  test('a sequence that does not follow is refused and says which one would; then the right one is taken', async () => {
    const topicId = await createTopic(store());
    await commitOne(store(), topicId, newBatch({ recordCount: 3, producer: [7, 0, 0] }));
    for (const [baseSequence, recordCount] of [
      [4, 1],
      [2, 1],
      [0, 2],
      [1, 2],
    ] as const) {
      const outcome = await commitOne(store(), topicId, newBatch({ recordCount, producer: [7, 0, baseSequence] }));
      expect(outcome).toMatchObject({
        outcome: 'refused',
        error: {
          code: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
          effect: 'none',
          details: { producerId: 7, baseSequence, expectedSequence: 3 },
        },
      });
    }
    expect(await commitOne(store(), topicId, newBatch({ producer: [7, 0, 3] }))).toMatchObject({ baseOffset: 3 });
  });

  test('a producer that is not known here must begin with sequence 0', async () => {
    const topicId = await createTopic(store(), { partitionCount: 2 });
    const outcome = await commitOne(store(), topicId, newBatch({ producer: [7, 3, 5] }));
    expect(outcome).toMatchObject({ outcome: 'refused', error: { details: { expectedSequence: 0 } } });
    expect(await commitOne(store(), topicId, newBatch({ producer: [7, 3, 0] }))).toMatchObject({ baseOffset: 0 });
    // Sequences count for each partition alone.
    expect(await commitOne(store(), topicId, newBatch({ producer: [7, 3, 1] }), 1)).toMatchObject({
      outcome: 'refused',
    });
    expect(await commitOne(store(), topicId, newBatch({ producer: [7, 3, 0] }), 1)).toMatchObject({ baseOffset: 0 });
  });

  test('a newer epoch begins again at 0, fences the older one, and forgets its batches', async () => {
    const topicId = await createTopic(store());
    await commitOne(store(), topicId, newBatch({ producer: [7, 1, 0] }));
    expect(codeOf(await commitOne(store(), topicId, newBatch({ producer: [7, 2, 1] })))).toBe(
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
    );
    expect(await commitOne(store(), topicId, newBatch({ producer: [7, 2, 0] }))).toMatchObject({ baseOffset: 1 });
    for (const baseSequence of [0, 1]) {
      const fenced = await commitOne(store(), topicId, newBatch({ producer: [7, 1, baseSequence] }));
      expect(fenced).toMatchObject({
        outcome: 'refused',
        error: {
          code: 'INVALID_PRODUCER_EPOCH',
          details: { producerId: 7, producerEpoch: 1, currentProducerEpoch: 2 },
        },
      });
    }
    const again = await commitOne(store(), topicId, newBatch({ producer: [7, 2, 0] }));
    expect(again).toMatchObject({ outcome: 'duplicate', baseOffset: 1 });
  });

  test('after the highest sequence comes 0, also within a batch', async () => {
    const topicId = await createTopic(store());
    const highest = 2 ** 31 - 1;
    const step = (baseSequence: number, recordCount: number) =>
      commitOne(store(), topicId, newBatch({ producer: [7, 0, baseSequence], recordCount }));
    expect(await step(0, highest)).toMatchObject({ outcome: 'committed', baseOffset: 0 });
    expect(await step(highest, 3)).toMatchObject({ outcome: 'committed', baseOffset: highest });
    expect(await step(highest, 3)).toMatchObject({ outcome: 'duplicate', baseOffset: highest });
    expect(await step(2, 1)).toMatchObject({ outcome: 'committed', baseOffset: highest + 3 });
    expect(await step(3, highest - 3)).toMatchObject({ outcome: 'committed' });
    expect(await step(highest, 1)).toMatchObject({ outcome: 'committed' });
    expect(await step(0, 1)).toMatchObject({ outcome: 'committed', baseOffset: 2 * highest + 2 });
  });

  test('each batch of one commit is judged by what those before it left behind', async () => {
    const topicId = await createTopic(store());
    const committed = await commit(store(), topicId, [
      newBatch({ producer: [7, 0, 0], recordCount: 2, timestamp: 1 }),
      newBatch({ producer: [7, 0, 2], timestamp: 2 }),
      newBatch({ producer: [7, 0, 0], recordCount: 2, timestamp: 3 }),
      newBatch({ producer: [7, 0, 9], timestamp: 4 }),
      newBatch({ timestamp: 5 }),
      newBatch({ producer: [8, 4, 0], timestamp: 6 }),
      newBatch({ producer: [8, 3, 0], timestamp: 7 }),
      newBatch({ producer: [7, 0, 3], timestamp: 8 }),
    ]);
    expect(committed.batches.map((one) => ('error' in one ? one.error.code : [one.outcome, one.baseOffset]))).toEqual([
      ['committed', 0],
      ['committed', 2],
      ['duplicate', 0],
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
      ['committed', 3],
      ['committed', 4],
      'INVALID_PRODUCER_EPOCH',
      ['committed', 5],
    ]);
    expect(committed.head.tail.map(({ maxTimestamp }) => maxTimestamp)).toEqual([1, 2, 5, 6, 8]);
    expect(committed.head.producers.map(({ producerId }) => producerId)).toEqual([8, 7]);
    expect(await headOf(store(), topicId)).toEqual(committed.head);
  });

  test('a roll moves the producers unused for longest out of the head, and each is known again when it comes back', async () => {
    const topicId = await createTopic(store());
    const producerIds = Array.from({ length: headProducersMax + 5 }, (_, index) => 100 + index);
    await commit(
      store(),
      topicId,
      producerIds.map((producerId) => newBatch({ producer: [producerId, 3, 0] })),
    );
    expect(await store().rollTail(await headOf(store(), topicId))).toBe('rolled');
    const rolled = await headOf(store(), topicId);
    expect(rolled.producers.map(({ producerId }) => producerId)).toEqual(producerIds.slice(5));
    expect(rolled.movedProducerIdMax).toBe(104);

    const duplicate = await commitOne(store(), topicId, newBatch({ producer: [101, 3, 0] }));
    expect(duplicate).toMatchObject({ outcome: 'duplicate', baseOffset: 1 });
    expect(await headOf(store(), topicId)).toEqual(rolled);
    expect(codeOf(await commitOne(store(), topicId, newBatch({ producer: [102, 2, 0] })))).toBe(
      'INVALID_PRODUCER_EPOCH',
    );
    expect(codeOf(await commitOne(store(), topicId, newBatch({ producer: [102, 3, 2] })))).toBe(
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
    );
    const next = await commitOne(store(), topicId, newBatch({ producer: [102, 3, 1] }));
    expect(next).toMatchObject({ outcome: 'committed', baseOffset: producerIds.length });
    expect((await headOf(store(), topicId)).producers.at(-1)).toMatchObject({
      producerId: 102,
      batches: [{ baseSequence: 0 }, { baseSequence: 1 }],
    });
    // An id below the highest that moved, yet never seen here, is new.
    expect(await commitOne(store(), topicId, newBatch({ producer: [50, 0, 0] }))).toMatchObject({
      outcome: 'committed',
    });
  });

  test('a producer moved out, taken back and moved out again remembers its newest batches', async () => {
    const topicId = await createTopic(store());
    const fill = async (base: number) => {
      const others = Array.from({ length: headProducersMax + 1 }, (_, index) => base + index);
      await commit(
        store(),
        topicId,
        others.map((producerId) => newBatch({ producer: [producerId, 0, 0] })),
      );
      expect(await store().rollTail(await headOf(store(), topicId))).toBe('rolled');
    };
    for (let sequence = 0; sequence < 3; sequence++) {
      const outcome = await commitOne(store(), topicId, newBatch({ producer: [5, 0, sequence] }));
      expect(outcome).toMatchObject({ outcome: 'committed' });
      await fill(1000 * (sequence + 1));
      expect((await headOf(store(), topicId)).producers.some(({ producerId }) => producerId === 5)).toBe(false);
      const again = await commitOne(store(), topicId, newBatch({ producer: [5, 0, sequence] }));
      expect(again).toMatchObject({ ...outcome, outcome: 'duplicate' });
    }
  });

  test('a roll keeps few of the producers that had no part in the tail', async () => {
    const topicId = await createTopic(store());
    const producerIds = Array.from({ length: headProducersMax }, (_, index) => index);
    const sendFrom = (ids: readonly number[], baseSequence: number) =>
      commit(
        store(),
        topicId,
        ids.map((id) => newBatch({ producer: [id, 0, baseSequence] })),
      );
    await store().rollTail((await sendFrom(producerIds, 0)).head);
    expect((await headOf(store(), topicId)).producers).toHaveLength(headProducersMax);
    const active = producerIds.slice(0, 2);
    await store().rollTail((await sendFrom(active, 1)).head);
    const kept = (await headOf(store(), topicId)).producers.map(({ producerId }) => producerId);
    expect(kept).toEqual([...producerIds.slice(2 - headProducersIdleMax), ...active]);
    const back = await sendFrom(producerIds.slice(2), 1);
    expect(back.batches.every(({ outcome }) => outcome === 'committed')).toBe(true);
  });

  // A roll moved a producer whose newest batch stayed in the tail, since the roller had not seen it. Taken back, the producer
  // had this batch twice, once from its state and once from the tail, and forgot a batch too early.
  test('a producer that moved out while a batch of it stayed in the tail has it once when it comes back', async () => {
    const topicId = await createTopic(store());
    const { head: seen } = await commit(store(), topicId, [newBatch()]);
    await commitOne(store(), topicId, newBatch({ producer: [1, 0, 0] }));
    const others = Array.from({ length: headProducersMax }, (_, index) => 100 + index);
    await commit(
      store(),
      topicId,
      others.map((id) => newBatch({ producer: [id, 0, 0] })),
    );
    expect(await store().rollTail(seen)).toBe('rolled');
    expect(await headOf(store(), topicId)).toMatchObject({ movedProducerIdMax: 1, tailBase: 1 });
    for (let baseSequence = 1; baseSequence < 5; baseSequence++) {
      await commitOne(store(), topicId, newBatch({ producer: [1, 0, baseSequence] }));
      const states = (await headOf(store(), topicId)).producers;
      const own = states.find(({ producerId }) => producerId === 1);
      expect(own?.batches.map((batch) => batch.baseSequence)).toEqual([0, 1, 2, 3, 4].slice(0, baseSequence + 1));
    }
    const again = await commitOne(store(), topicId, newBatch({ producer: [1, 0, 0] }));
    expect(again).toMatchObject({ outcome: 'duplicate', baseOffset: 1 });
  });

  test('a hundred producers in one commit are all known after it', async () => {
    const topicId = await createTopic(store());
    const batches = Array.from({ length: 100 }, (_, producerId) => newBatch({ producer: [producerId, 0, 0] }));
    const first = await commit(store(), topicId, batches);
    expect(first.batches).toEqual(batches.map((_, baseOffset) => expect.objectContaining({ baseOffset })));
    expect(first.head.producers).toHaveLength(100);
    const again = await commit(store(), topicId, batches);
    expect(again.batches).toEqual(first.batches.map((one) => ({ ...one, outcome: 'duplicate' })));
    expect(await store().rollTail(again.head)).toBe('rolled');
    const next = batches.map((_, producerId) => newBatch({ producer: [producerId, 0, 1] }));
    const { batches: outcomes } = await commit(store(), topicId, next);
    expect(outcomes.every(({ outcome }) => outcome === 'committed')).toBe(true);
  });

  test('a producer id is never given twice', async () => {
    const given = await Promise.all(Array.from({ length: 50 }, () => store().nextProducerId()));
    given.push(await store().nextProducerId());
    expect(new Set(given).size).toBe(51);
    for (const producerId of given) expect(Number.isSafeInteger(producerId) && producerId >= 0).toBe(true);
  });
}

function testRolls(store: () => MetadataStore): void {
  test('a head with too many producers takes nothing more until a roll has moved some, and forgets none', async () => {
    const topicId = await createTopic(store());
    const objectId = '0199c0de0000700080000000000000aa' as ObjectId;
    const all = Array.from({ length: headProducersRefused + 20 }, (_, producerId) =>
      newBatch({ objectId, byteStart: 100 * producerId, producer: [producerId, 0, 0] }),
    );
    const send = async (batches: readonly NewBatch[]) => store().commitBatches({ topicId, partition: 0, batches });
    expect(await send(all)).toMatchObject({ outcome: 'committed' });
    const refused = await send([newBatch()]);
    if (refused.outcome !== 'tail full') throw new Error(`outcome is ${refused.outcome}`);
    expect(refused.head.producers).toHaveLength(all.length);
    expect(await store().rollTail(refused.head)).toBe('rolled');
    expect((await headOf(store(), topicId)).producers.length).toBeLessThan(headProducersRefused);
    expect(await send(all)).toMatchObject({
      batches: all.map((_, baseOffset) => ({ outcome: 'duplicate', baseOffset })),
    });
  });

  test('a roll moves the tail into a page and nothing else changes', async () => {
    const topicId = await createTopic(store());
    const { head } = await commit(store(), topicId, [
      newBatch({ recordCount: 2, timestamp: 9, producer: [7, 0, 0] }),
      newBatch({ recordCount: 3, timestamp: 4 }),
    ]);
    expect(await store().rollTail(head)).toBe('rolled');
    expect(await headOf(store(), topicId)).toEqual({ ...head, tailBase: 5, tail: [], rolledMaxTimestamp: 9 });
    const page = { baseOffset: 0, lastOffset: 4, maxTimestampSoFar: 9, entries: head.tail };
    expect(await store().findPages(topicId, 0, 0, 10)).toEqual([page]);
    expect(await store().findPages(topicId, 1, 0, 10)).toEqual([]);
  });

  test('the highest timestamp so far never falls from page to page', async () => {
    const topicId = await createTopic(store());
    for (const timestamp of [-1, 50, 20, 60]) {
      const { head } = await commit(store(), topicId, [newBatch({ timestamp })]);
      await store().rollTail(head);
    }
    const pages = await store().findPages(topicId, 0, 0, 10);
    expect(pages.map(({ maxTimestampSoFar }) => maxTimestampSoFar)).toEqual([-1, 50, 50, 60]);
    expect((await headOf(store(), topicId)).rolledMaxTimestamp).toBe(60);
  });

  test('of two rolls of one tail the second is lost, and so is one of an older or an empty tail', async () => {
    const topicId = await createTopic(store());
    expect(await store().rollTail(await headOf(store(), topicId))).toBe('lost');
    const { head } = await commit(store(), topicId, [newBatch()]);
    expect((await Promise.all([store().rollTail(head), store().rollTail(head)])).toSorted()).toEqual([
      'lost',
      'rolled',
    ]);
    expect(await store().rollTail(await headOf(store(), topicId))).toBe('lost');
    await commit(store(), topicId, [newBatch()]);
    expect(await store().rollTail(head)).toBe('lost');
    expect(await store().findPages(topicId, 0, 0, 10)).toHaveLength(1);
    expect((await headOf(store(), topicId)).tail).toHaveLength(1);
  });

  test('what is appended while a tail is rolled stays in the tail', async () => {
    const topicId = await createTopic(store());
    const { head } = await commit(store(), topicId, [newBatch({ recordCount: 4 })]);
    const late = newBatch({ recordCount: 2 });
    const [, rolled] = await Promise.all([commit(store(), topicId, [late]), store().rollTail(head)]);
    expect(rolled).toBe('rolled');
    expect(await headOf(store(), topicId)).toMatchObject({ tailBase: 4, logEndOffset: 6, tail: [late.coordinates] });
  });

  test('appends and rolls at the same time lose and double nothing', async () => {
    const topicId = await createTopic(store());
    let rolledCount = 0;
    const writer = async () => {
      for (let index = 0; index < 40; index++) {
        const { head } = await commit(store(), topicId, [newBatch()]);
        if (head.tail.length > tailEntriesMax && (await store().rollTail(head)) === 'rolled') rolledCount += 1;
      }
    };
    await Promise.all(Array.from({ length: 4 }, writer));
    const head = await headOf(store(), topicId);
    expect(head.logEndOffset).toBe(160);
    const pages = await store().findPages(topicId, 0, 0, 100);
    expect(pages).toHaveLength(rolledCount);
    let next = 0;
    for (const page of pages) {
      expect(page.baseOffset).toBe(next);
      next += page.entries.length;
      expect(page.lastOffset).toBe(next - 1);
    }
    expect(head.tailBase).toBe(next);
    const objectIds = [...pages.flatMap((page) => page.entries), ...head.tail].map(({ objectId }) => objectId);
    expect(new Set(objectIds).size).toBe(160);
  });

  test('pages are found from the one that holds an offset on, in offset order, at most as many as asked for', async () => {
    const topicId = await createTopic(store());
    for (let index = 0; index < 4; index++) {
      const { head } = await commit(store(), topicId, [newBatch({ recordCount: 10 })]);
      await store().rollTail(head);
    }
    const bases = async (offset: number, limit: number) =>
      (await store().findPages(topicId, 0, offset, limit)).map(({ baseOffset }) => baseOffset);
    expect(await bases(0, 10)).toEqual([0, 10, 20, 30]);
    expect(await bases(0, 2)).toEqual([0, 10]);
    expect(await bases(9, 10)).toEqual([0, 10, 20, 30]);
    expect(await bases(10, 10)).toEqual([10, 20, 30]);
    expect(await bases(15, 1)).toEqual([10]);
    expect(await bases(39, 10)).toEqual([30]);
    expect(await bases(40, 10)).toEqual([]);
  });
}

function testWaiting(store: () => MetadataStore): void {
  test('the next commit wakes who waits for its partition, and nobody else', async () => {
    const { nextCommit } = store();
    if (nextCommit === undefined) return;
    const topicId = await createTopic(store(), { partitionCount: 3 });
    const abort = new AbortController();
    const woken: string[] = [];
    const waits = [
      nextCommit(topicId, [0, 2], abort.signal).then((isCommit) => woken.push(`both ${isCommit}`)),
      nextCommit(topicId, [2], abort.signal).then((isCommit) => woken.push(`two ${isCommit}`)),
    ];
    await commit(store(), topicId, [newBatch()], 1);
    expect(woken).toEqual([]);
    await commit(store(), topicId, [newBatch()], 0);
    await waits[0];
    expect(woken).toEqual(['both true']);
    abort.abort();
    await waits[1];
    expect(woken).toEqual(['both true', 'two false']);
    expect(await nextCommit(topicId, [0], abort.signal)).toBe(false);
  });

  test('a deleted topic wakes who waits for it', async () => {
    const { nextCommit } = store();
    if (nextCommit === undefined) return;
    const topic = topicItem('orders');
    await store().createTopic(topic);
    const wait = nextCommit(topic.topicId, [0], new AbortController().signal);
    await store().deleteTopic(topic.topic, topic.topicId);
    expect(await wait).toBe(true);
  });

  test('a closed store refuses every call, and closes twice', async () => {
    const topic = topicItem('orders');
    await store().createTopic(topic);
    const { head } = await commit(store(), topic.topicId, [newBatch()]);
    await store().close();
    await store().close();
    const { topicId } = topic;
    const calls = [
      () => store().createTopic(topicItem('other')),
      () => store().getTopic(topic.topic),
      () => store().listTopics({ limit: 1 }),
      () => store().alterTopic(topic),
      () => store().deleteTopic(topic.topic, topicId),
      () => store().commitBatches({ topicId, partition: 0, batches: [newBatch()] }),
      () => store().getHeads(topicId, [0]),
      () => store().rollTail(head),
      () => store().findPages(topicId, 0, 0, 1),
      () => store().nextProducerId(),
    ];
    for (const call of calls)
      await expect(call()).rejects.toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'none' });
  });

  test('what was asked for before close is done', async () => {
    const topicId = await createTopic(store());
    const commits = [commit(store(), topicId, [newBatch()]), commit(store(), topicId, [newBatch()])];
    await store().close();
    expect((await Promise.all(commits)).map(({ head }) => head.logEndOffset)).toEqual([1, 2]);
  });
}

// ---- what the tests are made of

const newTopicId = () => crypto.randomUUID() as string as TopicId;
export const newObjectId = () => crypto.randomUUID().replaceAll('-', '') as ObjectId;

export function topicItem(name: string, given: Partial<TopicItem> = {}): TopicItem {
  const topic = parseTopicName(name);
  return {
    topic,
    topicId: newTopicId(),
    partitionCount: 1,
    config: {},
    createdAt: 1_700_000_000_000,
    version: 1,
    ...given,
  };
}

async function createTopic(store: MetadataStore, given: Partial<TopicItem> = {}): Promise<TopicId> {
  const item = topicItem('events', given);
  expect(await store.createTopic(item)).toEqual({ outcome: 'created' });
  return item.topicId;
}

function emptyHead(topicId: TopicId, partition: number): Head {
  return {
    topicId,
    partition,
    logStartOffset: 0,
    logEndOffset: 0,
    tailBase: 0,
    tail: [],
    rolledMaxTimestamp: undefined,
    logBytes: 0,
    producers: [],
    movedProducerIdMax: undefined,
  };
}

interface BatchGiven {
  readonly objectId?: ObjectId;
  readonly byteStart?: number;
  readonly byteLength?: number;
  readonly recordCount?: number;
  readonly timestamp?: number;
  readonly producer?: readonly [producerId: number, producerEpoch: number, baseSequence: number];
}

/** One batch, in an object of its own unless one is named. */
export function newBatch(given: BatchGiven = {}): NewBatch {
  const { objectId = newObjectId(), byteStart = 0, byteLength = 100, recordCount = 1, timestamp = 1000 } = given;
  const [producerId = 0, producerEpoch = 0, baseSequence = 0] = given.producer ?? [];
  return {
    coordinates: { objectId, byteStart, byteLength, offsetCount: recordCount, maxTimestamp: timestamp },
    recordCount,
    timestamp,
    producer: given.producer === undefined ? undefined : { producerId, producerEpoch, baseSequence },
  };
}

async function commit(store: MetadataStore, topicId: TopicId, batches: readonly NewBatch[], partition = 0) {
  const outcome = await store.commitBatches({ topicId, partition, batches });
  if (outcome.outcome !== 'committed') throw new Error(`commit answered ${outcome.outcome}`);
  return outcome;
}

async function commitOne(
  store: MetadataStore,
  topicId: TopicId,
  batch: NewBatch,
  partition = 0,
): Promise<BatchOutcome> {
  const [outcome] = (await commit(store, topicId, [batch], partition)).batches;
  if (outcome === undefined) throw new Error('a commit answers for each batch');
  return outcome;
}

async function headOf(store: MetadataStore, topicId: TopicId, partition = 0): Promise<Head> {
  const [head] = await store.getHeads(topicId, [partition]);
  if (head === undefined) throw new Error('there is no head');
  return head;
}

const codeOf = (outcome: BatchOutcome) => (outcome.outcome === 'refused' ? outcome.error.code : outcome.outcome);
