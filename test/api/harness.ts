/** The real log over memory stores behind the real app, in process or behind a real server. */

import { type AppOptions, createApp } from '../../lib/api/app.ts';
import { systemClock } from '../../lib/clock.ts';
import { createLog } from '../../lib/create-log.ts';
import type { Log } from '../../lib/log.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import { type ServerOptions, startServer } from '../../lib/server/server.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';
import { batchesContentType, encodeFrames, type Frame } from '../../lib/wire.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  /** The body as JSON; the tests look into it freely. */
  // biome-ignore lint/suspicious/noExplicitAny: tests assert on shapes that they do not trust
  readonly json: any;
}

export interface Door extends AsyncDisposable {
  readonly log: Log;
  /** Bugs and 5xx failures that were reported. */
  readonly errors: unknown[];
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** `body`: bytes as they are, anything else as JSON. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  produceBatches(topic: string, frames: readonly Frame[]): Promise<Answer>;
  highWatermark(topic: string, partition?: number): Promise<number>;
}

export const randomBytes = (bytes: Uint8Array) => crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);

export function openLog(): Log {
  const clock = systemClock;
  const objectStore = createMemoryObjectStore({ clock, randomBytes });
  return createLog({ objectStore, metadataStore: openSqliteMetadataStore(':memory:'), clock, randomBytes });
}

export function openApp(options: Partial<AppOptions> = {}): Door {
  const log = options.log ?? openLog();
  const errors: unknown[] = [];
  const app = createApp({ clock: systemClock, onError: (error) => errors.push(error), ...options, log });
  const fetch = (path: string, init?: RequestInit) => app.fetch(new Request(`http://localhost${path}`, init));
  return door(log, errors, fetch, () => log.close());
}

export async function openServer(options: Partial<ServerOptions> = {}): Promise<Door & { readonly port: number }> {
  const log = options.log ?? openLog();
  const errors: unknown[] = [];
  const logger = { info() {}, warn() {}, error: (_message: string, fields?: unknown) => void errors.push(fields) };
  const server = await startServer({ port: 0, logger, ...options, log });
  const close = async () => {
    await server.close();
    await log.close();
  };
  const request = (path: string, init?: RequestInit) => fetch(server.url + path, init);
  return Object.assign(door(log, errors, request, close), { port: server.port });
}

function door(log: Log, errors: unknown[], fetch: Door['fetch'], close: () => Promise<void>): Door {
  const call: Door['call'] = async (method, path, body, headers = {}) => {
    const isBytes = body instanceof Uint8Array;
    const contentType = isBytes ? batchesContentType : 'application/json';
    const init: RequestInit = {
      method,
      headers: body === undefined ? headers : { 'content-type': contentType, ...headers },
    };
    if (body !== undefined) init.body = isBytes ? (body as Uint8Array<ArrayBuffer>) : JSON.stringify(body);
    const response = await fetch(path, init);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    const json = isJson && bytes.length > 0 ? JSON.parse(Buffer.from(bytes).toString()) : undefined;
    return { status: response.status, headers: response.headers, bytes, json };
  };
  return {
    log,
    errors,
    fetch,
    call,
    produceBatches: (topic, frames) => call('POST', `/v1/topics/${topic}/batches`, Buffer.concat(encodeFrames(frames))),
    async highWatermark(topic, partition = 0) {
      const { json } = await call('GET', `/v1/topics/${topic}/partitions/${partition}/offsets?timestamp=latest`);
      return json.offset;
    },
    [Symbol.asyncDispose]: close,
  };
}

/** One batch with these values and nothing else in its records. */
export function batchOf(
  values: readonly string[],
  producer?: Parameters<typeof encodeBatch>[0]['producer'],
): Uint8Array {
  const timestamp = Date.now();
  const records = values.map((value) => ({ key: null, value: Buffer.from(value), headers: [], timestamp }));
  return encodeBatch({ records, ...(producer && { producer }) });
}
