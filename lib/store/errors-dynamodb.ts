/**
 * What DynamoDB's errors mean for the store and for its caller:
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
 */

import type {
  AttributeValue,
  CancellationReason,
  ConditionalCheckFailedException,
  TransactionCanceledException,
} from '@aws-sdk/client-dynamodb';
import { isLogError, LogError } from '../errors.ts';
import { KiB } from '../limits.ts';
import { itemBytes } from './items-dynamodb.ts';
import { AttemptTimeout, RetryError, retryDelayMs, throttledDelayMs } from './retry.ts';

/** An answer that did part of what was asked for, as batches have them when DynamoDB is busy. */
export class Unprocessed extends Error {
  override readonly name = 'Unprocessed';
}

export type DynamoDbErrorKind =
  /** No answer, or one that does not say whether anything was done. */
  | 'unanswered'
  /** The request never left: no connection, no address. */
  | 'unsent'
  /** DynamoDB asks for less load, and has done nothing. */
  | 'busy'
  /** Another transaction was at work on the item; nothing was done. */
  | 'conflict'
  /** A condition did not hold: an answer, not a failure. */
  | 'condition'
  | 'missing table'
  | 'denied'
  | 'expired'
  | 'credentials'
  /** DynamoDB turned the request down for what it says; nothing was done. */
  | 'refused'
  /** Not an error of DynamoDB's: a bug. */
  | 'other';

const kindsByName: Readonly<Record<string, DynamoDbErrorKind>> = {
  ConditionalCheckFailedException: 'condition',
  TransactionConflictException: 'conflict',
  ReplicatedWriteConflictException: 'conflict',
  // The first attempt of this very transaction is still under way.
  TransactionInProgressException: 'conflict',
  ThrottlingException: 'busy',
  ProvisionedThroughputExceededException: 'busy',
  RequestLimitExceeded: 'busy',
  ResourceNotFoundException: 'missing table',
  AccessDeniedException: 'denied',
  ExpiredTokenException: 'expired',
  ExpiredToken: 'expired',
  UnrecognizedClientException: 'credentials',
  InvalidSignatureException: 'credentials',
  IncompleteSignatureException: 'credentials',
  MissingAuthenticationTokenException: 'credentials',
  CredentialsProviderError: 'credentials',
  // Aborts and timeouts of the SDK's own.
  AbortError: 'unanswered',
  TimeoutError: 'unanswered',
};

/** Codes of the system that come before anything was sent. */
const unsentCodes = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/** Of the reasons of a transaction that was cancelled, one per action, the first that is there decides. */
const cancellationKinds: readonly (readonly [code: string, kind: DynamoDbErrorKind])[] = [
  ['ConditionalCheckFailed', 'condition'],
  ['TransactionConflict', 'conflict'],
  ['ThrottlingError', 'busy'],
  ['ProvisionedThroughputExceeded', 'busy'],
];

export function dynamoDbErrorKind(error: unknown): DynamoDbErrorKind {
  if (error instanceof AttemptTimeout) return 'unanswered';
  if (error instanceof Unprocessed) return 'busy';
  if (!(error instanceof Error) || isLogError(error)) return 'other';
  if (error.name === 'TransactionCanceledException') {
    const codes = new Set(cancellationReasons(error).map(({ Code }) => Code));
    return cancellationKinds.find(([code]) => codes.has(code))?.[1] ?? 'refused';
  }
  const byName = kindsByName[error.name];
  if (byName !== undefined) return byName;
  const status = statusOf(error);
  if (status !== undefined) return status >= 500 || status === 408 ? 'unanswered' : 'refused';
  if (!('code' in error) || typeof error.code !== 'string') return 'other';
  // A network that goes away ends a connection with the same codes, and what was sent through it may have arrived.
  const isOfOpenConnection = 'syscall' in error && (error.syscall === 'read' || error.syscall === 'write');
  return unsentCodes.has(error.code) && !isOfOpenConnection ? 'unsent' : 'unanswered';
}

/** Why a transaction was cancelled: one reason for each of its actions, in order; with the item where that was asked for. */
function cancellationReasons(error: unknown): readonly CancellationReason[] {
  return (error as Partial<TransactionCanceledException>).CancellationReasons ?? [];
}

/** A condition did not hold. That is an answer, and whoever sent the condition catches this. */
export class LostCondition extends Error {
  override readonly name = 'LostCondition';
  /** Of a single write: the item as it is; undefined when there is none. */
  readonly item: Record<string, AttributeValue> | undefined;
  /** Of a transaction: a reason for each of its actions, in order. */
  readonly reasons: readonly CancellationReason[];
  /** Whether an attempt before it got no answer: the write may have been lost to itself. */
  readonly isAfterSilence: boolean;

  constructor({ cause, errors }: RetryError) {
    super('a condition did not hold', { cause });
    this.item = (cause as Partial<ConditionalCheckFailedException>).Item;
    this.reasons = cancellationReasons(cause);
    this.isAfterSilence = errors.some((error) => dynamoDbErrorKind(error) === 'unanswered');
  }
}

/** Units of an attempt whose condition did not hold. It is billed as the write would have been; how much is not answered. */
export function unitsOfLost(error: unknown): number {
  const unitsOf = (item: Record<string, AttributeValue> = {}) => Math.max(1, Math.ceil(itemBytes(item) / KiB));
  const reasons = cancellationReasons(error);
  if (reasons.length > 0) return reasons.reduce((sum, { Item: item }) => sum + 2 * unitsOf(item), 0);
  return unitsOf((error as Partial<ConditionalCheckFailedException>).Item);
}

/** The signature was refused for its time. The client has learnt the right one from the answer, and signs by it from now on. */
function isOfWrongClock(error: unknown): boolean {
  if (dynamoDbErrorKind(error) !== 'credentials') return false;
  return (error as { $metadata?: { clockSkewCorrected?: boolean } }).$metadata?.clockSkewCorrected === true;
}

/** Of DynamoDB's answer; undefined when there was none. */
function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
}

/** For `retry`. What may have been done is sent again only where that does no harm. */
export function delayAfter(error: unknown, isRepeatable: boolean): number | undefined {
  const kind = dynamoDbErrorKind(error);
  if (kind === 'busy') return throttledDelayMs;
  if (kind === 'conflict' || kind === 'unsent' || isOfWrongClock(error)) return retryDelayMs;
  return kind === 'unanswered' && isRepeatable ? retryDelayMs : undefined;
}

export interface FailedRequest {
  /** AWS's name: `UpdateItem`. */
  readonly operation: string;
  /** IAM's names for what the request does. */
  readonly actions: readonly string[];
  readonly table: string;
  /** Undefined: none was given and the environment has none. */
  readonly region: string | undefined;
  readonly isWrite: boolean;
}

/**
 * The error for the caller: KAFKA_STORAGE_ERROR that says what to check. The effect is unknown when any attempt of a write
 * got no answer. DynamoDB's own words are in `cause` alone, since they name accounts and roles.
 */
export function dynamoDbFailure(error: unknown, request: FailedRequest): unknown {
  if (!(error instanceof RetryError)) return error;
  const { errors, cause } = error;
  const kind = cause === undefined ? 'unanswered' : dynamoDbErrorKind(cause);
  const { operation, actions, table, region, isWrite } = request;
  if (kind === 'other' && region !== undefined) return cause;
  const tried = `${operation} on table ${table} in region ${region}`;
  const attempts = `${errors.length} ${errors.length === 1 ? 'attempt' : 'attempts'}`;
  const messages: Record<DynamoDbErrorKind, string> = {
    unanswered:
      cause === undefined
        ? `${tried} was not sent: the deadline had passed`
        : `${tried} had no good answer in ${attempts}: ${told(cause)}`,
    unsent: `${tried} could not be sent in ${attempts}: ${told(cause)}; check the network and the region`,
    busy: `${tried} was turned down in ${attempts}: dynamodb asks for less load (${told(cause)})`,
    conflict: `${tried} met other transactions in ${attempts} (${told(cause)})`,
    condition: `${tried} was lost to another write`,
    'missing table': `table ${table} is not there in region ${region}; check its name, its account and the region`,
    denied: `${tried} was denied; check that the role is allowed ${actions.join(' and ')} on the table, and its key`,
    expired: `${tried} was refused: the credentials have expired; renew them`,
    credentials: `${tried} was refused: ${told(cause)}; check the AWS credentials and the clock of this machine`,
    refused: `${tried} was refused: ${told(cause)}`,
    other: `${operation} on table ${table} was not sent: no AWS region is set`,
  };
  const retriable = ['unanswered', 'unsent', 'busy', 'conflict', 'expired'].includes(kind);
  const isUnknown = isWrite && errors.some((one) => dynamoDbErrorKind(one) === 'unanswered');
  return new LogError('KAFKA_STORAGE_ERROR', messages[kind], {
    retriable,
    effect: isUnknown ? 'unknown' : 'none',
    cause: error,
  });
}

function told(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  // What DynamoDB says may name roles; what the network says helps, and what a request says wrongly.
  const isTold = statusOf(cause) === undefined || cause.name === 'ValidationException';
  return isTold && cause.message !== '' ? cause.message : cause.name;
}
