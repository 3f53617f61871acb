/** Why bytes are refused, and as which error. Every refusal of this room is a `LogError` with effect `none`. */

import { type ErrorCode, LogError } from '../errors.ts';
import { requestDecompressedBytesMax } from '../limits.ts';

/** One row per reason: the code it is refused with. The reason itself travels as `details.reason`. */
const refusalTable = {
  /** The bytes end before the batch does. */
  truncated: 'CORRUPT_MESSAGE',
  /** The length field cannot be. */
  length: 'CORRUPT_MESSAGE',
  crc: 'CORRUPT_MESSAGE',
  /** Compressed bytes that are not what their codec says. */
  compressed: 'CORRUPT_MESSAGE',
  magic: 'UNSUPPORTED_VERSION',
  codec: 'UNSUPPORTED_COMPRESSION_TYPE',
  /** Attribute bits only a broker may set, or that mean nothing. */
  attributes: 'INVALID_RECORD',
  control: 'INVALID_RECORD',
  /** Producer id, epoch and sequence do not belong together. */
  producer: 'INVALID_RECORD',
  /** The record count does not agree with the records. */
  count: 'INVALID_RECORD',
  /** The offset deltas do not agree with the records. */
  offsets: 'INVALID_RECORD',
  /** The inside of a record is malformed. */
  record: 'INVALID_RECORD',
  /** Not exactly one batch. */
  batches: 'INVALID_RECORD',
  transactional: 'INVALID_TXN_STATE',
  timestamp: 'INVALID_TIMESTAMP',
  'timestamp-type': 'INVALID_TIMESTAMP',
} as const satisfies Record<string, ErrorCode>;

export type RefusalReason = keyof typeof refusalTable;

/** The error to throw for `reason`. `message` names the thing, the value seen and the value allowed. */
export function refusal(reason: RefusalReason, message: string, cause?: unknown): LogError {
  return new LogError<ErrorCode>(refusalTable[reason], message, { details: { reason }, effect: 'none', cause });
}

/** Decompressed records beyond `bytesMax`; `bytes` only when the size is claimed or known. */
export function tooLarge(bytesMax: number, bytes?: number): LogError {
  const seen = bytes === undefined ? 'more' : `${bytes} bytes`;
  const details = { bytesMax, reason: 'too-large', ...(bytes === undefined ? {} : { bytes }) };
  return new LogError('MESSAGE_TOO_LARGE', `the records decompress to ${seen}; at most ${bytesMax} bytes are allowed`, {
    details,
    effect: 'none',
  });
}

/** A batch that was not decompressed beyond the `bytesLeft` that the ones before it have left; alone it may be fine. */
export function requestTooLarge(bytesLeft: number): LogError {
  return new LogError(
    'MESSAGE_TOO_LARGE',
    `the batches of the request decompress to more than ${requestDecompressedBytesMax} bytes, ${bytesLeft} were left for this one; send fewer at once`,
    { details: { bytesMax: requestDecompressedBytesMax, reason: 'too-large' }, retriable: true, effect: 'none' },
  );
}
