/** One environment of the functions, or of a program that uses the log in process, over the stand-in for AWS. */

import { randomFillSync } from 'node:crypto';
import { GetItemCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { composeFunction, type FunctionName } from '../../functions/compose.ts';
import { InvokeSlot } from '../../functions/invoke.ts';
import { systemClock } from '../../lib/clock.ts';
import { createLog, type OpenLog } from '../../lib/create-log.ts';
import { parseTopicName } from '../../lib/ids.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { openS3ObjectStore } from '../../lib/store/object-store-s3.ts';
import { batchesContentType, encodeFrames } from '../../lib/wire.ts';
import { type AwsStandIn, unique } from './aws-stand-in.ts';
import { oneRecord } from './columns.ts';

export interface Environment {
  /** Produces one record of 1 KiB by an invoke of the function. */
  invokeProduce(): Promise<void>;
  /** The same in process. */
  produce(): Promise<void>;
  /** Fetches what lies behind the last fetch by an invoke of the function: at least one record. */
  invokeFetch(): Promise<void>;
  fetch(): Promise<void>;
  /** Appends what the next fetch is to find. */
  append(): Promise<void>;
  /** One PutObject and one UpdateItem by the SDK alone: nothing can be quicker than this. */
  putAndUpdate(): Promise<void>;
  /** One GetItem and one GetObject by the SDK alone. */
  getAndGet(): Promise<void>;
  close(): Promise<void>;
}

const context = { awsRequestId: 'bench', getRemainingTimeInMillis: () => 25_000 };
const fail = (error: unknown) => {
  throw error;
};

/** With a topic and a partition of its own: what environments do to each other is no question of latency. */
export async function openEnvironment(aws: AwsStandIn, seed: number, hedging: boolean): Promise<Environment> {
  const slot = new InvokeSlot(systemClock);
  const open = (clients: ReturnType<AwsStandIn['createClients']>, bounds: object): OpenLog => {
    const shared = { clock: systemClock, randomBytes: (bytes: Uint8Array) => randomFillSync(bytes), ...bounds };
    return createLog({
      ...shared,
      objectStore: openS3ObjectStore({ ...shared, bucket: aws.bucket, client: clients.s3, hedging }),
      metadataStore: openDynamoDbMetadataStore({ ...shared, table: aws.table, client: clients.dynamoDb }),
    });
  };
  const delayed = aws.createClients(seed);
  const quick = aws.createClients(undefined);
  const log = open(delayed, slot.bounds);
  const writer = open(quick, {});
  const topic = parseTopicName(unique('bench'));
  await writer.topics.create({ topic, partitionCount: 1 });
  let offset = 0;

  const telemetry = { finished: () => {}, failed: fail };
  const functionOf = (name: FunctionName) =>
    composeFunction(name, { log, clock: systemClock, slot, telemetry, isStreaming: false }).buffered;
  const [produceFunction, fetchFunction] = [functionOf('produce'), functionOf('fetch')];
  const invoke = async (handler: typeof produceFunction, event: object): Promise<{ body: string }> => {
    const answer = (await handler(event, context)) as { status: number; body: string };
    if (answer.status !== 200) throw new Error(`the function answered ${JSON.stringify(answer)}`);
    return answer;
  };
  const produceBy = async (by: OpenLog) => {
    const [result] = await by.produce({ topic, batches: [{ partition: 0, batch: Uint8Array.from(oneRecord) }] });
    if (result === undefined || 'error' in result) throw result?.error;
  };
  const produceEvent = {
    method: 'POST',
    path: `/v1/topics/${topic}/batches`,
    headers: { 'content-type': batchesContentType },
    body: Buffer.concat(encodeFrames([{ partition: 0, batch: oneRecord }])).toString('base64'),
    isBase64Encoded: true,
  };

  const Key = { pk: { S: 'bench' }, sk: { S: topic } };
  const item = { TableName: aws.table, Key };
  const object = { Bucket: aws.bucket, Key: `raw/${topic}` };
  let puts = 0;
  await quick.s3.send(new PutObjectCommand({ ...object, Body: oneRecord }));

  return {
    invokeProduce: async () => void (await invoke(produceFunction, produceEvent)),
    produce: () => produceBy(log),
    append: () => produceBy(writer),
    async invokeFetch() {
      const path = `/v1/topics/${topic}/partitions/0/records?offset=${offset}`;
      const { body } = await invoke(fetchFunction, { method: 'GET', path, headers: { accept: batchesContentType } });
      if (Buffer.from(body, 'base64').length < oneRecord.length) throw new Error('the fetch found no record');
      offset += 1;
    },
    async fetch() {
      const partitions = [{ partition: 0, offset }];
      const [result] = await log.fetch({ topic, partitions, maxBytes: 1 << 20, minBytes: 1, maxWaitMs: 0 });
      if (result === undefined || 'error' in result) throw result?.error;
      if (result.batches.length === 0) throw new Error('the fetch found no record');
      offset = result.nextOffset;
    },
    async putAndUpdate() {
      puts += 1;
      await delayed.s3.send(
        new PutObjectCommand({ ...object, Key: `${object.Key}/${puts}`, Body: oneRecord, IfNoneMatch: '*' }),
      );
      const add = { UpdateExpression: 'ADD #n :one', ExpressionAttributeNames: { '#n': 'n' } };
      await delayed.dynamoDb.send(
        new UpdateItemCommand({ ...item, ...add, ExpressionAttributeValues: { ':one': { N: '1' } } }),
      );
    },
    async getAndGet() {
      await delayed.dynamoDb.send(new GetItemCommand({ ...item, ConsistentRead: true }));
      const { Body } = await delayed.s3.send(
        new GetObjectCommand({ ...object, Range: `bytes=0-${oneRecord.length - 1}` }),
      );
      await Body?.transformToByteArray();
    },
    async close() {
      await log.close();
      await writer.close();
      for (const client of [...Object.values(delayed), ...Object.values(quick)]) client.destroy();
    },
  };
}
