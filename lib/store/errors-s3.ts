/**
 * What S3's errors mean for the store and for its caller: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 *
 * S3 says 412 when an object of that name is there and 409 when another write of it is under way. That difference, as all of
 * S3's, ends in this file and `object-store-s3.ts`.
 */

import { isLogError, LogError } from '../errors.ts';
import { AttemptTimeout, RetryError, retryDelayMs, throttledDelayMs } from './retry.ts';

/** An answer that is not what was asked for, as when a connection breaks within it. */
export class BadAnswer extends Error {
  override readonly name = 'BadAnswer';
}

export type S3ErrorKind =
  /** May pass by itself; sent again. */
  | 'transient'
  /** S3 asks for less load; sent again, later. */
  | 'busy'
  /** 412: an object of this name is there. */
  | 'taken'
  | 'missing object'
  /** 416: the range begins at or behind the object's end. */
  | 'out of range'
  | 'missing bucket'
  | 'wrong region'
  | 'denied'
  | 'expired'
  | 'no credentials'
  | 'other';

const kindsByName: Readonly<Record<string, S3ErrorKind>> = {
  NoSuchBucket: 'missing bucket',
  PermanentRedirect: 'wrong region',
  AuthorizationHeaderMalformed: 'wrong region',
  IllegalLocationConstraintException: 'wrong region',
  ExpiredToken: 'expired',
  TokenRefreshRequired: 'expired',
  CredentialsProviderError: 'no credentials',
  // The client learns the right time from the answer.
  RequestTimeTooSkewed: 'transient',
  RequestTimeout: 'transient',
  // The bytes were damaged on the way.
  BadDigest: 'transient',
  XAmzContentSHA256Mismatch: 'transient',
  IncompleteBody: 'transient',
  SlowDown: 'busy',
  // Aborts and timeouts of the SDK's own.
  AbortError: 'transient',
  TimeoutError: 'transient',
};

const kindsByStatus: Readonly<Record<number, S3ErrorKind>> = {
  301: 'wrong region',
  307: 'transient',
  403: 'denied',
  404: 'missing object',
  408: 'transient',
  409: 'transient',
  412: 'taken',
  416: 'out of range',
  429: 'busy',
  501: 'other',
  503: 'busy',
};

export function s3ErrorKind(error: unknown): S3ErrorKind {
  if (error instanceof AttemptTimeout || error instanceof BadAnswer) return 'transient';
  if (!(error instanceof Error) || isLogError(error)) return 'other';
  const status = statusOf(error);
  const byName = kindsByName[error.name];
  if (byName !== undefined) return byName;
  // Codes of Node and of the system (ECONNRESET, EAI_AGAIN) mean that no answer came.
  if (status === undefined) return 'code' in error && typeof error.code === 'string' ? 'transient' : 'other';
  return kindsByStatus[status] ?? (status >= 500 ? 'transient' : 'other');
}

/** Of S3's answer; undefined when there was none. */
function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
}

/** For `retry`. A name that is taken is given up for another at once. */
export function s3DelayAfter(error: unknown): number | undefined {
  const delays: Partial<Record<S3ErrorKind, number>> = { transient: retryDelayMs, busy: throttledDelayMs, taken: 0 };
  return delays[s3ErrorKind(error)];
}

const actions = {
  PutObject: 's3:PutObject',
  GetObject: 's3:GetObject',
  HeadObject: 's3:GetObject',
  ListObjectsV2: 's3:ListBucket',
  DeleteObjects: 's3:DeleteObject',
} as const;
export type S3Operation = keyof typeof actions;

export interface FailedCall {
  readonly operation: S3Operation;
  readonly bucket: string;
  /** Undefined: none was given and the environment has none. */
  readonly region: string | undefined;
  /** What it was about, as the user would say it: `object 0190...`. */
  readonly what: string;
}

/**
 * The error for the caller: KAFKA_STORAGE_ERROR that says what to check. Reads and lists have no effect, a put that fails
 * leaves garbage at worst and a delete can be repeated, so the effect is none. S3's own words are in `cause` alone, since
 * they name accounts and roles.
 */
export function s3Failure(error: unknown, { operation, bucket, region, what }: FailedCall): unknown {
  if (!(error instanceof RetryError)) return error;
  const cause = error.cause;
  if (isLogError(cause)) return cause;
  const kind = cause === undefined ? 'transient' : s3ErrorKind(cause);
  if (kind === 'other' && region !== undefined && statusOf(cause) === undefined) return cause; // A bug.
  const attempts = error.errors.length === 1 ? 'one attempt' : `${error.errors.length} attempts`;
  const where = `bucket ${bucket} in region ${region}`;
  const tried = `${operation} of ${what} in ${where}`;
  const action = `${actions[operation]} on the ${operation === 'ListObjectsV2' ? 'bucket' : "bucket's objects"}`;
  const messages: Record<S3ErrorKind, string> = {
    transient: `${tried} had no good answer in ${attempts}: ${told(cause)}`,
    busy: `${tried} was turned down in ${attempts}: s3 asks for less load (${told(cause)})`,
    taken: `${tried} found every name taken in ${attempts}`,
    'missing object': `${what} is not there in ${where}`,
    'out of range': `${what} in ${where} is shorter than the range asked for`,
    'missing bucket': `bucket ${bucket} is not there; check its name, its account and the region (${region})`,
    'wrong region': `bucket ${bucket} is not in region ${region}${rightRegion(cause)}; check the region`,
    denied:
      `${tried} was denied; check that the role is allowed ${action}, and the bucket's policy and key` +
      (actions[operation] === 's3:GetObject' ? ' (an object that is gone looks like this without s3:ListBucket)' : ''),
    expired: `${tried} was refused: the credentials have expired; renew them`,
    'no credentials': `${tried} was not sent: no AWS credentials were found; set them, or give the function a role`,
    other:
      region === undefined
        ? `${operation} of ${what} was not sent: no AWS region is set`
        : `${tried} was refused: ${told(cause)}`,
  };
  const retriable = kind === 'transient' || kind === 'busy' || kind === 'taken' || kind === 'expired';
  return new LogError('KAFKA_STORAGE_ERROR', messages[kind], { retriable, effect: 'none', cause: error });
}

function told(cause: unknown): string {
  if (cause === undefined) return 'its deadline had passed before it was sent';
  if (!(cause instanceof Error)) return String(cause);
  // What S3 says may name roles; what the network says helps.
  return statusOf(cause) === undefined ? cause.message || cause.name : cause.name;
}

/** S3 tells the right region in a header. */
function rightRegion(cause: unknown): string {
  const headers = (cause as { $response?: { headers?: Record<string, string> } } | undefined)?.$response?.headers;
  const region = headers?.['x-amz-bucket-region'];
  return region === undefined ? '' : ` but in ${region}`;
}
