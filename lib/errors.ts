/**
 * What can go wrong, in Kafka's words.
 *
 * `LogError` is for callers: a code of Kafka's, whether a retry can help, and what the failed call may have done.
 * `InvariantError` is for bugs: it is never turned into an answer.
 */

/**
 * One row per code: Kafka's number (`Errors.java`), whether a retry of the same request can help, the HTTP status
 * (ours), the effect the call may have had (ours), and one sentence of advice.
 */
export const errorTable = {
  UNKNOWN_SERVER_ERROR: [-1, false, 500, 'unknown', 'This is a bug; the server log has the details.'],
  OFFSET_OUT_OF_RANGE: [1, false, 416, 'none', 'Fetch from an offset between logStartOffset and highWatermark.'],
  CORRUPT_MESSAGE: [2, true, 400, 'none', 'The bytes were damaged on the way or built wrongly; send them again.'],
  UNKNOWN_TOPIC_OR_PARTITION: [3, true, 404, 'none', 'Create the topic, or check its name and partition count.'],
  REQUEST_TIMED_OUT: [7, true, 504, 'unknown', 'Retry; with a producer id a retry appends nothing twice.'],
  MESSAGE_TOO_LARGE: [10, false, 413, 'none', 'Send less at once, or raise max.message.bytes of the topic.'],
  OFFSET_METADATA_TOO_LARGE: [12, false, 400, 'none', 'Keep the metadata of a committed offset within 4096 bytes.'],
  INVALID_TOPIC_EXCEPTION: [
    17,
    false,
    400,
    'none',
    'Use 1 to 249 of the characters a-z A-Z 0-9 . _ - in a topic name.',
  ],
  INVALID_GROUP_ID: [24, false, 400, 'none', 'Use 1 to 249 of the characters a-z A-Z 0-9 . _ - in a group id.'],
  UNKNOWN_MEMBER_ID: [25, false, 404, 'none', 'The member is not in the group, or no longer; join again with epoch 0.'],
  TOPIC_AUTHORIZATION_FAILED: [29, false, 403, 'none', 'Ask the owner of the topic, or of the group, for access.'],
  INVALID_TIMESTAMP: [32, false, 400, 'none', 'Check the clock of the producer, or the timestamp limits of the topic.'],
  UNSUPPORTED_VERSION: [35, false, 400, 'none', 'Send record batches of format v2 (magic 2).'],
  TOPIC_ALREADY_EXISTS: [36, false, 409, 'none', 'Choose another name, or alter the topic that is there.'],
  INVALID_PARTITIONS: [37, false, 400, 'none', 'Partitions can be added but never removed.'],
  INVALID_CONFIG: [40, false, 400, 'none', 'Check the name and the value of the config key.'],
  INVALID_REQUEST: [42, false, 400, 'none', 'Correct the request; the detail names the field.'],
  OUT_OF_ORDER_SEQUENCE_NUMBER: [45, false, 409, 'none', 'A batch before this one is missing; send that one first.'],
  INVALID_PRODUCER_EPOCH: [47, false, 409, 'none', 'A newer producer with this id is at work; stop this one.'],
  INVALID_TXN_STATE: [48, false, 400, 'none', 'Transactions are not supported; send without the transactional bit.'],
  KAFKA_STORAGE_ERROR: [56, true, 503, 'unknown', 'The store could not be reached or is full; retry.'],
  NON_EMPTY_GROUP: [
    68,
    false,
    409,
    'none',
    'Stop the members of the group first; one that left for a while counts until its session is over.',
  ],
  GROUP_ID_NOT_FOUND: [69, false, 404, 'none', 'Check the group id; a group is there once a member joins or commits.'],
  UNSUPPORTED_COMPRESSION_TYPE: [76, false, 400, 'none', 'Use none, gzip, snappy, lz4 or zstd.'],
  GROUP_MAX_SIZE_REACHED: [81, false, 409, 'none', 'The group has as many members as it may; start fewer.'],
  FENCED_INSTANCE_ID: [82, false, 409, 'none', 'A newer member has this instance id; stop this one.'],
  INVALID_RECORD: [87, false, 400, 'none', 'The batch breaks a rule of the format; the detail says which.'],
  THROTTLING_QUOTA_EXCEEDED: [89, true, 429, 'none', 'Wait for as long as Retry-After says.'],
  UNKNOWN_TOPIC_ID: [100, true, 404, 'none', 'The topic was deleted or made again; look its name up once more.'],
  FENCED_MEMBER_EPOCH: [110, false, 409, 'none', 'Give up all partitions and join again with epoch 0.'],
  UNRELEASED_INSTANCE_ID: [
    111,
    false,
    409,
    'none',
    'Another member is active under this instance id; stop it, or wait.',
  ],
  UNSUPPORTED_ASSIGNOR: [112, false, 400, 'none', 'Use the assignor uniform or range.'],
  STALE_MEMBER_EPOCH: [113, false, 409, 'none', 'Heartbeat, then commit what this member still owns.'],
} as const satisfies Record<string, readonly [number, boolean, number, Effect, string]>;

/** What a failed call may have done: nothing at all, or it cannot be known. */
export type Effect = 'none' | 'unknown';

export type ErrorCode = keyof typeof errorTable;

/** Details by code; codes that are not named here carry free-form details or none. */
export interface ErrorDetails {
  OFFSET_OUT_OF_RANGE: { partition: number; offset: number; logStartOffset: number; highWatermark: number };
  MESSAGE_TOO_LARGE: { bytes?: number; bytesMax: number; reason?: string };
  OUT_OF_ORDER_SEQUENCE_NUMBER: { producerId: number; baseSequence: number; expectedSequence: number };
  INVALID_PRODUCER_EPOCH: { producerId: number; producerEpoch: number; currentProducerEpoch: number };
  THROTTLING_QUOTA_EXCEEDED: { retryAfterMs: number };
}
export type DetailsOf<C extends ErrorCode> = C extends keyof ErrorDetails
  ? ErrorDetails[C]
  : Readonly<Record<string, unknown>>;

export interface LogErrorOptions<C extends ErrorCode = ErrorCode> {
  readonly details?: DetailsOf<C>;
  readonly cause?: unknown;
  /** Only where this failure is known better than the table's row, for example a write refused before it was sent. */
  readonly effect?: Effect;
  readonly retriable?: boolean;
}

const marker = Symbol.for('millrace.LogError');

/**
 * A failure the caller can meet. `message` reads: lower case, the thing, the value seen, the value allowed.
 * Recognised by a marker and not by its prototype, so that it works across copies of this package.
 */
export class LogError<C extends ErrorCode = ErrorCode> extends Error {
  readonly code: C;
  readonly retriable: boolean;
  readonly effect: Effect;
  readonly details: DetailsOf<C> | undefined;
  readonly [marker] = true;

  constructor(code: C, message: string, options: LogErrorOptions<C> = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'LogError';
    const [, retriable, , effect] = errorTable[code];
    this.code = code;
    this.retriable = options.retriable ?? retriable;
    this.effect = options.effect ?? effect;
    this.details = options.details;
  }
}

/** Whether `error` is a `LogError`, of `code` when one is named; narrows `details`. */
export function isLogError<C extends ErrorCode>(error: unknown, code: C): error is LogError<C>;
export function isLogError(error: unknown): error is LogError;
export function isLogError(error: unknown, code?: ErrorCode): boolean {
  if (typeof error !== 'object' || error === null || !(marker in error)) return false;
  return code === undefined || (error as LogError).code === code;
}

/** The same failure, of a call that had done something before it, or may have; `why` says what. */
export function withUnknownEffect(error: LogError, why: string): LogError;
export function withUnknownEffect(error: unknown, why: string): unknown;
export function withUnknownEffect(error: unknown, why: string): unknown {
  if (!isLogError(error)) return error;
  const { code, message, retriable, details, cause } = error;
  return new LogError<ErrorCode>(code, `${message}; ${why}`, {
    retriable,
    effect: 'unknown',
    cause,
    ...(details !== undefined && { details }),
  });
}

/** A bug: something that must always hold did not. Never caught and turned into an answer other than a 500. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Throws `InvariantError` when `condition` does not hold. Stays on in production. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
