import { request } from 'node:http';
import { describe, expect, it } from 'vitest';
import { encodeFrames } from '../../lib/wire.ts';
import { batchOf, openLog, openServer } from '../api/harness.ts';
import { exchange, head, open, parse } from './raw.ts';

const records = '/v1/topics/orders/records';
const oneRecord = JSON.stringify({ records: [{ value: 'v' }] });
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function openOrders(options = {}) {
  const door = await openServer(options);
  await door.call('POST', '/v1/topics', { topic: 'orders' });
  return door;
}

describe('the server', () => {
  it('takes records in and gives them out', async () => {
    await using door = await openOrders();
    expect((await door.call('POST', records, { records: [{ value: 'v' }] })).status).toBe(200);
    const { json, headers } = await door.call('GET', '/v1/topics/orders/partitions/0/records');
    expect(json.records).toMatchObject([{ offset: 0, value: 'v' }]);
    expect(headers.get('content-length')).toBeTruthy();
    expect((await door.call('GET', '/nowhere')).status).toBe(404);
  });

  it('streams events as they come', async () => {
    await using door = await openOrders();
    const leave = new AbortController();
    const response = await door.fetch('/v1/topics/orders/partitions/0/records?offset=latest', {
      headers: { accept: 'text/event-stream' },
      signal: leave.signal,
    });
    await door.produceBatches('orders', [{ partition: 0, batch: batchOf(['a']) }]);
    let text = '';
    for await (const piece of response.body ?? []) {
      text += Buffer.from(piece).toString();
      if (text.includes('"a"')) break;
    }
    expect(text).toMatch(/^id: 0\ndata: \{"offset":0/m);
    leave.abort();
  });

  it('ends a long poll at once when its client goes', async () => {
    const log = openLog();
    let ended = 0;
    const watched: typeof log = {
      ...log,
      async fetch(asked) {
        const results = await log.fetch(asked);
        ended += 1;
        return results;
      },
    };
    await using door = await openOrders({ log: watched });
    const socket = await open(door.port);
    socket.write(head('GET', '/v1/topics/orders/partitions/0/records?maxWaitMs=20000'));
    await pause(50);
    expect(ended).toBe(0);
    socket.destroy();
    await pause(50);
    expect(ended).toBe(1);
  });

  describe('with a body too large', () => {
    it('refuses a declared one before it is sent', async () => {
      await using door = await openOrders({ requestBytesMax: 1000 });
      const answer = await exchange(
        door.port,
        head('POST', records, 'content-type: application/json', 'content-length: 1001'),
      );
      expect([answer.status, JSON.parse(answer.body).code]).toEqual([413, 'MESSAGE_TOO_LARGE']);
      expect(JSON.parse(answer.body)).toMatchObject({ effect: 'none', retriable: false, details: { bytesMax: 1000 } });
    });

    it('refuses it instead of saying 100 Continue', async () => {
      await using door = await openOrders({ requestBytesMax: 1000 });
      const lines = ['content-type: application/json', 'expect: 100-continue'];
      const refused = await exchange(door.port, head('POST', records, ...lines, 'content-length: 1001'));
      expect(refused.status).toBe(413);
      const length = `content-length: ${oneRecord.length}`;
      const taken = await exchange(door.port, head('POST', records, ...lines, length), oneRecord);
      expect([taken.status, taken.body]).toEqual([100, expect.stringContaining('HTTP/1.1 200')]);
    });

    it('takes it whatever else its sender expects', async () => {
      await using door = await openOrders();
      const lines = ['content-type: application/json', 'expect: an-answer', `content-length: ${oneRecord.length}`];
      expect((await exchange(door.port, head('POST', records, ...lines), oneRecord)).status).toBe(200);
    });

    it('refuses a chunked one as soon as it has grown too large', async () => {
      await using door = await openOrders({ requestBytesMax: 1000 });
      const chunk = `200\r\n${' '.repeat(512)}\r\n`;
      const start = head('POST', records, 'content-type: application/json', 'transfer-encoding: chunked');
      const answer = await exchange(door.port, start, chunk, chunk, chunk, '0\r\n\r\n');
      expect(answer.status).toBe(413);
      expect(await door.highWatermark('orders')).toBe(0);
    });

    it('lets a client that sends first and listens later see the refusal', async () => {
      await using door = await openOrders({ requestBytesMax: 1000 });
      const body = { records: [{ value: 'x'.repeat(8 << 20) }] };
      const { status, json } = await door.call('POST', records, body);
      expect([status, json.code]).toEqual([413, 'MESSAGE_TOO_LARGE']);
    });
  });

  it('stores nothing of a body cut off midway, whatever its framing', async () => {
    await using door = await openOrders();
    const frame = Buffer.concat(encodeFrames([{ partition: 0, batch: batchOf(['a']) }]));
    const path = '/v1/topics/orders/batches';
    for (const [framing, sent] of [
      [`content-length: ${frame.length + 1}`, frame],
      [
        'transfer-encoding: chunked',
        Buffer.concat([Buffer.from(`${frame.length.toString(16)}\r\n`), frame, Buffer.from('\r\n')]),
      ],
    ] as const) {
      const socket = await open(door.port);
      socket.write(head('POST', path, framing));
      await new Promise((resolve) => socket.write(sent, resolve));
      await pause(30);
      socket.destroy();
      await pause(30);
    }
    expect(await door.highWatermark('orders')).toBe(0);
    expect(door.errors).toEqual([]);
    expect((await door.call('POST', records, { records: [{ value: 'v' }] })).status).toBe(200);
  });

  it('turns requests away when too many are under way, and takes them again afterwards', async () => {
    await using door = await openOrders({ requestsInFlightMax: 2 });
    const leave = new AbortController();
    const wait = () =>
      door
        .fetch('/v1/topics/orders/partitions/0/records?maxWaitMs=20000', { signal: leave.signal })
        .catch(() => undefined);
    const waiting = [wait(), wait()];
    await pause(50);
    const refused = await door.call('POST', records, { records: [{ value: 'v' }] });
    expect([refused.status, refused.json.code, refused.json.effect]).toEqual([
      429,
      'THROTTLING_QUOTA_EXCEEDED',
      'none',
    ]);
    expect(refused.headers.get('retry-after')).toBe('1');
    // A process that is only busy must not be killed by whoever asks for its health.
    expect((await exchange(door.port, head('GET', '/v1/health'))).status).toBe(200);
    leave.abort();
    await Promise.all(waiting);
    await pause(50);
    expect((await door.call('POST', records, { records: [{ value: 'v' }] })).status).toBe(200);
  });

  it('holds no more bytes of bodies than it has room for, and has its room back afterwards', async () => {
    await using door = await openOrders({ bodyBytesHeldMax: 10_000 });
    const value = 'x'.repeat(6000);
    const start = head('POST', records, 'content-type: application/json', 'content-length: 9000');
    const slow = await open(door.port);
    slow.write(start + ' '.repeat(6000));
    await pause(50);
    const refused = await door.call('POST', records, { records: [{ value }] });
    expect([refused.status, refused.json.code, refused.json.effect]).toEqual([
      429,
      'THROTTLING_QUOTA_EXCEEDED',
      'none',
    ]);
    slow.destroy();
    await pause(50);
    for (let times = 0; times < 5; times += 1) {
      expect((await door.call('POST', records, { records: [{ value }] })).status).toBe(200);
    }
  });

  it('forgets pipelined requests whose connection is gone', async () => {
    await using door = await openOrders({ requestsInFlightMax: 4 });
    const wait = '/v1/topics/orders/partitions/0/records?maxWaitMs=20000';
    for (let times = 0; times < 3; times += 1) {
      const socket = await open(door.port);
      socket.write(`GET ${wait} HTTP/1.1\r\nhost: localhost\r\n\r\n`.repeat(4));
      await pause(50);
      expect((await door.call('GET', '/v1/topics')).status).toBe(429);
      socket.destroy();
      await pause(50);
      expect((await door.call('GET', '/v1/topics')).status).toBe(200);
    }
  });

  describe('when it closes', () => {
    it('answers long polls, ends streams, and is gone at once', async () => {
      const door = await openOrders();
      const poll = door.call('GET', '/v1/topics/orders/partitions/0/records?maxWaitMs=20000');
      const headers = { accept: 'text/event-stream' };
      const stream = await door.fetch('/v1/topics/orders/partitions/0/records?offset=latest', { headers });
      const streamed = stream.text();
      await pause(50);
      const startMs = performance.now();
      await door[Symbol.asyncDispose]();
      expect(performance.now() - startMs).toBeLessThan(8000);
      expect((await poll).json).toMatchObject({ records: [], nextOffset: 0 });
      expect(await streamed).toBe('retry: 1000\nid: -1\n\n');
      await expect(door.fetch('/v1/health')).rejects.toThrow();
    });

    it('answers what it has accepted', async () => {
      const log = openLog();
      let isProducing = false;
      const slow: typeof log = {
        ...log,
        async produce(asked) {
          isProducing = true;
          await pause(150);
          return await log.produce(asked);
        },
      };
      const door = await openOrders({ log: slow });
      const produced = door.call('POST', records, { records: [{ value: 'v' }] });
      while (!isProducing) await pause(5);
      const closed = door[Symbol.asyncDispose]();
      const { status, headers } = await produced;
      expect([status, headers.get('connection')]).toEqual([200, 'close']);
      await closed;
    });

    it('cuts what does not end in time', async () => {
      const log = openLog();
      const stuck: typeof log = { ...log, produce: () => new Promise(() => {}) };
      const door = await openOrders({ log: stuck, closeMsMax: 100 });
      const produced = door.call('POST', records, { records: [{ value: 'v' }] }).catch((error: unknown) => error);
      await pause(50);
      await door[Symbol.asyncDispose]();
      expect(await produced).toBeInstanceOf(Error);
    });

    it('refuses with effect none what comes too late', async () => {
      const door = await openOrders();
      const path = '/v1/topics/orders/records';
      const late = await open(door.port);
      const answer = new Promise<string>((resolve) => {
        let received = '';
        late.on('data', (chunk) => {
          received += chunk.toString();
        });
        late.on('close', () => resolve(received));
      });
      // Half a request keeps the connection open while the server closes.
      late.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\n`);
      await pause(50);
      const closed = door[Symbol.asyncDispose]();
      late.write(`content-length: ${oneRecord.length}\r\n\r\n${oneRecord}`);
      const { status, body } = parse(await answer);
      expect(status).toBe(503);
      expect(JSON.parse(body)).toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'none', retriable: true });
      await closed;
    });
  });

  it('closes only once, however often it is told to', async () => {
    const door = await openServer();
    await Promise.all([door[Symbol.asyncDispose](), door[Symbol.asyncDispose]()]);
  });

  it('says which port is taken instead of starting', async () => {
    await using door = await openServer();
    await expect(openServer({ port: door.port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('answers several requests on one connection', async () => {
    await using door = await openOrders();
    const socket = await open(door.port);
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk.toString();
    });
    const ask = `POST ${records} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${oneRecord.length}\r\n\r\n${oneRecord}`;
    socket.write(ask + ask + ask);
    for (let tries = 0; tries < 100 && (received.match(/HTTP\/1\.1 200/g)?.length ?? 0) < 3; tries += 1)
      await pause(10);
    socket.destroy();
    expect([...received.matchAll(/"baseOffset":(\d)/g)].map(([, offset]) => offset)).toEqual(['0', '1', '2']);
  });

  it('answers a HEAD without a body', async () => {
    await using door = await openServer();
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const asked = request({ port: door.port, path: '/v1/health', method: 'HEAD', agent: false }, (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode));
      });
      asked.on('error', reject).end();
    });
    expect(status).toBe(200);
  });
});
