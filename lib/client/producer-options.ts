/** What the user of a producer says. */

import { LogError } from '../errors.ts';
import { KiB, MiB } from '../limits.ts';
import { type Codec, codecs } from '../record/compression.ts';
import { checkWholeNumbers, timerMsMax } from './whole-numbers.ts';

export interface ProducerOptions {
  /** The log drops resends of the same batch. Without it a lost answer is the caller's to judge. @default true */
  readonly idempotent?: boolean;
  /**
   * How long a batch that is not full waits for more records; less than `deliveryTimeoutMs`.
   * @default 0: as long as one is on its way
   */
  readonly lingerMs?: number;
  /** A batch is full at this size, before compression. @default 131072 */
  readonly batchBytesMax?: number;
  /** @default 'none' */
  readonly compression?: Codec;
  /** Bytes that wait or are on their way; `send` waits when there are more. @default 33554432 */
  readonly bufferBytesMax?: number;
  /** Requests on their way at once. @default 5 */
  readonly requestsInFlightMax?: number;
  /** A record is durable or failed after this. @default 120000 */
  readonly deliveryTimeoutMs?: number;
}

/** Throws for what no producer can be: much of it would else be a producer that sends nothing. */
export function completeProducerOptions(given: ProducerOptions): Required<ProducerOptions> {
  const {
    idempotent = true,
    lingerMs = 0,
    batchBytesMax = 128 * KiB,
    compression = 'none',
    bufferBytesMax = 32 * MiB,
    requestsInFlightMax = 5,
    deliveryTimeoutMs = 120_000,
  } = given;
  const numbers = { lingerMs, batchBytesMax, bufferBytesMax, requestsInFlightMax, deliveryTimeoutMs };
  checkWholeNumbers(numbers, {
    lingerMs: [0, timerMsMax],
    batchBytesMax: [1, Number.POSITIVE_INFINITY],
    bufferBytesMax: [1, Number.POSITIVE_INFINITY],
    requestsInFlightMax: [1, Number.POSITIVE_INFINITY],
    deliveryTimeoutMs: [1, timerMsMax],
  });
  if (!codecs.includes(compression)) {
    const message = `compression is ${JSON.stringify(compression)}, allowed are ${codecs.join(', ')}`;
    throw new LogError('UNSUPPORTED_COMPRESSION_TYPE', message);
  }
  // Kafka's rule too. No batch would be sent before its time is over, and after a failure none is that has no time left.
  if (lingerMs >= deliveryTimeoutMs) {
    throw new LogError(
      'INVALID_REQUEST',
      `lingerMs is ${lingerMs}, allowed is less than deliveryTimeoutMs, ${deliveryTimeoutMs}`,
    );
  }
  return { ...numbers, idempotent, compression };
}
