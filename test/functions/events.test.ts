import { expect, test } from 'vitest';
import { encodeAnswer, formOf, parseRequest } from '../../functions/events.ts';
import { openMemoryFunctions, readEvent } from './memory-function.ts';

const orders = { action: 'create', topic: 'orders', partitions: 2 };

test.each([
  ['rest-produce', 2],
  ['rest-produce-base-path', 1],
  ['http-produce', 1],
  ['function-url-produce', 1],
  ['request-produce', 1],
])('%s is produced, whatever form carries it', async (name, recordCount) => {
  await using functions = openMemoryFunctions();
  await functions.invoke('topics', orders);
  const event = readEvent(name);
  // A function URL sends what it takes for binary as Base64; the type is then not JSON's.
  if (name === 'function-url-produce') event.headers['content-type'] = 'application/json; charset=utf-8';
  const answer = await functions.invoke('produce', event);
  expect(answer.statusCode ?? answer.status).toBe(200);
  expect(answer.headers['content-type']).toBe('application/json');
  expect(answer.isBase64Encoded).toBe(false);
  expect(JSON.parse(answer.body).results).toMatchObject([{ partition: 0, baseOffset: 0, recordCount }]);
});

test('text arrives as UTF-8 and a query with its numbers', async () => {
  await using functions = openMemoryFunctions();
  await functions.invoke('topics', orders);
  await functions.invoke('produce', readEvent('rest-produce'));
  for (const name of ['rest-fetch', 'http-fetch']) {
    const answer = await functions.invoke('fetch', readEvent(name));
    expect(answer.statusCode).toBe(200);
    const { records, nextOffset } = JSON.parse(answer.body);
    expect(records).toMatchObject([
      { offset: 0, key: 'café', value: '1' },
      { offset: 1, key: null, value: '{"total":12}' },
    ]);
    expect(nextOffset).toBe(2);
  }
});

test('record batches come back in Base64, in every form', async () => {
  await using functions = openMemoryFunctions();
  await functions.invoke('topics', orders);
  await functions.invoke('produce', readEvent('rest-produce'));
  const [first, ...others] = await Promise.all(
    ['rest-fetch-batches', 'function-url-fetch-batches', 'request-fetch'].map(async (name) => {
      await using own = openMemoryFunctions(() => functions.log);
      return await own.invoke('fetch', readEvent(name));
    }),
  );
  expect(first.isBase64Encoded).toBe(true);
  expect(first.headers).toMatchObject({
    'content-type': 'application/vnd.millrace.batches',
    'millrace-partitions': '0:2:2:0',
  });
  const bytes = Buffer.from(first.body, 'base64');
  expect(bytes.readInt32BE(4)).toBe(bytes.byteLength - 8);
  expect(bytes[8 + 16]).toBe(2);
  for (const other of others) expect(other.body).toBe(first.body);
});

test('failures are problem documents in the form of the event', async () => {
  await using functions = openMemoryFunctions();
  const answer = await functions.invoke('topics', readEvent('rest-describe-missing'));
  expect(answer.statusCode).toBe(404);
  expect(answer.headers['content-type']).toBe('application/problem+json');
  expect(JSON.parse(answer.body)).toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION', effect: 'none' });
  const request = await functions.invoke('topics', { method: 'GET', path: '/v1/topics/nothing' });
  expect(request.status).toBe(404);
  expect(request).not.toHaveProperty('statusCode');
});

test('every value of a query and of a header is passed on', () => {
  const event = { ...readEvent('rest-fetch'), multiValueQueryStringParameters: { offset: ['1', '2'], after: ['ä&b'] } };
  event.multiValueHeaders = { Accept: ['application/json', 'text/event-stream'] };
  const { target, headers } = parseRequest('rest', event);
  expect(target).toBe('/v1/topics/orders/partitions/0/records?offset=1&offset=2&after=%C3%A4%26b');
  expect(headers.get('accept')).toBe('application/json, text/event-stream');
});

test('a test invoke of the console, with single values only and nothing else, is read', () => {
  const event = { ...readEvent('rest-fetch'), multiValueQueryStringParameters: null, multiValueHeaders: null };
  expect(parseRequest('rest', event).target).toContain('?offset=0&maxBytes=1000000');
  const bare = { httpMethod: 'GET', path: '/v1/topics', headers: null, body: null };
  expect(parseRequest('rest', bare)).toMatchObject({ method: 'GET', target: '/v1/topics', body: undefined });
});

test('what API Gateway has matched decides where the path begins', () => {
  const at = (path: string, resource: string) => parseRequest('rest', { httpMethod: 'GET', path, resource }).target;
  expect(at('/log/v1/topics/v1', '/v1/topics/{topic}')).toBe('/v1/topics/v1');
  expect(at('/v1/topics/v1/records', '/v1/topics/{topic}/records')).toBe('/v1/topics/v1/records');
  expect(at('/v1/topics/a', '/{proxy+}')).toBe('/v1/topics/a');
  // What a caller may do was checked for the path that was matched: nothing may turn it into another.
  expect(at('/v1/topics/a?x=/v1/topics/b', '/v1/topics/{topic}')).not.toMatch(/\?/);
});

test('a path that a URL would turn into another is refused', async () => {
  // API Gateway checks a caller's rights on the path as it came: reading it otherwise would lead around them.
  await using functions = openMemoryFunctions();
  await functions.invoke('topics', orders);
  await functions.invoke('topics', { ...orders, topic: 'payments' });
  for (const path of [
    '/v1/topics/orders/../payments',
    '/v1/topics/orders\\..\\payments',
    '/v1/topics/x/%2e%2e/payments',
  ]) {
    const answer = await functions.invoke('topics', { httpMethod: 'GET', path });
    expect(answer.statusCode, path).toBe(400);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'INVALID_REQUEST', effect: 'none' });
  }
});

test('the stage in the path of an HTTP API is no part of it', () => {
  expect(parseRequest('http', readEvent('http-produce')).target).toBe('/v1/topics/orders/records');
  expect(parseRequest('http', readEvent('http-fetch')).target).toMatch(/^\/v1\/topics\/orders\/partitions/);
});

test('events that are not what their form says are refused with the member that is wrong', async () => {
  await using functions = openMemoryFunctions();
  const cases = [
    [{ httpMethod: 'GET', path: 7 }, 'event.path'],
    [{ rawPath: '/v1/health', rawQueryString: '' }, 'event.requestContext'],
    [{ method: 'GET', path: 'v1/health' }, 'event.path'],
    [{ method: 'GET', path: '/v1/health', querry: {} }, 'querry'],
    [{ method: 'GET', path: '/v1/health', headers: { 'a b': 'c' } }, 'headers'],
    [{ method: 'G T', path: '/v1/health' }, 'G T'],
    [{ method: 'TRACE', path: '/v1/health' }, 'TRACE'],
  ] as const;
  for (const [event, told] of cases) {
    const answer = await functions.invoke('topics', event);
    expect(answer.statusCode ?? answer.status, JSON.stringify(event)).toBe(400);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'INVALID_REQUEST', detail: expect.stringContaining(told) });
  }
  expect(functions.failures).toEqual([]);
});

test('a body with a GET is left aside, and HEAD has no body', async () => {
  await using functions = openMemoryFunctions();
  const get = await functions.invoke('topics', { method: 'GET', path: '/v1/health', body: '{}' });
  expect(get).toMatchObject({ status: 200, body: '{"status":"ok"}' });
  const head = await functions.invoke('topics', { method: 'HEAD', path: '/v1/health' });
  expect(head).toMatchObject({ status: 200, body: '', isBase64Encoded: false });
});

test('other events are of no HTTP form', () => {
  for (const name of ['sqs', 'plain-produce', 'plain-fetch', 'cloudformation-create']) {
    expect(formOf(readEvent(name)), name).toBeUndefined();
  }
  for (const event of [null, undefined, 'text', 7, []]) expect(formOf(event)).toBeUndefined();
});

test('text of every kind stays text, all else is Base64', () => {
  const of = (type: string) =>
    encodeAnswer('rest', { status: 200, headers: new Headers({ 'content-type': type }), body: Buffer.from('ä') });
  for (const type of ['application/json', 'application/problem+json', 'text/event-stream', 'application/json; a=b']) {
    expect(of(type), type).toMatchObject({ body: 'ä', isBase64Encoded: false });
  }
  expect(of('application/vnd.millrace.batches')).toMatchObject({ body: 'w6Q=', isBase64Encoded: true });
});
