/** Connections that broke while nobody used them, and of which nobody was told. */

import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { openS3ObjectStore } from '../../lib/store/object-store-s3.ts';
import { systemRandom } from '../log-fixture.ts';

const callsAtOnce = 12;

/** A service whose answers wait until so many are asked for, so that each request has a connection of its own. */
async function startService() {
  const broken = new Set<Socket>();
  const open = new Set<Socket>();
  let waiting: (() => void)[] = [];
  let waitFor = callsAtOnce;
  let lostCount = 0;
  const server = createServer((request, response) => {
    request.resume();
    if (broken.has(request.socket)) {
      lostCount += 1;
      request.socket.resetAndDestroy();
      return;
    }
    open.add(request.socket);
    waiting.push(() => response.end(JSON.stringify({ Attributes: { value: { N: '8' } } })));
    if (waiting.length < waitFor) return;
    for (const answer of waiting) answer();
    waiting = [];
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  onTestFinished(() => void vi.unstubAllEnvs());
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    breakAll() {
      for (const socket of open) broken.add(socket);
      waitFor = 1;
      return broken.size;
    },
    lostCount: () => lostCount,
  };
}

// A process that was frozen had as many broken connections as it had once used at a time. Each attempt met another one, and
// ten attempts were all there were.
test.each<{ service: string; openCall: (endpoint: string) => () => Promise<unknown> }>([
  {
    service: 'DynamoDB',
    openCall: (endpoint) => {
      const store = openDynamoDbMetadataStore({ ...access, endpoint, table: 'table' });
      onTestFinished(() => store.close());
      return () => store.nextProducerId();
    },
  },
  {
    service: 'S3',
    openCall: (endpoint) => {
      const store = openS3ObjectStore({ ...access, endpoint, bucket: 'bucket', hedging: false });
      onTestFinished(() => store.close());
      return () => store.put([Buffer.from('records')]);
    },
  },
])('one broken connection to $service is enough to give up the others', async ({ openCall }) => {
  const service = await startService();
  const call = openCall(service.endpoint);
  await Promise.all(Array.from({ length: callsAtOnce }, call));
  expect(service.breakAll()).toBeGreaterThanOrEqual(callsAtOnce);
  await call();
  expect(service.lostCount()).toBe(1);
});

const access = { region: 'us-east-1', clock: systemClock, randomBytes: systemRandom };
