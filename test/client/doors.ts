/** A log to test the client against, behind each of its transports, and chance between the two. */

import { onTestFinished } from 'vitest';
import { createApp } from '../../lib/api/app.ts';
import { Millrace } from '../../lib/client/index.ts';
import { makeTransport, type Transport, wrapTransport } from '../../lib/client/transport.ts';
import { directTransport } from '../../lib/client/transport-direct.ts';
import { httpTransport } from '../../lib/client/transport-http.ts';
import { invokeTransport } from '../../lib/client/transport-invoke.ts';
import { type Clock, systemClock, systemRandomBytes } from '../../lib/clock.ts';
import { createLog, type OpenLog } from '../../lib/create-log.ts';
import { LogError } from '../../lib/errors.ts';
import { startServer } from '../../lib/server/server.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';
import { dynamoDbMissing } from '../support/dynoxide.ts';
import { seededRandom } from '../support/random.ts';
import { openEmulatedLog } from './emulators.ts';
import { lambdaOver } from './lambda.ts';

/** The last is `direct` as well, on S3 and DynamoDB and not in memory. */
export const allDoors = ['http', 'direct', 'invoke', 'aws'] as const;
export type Door = (typeof allDoors)[number];

if (dynamoDbMissing !== undefined) process.stderr.write(`no door on AWS${dynamoDbMissing}\n`);
export const doors = allDoors.filter((door) => door !== 'aws' || dynamoDbMissing === undefined);

/** Ends with its test. `wrap` stands between the client and the log, and `clock` is the client's. */
export async function openClient(
  door: Door,
  wrap: (transport: Transport) => Transport = (transport) => transport,
  clock = systemClock,
): Promise<Millrace> {
  const log = door === 'aws' ? await openEmulatedLog() : openMemoryLog();
  const client = new Millrace({ transport: wrap(await openDoor(door, log)), clock });
  onTestFinished(() => client.close());
  return client;
}

function openMemoryLog(): OpenLog {
  const deps = { clock: systemClock, randomBytes: systemRandomBytes };
  const metadataStore = openSqliteMetadataStore(':memory:');
  return createLog({ ...deps, objectStore: createMemoryObjectStore(deps), metadataStore });
}

/** Closes the log as well. */
async function openDoor(door: Door, log: OpenLog): Promise<Transport> {
  if (door === 'direct' || door === 'aws') {
    return directTransport(createApp({ log, clock: systemClock }), { close: () => log.close() });
  }
  if (door === 'invoke') {
    const client = lambdaOver(log);
    const functions = { produce: 'produce', fetch: 'fetch', topics: 'topics', group: 'group', client };
    return closing(invokeTransport(functions, systemClock), async () => {
      client.destroy();
      await log.close();
    });
  }
  const server = await startServer({ log, port: 0 });
  return closing(httpTransport({ endpoint: server.url }), async () => {
    await server.close();
    await log.close();
  });
}

function closing(inner: Transport, after: () => Promise<void>): Transport {
  const close = async () => {
    await inner.close();
    await after();
  };
  return makeTransport(inner.endpoint, inner, close, inner.limits);
}

const startMs = Date.now();

/** Ten times as quick, for clients that would wait for long between their attempts. */
export const hurriedClock: Clock = {
  nowMs: () => startMs + (Date.now() - startMs) * 10,
  sleep: (ms, signal) => systemClock.sleep(ms / 10, signal),
};

/** Puts `meddle` around produce requests; everything else goes through. */
export function aroundProduce(meddle: (send: Transport, ...request: Parameters<Transport>) => ReturnType<Transport>) {
  return (inner: Transport): Transport =>
    wrapTransport(inner, (request) => (request.path.endsWith('/batches') ? meddle(inner, request) : inner(request)));
}

const lost = (what: string, effect: 'none' | 'unknown') => new LogError('KAFKA_STORAGE_ERROR', what, { effect });

/** Delays, loses, doubles and reorders produce requests, and loses their answers; the same way for the same seed. */
export function badNetwork(seed: number) {
  const random = seededRandom(seed);
  const pause = () => new Promise((resolve) => setTimeout(resolve, random.integer(0, 15)));
  return aroundProduce(async (send, request) => {
    const fate = random.integer(1, 100);
    await pause();
    if (fate <= 15) throw lost('request lost', 'none');
    if (fate <= 20) throw lost('request lost, and nobody knows', 'unknown');
    if (fate <= 35) {
      await send(request);
      throw lost('answer lost', 'unknown');
    }
    if (fate <= 45) {
      // A copy arrives later, whatever became of the first.
      void pause().then(() => send(request).catch(() => {}));
    }
    const answer = await send(request);
    await pause();
    return answer;
  });
}

export async function readAll(
  client: Millrace,
  topic: string,
): Promise<{ partition: number; offset: number; value: string | null }[]> {
  const records = [];
  for await (const { partition, offset, valueText } of client.consumer(topic, { follow: false })) {
    records.push({ partition, offset, value: valueText });
  }
  return records;
}
