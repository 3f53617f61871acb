/** The bundled functions in a Lambda runtime on this machine, over DynamoDB and S3 on this machine. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FunctionName } from '../../functions/compose.ts';
import { bundleFunctions } from '../../infra/bundle.ts';
import { createTable, startDynoxide } from '../support/dynoxide.ts';
import { type HttpProxy, startHttpProxy } from '../support/http-proxy.ts';
import {
  type FunctionOptions,
  type InvokeResult,
  type LambdaFunction,
  startFunction,
} from '../support/lambda-runtime.ts';
import { openTestBucket } from '../support/s3-bucket.ts';

export interface AwsFunctions {
  /** Where the bundles are, a folder each. */
  readonly folder: string;
  readonly bundleBytes: Readonly<Record<FunctionName, number>>;
  /** The variables a function of this log has. */
  readonly environment: Readonly<Record<string, string>>;
  /** Between the functions and the emulators. */
  readonly dynamoDb: HttpProxy;
  readonly s3: HttpProxy;
  /** Another function of the same log, with environments of its own; ended with the rest. */
  start(name: FunctionName, options?: Partial<FunctionOptions>): LambdaFunction;
  /** By the functions all tests share. */
  invoke(name: FunctionName, event: unknown): Promise<InvokeResult>;
  close(): Promise<void>;
}

export async function startAwsFunctions(): Promise<AwsFunctions> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-functions-'));
  const [bundleBytes, emulator, bucket] = await Promise.all([
    bundleFunctions(folder),
    startDynoxide(),
    openTestBucket(),
  ]);
  const [dynamoDb, s3] = await Promise.all([startHttpProxy(emulator.endpoint), startHttpProxy(bucket.endpoint)]);
  const { MILLRACE_TEST_S3_ACCESS_KEY_ID = 'test', MILLRACE_TEST_S3_SECRET_ACCESS_KEY = 'test' } = process.env;
  const environment = {
    MILLRACE_BUCKET: bucket.bucket,
    MILLRACE_TABLE: await createTable(emulator.client),
    AWS_ENDPOINT_URL_DYNAMODB: dynamoDb.endpoint,
    AWS_ENDPOINT_URL_S3: s3.endpoint,
    AWS_ACCESS_KEY_ID: MILLRACE_TEST_S3_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY: MILLRACE_TEST_S3_SECRET_ACCESS_KEY,
  };
  const started: LambdaFunction[] = [];
  const start: AwsFunctions['start'] = (name, options) => {
    const fn = startFunction({ name, folder: join(folder, name), environment, ...options });
    started.push(fn);
    return fn;
  };
  const shared = { produce: start('produce'), fetch: start('fetch'), topics: start('topics'), group: start('group') };
  return {
    folder,
    bundleBytes,
    environment,
    dynamoDb,
    s3,
    start,
    invoke: (name, event) => shared[name].invoke(event),
    async close() {
      await Promise.all(started.map((fn) => fn.close()));
      await Promise.all([dynamoDb.close(), s3.close()]);
      await Promise.all([emulator.close(), bucket.close(), rm(folder, { recursive: true, force: true })]);
    },
  };
}
