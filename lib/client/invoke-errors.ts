/**
 * What a failed invoke means to a caller of the log. Sources: Lambda API reference, "Invoke", its errors; Lambda Developer
 * Guide, "Understanding retry behavior", on what a function error is.
 */

import { type Effect, type ErrorCode, LogError, type LogErrorOptions } from '../errors.ts';
import { lambdaBodyBytesMax } from '../limits.ts';
import { connectionError } from './connection-error.ts';

/** By the name of the SDK's error. None of them has reached the function. */
const refusals: Readonly<Record<string, ErrorCode>> = {
  TooManyRequestsException: 'THROTTLING_QUOTA_EXCEEDED',
  EC2ThrottledException: 'THROTTLING_QUOTA_EXCEEDED',
  RequestTooLargeException: 'MESSAGE_TOO_LARGE',
  AccessDeniedException: 'TOPIC_AUTHORIZATION_FAILED',
  UnrecognizedClientException: 'TOPIC_AUTHORIZATION_FAILED',
  ExpiredTokenException: 'TOPIC_AUTHORIZATION_FAILED',
  InvalidSignatureException: 'TOPIC_AUTHORIZATION_FAILED',
  CredentialsProviderError: 'TOPIC_AUTHORIZATION_FAILED',
  TokenProviderError: 'TOPIC_AUTHORIZATION_FAILED',
  ResourceNotFoundException: 'INVALID_REQUEST',
  // Its state is Pending or Inactive: it was just deployed, or not used for weeks.
  ResourceConflictException: 'KAFKA_STORAGE_ERROR',
};

interface SdkError extends Error {
  readonly $fault?: 'client' | 'server';
  readonly retryAfterSeconds?: string;
  /** The signature was refused for its time. The SDK has learnt the right one from the answer, and signs by it from now on. */
  readonly $metadata?: { readonly clockSkewCorrected?: boolean };
}

/** The invoke was refused, or its answer never came. */
export function rejectedInvoke(name: string, cause: unknown): LogError {
  if (!(cause instanceof Error)) return failed('UNKNOWN_SERVER_ERROR', `function ${name} cannot be invoked`, { cause });
  const error = cause as SdkError;
  const isOfWrongClock = error.name === 'InvalidSignatureException' && error.$metadata?.clockSkewCorrected === true;
  const known = isOfWrongClock ? 'KAFKA_STORAGE_ERROR' : refusals[error.name];
  const code = known ?? (error.$fault === 'client' ? 'INVALID_REQUEST' : undefined);
  const message = `function ${name} cannot be invoked: ${error.message || error.name}`;
  if (code !== undefined) return failed(code, message, { cause, effect: 'none', ...detailsOf(code, error) });
  if (error.$fault === undefined) return connectionError(`function ${name}`, error);
  // Of Lambda's own failures this one alone can come from after the start of the function; the rest prevented it.
  const effect: Effect = error.name === 'ServiceException' ? 'unknown' : 'none';
  return failed('KAFKA_STORAGE_ERROR', message, { cause, effect });
}

/** The function was started and did not come to an answer of its own. `payload` is JSON of Lambda or of the runtime. */
export function functionError(name: string, payload: Uint8Array | undefined): LogError {
  const text = Buffer.from(payload ?? []).toString('utf8');
  let told: { readonly errorType?: unknown; readonly errorMessage?: unknown } | null;
  try {
    told = JSON.parse(text);
  } catch {
    told = { errorMessage: text.slice(0, 300) };
  }
  const { errorType = 'Error', errorMessage = 'no message' } = told ?? {};
  const message = `function ${name} failed: ${errorType}: ${errorMessage}`;
  if (errorType === 'Function.ResponseSizeTooLarge') {
    // The function had done its work by then.
    return failed('MESSAGE_TOO_LARGE', message, { effect: 'unknown', ...detailsOf('MESSAGE_TOO_LARGE') });
  }
  if (errorType === 'Sandbox.Timedout' || /Task timed out after/.test(String(errorMessage))) {
    return failed('REQUEST_TIMED_OUT', message);
  }
  // The environment has ended, and the next one may fare better; an error of the code would come again.
  const retriable = /^(Runtime\.(ExitError|OutOfMemory)|Extension\.)/.test(String(errorType));
  return failed('UNKNOWN_SERVER_ERROR', message, { retriable });
}

function detailsOf(code: ErrorCode, { retryAfterSeconds }: Partial<SdkError> = {}): Pick<LogErrorOptions, 'details'> {
  if (code === 'MESSAGE_TOO_LARGE') return { details: { bytesMax: lambdaBodyBytesMax } };
  const retryAfterMs = Number(retryAfterSeconds) * 1000;
  return retryAfterMs > 0 ? { details: { retryAfterMs } } : {};
}

function failed(code: ErrorCode, message: string, options: LogErrorOptions = {}): LogError {
  return new LogError(code, message, options);
}
