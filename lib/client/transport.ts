/** The one thing the client needs of the world: a request goes out, a whole answer comes back. */

export interface TransportRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** With its leading slash, percent-encoded, without query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
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

/**
 * Resolves with every answer, whatever its status. Throws a `LogError` when there is no answer: effect `none` when the
 * request cannot have arrived, else `unknown`. Throws the signal's reason when the signal is aborted.
 */
export interface Transport {
  (request: TransportRequest): Promise<TransportResponse>;
  /** Where requests go, for messages. */
  readonly endpoint: string;
  /** Ends idle connections; requests under way are not waited for. */
  close(): Promise<void>;
}

/** A transport from its parts; functions carry properties, so no class is needed. */
export function makeTransport(
  endpoint: string,
  send: (request: TransportRequest) => Promise<TransportResponse>,
  close: () => Promise<void>,
): Transport {
  return Object.assign((request: TransportRequest) => send(request), { endpoint, close });
}
