/** What node:http hands over becomes a request of the app, and its answer goes back, whatever the client does meanwhile. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { send } from '../../lib/server/exchange.ts';
import { batchesContentType, eventStreamContentType } from '../../lib/wire.ts';
import { batchOf, type Door, openServer } from '../api/harness.ts';
import { exchange, open, parse } from './raw.ts';

let door: Awaited<ReturnType<typeof openServer>>;
beforeAll(async () => {
  door = await openServer({ requestsInFlightMax: 1 });
  await door.call('POST', '/v1/topics', { topic: 'orders' });
});
afterAll(() => door[Symbol.asyncDispose]());

const ask = (target: string, host = 'localhost') =>
  exchange(door.port, `GET ${target} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);

describe('a target', () => {
  it.each([
    ['a path', '/v1/health'],
    ['a path and a query with two dots', '/v1/topics?after=a..b'],
    ['a path with a dot segment', '/v1/./health'],
    ['a path with two', '/v1/../v1/health'],
    ['a path that is escaped', '/v1/%68ealth'],
    ['the whole URL, whatever the host says', 'http://elsewhere.example/v1/health'],
  ])('may be %s', async (_what, target) => {
    expect(await ask(target)).toMatchObject({ status: 200 });
  });

  it.each([
    ['an asterisk', '*', 'invalid target'],
    ['a path with a backslash', '/v1\\health', 'backslash in the path'],
    ['a URL that is none', 'http://:1/', 'invalid URL'],
  ])('is refused when it is %s', async (_what, target, detail) => {
    const answer = await ask(target);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'INVALID_REQUEST', detail });
  });

  it('is never taken for another topic than the one it names', async () => {
    expect(await ask('/v1/topics/orders')).toMatchObject({ status: 200 });
    expect(await ask('/v1/topics/orders/../none')).toMatchObject({ status: 404 });
    expect(await ask('/v1/topics/orders%2f..')).toMatchObject({ status: 400 });
  });
});

describe('a host', () => {
  it.each(['localhost', 'LOCALHOST:80', 'a_b.example:65535', '[::1]', '[::1]:8092'])('may be %s', async (host) => {
    expect(await ask('/v1/health', host)).toMatchObject({ status: 200 });
  });

  it.each(['user@localhost', 'localhost/v1', 'localhost?', 'localhost#', 'localhost:99999', '[::1', 'a,b c'])(
    'is refused when it is %s',
    async (host) => {
      const answer = await ask('/v1/health', host);
      expect(answer.status).toBe(400);
      expect(JSON.parse(answer.body)).toMatchObject({ code: 'INVALID_REQUEST' });
    },
  );
});

describe('a reader that goes', () => {
  // The server takes one request at a time here, so the next one shows that the last is over.
  const isOver = async () => {
    for (let tries = 0; tries < 200; tries += 1) if ((await ask('/v1/topics')).status === 200) return true;
    return false;
  };

  it('ends its event stream', async () => {
    const socket = await open(door.port);
    socket.write('GET /v1/topics/orders/partitions/0/records HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n');
    const begun = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
    expect(begun.toString()).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(await ask('/v1/topics')).toMatchObject({ status: 429 });
    socket.destroy();
    expect(await isOver()).toBe(true);
    expect(door.errors).toEqual([]);
  });

  it('ends its wait', async () => {
    const socket = await open(door.port);
    const path = '/v1/topics/orders/partitions/0/records?offset=0&maxWaitMs=20000';
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
    for (let tries = 0; tries < 200 && (await ask('/v1/topics')).status === 200; tries += 1);
    expect(await ask('/v1/topics')).toMatchObject({ status: 429 });
    socket.destroy();
    expect(await isOver()).toBe(true);
    expect(door.errors).toEqual([]);
  });
});

/** A client sent a request and never read the answer: what did not fit into the kernel's buffers waited for ever. */
describe('a reader that stops reading', () => {
  const valueBytes = 12 << 20;
  const openFull = async (options: Parameters<typeof openServer>[0]) => {
    const full = await openServer(options);
    await full.call('POST', '/v1/topics', { topic: 'orders', config: { 'max.message.bytes': 16 << 20 } });
    for (const value of ['a', 'b'])
      await full.produceBatches('orders', [{ partition: 0, batch: batchOf([value.repeat(valueBytes)]) }]);
    return full;
  };
  const partition = '/v1/topics/orders/partitions/0/records';
  const records = `GET ${partition}?offset=0&maxBytes=33554432 HTTP/1.1\r\nhost: x\r\n`;

  it.each([
    ['JSON', 'application/json'],
    ['batches', batchesContentType],
    ['events', eventStreamContentType],
  ])('is cut off from its answer of %s', async (_what, accept) => {
    await using full = await openFull({ requestsInFlightMax: 1, answerStallMsMax: 150 });
    const stalled = await open(full.port);
    stalled.pause().write(`${records}accept: ${accept}\r\n\r\n`);
    expect(await isAnswered(full, 429)).toBe(true);
    expect(await isAnswered(full, 200)).toBe(true);
    expect(full.errors).toEqual([]);
    stalled.destroy();
  });

  it('gets its whole answer when it is only slow', async () => {
    await using full = await openFull({ answerStallMsMax: 300 });
    const slow = await open(full.port);
    let byteCount = 0;
    slow.on('data', (chunk) => {
      byteCount += chunk.byteLength;
      slow.pause();
      setTimeout(() => slow.resume(), 2);
    });
    const startMs = performance.now();
    slow.write(`${records}connection: close\r\naccept: ${batchesContentType}\r\n\r\n`);
    await new Promise((resolve) => slow.once('close', resolve));
    expect(byteCount).toBeGreaterThan(2 * valueBytes);
    expect(performance.now() - startMs).toBeGreaterThan(600);
  });

  it('is not taken for one that has nothing to read', async () => {
    await using full = await openFull({ answerStallMsMax: 50 });
    const response = await full.fetch(`${partition}?offset=latest`, {
      headers: { accept: eventStreamContentType },
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await full.produceBatches('orders', [{ partition: 0, batch: batchOf(['c']) }]);
    let text = '';
    for await (const piece of response.body ?? []) {
      text += Buffer.from(piece).toString();
      if (text.includes('"c"')) break;
    }
    expect(text).toMatch(/^id: 2\n/m);
  });

  it('does not keep its event stream beyond its time', async () => {
    const sent = Promise.withResolvers<void>();
    let isCancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(64 << 10)),
      cancel: () => {
        isCancelled = true;
      },
    });
    const server = createServer((_incoming, outgoing) => {
      const sending = { stallMsMax: 60_000, streamMsMax: 100, hold: () => true };
      send({ status: 200, headers: {}, body }, outgoing, sending).then(sent.resolve, sent.reject);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const stalled = await open((server.address() as AddressInfo).port);
    stalled.pause().write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await sent.promise;
    expect(isCancelled).toBe(true);
    await new Promise((resolve) => server.close(resolve));
    stalled.destroy();
  });
});

/** A hundred clients that asked for 32 MiB and read none of it made the server hold 3.4 GB. */
describe('answers that wait to be read', () => {
  const partition = '/v1/topics/orders/partitions/0/records';
  const fetchBody = { partitions: [{ partition: 0, offset: 0 }] };
  /** More than the buffers of the kernel take. */
  const produceMuch = async (door: Door) => {
    const batches = ['a', 'b'].map((value) => batchOf([value.repeat(12 << 20)]));
    await Promise.all(batches.map((batch) => door.produceBatches('orders', [{ partition: 0, batch }])));
  };
  /** The beginning of the answer; no more of it is read. */
  const ask = async (port: number, query: string) => {
    const socket = await open(port);
    const begun = new Promise<Buffer>((resolve) => socket.once('data', (chunk) => resolve(socket.pause() && chunk)));
    socket.write(`GET ${partition}?${query} HTTP/1.1\r\nhost: x\r\naccept: ${batchesContentType}\r\n\r\n`);
    return { socket, status: begun.then((chunk) => parse(chunk.toString('latin1')).status) };
  };

  it.each([
    ['found at once', 'offset=0&maxBytes=33554432'],
    ['waited for by all of them', 'offset=0&maxBytes=33554432&minBytes=20000000&maxWaitMs=20000'],
  ])('take no more room than there is: %s', async (_what, query) => {
    await using full = await openServer({ answerBytesHeldMax: 1 << 20 });
    await full.call('POST', '/v1/topics', { topic: 'orders', config: { 'max.message.bytes': 16 << 20 } });
    if (!query.includes('Wait')) await produceMuch(full);
    const readers = await Promise.all(Array.from({ length: 4 }, () => ask(full.port, query)));
    if (query.includes('Wait')) await produceMuch(full);
    const statuses = await Promise.all(readers.map(({ status }) => status));
    expect(statuses.toSorted()).toEqual([200, 429, 429, 429]);

    for (const [method, path, body] of [
      ['GET', '/v1/topics'],
      ['GET', partition],
      ['POST', '/v1/topics/orders/fetch', fetchBody],
    ] as const) {
      const refused = await full.call(method, path, body);
      expect(refused).toMatchObject({ status: 429, json: { code: 'THROTTLING_QUOTA_EXCEEDED', effect: 'none' } });
      expect(refused.headers.get('retry-after')).toBe('1');
    }
    expect((await full.produceBatches('orders', [{ partition: 0, batch: batchOf(['c']) }])).status).toBe(200);
    expect((await full.call('GET', '/v1/health')).status).toBe(200);

    for (const { socket } of readers) socket.destroy();
    expect(await isAnswered(full, 200)).toBe(true);
    for (let times = 0; times < 3; times += 1) expect((await full.call('GET', partition)).status).toBe(200);
    expect(full.errors).toEqual([]);
  });

  it('take no more room than there is: streams of large events', async () => {
    await using full = await openServer({ answerBytesHeldMax: 1 << 20 });
    await full.call('POST', '/v1/topics', { topic: 'orders', config: { 'max.message.bytes': 16 << 20 } });
    const readers = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const socket = await open(full.port);
        const reader = { socket, text: '' };
        socket.on('data', (chunk) => {
          reader.text += chunk.toString();
          if (reader.text.includes('id: ')) socket.pause();
        });
        socket.write(`GET ${partition} HTTP/1.1\r\nhost: x\r\naccept: ${eventStreamContentType}\r\n\r\n`);
        return reader;
      }),
    );
    await produceMuch(full);
    const countOf = (pattern: RegExp) => readers.filter(({ text }) => pattern.test(text)).length;
    const isOver = () => countOf(/id: /) === 1 && countOf(/retry: 1000\n\n\r\n0\r\n\r\n$/) === 3;
    for (let tries = 0; tries < 200 && !isOver(); tries += 1) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(isOver()).toBe(true);
    for (const { socket } of readers) socket.destroy();
    expect(await isAnswered(full, 200)).toBe(true);
    expect(full.errors).toEqual([]);
  });

  it('take no room when their readers went before', async () => {
    await using full = await openServer({ answerBytesHeldMax: 1 << 20 });
    await full.call('POST', '/v1/topics', { topic: 'orders', config: { 'max.message.bytes': 16 << 20 } });
    const { socket } = await ask(full.port, 'offset=0&maxBytes=33554432&minBytes=20000000&maxWaitMs=20000');
    await new Promise((resolve) => setTimeout(resolve, 50));
    await full.produceBatches('orders', [{ partition: 0, batch: batchOf(['a'.repeat(2 << 20)]) }]);
    socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect((await full.call('GET', '/v1/topics')).status).toBe(200);
  });
});

/** Whether another request gets this status within a few seconds. */
async function isAnswered(door: Door, status: number): Promise<boolean> {
  for (let tries = 0; tries < 200; tries += 1) {
    if ((await door.call('GET', '/v1/topics')).status === status) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}
