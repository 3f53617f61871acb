/** The one thing the client needs of the world: a request goes out, a whole answer comes back. */

import {
  fetchBytesMax,
  fetchPartitionsMax,
  gatewayFetchPartitionsMax,
  lambdaBodyBytesMax,
  requestBytesMax,
} from '../limits.ts';
import { batchHeaderBytes } from '../record/record-batch.ts';
import { frameHeaderBytes } from '../wire.ts';

export interface TransportRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** With its leading slash, percent-encoded, without query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Who asks, where that does not follow from the path: a log may have a function for each. */
  readonly role?: 'producer' | 'consumer';
  /** Parts are sent one after another as one body. */
  readonly body?: readonly Uint8Array[];
  readonly signal?: AbortSignal | undefined;
  /** From the call of the transport to the last byte of the answer. */
  readonly timeoutMs: number;
}

export interface TransportResponse {
  readonly status: number;
  /** Undefined when the answer has no such header. `name` in lower case. */
  header(name: string): string | undefined;
  readonly body: Uint8Array;
}

/** What a request and its answer may hold on this way to the log. */
export interface TransportLimits {
  /** Body of a request. */
  readonly requestBytesMax: number;
  /** A fetch asks for no more bytes of record batches. */
  readonly fetchBytesMax: number;
  /** A fetch names no more, since the header of its answer has an entry for each. */
  readonly fetchPartitionsMax: number;
}

/** The log's own, where nothing stands between it and the client. */
export const logLimits: TransportLimits = { requestBytesMax, fetchBytesMax, fetchPartitionsMax };

/** A function of Lambda. */
export const lambdaLimits: TransportLimits = {
  requestBytesMax: lambdaBodyBytesMax,
  // The smallest of batches are all header, and as many frames come on top.
  fetchBytesMax: Math.floor((lambdaBodyBytesMax * batchHeaderBytes) / (batchHeaderBytes + frameHeaderBytes)),
  fetchPartitionsMax,
};

/** A function behind API Gateway or a function URL. */
export const gatewayLimits: TransportLimits = { ...lambdaLimits, fetchPartitionsMax: gatewayFetchPartitionsMax };

/**
 * Resolves with every answer, whatever its status. Throws a `LogError` when there is no answer: effect `none` when the
 * request cannot have arrived, else `unknown`. Throws the signal's reason when the signal is aborted.
 */
export interface Transport {
  (request: TransportRequest): Promise<TransportResponse>;
  /** Where requests go, for messages. */
  readonly endpoint: string;
  /** @default `logLimits` */
  readonly limits?: TransportLimits;
  /** Ends idle connections; requests under way are not waited for. */
  close(): Promise<void>;
}

type Send = (request: TransportRequest) => Promise<TransportResponse>;

/** A transport from its parts; functions carry properties, so no class is needed. */
export function makeTransport(
  endpoint: string,
  send: Send,
  close: () => Promise<void>,
  limits: TransportLimits = logLimits,
): Transport {
  return Object.assign((request: TransportRequest) => send(request), { endpoint, close, limits });
}

/** `inner` with `send` in front of it, which calls it as it sees fit. */
export function wrapTransport(inner: Transport, send: Send, limits = inner.limits): Transport {
  return makeTransport(inner.endpoint, send, () => inner.close(), limits);
}

/** With its question mark, or nothing. A space is `%20`: what signs and checks a query does not know of `+`. */
export function formatQuery(query: Readonly<Record<string, string>> = {}): string {
  const pairs = Object.entries(query).map((pair) => pair.map(encodeURIComponent).join('='));
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
}
