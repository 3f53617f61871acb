import { expect, onTestFinished, test } from 'vitest';
import { sendBatches } from '../../lib/client/send-batches.ts';
import { httpTransport } from '../../lib/client/transport-http.ts';
import { partitionsHeader } from '../../lib/wire.ts';
import { listen } from './http-server.ts';

function transportTo(endpoint: string) {
  const transport = httpTransport({ endpoint });
  onTestFinished(() => transport.close());
  return transport;
}

const get = { method: 'GET', path: '/v1/health', headers: {}, timeoutMs: 5_000 } as const;

test('an answer that does not come in time may have had an effect', async () => {
  const endpoint = await listen(() => {});
  await expect(transportTo(endpoint)({ ...get, timeoutMs: 100 })).rejects.toMatchObject({
    code: 'REQUEST_TIMED_OUT',
    effect: 'unknown',
    message: `${endpoint} did not answer within 100 ms`,
  });
});

test('a connection that breaks after the request may have had an effect', async () => {
  const endpoint = await listen((request) => request.socket.destroy());
  await expect(transportTo(endpoint)(get)).rejects.toMatchObject({
    code: 'KAFKA_STORAGE_ERROR',
    effect: 'unknown',
    retriable: true,
  });
});

test('an answer that is cut off is no answer', async () => {
  const endpoint = await listen((request, response) => {
    response.writeHead(200, { 'content-length': 100 });
    response.write('half');
    setTimeout(() => request.socket.destroy(), 20);
  });
  await expect(transportTo(endpoint)(get)).rejects.toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'unknown' });
});

test('a request that reaches nobody has no effect', async () => {
  await expect(transportTo('http://127.0.0.1:1')(get)).rejects.toMatchObject({ effect: 'none', retriable: true });
});

test('an abort ends the request with its reason', async () => {
  const endpoint = await listen(() => {});
  const ending = new AbortController();
  const answer = transportTo(endpoint)({ ...get, signal: ending.signal });
  const reason = new Error('enough');
  setTimeout(() => ending.abort(reason), 20);
  await expect(answer).rejects.toBe(reason);
});

test('a path in the endpoint stands before the path of the request, and queries are encoded', async () => {
  const seen: (string | undefined)[] = [];
  const endpoint = await listen((request, response) => {
    seen.push(request.url);
    response.end('{}');
  });
  await transportTo(`${endpoint}/prod/`)({ ...get, query: { after: 'a b&c' } });
  expect(seen).toEqual(['/prod/v1/health?after=a%20b%26c']);
});

test('the header of an answer may tell of as many partitions as a fetch may name', async () => {
  const entry = '9999:9007199254740991:9007199254740991:9007199254740991:OUT_OF_ORDER_SEQUENCE_NUMBER';
  const watermarks = Array.from({ length: 256 }, () => entry).join(',');
  const endpoint = await listen((_, response) => response.writeHead(200, { [partitionsHeader]: watermarks }).end());
  expect((await transportTo(endpoint)(get)).header(partitionsHeader)).toBe(watermarks);
});

test('what is no address is refused', () => {
  expect(() => httpTransport({ endpoint: 'localhost:8092' })).toThrow(/is no address/);
});

test.each(['http://host/prod?x=1', 'http://host/prod#x', 'http://me:secret@host/prod'])(
  'an endpoint with what no request would carry is refused: %s',
  (endpoint) => {
    expect(() => httpTransport({ endpoint })).toThrow(
      'endpoint http://host/prod has a query, a fragment or a password; no request would carry it',
    );
  },
);

// Heartbeats of a member that reads some hundreds of topics waited for connections behind its long polls until it was thrown out.
test('long polls keep no other request from a connection', async () => {
  const endpoint = await listen((request, response) => {
    if (!request.url?.endsWith('/fetch')) response.end('{}');
  });
  const transport = transportTo(endpoint);
  const ended = new AbortController();
  const poll = { ...get, method: 'POST', path: '/v1/topics/orders/fetch', signal: ended.signal } as const;
  const polls = Promise.allSettled(Array.from({ length: 100 }, () => transport(poll)));
  expect(await transport({ ...get, method: 'POST', path: '/v1/groups/billing/heartbeat' })).toMatchObject({
    status: 200,
  });
  ended.abort();
  await polls;
});

// It said that the server answered with status 301, and that nobody knows what it did.
test('who is sent elsewhere is told where, and that nothing was done', async () => {
  const endpoint = await listen((_, response) => {
    response.writeHead(301, { location: 'https://log.example.com/v1/topics/orders/batches' });
    response.end('<html>Moved Permanently</html>');
  });
  const frame = { partition: 0, batch: new Uint8Array(61) };
  await expect(sendBatches(transportTo(endpoint), 'orders', [frame])).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
    effect: 'none',
    message:
      'the server answered with status 301, to go to https://log.example.com/v1/topics/orders/batches; requests are not sent on, name that endpoint',
  });
});
