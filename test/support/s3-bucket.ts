/**
 * A bucket for tests: of the S3 test server, or, when `MILLRACE_TEST_S3_ENDPOINT` names one, of another S3 server, with
 * the keys in `MILLRACE_TEST_S3_ACCESS_KEY_ID` and `MILLRACE_TEST_S3_SECRET_ACCESS_KEY`. Buckets made there stay.
 */

import { randomUUID } from 'node:crypto';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { startS3Server } from './s3-server.ts';

export interface TestBucket {
  readonly bucket: string;
  readonly endpoint: string;
  /** A new client, the test's to destroy. */
  createClient(): S3Client;
  close(): Promise<void>;
}

export async function openTestBucket(): Promise<TestBucket> {
  const {
    MILLRACE_TEST_S3_ENDPOINT,
    MILLRACE_TEST_S3_ACCESS_KEY_ID: accessKeyId = 'test',
    MILLRACE_TEST_S3_SECRET_ACCESS_KEY: secretAccessKey = 'test',
  } = process.env;
  const credentials = { accessKeyId, secretAccessKey };
  const server = MILLRACE_TEST_S3_ENDPOINT === undefined ? await startS3Server({ credentials }) : undefined;
  const endpoint = server?.endpoint ?? MILLRACE_TEST_S3_ENDPOINT ?? '';
  const createClient = () =>
    new S3Client({ endpoint, credentials, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 });
  const bucket = `millrace-test-${randomUUID()}`;
  const client = createClient();
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  return { bucket, endpoint, createClient, close: async () => await server?.close() };
}
