/** What was found in the metadata store on DynamoDB, most of it by the simulation, each in as few requests as it takes. */

import { expect, test } from 'vitest';
import type { TopicId } from '../../lib/ids.ts';
import { appendProducersMax, headProducersRefused } from '../../lib/limits.ts';
import type { MetadataStore } from '../../lib/store/metadata-store.ts';
import { newBatch, newObjectId, topicItem } from '../contract/metadata-store.ts';
import { DynamoDbDouble } from '../simulation/aws/dynamodb.ts';
import { connectionLost, openStore } from '../support/dynamodb-double.ts';

/** A store, and another one on the same table that fails as `answer` says. */
function openStores(answer: (operation: string, carryOut: () => object) => Promise<object>) {
  const double = new DynamoDbDouble({ nowMs: Date.now });
  return {
    good: openStore(double),
    faulty: openStore(double, (operation, _input, carryOut) => answer(operation, carryOut)),
  };
}

const batchOf = (producerEpoch: number, baseSequence: number) =>
  newBatch({ producer: [7, producerEpoch, baseSequence] });

/** The first append is carried out and not answered; `between` happens before the second attempt. */
function loseFirstAppend(between: () => Promise<unknown>) {
  let isFirst = true;
  return async (operation: string, carryOut: () => object) => {
    const output = carryOut();
    if (operation !== 'UpdateItem' || !isFirst) return output;
    isFirst = false;
    await between();
    throw connectionLost();
  };
}

// An append was carried out and its answer lost. Before it was sent again the topic was deleted, or its producer fenced,
// and the caller was told that it had failed without effect; readers had seen its records.
test('an append that meets a newer epoch when it is sent again has an unknown effect', async () => {
  const topic = topicItem('orders');
  const at = { topicId: topic.topicId, partition: 0 };
  const { good, faulty } = openStores(loseFirstAppend(() => good.commitBatches({ ...at, batches: [batchOf(1, 0)] })));
  await good.createTopic(topic);
  const committed = await faulty.commitBatches({ ...at, batches: [batchOf(0, 0)] });
  expect(committed).toMatchObject({
    outcome: 'committed',
    batches: [{ outcome: 'refused', error: { code: 'INVALID_PRODUCER_EPOCH', effect: 'unknown' } }],
  });
  const [head] = await good.getHeads(topic.topicId, [0]);
  expect(head?.tail).toHaveLength(2);
});

test('an append whose topic is deleted before it is sent again has an unknown effect', async () => {
  const topic = topicItem('orders');
  const { good, faulty } = openStores(loseFirstAppend(() => good.deleteTopic(topic.topic, topic.topicId)));
  await good.createTopic(topic);
  const commit = faulty.commitBatches({ topicId: topic.topicId, partition: 0, batches: [batchOf(0, 0)] });
  await expect(commit).rejects.toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'unknown' });
});

// The same, and what the second attempt had to read then was denied: that read has no effect, the append may have had one.
test('an append that cannot find out what its first attempt did has an unknown effect', async () => {
  const topic = topicItem('orders');
  const at = { topicId: topic.topicId, partition: 0 };
  const lose = loseFirstAppend(async () => {
    const [head] = await good.getHeads(topic.topicId, [0]);
    // The producer is moved out of the head, so that its state has to be read.
    for (let producerId = 8; producerId < 40; producerId++) {
      await good.commitBatches({ ...at, batches: [newBatch({ producer: [producerId, 0, 0] })] });
    }
    const [full] = await good.getHeads(topic.topicId, [0]);
    if (head !== undefined && full !== undefined) await good.rollTail(full);
  });
  const { good, faulty } = openStores(async (operation, carryOut) => {
    if (operation === 'GetItem')
      throw Object.assign(new Error(), { name: 'AccessDeniedException', $metadata: { httpStatusCode: 400 } });
    return await lose(operation, carryOut);
  });
  await good.createTopic(topic);
  const commit = faulty.commitBatches({ ...at, batches: [batchOf(0, 0)] });
  await expect(commit).rejects.toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'unknown' });
});

// A delete that was cut short left heads behind a topic that was gone. When it was made anew, processes that still knew the
// old one appended to those heads, and were told that their records were in the topic.
test.each([3, 250])('no head of %d outlives its topic when a delete is cut short', async (partitionCount) => {
  const topic = topicItem('orders', { partitionCount });
  let isGone = false;
  const { good, faulty } = openStores(async (operation, carryOut) => {
    if (isGone)
      throw Object.assign(connectionLost(), { name: 'AccessDeniedException', $metadata: { httpStatusCode: 400 } });
    isGone = operation === 'TransactWriteItems';
    return carryOut();
  });
  await good.createTopic(topic);
  await faulty.deleteTopic(topic.topic, topic.topicId);
  expect(await good.getTopic(topic.topic)).toBeUndefined();
  const partitions = Array.from({ length: partitionCount }, (_, partition) => partition);
  const heads = await good.getHeads(topic.topicId, partitions);
  expect(heads.filter((head) => head !== undefined)).toEqual([]);
});

/** Appends that leave so many entries and producers in the tail. */
async function fillHead(
  store: MetadataStore,
  at: { topicId: TopicId; partition: number },
  entries: number,
  count: number,
) {
  const perAppend = Math.ceil(count / entries);
  for (let entry = 0, producerId = 0; entry < entries; entry++) {
    const objectId = newObjectId();
    const own = Math.min(perAppend, count - producerId);
    const batches = Array.from({ length: own }, (_, index) =>
      newBatch({ objectId, byteStart: 100 * index, producer: [producerId++, 0, 0] }),
    );
    await store.commitBatches({ ...at, batches: own === 0 ? [newBatch({ objectId })] : batches });
  }
  const [head] = await store.getHeads(at.topicId, [at.partition]);
  if (head === undefined) throw new Error('there is no head');
  return head;
}

// With a tail of nearly a hundred entries and a head full of producers the expression of the roll was too long for DynamoDB.
// Such a head takes no append before it is rolled, so its partition took none ever after.
test.each([41, 70, 100, 200, 250])('a head full of producers is rolled with a tail of %d entries', async (entries) => {
  const topic = topicItem('orders');
  const at = { topicId: topic.topicId, partition: 0 };
  const { good } = openStores(async (_, carryOut) => carryOut());
  await good.createTopic(topic);
  await fillHead(good, at, entries - 1, headProducersRefused - 1);
  const objectId = newObjectId();
  const last = Array.from({ length: appendProducersMax }, (_, index) =>
    newBatch({ objectId, byteStart: 100 * index, producer: [1_000 + index, 0, 0] }),
  );
  const full = await good.commitBatches({ ...at, batches: last });
  if (full.outcome !== 'committed') throw new Error(full.outcome);
  expect(full.head.tail).toHaveLength(entries);
  expect(full.head.producers).toHaveLength(headProducersRefused - 1 + appendProducersMax);
  expect(await good.rollTail(full.head)).toBe('rolled');
  expect(await good.commitBatches({ ...at, batches: [newBatch()] })).toMatchObject({ outcome: 'committed' });
});

test.each([41, 70, 100])('and with %d when none of its producers may be moved', async (entries) => {
  const topic = topicItem('orders');
  const at = { topicId: topic.topicId, partition: 0 };
  let newProducers = 2;
  const { good, faulty } = openStores(async (operation, carryOut) => {
    if (operation === 'TransactWriteItems' && newProducers > 0) {
      const producerId = 1_000 + newProducers--;
      await good.commitBatches({ ...at, batches: [newBatch({ producer: [producerId, 0, 0] })] });
    }
    return carryOut();
  });
  await good.createTopic(topic);
  const seen = await fillHead(good, at, entries, headProducersRefused - 2);
  expect(await faulty.rollTail(seen)).toBe('rolled');
  const [rolled] = await good.getHeads(at.topicId, [at.partition]);
  expect(rolled).toMatchObject({ movedProducerIdMax: undefined, tail: [{}, {}] });
});

// A batch and its resend came in one flush. The head was read for them, others appended, and the resend was told the offset
// that the batch would have had without those.
test('a resend in the commit of its batch gets the offset of the batch, whatever came in between', async () => {
  const topic = topicItem('orders');
  const at = { topicId: topic.topicId, partition: 0 };
  let between: (() => Promise<unknown>) | undefined = () => good.commitBatches({ ...at, batches: [newBatch()] });
  const { good, faulty } = openStores(async (operation, carryOut) => {
    if (operation === 'UpdateItem') {
      const others = between;
      between = undefined;
      await others?.();
    }
    return carryOut();
  });
  await good.createTopic(topic);
  const committed = await faulty.commitBatches({
    ...at,
    batches: [newBatch(), batchOf(0, 0), batchOf(0, 0), newBatch()],
  });
  expect(committed).toMatchObject({
    batches: [
      { outcome: 'committed', baseOffset: 1 },
      { outcome: 'committed', baseOffset: 2 },
      { outcome: 'duplicate', baseOffset: 2 },
      { outcome: 'committed', baseOffset: 3 },
    ],
  });
});
