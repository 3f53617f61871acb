/** S3 and DynamoDB on this machine, started when a test file first wants them, and ended with it. */

import { afterAll } from 'vitest';
import { systemClock, systemRandomBytes } from '../../lib/clock.ts';
import { createLog, type OpenLog } from '../../lib/create-log.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { openS3ObjectStore } from '../../lib/store/object-store-s3.ts';
import { createTable, startDynoxide } from '../support/dynoxide.ts';
import { openTestBucket } from '../support/s3-bucket.ts';

let started: ReturnType<typeof start> | undefined;

async function start() {
  const bucket = await openTestBucket();
  return { bucket, s3: bucket.createClient(), dynamoDb: await startDynoxide() };
}

export function startEmulators(): ReturnType<typeof start> {
  started ??= start();
  return started;
}

afterAll(async () => {
  if (started === undefined) return;
  const { bucket, s3, dynamoDb } = await started;
  s3.destroy();
  await bucket.close();
  await dynamoDb.close();
});

/** A new log, in a table of its own. */
export async function openEmulatedLog(): Promise<OpenLog> {
  const { bucket, s3, dynamoDb } = await startEmulators();
  const table = await createTable(dynamoDb.client);
  const deps = { clock: systemClock, randomBytes: systemRandomBytes };
  return createLog({
    ...deps,
    objectStore: openS3ObjectStore({ ...deps, bucket: bucket.bucket, client: s3 }),
    metadataStore: openDynamoDbMetadataStore({ ...deps, table, client: dynamoDb.client }),
  });
}
