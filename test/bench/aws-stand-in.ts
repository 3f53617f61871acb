/**
 * S3 and DynamoDB on this machine that take as long to answer as in AWS.
 *
 * The delay lies in the clients, behind the SDK's own work and in front of the network: an answer is held back until the
 * drawn latency has passed since its request was sent, so what the emulators take does not show unless they are slower.
 */

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { createTable, startDynoxide } from '../support/dynoxide.ts';
import { awsLatencies, drawLatencies } from './latencies.ts';
import { startProcess } from './processes.ts';

export interface AwsStandIn {
  readonly bucket: string;
  readonly table: string;
  /** Clients of one environment, whose latencies follow from `seed`; undefined: as quick as the emulators are. */
  createClients(seed: number | undefined): { readonly s3: S3Client; readonly dynamoDb: DynamoDBClient };
  close(): Promise<void>;
}

export async function startAws(): Promise<AwsStandIn> {
  const dynamoDb = await startDynoxide();
  const s3 = await startProcess([join(import.meta.dirname, 's3-process.ts')]);
  const table = await createTable(dynamoDb.client);
  const shared = { region: 'us-east-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' }, maxAttempts: 1 };
  return {
    bucket: 'bench',
    table,
    createClients(seed) {
      const put = drawLatencies(seed ?? 0, awsLatencies.PutObject);
      const get = drawLatencies((seed ?? 0) + 1, awsLatencies.GetObject);
      const item = drawLatencies((seed ?? 0) + 2, awsLatencies.DynamoDB);
      const none = () => 0;
      const s3Ms = (method: string) => (method === 'PUT' ? put() : get());
      return {
        s3: new S3Client({
          ...shared,
          endpoint: s3.url,
          forcePathStyle: true,
          responseChecksumValidation: 'WHEN_REQUIRED',
          requestHandler: new DelayedHandler(seed === undefined ? none : s3Ms),
        }),
        dynamoDb: new DynamoDBClient({
          ...shared,
          endpoint: dynamoDb.endpoint,
          requestHandler: new DelayedHandler(seed === undefined ? none : item),
        }),
      };
    },
    async close() {
      await s3.stop();
      await dynamoDb.close();
    },
  };
}

class DelayedHandler extends NodeHttpHandler {
  readonly #drawMs: (method: string) => number;

  constructor(drawMs: (method: string) => number) {
    super({});
    this.#drawMs = drawMs;
  }

  override async handle(...[request, options]: Parameters<NodeHttpHandler['handle']>) {
    const signal = options?.abortSignal as AbortSignal | undefined;
    const delay = sleep(this.#drawMs(request.method), undefined, signal === undefined ? {} : { signal });
    const [answer] = await Promise.all([super.handle(request, options), delay]);
    return answer;
  }
}

export const unique = (name: string) => `${name}-${randomUUID()}`;
