import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { fromEnvironment, type Millrace, openMillrace } from '../../lib/client/direct.ts';
import { createTable, dynamoDbMissing } from '../support/dynoxide.ts';
import { readAll } from './doors.ts';
import { startEmulators } from './emulators.ts';

async function storeAndRead(log: Millrace, value: string): Promise<(string | null)[]> {
  await log.admin.createTopic('orders').catch(() => {});
  await log.producer('orders').send({ value });
  return (await readAll(log, 'orders')).map((record) => record.value);
}

test('a log in a folder is there when it is opened again', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-direct-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  for (const expected of [['a'], ['a', 'a']]) {
    await using log = await openMillrace({ dir });
    expect(await storeAndRead(log, 'a')).toEqual(expected);
  }
});

test.each([{}, { dir: '' }, { dir: undefined }])('%j names no folder, and not the current one', async (options) => {
  await expect(openMillrace(options as { dir: string })).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
    effect: 'none',
    message: 'dir names no folder; give one, or memory: true',
  });
});

test('an environment without stores gives the other doors, and one with half of them is told', async () => {
  await using log = await fromEnvironment({ MILLRACE_ENDPOINT: 'http://127.0.0.1:1' });
  await expect(log.admin.describeTopic('orders')).rejects.toMatchObject({ code: 'KAFKA_STORAGE_ERROR' });
  await expect(fromEnvironment({ MILLRACE_BUCKET: 'records' })).rejects.toThrow('MILLRACE_TABLE is missing');
  await expect(fromEnvironment({ MILLRACE_TABLE: 'index' })).rejects.toThrow('MILLRACE_BUCKET is missing');
  const onlyStores = { MILLRACE_BUCKET: 'records', MILLRACE_TABLE: 'index' };
  await expect(fromEnvironment(onlyStores, { via: 'http' })).rejects.toThrow('set MILLRACE_ENDPOINT');
  await expect(fromEnvironment({ MILLRACE_ENDPOINT: 'http://127.0.0.1:1' }, { via: 'direct' })).rejects.toThrow(
    'set MILLRACE_BUCKET and MILLRACE_TABLE',
  );
});

describe.skipIf(dynamoDbMissing)(`on S3 and DynamoDB${dynamoDbMissing ?? ''}`, () => {
  test('a log by the names of bucket and table is the one of the environment that has them', async () => {
    const { bucket, dynamoDb } = await startEmulators();
    const table = await createTable(dynamoDb.client);
    for (const [name, value] of Object.entries({
      AWS_ENDPOINT_URL_S3: bucket.endpoint,
      AWS_ENDPOINT_URL_DYNAMODB: dynamoDb.endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
    })) {
      vi.stubEnv(name, value);
    }
    onTestFinished(() => void vi.unstubAllEnvs());
    {
      await using log = await openMillrace({ bucket: bucket.bucket, table });
      expect(await storeAndRead(log, 'a')).toEqual(['a']);
    }
    await using log = await fromEnvironment({
      MILLRACE_BUCKET: bucket.bucket,
      MILLRACE_TABLE: table,
      MILLRACE_ENDPOINT: 'http://127.0.0.1:1',
      MILLRACE_PRODUCE_FUNCTION: 'log-produce',
    });
    expect(await storeAndRead(log, 'b')).toEqual(['a', 'b']);
  });
});
