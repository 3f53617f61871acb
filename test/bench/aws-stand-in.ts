/**
 * S3 and DynamoDB on this machine, in two ways: over HTTP as quick as they are, to measure the processor time of a call; and
 * in virtual time with the latencies of AWS, where neither the emulators nor the machine add anything.
 */

import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { S3Client } from '@aws-sdk/client-s3';
import { createTable, startDynoxide } from '../support/dynoxide.ts';
import { createS3Door } from '../support/s3-door.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';
import { awsLatencies, drawLatencies } from './latencies.ts';
import { startProcess } from './processes.ts';

export interface AwsClients {
  readonly s3: S3Client;
  readonly dynamoDb: DynamoDBClient;
}

export interface AwsStandIn {
  readonly bucket: string;
  readonly table: string;
  /** The caller's to destroy. */
  createClients(): AwsClients;
  /** Every request takes as long as in AWS; which latencies are drawn follows from `seed`. */
  createSlowClients(clock: VirtualClock, seed: number): AwsClients;
  close(): Promise<void>;
}

export async function startAws(): Promise<AwsStandIn> {
  const bucket = 'bench';
  const dynoxide = await startDynoxide();
  const s3 = await startProcess([join(import.meta.dirname, 's3-process.ts'), bucket]);
  const table = await createTable(dynoxide.client);
  const shared = { region: 'us-east-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' }, maxAttempts: 1 };
  const createDynamoDb = () => new DynamoDBClient({ ...shared, endpoint: dynoxide.endpoint });
  return {
    bucket,
    table,
    createClients: () => ({
      s3: new S3Client({
        ...shared,
        endpoint: s3.url,
        forcePathStyle: true,
        responseChecksumValidation: 'WHEN_REQUIRED',
      }),
      dynamoDb: createDynamoDb(),
    }),
    createSlowClients: (clock, seed) => ({
      s3: createSlowS3(clock, seed, bucket),
      dynamoDb: slowDown(createDynamoDb(), clock, seed),
    }),
    async close() {
      await s3.stop();
      await dynoxide.close();
    },
  };
}

function createSlowS3(clock: VirtualClock, seed: number, bucket: string): S3Client {
  const putMs = drawLatencies(seed, awsLatencies.PutObject);
  const getMs = drawLatencies(seed + 1, awsLatencies.GetObject);
  return createS3Door({
    bucket,
    async send({ operation, signal }, carryOut) {
      await clock.sleep(operation === 'PutObject' ? putMs() : getMs(), signal);
      signal.throwIfAborted();
      return carryOut();
    },
  }).client;
}

/** The emulator answers in its own time, which does not count. */
function slowDown(client: DynamoDBClient, clock: VirtualClock, seed: number): DynamoDBClient {
  const latencyMs = drawLatencies(seed + 2, awsLatencies.DynamoDB);
  const send = client.send.bind(client) as (...args: unknown[]) => Promise<unknown>;
  const slowSend = async (command: unknown, options?: { abortSignal?: AbortSignal }) => {
    await clock.sleep(latencyMs(), options?.abortSignal);
    return await clock.standStill(send(command, options));
  };
  return Object.assign(client, { send: slowSend });
}
