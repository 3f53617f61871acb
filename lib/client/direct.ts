/**
 * `millrace/direct`: the log inside this process, with the client's interface: on S3 and DynamoDB, on a data folder, or in
 * memory. What a caller needs on AWS is the rights on bucket and table, and nothing stands between it and them.
 */

import { createApp } from '../api/app.ts';
import type { AwsLogOptions } from '../aws-log.ts';
import { systemClock } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { EmbeddedLogOptions } from '../server/embedded.ts';
import { type Environment, type EnvironmentOptions, fromEnvironment as fromOthers, storesIn } from './environment.ts';
import { Millrace } from './millrace.ts';
import { missingPeer } from './missing-peer.ts';
import { directTransport } from './transport-direct.ts';

export * from './index.ts';

export type DirectOptions = EmbeddedLogOptions | Pick<AwsLogOptions, 'bucket' | 'table' | 'region' | 'endpoint'>;

/**
 * Opens the log and gives a client of it; `close` closes both.
 *
 * ```ts
 * const log = await openMillrace({ bucket: 'my-log-records', table: 'my-log-index' });
 * ```
 * Throws KAFKA_STORAGE_ERROR when another process has the folder, or a newer version wrote it; INVALID_REQUEST when the
 * AWS SDK is not installed. A bucket or a table that is not there is met by the first call.
 */
export async function openMillrace(options: DirectOptions): Promise<Millrace> {
  const log = await openLog(options);
  const app = createApp({ log, clock: systemClock });
  return new Millrace({ transport: directTransport(app, { close: () => log.close() }) });
}

/**
 * As `fromEnvironment` of `millrace`, and directly where MILLRACE_BUCKET and MILLRACE_TABLE are set.
 *
 * ```ts
 * const log = await fromEnvironment(process.env);
 * ```
 */
export async function fromEnvironment(
  environment: Environment,
  { via }: EnvironmentOptions<'direct' | 'invoke' | 'http'> = {},
): Promise<Millrace> {
  const stores = via === undefined || via === 'direct' ? storesIn(environment) : undefined;
  if (stores !== undefined) return openMillrace(stores);
  if (via !== 'direct') return fromOthers(environment, via === undefined ? {} : { via });
  throw new LogError('INVALID_REQUEST', 'the environment names no log; set MILLRACE_BUCKET and MILLRACE_TABLE');
}

/** Each kind of store is loaded when it is wanted: nobody waits for the AWS SDK, or for SQLite, in vain. */
async function openLog(options: DirectOptions): Promise<Log> {
  if ('bucket' in options) {
    const { openAwsLog } = await import('../aws-log.ts').catch(
      missingPeer('to keep a log in S3 and DynamoDB', '@aws-sdk/client-s3', '@aws-sdk/client-dynamodb'),
    );
    return openAwsLog(options);
  }
  const { openEmbeddedLog } = await import('../server/embedded.ts');
  return openEmbeddedLog(options);
}
