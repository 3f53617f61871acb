/** What each step of the log asks of DynamoDB: exact requests, and the capacity units that DynamoDB reports for them. */

import { GetItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { parseTopicName, type TopicId } from '../../lib/ids.ts';
import { headProducersMax, tailEntriesMax } from '../../lib/limits.ts';
import { createRoller } from '../../lib/produce/roll.ts';
import type { Head } from '../../lib/store/items.ts';
import { headKey, itemBytes } from '../../lib/store/items-dynamodb.ts';
import type { CommitOutcome, MetadataStore, NewBatch } from '../../lib/store/metadata-store.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { createObjectIds } from '../../lib/store/object-id.ts';
import type { StoreRequest } from '../../lib/store/store-request.ts';
import { createTable, type DynamoDb, dynamoDbMissing, startDynoxide } from '../support/dynoxide.ts';

const randomBytes = (bytes: Uint8Array) => crypto.getRandomValues(bytes);
const objectIds = createObjectIds(systemClock, randomBytes);
const orders = parseTopicName('orders');
/** DynamoDB bills a transaction twice; DynamoDB Local, if it is the endpoint that was given, reports it once. */
const twice = (units: number) =>
  process.env.MILLRACE_TEST_DYNAMODB_ENDPOINT === undefined ? 2 * units : expect.any(Number);
type Committed = CommitOutcome & { readonly outcome: 'committed' };

describe.skipIf(dynamoDbMissing)(`requests and units on DynamoDB${dynamoDbMissing ?? ''}`, () => {
  let dynamoDb: DynamoDb;
  beforeAll(async () => {
    dynamoDb = await startDynoxide();
  });
  afterAll(() => dynamoDb.close());

  /** A topic in a table of its own, and all requests since the last `take`. */
  async function openTopic(partitionCount = 1) {
    const table = await createTable(dynamoDb.client);
    const requests: StoreRequest[] = [];
    const open = () =>
      openDynamoDbMetadataStore({
        table,
        client: dynamoDb.client,
        clock: systemClock,
        randomBytes,
        onRequest: (request) => requests.push(request),
      });
    const topicId = crypto.randomUUID() as string as TopicId;
    const store = open();
    await store.createTopic({ topic: orders, topicId, partitionCount, config: {}, createdAt: 1, version: 1 });
    const take = () => requests.splice(0);
    const headBytes = async () => {
      const { Item: item = {} } = await dynamoDb.client.send(
        new GetItemCommand({ TableName: table, Key: headKey(topicId, 0), ConsistentRead: true }),
      );
      return itemBytes(item);
    };
    return { store, open, topicId, take, headBytes };
  }

  test('every step is one request, but for the changes of topics', async () => {
    const { store, topicId, take } = await openTopic(102);
    const cost = async (step: () => Promise<unknown>) => {
      take();
      await step();
      return take().map(({ operation, readUnits, writeUnits }) => [operation, readUnits, writeUnits]);
    };
    const all = Array.from({ length: 102 }, (_, partition) => partition);
    let head: Head | undefined;
    expect(
      await cost(async () => {
        ({ head } = await commit(store, topicId, [newBatch()]));
      }),
    ).toEqual([['UpdateItem', 0, 1]]);
    expect(await cost(() => store.getHeads(topicId, [0]))).toEqual([['GetItem', 1, 0]]);
    expect(await cost(() => store.getHeads(topicId, all.slice(0, 100)))).toEqual([['BatchGetItem', 100, 0]]);
    expect((await cost(() => store.getHeads(topicId, all))).toSorted()).toEqual([
      ['BatchGetItem', 100, 0],
      ['BatchGetItem', 2, 0],
    ]);
    expect(await cost(() => store.rollTail(head as Head))).toEqual([['TransactWriteItems', 0, twice(2)]]);
    expect(await cost(() => store.rollTail(head as Head))).toEqual([['TransactWriteItems', 0, twice(2)]]);
    expect(await cost(() => store.findPages(topicId, 0, 0, 64))).toEqual([['Query', 1, 0]]);
    expect(await cost(() => store.nextProducerId())).toEqual([['UpdateItem', 0, 1]]);
    expect(await cost(() => store.getTopic(orders))).toEqual([['GetItem', 1, 0]]);
    expect(await cost(() => store.listTopics({ limit: 10 }))).toEqual([['Query', 1, 0]]);
    const small = { ...topicOf('small'), partitionCount: 3 };
    expect(await cost(() => store.createTopic(small))).toEqual([['TransactWriteItems', 0, twice(5)]]);
    expect(await cost(() => store.alterTopic({ ...small, partitionCount: 4 }))).toEqual([
      ['GetItem', 1, 0],
      ['TransactWriteItems', 0, twice(2)],
    ]);
  });

  test('an idempotent producer pays no more than others: one unit for each batch', async () => {
    const { store, topicId, take } = await openTopic();
    const producerId = await store.nextProducerId();
    let head: Head | undefined;
    take();
    for (let round = 0; round < 5; round++) {
      for (let sent = 0; sent <= tailEntriesMax; sent++) {
        const baseSequence = 10 * (round * (tailEntriesMax + 1) + sent);
        ({ head } = await commit(store, topicId, [newBatch({ producer: [producerId, baseSequence] })]));
      }
      const appends = take();
      expect(appends.map(({ operation, writeUnits }) => [operation, writeUnits])).toEqual(
        appends.map(() => ['UpdateItem', 1]),
      );
      await store.rollTail(head as Head);
      expect(take().map(({ writeUnits }) => writeUnits)).toEqual([twice(2)]);
    }
  });

  test('a thousand appends by eight writers at once cost at most 1.3 units each, rolls included', async () => {
    const { open, topicId, take } = await openTopic();
    let left = 1_200;
    const writer = async () => {
      // A process of its own: it shares nothing with the others.
      const metadataStore = open();
      const roller = createRoller({ metadataStore });
      while (left-- > 0) {
        roller.rollWhenDue(await commit(metadataStore, topicId, [newBatch()]));
        // Until the code is warm, rolls take long and tails grow.
        if (left === 1_000) take();
      }
      await roller.settled();
      await metadataStore.close();
    };
    await Promise.all(Array.from({ length: 8 }, writer));
    const requests = take();
    const unitsOf = (operation: string) =>
      requests.reduce((sum, request) => sum + (request.operation === operation ? request.writeUnits : 0), 0);
    expect((unitsOf('UpdateItem') + unitsOf('TransactWriteItems')) / 1_000).toBeLessThanOrEqual(1.3);
    expect(requests.filter(({ operation }) => operation === 'TransactWriteItems').length).toBeGreaterThan(30);
    const [head] = await open().getHeads(topicId, [0]);
    expect(head?.logEndOffset).toBe(12_000);
  });

  test('a head with five active idempotent producers and a full tail is about 1 KB, and billed as counted here', async () => {
    const { store, topicId, take, headBytes } = await openTopic();
    // Far on: offsets, sequences and ids as long as they get in years.
    await commit(store, topicId, [newBatch({ recordCount: 4_000_000_000 })]);
    const next = new Map([900_001, 900_002, 900_003, 900_004, 900_005].map((producerId) => [producerId, 0]));
    const send = async (recordCount: number) => {
      const batches = [...next].map(([id, baseSequence]) => newBatch({ recordCount, producer: [id, baseSequence] }));
      for (const id of next.keys()) next.set(id, (next.get(id) ?? 0) + recordCount);
      return await commit(store, topicId, batches);
    };
    await send(2_000_000_000);
    for (let sent = 0; sent < 5; sent++) await store.rollTail((await send(100)).head);
    let head: Head | undefined;
    for (let sent = 0; sent * 5 < tailEntriesMax; sent++) ({ head } = await send(100));
    expect(head?.tail.length).toBe(tailEntriesMax);
    expect(head?.producers.map(({ batches }) => batches.length)).toEqual([5, 5, 5, 5, 5]);
    const bytes = await headBytes();
    expect(bytes).toBeGreaterThan(900);
    expect(bytes).toBeLessThanOrEqual(1_100);
    take();
    const [[producerId, baseSequence] = [0, 0]] = [...next];
    await commit(store, topicId, [newBatch({ recordCount: 100, producer: [producerId, baseSequence] })]);
    expect(take().map(({ writeUnits }) => writeUnits)).toEqual([Math.ceil((await headBytes()) / 1_024)]);
  });

  test('a producer that moved out costs one lost append and one read when it comes back', async () => {
    const { store, topicId, take } = await openTopic();
    const others = Array.from({ length: headProducersMax }, (_, index) => newBatch({ producer: [100 + index, 0] }));
    const { head } = await commit(store, topicId, [newBatch({ producer: [7, 0] }), ...others]);
    take();
    await store.rollTail(head);
    expect(take().map(({ operation }) => operation)).toEqual(['PutItem', 'TransactWriteItems']);
    await commit(store, topicId, [newBatch({ producer: [7, 10] })]);
    expect(take().map(({ operation, failed }) => [operation, failed])).toEqual([
      ['UpdateItem', false],
      ['GetItem', false],
      ['UpdateItem', false],
    ]);
    await commit(store, topicId, [newBatch({ producer: [7, 20] })]);
    expect(take().map(({ operation }) => operation)).toEqual(['UpdateItem']);
    // Above all that ever moved, so it is new, and no look is needed.
    await commit(store, topicId, [newBatch({ producer: [8, 0] })]);
    expect(take().map(({ operation }) => operation)).toEqual(['UpdateItem']);
  });
});

const topicOf = (name: string) => ({
  topic: parseTopicName(name),
  topicId: crypto.randomUUID() as string as TopicId,
  config: {},
  createdAt: 1,
  version: 1,
});

/** Ten records in an object of their own, as a function that serves one request makes them. */
function newBatch(
  given: { recordCount?: number; producer?: readonly [id: number, baseSequence: number] } = {},
): NewBatch {
  const { recordCount = 10, producer } = given;
  const timestamp = Date.now();
  return {
    coordinates: {
      objectId: objectIds.unplaced(),
      byteStart: 0,
      byteLength: 10_000 + Math.floor(Math.random() * 50_000),
      offsetCount: recordCount,
      maxTimestamp: timestamp,
    },
    recordCount,
    timestamp,
    producer: producer && { producerId: producer[0], producerEpoch: 0, baseSequence: producer[1] },
  };
}

async function commit(store: MetadataStore, topicId: TopicId, batches: readonly NewBatch[]): Promise<Committed> {
  const outcome = await store.commitBatches({ topicId, partition: 0, batches });
  if (outcome.outcome !== 'committed') throw new Error(`commit answered ${outcome.outcome}`);
  expect(outcome.batches.map((one) => one.outcome)).toEqual(batches.map(() => 'committed'));
  return outcome;
}
