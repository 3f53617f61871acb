import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import type { ObjectId } from '../../lib/ids.ts';
import { headProducersRefused } from '../../lib/limits.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { newBatch, testMetadataStore, topicItem } from '../contract/metadata-store.ts';
import { DynamoDbDouble } from '../simulation/aws/dynamodb.ts';
import { openStore } from '../support/dynamodb-double.ts';
import { createTable, type DynamoDb, dynamoDbMissing, emulatorAccess, startDynoxide } from '../support/dynoxide.ts';

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

// 4,000 commits at once were all signed and queued in the SDK while the time of their attempts ran: not one was sent before
// it was given up, over and over until the deadline.
test('calls wait for their turn while 64 others run, and the time of their attempts does not run meanwhile', async () => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
  onTestFinished(() => void vi.useRealTimers());
  let sent = 0;
  let underWay = 0;
  let atOnce = 0;
  const store = openStore(new DynamoDbDouble({ nowMs: Date.now }), async (_operation, _input, request) => {
    sent += 1;
    underWay += 1;
    atOnce = Math.max(atOnce, underWay);
    await systemClock.sleep(1_500);
    underWay -= 1;
    return request();
  });
  const startMs = Date.now();
  const ids = Promise.all(Array.from({ length: 192 }, () => store.nextProducerId())).then((all) => {
    return { idCount: new Set(all).size, ms: Date.now() - startMs };
  });
  await vi.runAllTimersAsync();
  expect({ ...(await ids), sent, atOnce }).toEqual({ idCount: 192, ms: 4_500, sent: 192, atOnce: 64 });
  await store.close();
});

// The first calls of a process failed as if its credentials were wrong; S3 took the very same ones.
test('a clock that is wrong by an hour costs one more attempt', async () => {
  const rightMs = () => Date.now() + 3_600_000;
  const signedAt: string[] = [];
  const server = createServer((request, response) => {
    const time = String(request.headers['x-amz-date']);
    signedAt.push(time);
    const ms = Date.parse(time.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'));
    const isRight = Math.abs(ms - rightMs()) < 300_000;
    response.writeHead(isRight ? 200 : 400, { date: new Date(rightMs()).toUTCString() });
    const error = { __type: 'com.amazon.coral.service#InvalidSignatureException', message: 'Signature expired' };
    response.end(JSON.stringify(isRight ? { Attributes: { value: { N: '8' } } } : error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const client = new DynamoDBClient({ ...emulatorAccess, endpoint: `http://127.0.0.1:${port}`, maxAttempts: 1 });
  onTestFinished(() => {
    client.destroy();
    server.close();
  });
  const randomBytes = (bytes: Uint8Array) => bytes;
  const store = openDynamoDbMetadataStore({ table: 'table', client, clock: systemClock, randomBytes });
  expect(await store.nextProducerId()).toBe(7);
  expect(signedAt).toHaveLength(2);
  expect(await store.nextProducerId()).toBe(7);
  expect(signedAt).toHaveLength(3);
});
