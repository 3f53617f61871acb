/** What the stores on AWS tell about the requests they send, and the time they are given for a call. */

import type { Clock } from '../clock.ts';
import type { Timestamp } from '../ids.ts';

/** One request sent to AWS; every attempt of a call that is tried again is one. */
export interface StoreRequest {
  readonly service: 's3' | 'dynamodb';
  /** AWS's name: `PutObject`, `UpdateItem`. */
  readonly operation: string;
  /** Capacity units of DynamoDB as it reports them; 0 for S3, and for an attempt that got no answer. */
  readonly readUnits: number;
  readonly writeUnits: number;
  /** Payload of the request or of the answer, whichever carries the data. */
  readonly bytes: number;
  readonly durationMs: number;
  /** No answer, or an answer that ends the attempt with an error. A lost conditional write is an answer. */
  readonly failed: boolean;
}

/** Called once for every request, when it ends. Must not throw. */
export type OnStoreRequest = (request: StoreRequest) => void;

export interface StoreBounds {
  /**
   * The instant by which the caller must have its answer, asked for at the start of each store call: a Lambda
   * environment serves one invoke at a time and so has one deadline. Undefined: `storeCallMsDefault` from now.
   */
  readonly deadline?: () => Timestamp | undefined;
  readonly onRequest?: OnStoreRequest;
}

/** What a store call may take, retries and all, when nobody set a deadline. */
export const storeCallMsDefault = 10_000;

/** The instant by which a store call that starts now must end. */
export function deadlineOf(bounds: StoreBounds, clock: Clock): Timestamp {
  return bounds.deadline?.() ?? clock.nowMs() + storeCallMsDefault;
}
