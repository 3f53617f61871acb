/** Several clients of one log, whose time and that of the log passes quickly. */

import { onTestFinished } from 'vitest';
import { createApp } from '../../lib/api/app.ts';
import { LogError, Millrace } from '../../lib/client/index.ts';
import {
  logLimits,
  makeTransport,
  type Transport,
  type TransportRequest,
  type TransportResponse,
} from '../../lib/client/transport.ts';
import { directTransport } from '../../lib/client/transport-direct.ts';
import { httpTransport } from '../../lib/client/transport-http.ts';
import { invokeTransport } from '../../lib/client/transport-invoke.ts';
import { type Clock, systemClock, systemRandomBytes } from '../../lib/clock.ts';
import { createLog } from '../../lib/create-log.ts';
import { parseGroupId, parseMemberId, parseTopicName } from '../../lib/ids.ts';
import { startServer } from '../../lib/server/server.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';
import { lambdaOver } from './lambda.ts';

/** So many times as quick as real time. */
const hurry = 40;
const startMs = Date.now();

export const clock: Clock = {
  nowMs: () => startMs + (Date.now() - startMs) * hurry,
  sleep: (ms, signal) => systemClock.sleep(ms / hurry, signal),
};

export const groupDoors = ['http', 'direct', 'invoke'] as const;
export type GroupDoor = (typeof groupDoors)[number];

/** Functions, by the names that `lambdaOver` has for them. A group uses no others: `topics` makes what is to be read. */
const functions = { produce: 'produce', fetch: 'fetch', topics: 'topics', group: 'group' };

export interface TestClient {
  readonly client: Millrace;
  /** From now on nothing gets through, as when its process was killed, or frozen until `revive`. */
  kill(): void;
  revive(): void;
  /** What is sent from now on, by the end of its path. */
  readonly sent: TransportRequest[];
  /** Whether the client has let go of its transport. */
  isClosed(): boolean;
  /** Has the next request whose path ends so fail with `error`; the log does it all the same where `isApplied`. */
  failNext(pathEnd: string, error: LogError, options?: { readonly isApplied?: boolean }): void;
}

export interface TestClientOptions {
  /** Stands before the log: sends the request on, or does not, or late. */
  readonly through?: (request: TransportRequest, log: Transport) => Promise<TransportResponse>;
  readonly clock?: Clock;
  /** Less than the way to the log takes. */
  readonly fetchPartitionsMax?: number;
}

export interface GroupWorld {
  openClient(options?: TestClientOptions): TestClient;
  /** A topic with values 0 to `count`, spread evenly. */
  fill(topic: string, partitions: number, count: number): Promise<void>;
  /** As its session's end would. */
  throwOut(group: string, memberId: string): Promise<void>;
  /** Another member, which is given what is free and then not heard of any more. */
  join(group: string, topic: string): Promise<void>;
}

export async function openGroupWorld(door: GroupDoor): Promise<GroupWorld> {
  const deps = { clock, randomBytes: systemRandomBytes };
  const objectStore = createMemoryObjectStore(deps);
  const log = createLog({ ...deps, objectStore, metadataStore: openSqliteMetadataStore(':memory:') });
  onTestFinished(() => log.close());
  const server = door === 'http' ? await startServer({ log, port: 0, clock }) : undefined;
  if (server !== undefined) onTestFinished(() => server.close());
  const app = createApp({ log, clock });
  const lambda = lambdaOver(log);
  onTestFinished(() => lambda.destroy());
  const open = () => {
    if (server !== undefined) return httpTransport({ endpoint: server.url });
    return door === 'direct'
      ? directTransport(app, { clock })
      : invokeTransport({ ...functions, client: lambda }, systemClock);
  };

  function openClient({ through, clock: clientClock = clock, ...limits }: TestClientOptions = {}): TestClient {
    let isDead = false;
    let isClosed = false;
    const sent: TransportRequest[] = [];
    const failures: { pathEnd: string; error: LogError; isApplied: boolean }[] = [];
    const meddled = (inner: Transport): Transport => {
      const close = () => {
        isClosed = true;
        return inner.close();
      };
      const send = async (request: TransportRequest) => {
        if (isDead) throw new LogError('KAFKA_STORAGE_ERROR', 'killed by the test', { effect: 'none' });
        sent.push(request);
        const index = failures.findIndex(({ pathEnd }) => request.path.endsWith(pathEnd));
        const [failure] = index === -1 ? [] : failures.splice(index, 1);
        if (failure?.isApplied !== false) {
          const answer = await (through === undefined ? inner(request) : through(request, inner));
          if (failure === undefined) return answer;
        }
        throw failure.error;
      };
      return makeTransport(inner.endpoint, send, close, { ...(inner.limits ?? logLimits), ...limits });
    };
    const client = new Millrace({ transport: meddled(open()), clock: clientClock });
    // One that is dead cannot say goodbye.
    onTestFinished(async () => (isDead ? undefined : client.close()));
    return {
      client,
      sent,
      isClosed: () => isClosed,
      kill() {
        isDead = true;
      },
      revive() {
        isDead = false;
      },
      failNext(pathEnd, error, { isApplied = false } = {}) {
        failures.push({ pathEnd, error, isApplied });
      },
    };
  }

  async function fill(topic: string, partitions: number, count: number): Promise<void> {
    const { client } = openClient();
    await client.admin.createTopic(topic, { partitions });
    const producer = client.producer(topic, { batchBytesMax: 200 });
    await Promise.all(
      Array.from({ length: count }, (_, index) =>
        producer.send({ value: String(index), partition: index % partitions }),
      ),
    );
  }

  async function throwOut(group: string, memberId: string): Promise<void> {
    await log.groups.leave({ groupId: parseGroupId(group), memberId: parseMemberId(memberId), isTemporary: false });
  }

  async function join(group: string, topic: string): Promise<void> {
    await log.groups.join({ groupId: parseGroupId(group), topics: [parseTopicName(topic)] });
  }

  return { openClient, fill, throwOut, join };
}

/** The JSON of a request. */
export function bodyOf({ body = [] }: TransportRequest): Record<string, unknown> {
  return JSON.parse(Buffer.concat(body).toString() || '{}') as Record<string, unknown>;
}

/** Of the first consumer of a client. */
export function memberIdOf({ sent }: TestClient): string {
  const heartbeat = sent.find(({ path }) => path.endsWith('/heartbeat'));
  if (heartbeat === undefined) throw new Error('no heartbeat was sent');
  return String(bodyOf(heartbeat).memberId);
}

/** Waits until it is true, for ten seconds at most. */
export async function until(isTrue: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 1000; tries += 1) {
    if (await isTrue()) return;
    await systemClock.sleep(10);
  }
  throw new Error(`not so after ten seconds: ${what}`);
}
