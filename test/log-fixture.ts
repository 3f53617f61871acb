/** A log over memory stores, batches to send it, and wrappers around its doors. */

import { onTestFinished } from 'vitest';
import { type Clock, type RandomBytes, systemClock } from '../lib/clock.ts';
import { createLog } from '../lib/create-log.ts';
import type { LogError } from '../lib/errors.ts';
import { parseTopicName } from '../lib/ids.ts';
import type { FetchRequest, FetchResult, Log, ProduceResult } from '../lib/log.ts';
import type { Codec } from '../lib/record/compression.ts';
import { encodeBatch } from '../lib/record/encode-batch.ts';
import { decodeRecords } from '../lib/record/record-batch.ts';
import type { MetadataStore } from '../lib/store/metadata-store.ts';
import { openSqliteMetadataStore } from '../lib/store/metadata-store-sqlite.ts';
import type { ObjectStore } from '../lib/store/object-store.ts';
import { createMemoryObjectStore } from '../lib/store/object-store-memory.ts';

export const systemRandom: RandomBytes = (bytes) => crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);
export const orders = parseTopicName('orders');

export interface TestLog {
  readonly log: Log;
  readonly objectStore: ObjectStore;
  readonly metadataStore: MetadataStore;
}

/** A log over memory that ends with its test; `wrap` stands between the log and its stores. */
export function openTestLog(
  wrap: {
    readonly clock?: Clock;
    readonly objects?: (store: ObjectStore) => ObjectStore;
    readonly metadata?: (store: MetadataStore) => MetadataStore;
  } = {},
): TestLog {
  const clock = wrap.clock ?? systemClock;
  const objects = createMemoryObjectStore({ clock, randomBytes: systemRandom });
  const metadata = openSqliteMetadataStore(':memory:');
  const objectStore = wrap.objects?.(objects) ?? objects;
  const metadataStore = wrap.metadata?.(metadata) ?? metadata;
  const log = createLog({ objectStore, metadataStore, clock, randomBytes: systemRandom });
  onTestFinished(() => log.close());
  return { log, objectStore, metadataStore };
}

export async function openTestTopic(
  options: Parameters<typeof openTestLog>[0] & {
    readonly partitionCount?: number;
    readonly config?: Record<string, string>;
  } = {},
): Promise<TestLog> {
  const opened = openTestLog(options);
  const { partitionCount = 1, config = {} } = options;
  await opened.log.topics.create({ topic: orders, partitionCount, config });
  return opened;
}

/** A batch of as many records as there are timestamps, or `count` of them now. */
export function batchOf(
  given: {
    readonly count?: number;
    readonly timestamps?: readonly number[];
    readonly valueBytes?: number;
    readonly codec?: Codec;
    readonly producer?: { readonly producerId: number; readonly producerEpoch: number; readonly baseSequence: number };
  } = {},
): Uint8Array {
  const timestamps = given.timestamps ?? Array.from({ length: given.count ?? 1 }, () => Date.now());
  const value = new Uint8Array(given.valueBytes ?? 10).fill(118);
  return encodeBatch({
    records: timestamps.map((timestamp) => ({ key: null, value, headers: [], timestamp })),
    codec: given.codec ?? 'none',
    ...(given.producer === undefined ? {} : { producer: given.producer }),
  });
}

/** Sends batches to partition 0 in one request. */
export async function send(log: Log, ...batches: Uint8Array[]): Promise<readonly ProduceResult[]> {
  return await log.produce({ topic: orders, batches: batches.map((batch) => ({ partition: 0, batch })) });
}

export async function fetchFrom(
  log: Log,
  offset: FetchRequest['partitions'][number]['offset'],
  request: Partial<FetchRequest> = {},
): Promise<Fetched> {
  const partitions = [{ partition: 0, offset }];
  const limits = { maxBytes: 1024 * 1024, minBytes: 0, maxWaitMs: 0 };
  const [result] = await log.fetch({ topic: orders, partitions, ...limits, ...request });
  return fetched(result);
}

export type Fetched = Exclude<FetchResult, { error: LogError }>;

export function fetched(result: FetchResult | undefined): Fetched {
  if (result === undefined || 'error' in result) throw result?.error ?? new Error('no result');
  return result;
}

export function produced(result: ProduceResult | undefined): Exclude<ProduceResult, { error: LogError }> {
  if (result === undefined || 'error' in result) throw result?.error ?? new Error('no result');
  return result;
}

export function errorOf(result: ProduceResult | FetchResult | undefined): LogError {
  if (result === undefined || !('error' in result)) throw new Error(`no error but ${JSON.stringify(result)}`);
  return result.error;
}

export function offsetsIn(batches: readonly Uint8Array[]): number[] {
  return batches.flatMap((batch) => [...decodeRecords(batch)].map((record) => Number(record.offset)));
}

/** The same store, and every call made to it: name and arguments. */
export function recorded<Store extends object>(store: Store): { store: Store; calls: [string, ...unknown[]][] } {
  const calls: [string, ...unknown[]][] = [];
  const proxy = new Proxy(store, {
    get(target, name) {
      const member = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => {
        calls.push([String(name), ...args]);
        return member.apply(target, args);
      };
    },
  });
  return { store: proxy, calls };
}

/** Lets everything go on that needs no time to pass. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}
