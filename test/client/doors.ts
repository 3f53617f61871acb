/** A log to test the client against, behind each of its transports, and chance between the two. */

import { onTestFinished } from 'vitest';
import { createApp } from '../../lib/api/app.ts';
import { Millrace } from '../../lib/client/index.ts';
import { makeTransport, type Transport, wrapTransport } from '../../lib/client/transport.ts';
import { directTransport } from '../../lib/client/transport-direct.ts';
import { httpTransport } from '../../lib/client/transport-http.ts';
import { systemClock } from '../../lib/clock.ts';
import { LogError } from '../../lib/errors.ts';
import { openEmbeddedLog } from '../../lib/server/embedded.ts';
import { startServer } from '../../lib/server/server.ts';
import { seededRandom } from '../support/random.ts';

export const doors = ['http', 'direct'] as const;
export type Door = (typeof doors)[number];

/** Ends with its test. `wrap` stands between the client and the log. */
export async function openClient(
  door: Door,
  wrap: (transport: Transport) => Transport = (transport) => transport,
): Promise<Millrace> {
  const log = await openEmbeddedLog({ memory: true });
  let transport: Transport;
  if (door === 'http') {
    const server = await startServer({ log, port: 0 });
    const http = httpTransport({ endpoint: server.url });
    transport = makeTransport(http.endpoint, http, async () => {
      await http.close();
      await server.close();
      await log.close();
    });
  } else {
    transport = directTransport(createApp({ log, clock: systemClock }), { close: () => log.close() });
  }
  const client = new Millrace({ transport: wrap(transport) });
  onTestFinished(() => client.close());
  return client;
}

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
