import { afterAll, beforeAll } from 'vitest';
import { openS3ObjectStore } from '../../lib/store/object-store-s3.ts';
import { objectStoreContract } from '../contract/object-store.ts';
import { openTestBucket, type TestBucket } from '../support/s3-bucket.ts';

let at: TestBucket;
beforeAll(async () => {
  at = await openTestBucket();
});
afterAll(() => at.close());

objectStoreContract('s3', async (deps) => {
  const client = at.createClient();
  const store = openS3ObjectStore({ bucket: at.bucket, client, ...deps });
  return { store, remove: async () => client.destroy() };
});
