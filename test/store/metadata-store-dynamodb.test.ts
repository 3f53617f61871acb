import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import type { ObjectId } from '../../lib/ids.ts';
import { headProducersRefused } from '../../lib/limits.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { newBatch, testMetadataStore, topicItem } from '../contract/metadata-store.ts';
import { createTable, type DynamoDb, dynamoDbMissing, startDynoxide } from '../support/dynoxide.ts';

const objectId = '0199c0de0000700080000000000000aa' as ObjectId;

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

  test('more producers than a head takes commit at once, a part of them after the other', async () => {
    const store = await open();
    const topic = topicItem('orders');
    await store.createTopic(topic);
    const all = Array.from({ length: 2 * headProducersRefused }, (_, producerId) =>
      newBatch({ objectId, byteStart: 100 * producerId, producer: [producerId, 0, 0] }),
    );
    const outcome = await store.commitBatches({ topicId: topic.topicId, partition: 0, batches: all });
    expect(outcome).toMatchObject({ batches: all.map((_, baseOffset) => ({ outcome: 'committed', baseOffset })) });
    await store.close();
  });
});
