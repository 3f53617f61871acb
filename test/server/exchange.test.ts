/** What node:http hands over becomes a request of the app, and its answer goes back, whatever the client does meanwhile. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openServer } from '../api/harness.ts';
import { exchange, open } from './raw.ts';

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
