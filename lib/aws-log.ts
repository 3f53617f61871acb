/** The log in an AWS account: a bucket and a table. Functions open it, and programs that go without them. */

import { type Clock, type RandomBytes, systemClock, systemRandomBytes } from './clock.ts';
import { createLog, type OpenLog } from './create-log.ts';
import { openDynamoDbMetadataStore } from './store/metadata-store-dynamodb.ts';
import { openS3ObjectStore } from './store/object-store-s3.ts';
import type { StoreBounds } from './store/store-request.ts';

export interface AwsLogOptions extends StoreBounds {
  readonly bucket: string;
  readonly table: string;
  /** @default the SDK's: AWS_REGION, then the profile */
  readonly region?: string;
  /** Of both services, for emulators. @default the SDK's: AWS_ENDPOINT_URL, then AWS itself */
  readonly endpoint?: string;
  /** @default the system's */
  readonly clock?: Clock;
  /** @default the system's */
  readonly randomBytes?: RandomBytes;
}

/** Sends nothing before the first call. `close` closes the clients as well. */
export function openAwsLog(options: AwsLogOptions): OpenLog {
  const { bucket, table, ...rest } = options;
  const shared = { clock: systemClock, randomBytes: systemRandomBytes, ...rest };
  return createLog({
    objectStore: openS3ObjectStore({ ...shared, bucket }),
    metadataStore: openDynamoDbMetadataStore({ ...shared, table }),
    clock: shared.clock,
    randomBytes: shared.randomBytes,
  });
}
