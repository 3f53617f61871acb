/** The functions over one log in memory, in this process, as `runtime.ts` puts them together over AWS. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { composeFunction, type FunctionName } from '../../functions/compose.ts';
import { topicResource } from '../../functions/custom-resource.ts';
import { InvokeSlot } from '../../functions/invoke.ts';
import type { FinishedInvoke } from '../../functions/telemetry.ts';
import { type Clock, systemClock, systemRandomBytes } from '../../lib/clock.ts';
import { createLog, type OpenLog } from '../../lib/create-log.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';

export interface MemoryFunctions extends AsyncDisposable {
  readonly log: OpenLog;
  /** What telemetry was told, in order. */
  readonly finished: FinishedInvoke[];
  readonly failures: unknown[];
  // biome-ignore lint/suspicious/noExplicitAny: tests assert on shapes that they do not trust
  invoke(name: FunctionName, event: unknown, remainingMs?: number): Promise<any>;
  /** What a streaming function writes: the head of an HTTP answer, and all bytes behind it. */
  stream(name: FunctionName, event: unknown, remainingMs?: number): Promise<{ head: unknown; bytes: Buffer }>;
}

/** `over`: what the functions see in the place of the log, for example one that is slow. */
export function openMemoryFunctions(
  over: (log: OpenLog) => OpenLog = (log) => log,
  clock: Clock = systemClock,
): MemoryFunctions {
  const randomBytes = systemRandomBytes;
  const objectStore = createMemoryObjectStore({ clock, randomBytes });
  const metadataStore = openSqliteMetadataStore(':memory:');
  const log = createLog({ objectStore, metadataStore, clock, randomBytes });
  const finished: FinishedInvoke[] = [];
  const failures: unknown[] = [];
  const telemetry = {
    finished: (invoke: FinishedInvoke) => void finished.push(invoke),
    failed: (error: unknown) => void failures.push(error),
  };
  const compose = (name: FunctionName, isStreaming: boolean) => {
    const parts = { log: over(log), clock, slot: new InvokeSlot(clock), telemetry, isStreaming };
    return composeFunction(name, parts, name === 'topics' ? topicResource : undefined);
  };
  const names = ['produce', 'fetch', 'topics', 'group'] as const;
  const buffered = new Map(names.map((name) => [name, compose(name, false)]));
  const streaming = new Map(names.map((name) => [name, compose(name, true)]));
  return {
    log,
    finished,
    failures,
    invoke: async (name, event, remainingMs) =>
      await buffered.get(name)?.buffered(event, contextOf(clock, remainingMs)),
    async stream(name, event, remainingMs) {
      const stream = new PassThrough({ highWaterMark: 1024 });
      const bytes = stream.toArray();
      let head: unknown;
      const begin = (target: PassThrough, given: unknown) => {
        head = given;
        return target;
      };
      await streaming.get(name)?.streaming(begin as never)(event, stream, contextOf(clock, remainingMs));
      return { head, bytes: Buffer.concat(await bytes) };
    },
    [Symbol.asyncDispose]: () => log.close(),
  };
}

function contextOf(clock: Clock, remainingMs = 28_000) {
  const endsAtMs = clock.nowMs() + remainingMs;
  return { awsRequestId: crypto.randomUUID(), getRemainingTimeInMillis: () => endsAtMs - clock.nowMs() };
}

const eventFolder = join(import.meta.dirname, 'events');

// biome-ignore lint/suspicious/noExplicitAny: an event is whatever the file holds
export function readEvent(name: string): any {
  return JSON.parse(readFileSync(join(eventFolder, `${name}.json`), 'utf8'));
}
