import { afterAll, beforeAll, describe } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { testGroupStore } from '../contract/group-store.ts';
import { createTable, type DynamoDb, dynamoDbMissing, startDynoxide } from '../support/dynoxide.ts';

describe.skipIf(dynamoDbMissing)(`on DynamoDB${dynamoDbMissing ?? ''}`, () => {
  let dynamoDb: DynamoDb;
  beforeAll(async () => {
    dynamoDb = await startDynoxide();
  });
  afterAll(() => dynamoDb.close());

  testGroupStore('DynamoDB', async () =>
    openDynamoDbMetadataStore({
      table: await createTable(dynamoDb.client),
      client: dynamoDb.client,
      clock: systemClock,
      randomBytes: (bytes) => crypto.getRandomValues(bytes),
    }),
  );
});
