/** What a failed connection says of the request that went over it. */

import { LogError } from '../errors.ts';

/** The request did not leave this machine, or nobody was there to take it. */
const neverSentCodes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EMFILE',
]);

/** OpenSSL's own text has several lines, and names its source. */
const noTls = 'TLS failed (EPROTO); does it speak http, and not https?';

/** KAFKA_STORAGE_ERROR, with effect `none` when the request cannot have arrived. */
export function connectionError(endpoint: string, cause: Error): LogError {
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined;
  // A network that goes away ends a connection with the same codes, and what was sent through it may have arrived.
  const isOfOpenConnection = 'syscall' in cause && (cause.syscall === 'read' || cause.syscall === 'write');
  if (code !== undefined && neverSentCodes.has(code) && !isOfOpenConnection) {
    return new LogError('KAFKA_STORAGE_ERROR', `${endpoint} cannot be reached: ${code}`, { cause, effect: 'none' });
  }
  const reason = code === 'EPROTO' ? noTls : cause.message || (code ?? 'connection lost');
  return new LogError('KAFKA_STORAGE_ERROR', `${endpoint} gave no answer: ${reason}`, { cause, effect: 'unknown' });
}
