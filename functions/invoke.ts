/**
 * One invoke: the time it has, and what it has used of S3 and DynamoDB.
 *
 * Stores and log live as long as the environment and serve one invoke at a time, so the current invoke stands in a slot
 * beside them, where `StoreBounds` and the measured log find it.
 *
 * ```
 * start ------------------------ wait until ---------- answer by ------ the function's timeout
 *          waits, event streams  |  read what was found  |  send the answer
 * ```
 */

import type { RequestLine } from '../lib/api/http.ts';
import type { Clock } from '../lib/clock.ts';
import { assert } from '../lib/errors.ts';
import type { Timestamp } from '../lib/ids.ts';
import type { StoreBounds } from '../lib/store/store-request.ts';

/** Kept for encoding and sending the answer, and the request line. */
const answerMarginMs = 500;
/** Kept behind the end of a wait, for reading what it found. */
const waitMarginMs = 1_200;

/** What Lambda tells of an invoke; https://docs.aws.amazon.com/lambda/latest/dg/nodejs-context.html */
export interface LambdaContext {
  readonly awsRequestId: string;
  getRemainingTimeInMillis(): number;
}

export interface Usage {
  s3Requests: number;
  dynamoDbRequests: number;
  readUnits: number;
  writeUnits: number;
  recordsIn: number;
  bytesIn: number;
  recordsOut: number;
  bytesOut: number;
}

export interface Invoke {
  readonly requestId: string;
  readonly startMs: Timestamp;
  readonly answerByMs: Timestamp;
  /** Aborted when waits must end, and with the invoke. */
  readonly waiting: AbortSignal;
  readonly usage: Usage;
  /** Bytes of frames one fetch may hand out; undefined where the answer is streamed. */
  fetchBytesMax?: number;
  /** What the app says of the request when its answer begins; absent where the event was refused before. */
  line?: RequestLine & { readonly method?: string };
}

export class InvokeSlot {
  readonly #clock: Clock;
  #current: Invoke | undefined;
  #ended = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get current(): Invoke | undefined {
    return this.#current;
  }

  begin(context: LambdaContext): Invoke {
    assert(this.#current === undefined, 'an environment serves one invoke at a time');
    const startMs = this.#clock.nowMs();
    const answerByMs = startMs + context.getRemainingTimeInMillis() - answerMarginMs;
    this.#ended = new AbortController();
    const waiting = new AbortController();
    const waitMsMax = Math.max(0, answerByMs - waitMarginMs - startMs);
    void this.#clock.sleep(waitMsMax, this.#ended.signal).then(() => waiting.abort());
    this.#current = {
      requestId: context.awsRequestId,
      startMs,
      answerByMs,
      waiting: waiting.signal,
      usage: {
        s3Requests: 0,
        dynamoDbRequests: 0,
        readUnits: 0,
        writeUnits: 0,
        recordsIn: 0,
        bytesIn: 0,
        recordsOut: 0,
        bytesOut: 0,
      },
    };
    return this.#current;
  }

  end(): void {
    this.#current = undefined;
    this.#ended.abort();
  }

  /** For the stores. What they do between invokes, of which there should be nothing, has their own bounds. */
  readonly bounds: StoreBounds = {
    deadline: () => this.#current?.answerByMs,
    onRequest: ({ service, readUnits, writeUnits }) => {
      const usage = this.#current?.usage;
      if (usage === undefined) return;
      if (service === 's3') usage.s3Requests += 1;
      else usage.dynamoDbRequests += 1;
      usage.readUnits += readUnits;
      usage.writeUnits += writeUnits;
    },
  };
}
