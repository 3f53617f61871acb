import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { type GroupId, parseTopicName } from '../../lib/ids.ts';
import { encodeDeletedHead, encodeMembers, groupHeadKey } from '../../lib/store/group-items-dynamodb.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { groupOf, memberOf, testGroupStore } from '../contract/group-store.ts';
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

test('a group that no item has room for is refused, and says what to do', () => {
  // By chance, so that compression does not help.
  const topics = Array.from({ length: 20_000 }, () => parseTopicName(`${crypto.randomUUID()}.${crypto.randomUUID()}`));
  const group = groupOf({ members: [memberOf('m1', { topics })] });
  expect(() => encodeMembers(group)).toThrow(/group billing take \d+ bytes, there is room for 399360; use fewer/);
});

test('what is left of a deleted group goes by itself a week later', () => {
  const item = encodeDeletedHead('billing' as GroupId, 3, 1_795_000_000_500);
  expect(item).toEqual({ ...groupHeadKey('billing' as GroupId), e: { N: '3' }, expiresAt: { N: '1795604801' } });
});
