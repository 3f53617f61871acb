/** One environment of the functions, or of a program that uses the log in process, over the stand-in for AWS. */

import { randomFillSync, randomUUID } from 'node:crypto';
import { GetItemCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { composeFunction, type FunctionName } from '../../functions/compose.ts';
import type { Handler } from '../../functions/handler.ts';
import { InvokeSlot } from '../../functions/invoke.ts';
import type { Clock } from '../../lib/clock.ts';
import { createLog } from '../../lib/create-log.ts';
import { parseTopicName } from '../../lib/ids.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { openS3ObjectStore } from '../../lib/store/object-store-s3.ts';
import { batchesContentType, encodeFrames } from '../../lib/wire.ts';
import type { AwsClients, AwsStandIn } from './aws-stand-in.ts';
import { oneRecord } from './columns.ts';

export interface Environment {
  /** Produces one record of 1 KiB by an invoke of the function. */
  invokeProduce(): Promise<void>;
  /** The same in process. */
  produce(): Promise<void>;
  /** Fetches the one record behind the last fetch by an invoke of the function. */
  invokeFetch(): Promise<void>;
  fetch(): Promise<void>;
  /** One PutObject and one UpdateItem by the SDK alone: nothing can be quicker than this. */
  putAndUpdate(): Promise<void>;
  /** One GetItem and one GetObject by the SDK alone, of what was put last. */
  getAndGet(): Promise<void>;
  close(): Promise<void>;
}

export interface EnvironmentOptions {
  readonly aws: AwsStandIn;
  readonly clients: AwsClients;
  readonly clock: Clock;
  readonly hedging: boolean;
}

const context = { awsRequestId: 'bench', getRemainingTimeInMillis: () => 25_000 };

/** With a topic of one partition of its own: what environments do to each other is no question of latency. */
export async function openEnvironment({ aws, clients, clock, hedging }: EnvironmentOptions): Promise<Environment> {
  const { s3, dynamoDb } = clients;
  const { bucket, table } = aws;
  const slot = new InvokeSlot(clock);
  const shared = { clock, randomBytes: (bytes: Uint8Array) => randomFillSync(bytes), ...slot.bounds };
  const log = createLog({
    ...shared,
    objectStore: openS3ObjectStore({ ...shared, bucket, client: s3, hedging }),
    metadataStore: openDynamoDbMetadataStore({ ...shared, table, client: dynamoDb }),
  });
  const topic = parseTopicName(`bench-${randomUUID()}`);
  await log.topics.create({ topic, partitionCount: 1 });
  let offset = 0;

  const fail = (error: unknown) => {
    throw error;
  };
  const functionOf = (name: FunctionName) =>
    composeFunction(name, { log, clock, slot, telemetry: { finished: () => {}, failed: fail }, isStreaming: false });
  const [produceFunction, fetchFunction] = [functionOf('produce').buffered, functionOf('fetch').buffered];
  const invoke = async (handler: Handler, event: object): Promise<string> => {
    const { status, body } = (await handler(event, context)) as { status: number; body: string };
    if (status !== 200) throw new Error(`the function answered ${status}: ${body}`);
    return body;
  };
  const path = `/v1/topics/${topic}`;
  const produceEvent = {
    method: 'POST',
    path: `${path}/batches`,
    headers: { 'content-type': batchesContentType },
    body: Buffer.concat(encodeFrames([{ partition: 0, batch: oneRecord }])).toString('base64'),
    isBase64Encoded: true,
  };

  const item = { TableName: table, Key: { pk: { S: 'bench' }, sk: { S: topic } } };
  const increment = {
    UpdateExpression: 'ADD #n :one',
    ExpressionAttributeNames: { '#n': 'n' },
    ExpressionAttributeValues: { ':one': { N: '1' } },
  };
  let putCount = 0;
  const sending = () => ({ abortSignal: new AbortController().signal });
  const lastObject = () => ({ Bucket: bucket, Key: `${topic}/${putCount}` });

  return {
    invokeProduce: async () => void (await invoke(produceFunction, produceEvent)),
    async produce() {
      const [result] = await log.produce({ topic, batches: [{ partition: 0, batch: Uint8Array.from(oneRecord) }] });
      if (result === undefined || 'error' in result) throw result?.error;
      await log.settled();
    },
    async invokeFetch() {
      const event = { method: 'GET', path: `${path}/partitions/0/records?offset=${offset}` };
      const body = await invoke(fetchFunction, { ...event, headers: { accept: batchesContentType } });
      if (Buffer.from(body, 'base64').length < oneRecord.length) throw new Error('the fetch found no record');
      offset += 1;
    },
    async fetch() {
      const partitions = [{ partition: 0, offset }];
      const [result] = await log.fetch({ topic, partitions, maxBytes: 1 << 20, minBytes: 1, maxWaitMs: 0 });
      if (result === undefined || 'error' in result) throw result?.error;
      if (result.batches.length === 0) throw new Error('the fetch found no record');
      offset += 1;
    },
    async putAndUpdate() {
      putCount += 1;
      await s3.send(new PutObjectCommand({ ...lastObject(), Body: oneRecord, IfNoneMatch: '*' }), sending());
      await dynamoDb.send(new UpdateItemCommand({ ...item, ...increment }), sending());
    },
    async getAndGet() {
      await dynamoDb.send(new GetItemCommand({ ...item, ConsistentRead: true }), sending());
      const range = { Range: `bytes=0-${oneRecord.length - 1}` };
      const { Body } = await s3.send(new GetObjectCommand({ ...lastObject(), ...range }), sending());
      for await (const _ of Body as AsyncIterable<Uint8Array>);
    },
    close: () => log.close(),
  };
}
