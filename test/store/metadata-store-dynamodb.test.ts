import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import type { ObjectId } from '../../lib/ids.ts';
import { headProducersRefused, rollProducersMax } from '../../lib/limits.ts';
import type { NewBatch } from '../../lib/store/metadata-store.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { newBatch, testMetadataStore, topicItem } from '../contract/metadata-store.ts';
import { createTable, type DynamoDb, dynamoDbMissing, startDynoxide } from '../support/dynoxide.ts';

describe.skipIf(dynamoDbMissing)(`on DynamoDB${dynamoDbMissing ?? ''}`, () => {
  let dynamoDb: DynamoDb;
  beforeAll(async () => {
    dynamoDb = await startDynoxide();
  });
  afterAll(() => dynamoDb.close());

  const open = async () =>
    openDynamoDbMetadataStore({
      table: await createTable(dynamoDb.client),
      client: dynamoDb.client,
      clock: systemClock,
      randomBytes: (bytes) => crypto.getRandomValues(bytes),
    });

  testMetadataStore('DynamoDB', open);

  test('a head with too many producers takes nothing more until a roll has moved some, and forgets none', async () => {
    const store = await open();
    const topic = topicItem('orders');
    const { topicId } = topic;
    await store.createTopic(topic);
    const objectId = '0199c0de0000700080000000000000aa' as ObjectId;
    const all = Array.from({ length: headProducersRefused + 20 }, (_, producerId) =>
      newBatch({ objectId, byteStart: 100 * producerId, producer: [producerId, 0, 0] }),
    );
    const send = async (batches: readonly NewBatch[]) => await store.commitBatches({ topicId, partition: 0, batches });
    expect(await send(all)).toMatchObject({ outcome: 'committed' });
    const refused = await send([newBatch()]);
    if (refused.outcome !== 'tail full') throw new Error(`outcome is ${refused.outcome}`);
    expect(refused.head.producers).toHaveLength(all.length);
    expect(await store.rollTail(refused.head)).toBe('rolled');
    const [head] = await store.getHeads(topicId, [0]);
    expect(head?.producers).toHaveLength(all.length - rollProducersMax);
    expect(await send(all)).toMatchObject({
      batches: all.map((_, baseOffset) => ({ outcome: 'duplicate', baseOffset })),
    });
    await store.close();
  });
});
