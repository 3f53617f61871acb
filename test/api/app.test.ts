import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import type { FinishedRequest } from '../../lib/api/app.ts';
import { type Call, readJson } from '../../lib/api/http.ts';
import { openapiDocument, operations } from '../../lib/api/openapi.ts';
import { readsBody, routes } from '../../lib/api/routes.ts';
import { errorTable, LogError } from '../../lib/errors.ts';
import { otherRequestBytesMax } from '../../lib/limits.ts';
import { openApp, openLog, openServer } from './harness.ts';

const protocol = readFileSync(join(import.meta.dirname, '../../lib/api/PROTOCOL.md'), 'utf8');

describe('the app', () => {
  it.each([
    ['GET', '/', 404, null],
    ['GET', '/v1', 404, null],
    ['GET', '/v1/topics/', 404, null],
    ['GET', '/v1/topics/orders/partitions/0', 404, null],
    ['GET', '/v1/streams', 404, null],
    ['GET', '/v2/topics', 404, null],
    ['DELETE', '/v1/topics', 405, 'POST, GET, HEAD'],
    ['PUT', '/v1/topics/orders', 405, 'GET, PATCH, DELETE, HEAD'],
    ['GET', '/v1/topics/orders/records', 405, 'POST'],
    ['OPTIONS', '/v1/health', 405, 'GET, HEAD'],
    ['POST', '/v1/openapi.json', 405, 'GET, HEAD'],
    ['POST', '/v1/openapiXjson', 404, null],
  ])('answers %s %s with %i', async (method, path, status, allow) => {
    await using door = openApp();
    const answer = await door.call(method, path);
    expect([answer.status, answer.headers.get('allow')]).toEqual([status, allow]);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.json).toMatchObject({ status, code: 'INVALID_REQUEST', effect: 'none', retriable: false });
  });

  it('tells who asks beside the paths of the protocol where they begin', async () => {
    await using door = openApp();
    const detail = async (path: string) => (await door.call('GET', path)).json.detail;
    expect(await detail('/prod/v1/topics')).toBe('path "/prod/v1/topics" does not exist; every path begins with /v1/');
    expect(await detail('/v1/streams')).toBe('path "/v1/streams" does not exist');
  });

  it.each([
    ['text/html', 406],
    ['application/json;q=0', 406],
    ['application/vnd.millrace.batches', 406],
    ['text/html, */*;q=0.1', 200],
    ['application/*', 200],
    ['APPLICATION/JSON; charset=utf-8', 200],
    ['', 200],
  ])('answers Accept: %s with %i', async (accept, status) => {
    await using door = openApp();
    expect((await door.call('GET', '/v1/topics', undefined, { accept })).status).toBe(status);
  });

  it('picks the format that Accept likes most', async () => {
    await using door = openApp();
    await door.call('POST', '/v1/topics', { topic: 'orders' });
    const typeFor = async (accept: string) => {
      const path = '/v1/topics/orders/partitions/0/records';
      return (await door.call('GET', path, undefined, { accept })).headers.get('content-type');
    };
    expect(await typeFor('*/*')).toBe('application/json');
    expect(await typeFor('application/json;q=0.5, application/vnd.millrace.batches')).toBe(
      'application/vnd.millrace.batches',
    );
    expect(await typeFor('application/vnd.millrace.batches;q=0.5, application/json;q=0.9')).toBe('application/json');
  });

  it.each([
    ['application/x-www-form-urlencoded', 415],
    ['text/plain', 415],
    ['application/vnd.millrace.batches', 415],
    ['application/json; charset=utf-8', 200],
    ['Application/JSON', 200],
  ])('answers Content-Type: %s with %i', async (contentType, status) => {
    await using door = openApp();
    await door.call('POST', '/v1/topics', { topic: 'orders' });
    const headers = { 'content-type': contentType };
    const answer = await door.call('POST', '/v1/topics/orders/records', { records: [{ value: 'v' }] }, headers);
    expect(answer.status).toBe(status);
    const packed = { 'content-encoding': 'gzip' };
    expect((await door.call('POST', '/v1/topics/orders/records', { records: [{}] }, packed)).status).toBe(415);
    expect(await door.highWatermark('orders')).toBe(status === 200 ? 1 : 0);
  });

  it.each(['', '{', 'null', '"text"', '[]', '{"records":{}}', '\ufeff{}', 'NaN'])(
    'refuses the body %j',
    async (body) => {
      await using door = openApp();
      await door.call('POST', '/v1/topics', { topic: 'orders' });
      const headers = { 'content-type': 'application/json' };
      for (const path of ['/v1/topics', '/v1/topics/orders/records', '/v1/topics/orders/fetch']) {
        const response = await door.fetch(path, { method: 'POST', body, headers });
        expect(response.status).toBe(400);
        expect(await response.json()).toMatchObject({ code: 'INVALID_REQUEST', effect: 'none' });
      }
    },
  );

  it('looks no further than the first item that is wrong', async () => {
    // A body has room for 16 million headers that are wrong, and a list of so many issues was more than a heap holds.
    let seenCount = 0;
    const item = z.preprocess((value) => {
      seenCount += 1;
      return value;
    }, z.string());
    const body = Buffer.from('{"items":["a",0,0,0]}');
    const call = { request: { headers: new Headers() }, carriage: { body }, line: { api: 'test' } } as unknown as Call;
    await expect(readJson(call, z.object({ items: z.array(item) }))).rejects.toThrow(/^items\[1\] 0: invalid input/);
    expect(seenCount).toBe(2);
  });

  it('refuses an object with more members than there can be partitions before it looks at them', async () => {
    await using door = openApp();
    await door.call('POST', '/v1/topics', { topic: 'orders' });
    const many = (value: unknown) => Object.fromEntries(Array.from({ length: 10_001 }, (_, at) => [`${at}`, value]));
    const records = '/v1/topics/orders/records';
    for (const [what, path, body] of [
      ['config', '/v1/topics', { topic: 'users', config: many([]) }],
      ['baseSequences', records, { records: [{}], producerId: 1, producerEpoch: 0, baseSequences: many(0) }],
      ['the body', records, many(0)],
    ] as const) {
      const { status, json } = await door.call('POST', path, body);
      expect([status, json.code]).toEqual([400, 'INVALID_REQUEST']);
      expect(json.detail).toBe(`${what} has 10001 members; at most 10000 are allowed`);
    }
  });

  it('takes large bodies only where there is much to say', async () => {
    await using door = openApp();
    await door.call('POST', '/v1/topics', { topic: 'orders' });
    const statusOf = async (path: string, body: object) => {
      const { status, json } = await door.call('POST', path, { ...body, pad: 'x'.repeat(otherRequestBytesMax) });
      if (status === 413) expect(json).toMatchObject({ code: 'MESSAGE_TOO_LARGE', effect: 'none' });
      return status;
    };
    expect(await statusOf('/v1/topics', { topic: 'users' })).toBe(413);
    expect(await statusOf('/v1/topics/orders/fetch', { partitions: [] })).toBe(413);
    expect(await statusOf('/v1/groups/billing/offsets/reset', { topic: 'orders' })).toBe(413);
    for (const path of ['/v1/topics/orders/records', '/v1/groups/billing/heartbeat', '/v1/groups/billing/offsets']) {
      expect(await statusOf(path, {})).toBe(400);
    }
  });

  it('refuses a body that is not UTF-8', async () => {
    await using door = openApp();
    const body = Buffer.concat([Buffer.from('{"topic":"'), Buffer.from([0xff]), Buffer.from('"}')]);
    const response = await door.fetch('/v1/topics', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
    expect(await response.json()).toMatchObject({ status: 400, detail: 'the body is not UTF-8' });
  });

  it('tells nothing of its inside when there is a bug, and reports it', async () => {
    const bug = new Error('secret of the house');
    const log = { ...openLog(), listOffsets: () => Promise.reject(bug) };
    await using door = openApp({ log });
    const answer = await door.call('GET', '/v1/topics/orders/partitions/0/offsets?timestamp=max');
    expect(answer.json).toMatchObject({ status: 500, code: 'UNKNOWN_SERVER_ERROR', effect: 'unknown' });
    expect(Buffer.from(answer.bytes).toString()).not.toContain('secret');
    expect(door.errors).toEqual([bug]);
  });

  it('says when to come back when it is asked too much', async () => {
    const error = new LogError('THROTTLING_QUOTA_EXCEEDED', 'too much', { details: { retryAfterMs: 1200 } });
    const log = { ...openLog(), nextProducer: () => Promise.reject(error) };
    await using door = openApp({ log });
    const { status, headers } = await door.call('POST', '/v1/producers');
    expect([status, headers.get('retry-after')]).toEqual([429, '2']);
  });

  it('tells of every finished request in the words of the glossary', async () => {
    const lines: FinishedRequest[] = [];
    await using door = openApp({ onRequest: (line) => lines.push(line) });
    await door.call('POST', '/v1/topics', { topic: 'orders' });
    await door.call('POST', '/v1/topics/orders/records', { records: [{ value: 'secret' }] });
    await door.call('GET', '/v1/topics/orders/partitions/5/records');
    expect(lines).toMatchObject([
      { api: 'createTopic', topic: 'orders', status: 201 },
      { api: 'produceRecords', topic: 'orders', recordCount: 1, bytes: 32, status: 200 },
      { api: 'fetchRecords', topic: 'orders', partition: 5, status: 404 },
    ]);
    expect(JSON.stringify(lines)).not.toContain('secret');
  });

  it('refuses query parameters with names of the language', async () => {
    await using door = openApp();
    for (const name of ['__proto__', 'constructor', 'toString']) {
      expect((await door.call('GET', `/v1/topics?${name}=1`)).status).toBe(400);
    }
  });

  // A group was deleted by `DELETE /v1/groups/billing?topic=orders`: paths that read no parameter took any.
  it.each(routes)('refuses a query parameter that $method $path does not have', async ({ method, path, query }) => {
    await using door = openApp();
    const target = path.replace(':topic', 'orders').replace(':partition', '0').replace(':group', 'billing');
    const hint = query === undefined ? 'the path takes none' : `use ${query.join(', ')}`;
    for (const given of ['?surprise=1', '?offset=0&surprise=']) {
      const { json } = await door.call(method, target + given);
      expect(json).toMatchObject({ status: 400, code: 'INVALID_REQUEST', effect: 'none' });
      expect(json.detail).toMatch(/^query parameter "(surprise|offset)" is not known here; /);
      expect(json.detail.endsWith(`; ${hint}`)).toBe(true);
    }
  });

  // `DELETE /v1/topics/orders` with `{"partitions":[3]}` deleted the topic.
  it('refuses a body where none is read, and does nothing', async () => {
    for (const open of [openApp, openServer]) {
      await using door = await open();
      await door.call('POST', '/v1/topics', { topic: 'orders' });
      for (const [method, path, body] of [
        ['DELETE', '/v1/topics/orders', { partitions: [3] }],
        ['DELETE', '/v1/groups/billing', { topic: 'orders' }],
        ['POST', '/v1/producers', { transactionalId: 'a' }],
      ] as const) {
        const { json } = await door.call(method, path, body);
        expect(json).toMatchObject({ status: 400, code: 'INVALID_REQUEST', effect: 'none' });
        expect(json.detail).toBe(`a body of ${JSON.stringify(body).length} bytes came; the path reads none`);
      }
      expect((await door.call('POST', '/v1/producers', {})).json).toEqual({ producerId: 0, producerEpoch: 0 });
      expect((await door.call('DELETE', '/v1/topics/orders')).status).toBe(204);
    }
  });

  // Two bytes were decoded to see whether they are `{}`, and what is not UTF-8 was told as a bug of ours, with status 500.
  it('refuses two bytes that are not UTF-8 where no body is read', async () => {
    await using door = await openApp();
    const body = Buffer.from([0xff, 0xfe]);
    const response = await door.fetch('/v1/topics/orders', { method: 'DELETE', body });
    expect(await response.json()).toMatchObject({ status: 400, detail: 'a body of 2 bytes came; the path reads none' });
  });

  it('reads a body where the OpenAPI document has one, and nowhere else', () => {
    for (const route of routes) expect(readsBody(route), route.api).toBe(operations[route.api]?.body !== undefined);
  });

  it('does nothing of what a request asks for that it refuses for its query', async () => {
    await using door = openApp();
    await door.call('POST', '/v1/topics', { topic: 'orders' });
    expect((await door.call('DELETE', '/v1/topics/orders?force=1')).status).toBe(400);
    expect((await door.call('HEAD', '/v1/topics/orders?x=1')).status).toBe(400);
    expect((await door.call('HEAD', '/v1/topics/orders')).status).toBe(200);
    expect((await door.call('GET', '/v1/topics/orders?')).status).toBe(200);
  });

  // `?topic=orders&topic=payments` read the offsets of orders alone, and told nobody.
  it.each([
    ['/v1/groups/billing/offsets?topic=orders&topic=payments', 'topic'],
    ['/v1/topics?limit=1&after=a&limit=1', 'limit'],
    ['/v1/topics?after=&after=a', 'after'],
  ])('refuses %s, which gives a parameter twice', async (path, name) => {
    await using door = openApp();
    const { json } = await door.call('GET', path);
    expect(json).toMatchObject({ status: 400, code: 'INVALID_REQUEST', effect: 'none' });
    expect(json.detail).toBe(`query parameter "${name}" is given more than once`);
  });

  it('takes a parameter without a value for none, and a path that is not there for what it is', async () => {
    await using door = openApp();
    expect((await door.call('GET', '/v1/topics?limit=&after=')).json).toEqual({ topics: [] });
    expect((await door.call('GET', '/v1/streams?x=1')).status).toBe(404);
    expect((await door.call('PUT', '/v1/topics?x=1')).status).toBe(405);
  });

  it('says that it is well', async () => {
    await using door = openApp();
    expect((await door.call('GET', '/v1/health')).json).toEqual({ status: 'ok' });
  });
});

describe('the OpenAPI document', () => {
  it('has every path of the app and no other', async () => {
    await using door = openApp();
    const { json } = await door.call('GET', '/v1/openapi.json');
    expect(json).toEqual(JSON.parse(JSON.stringify(openapiDocument())));
    const described = Object.entries(json.paths as Record<string, Record<string, { operationId: string }>>).flatMap(
      ([path, byMethod]) =>
        Object.entries(byMethod).map(([method, { operationId }]) => `${operationId} ${method} ${path}`),
    );
    const served = routes.map(
      ({ api, method, path }) => `${api} ${method.toLowerCase()} ${path.replaceAll(/:(\w+)/g, '{$1}')}`,
    );
    expect(described.sort()).toEqual(served.sort());
    expect(Object.keys(operations).sort()).toEqual(routes.map(({ api }) => api).sort());
    for (const { api, query } of routes) expect(query, api).toEqual(parametersOf(api));

    function parametersOf(api: string): string[] | undefined {
      const schema = operations[api]?.query;
      return schema && Object.keys(schema.shape);
    }
  });

  // Its problem had no room for the results beside it, so that clients made of it refused such an answer.
  it('describes a problem with the entries of those that failed', async () => {
    await using door = openApp();
    await door.call('POST', '/v1/topics', { topic: 'orders' });
    const { components } = openapiDocument() as { components: { schemas: { Problem: z.core.JSONSchema.JSONSchema } } };
    const problem = z.fromJSONSchema(components.schemas.Problem);
    for (const [path, body] of [
      ['/v1/topics/orders/records', { records: [{ value: 'v', partition: 9 }] }],
      ['/v1/topics/orders/fetch', { partitions: [{ partition: 9, offset: 0 }] }],
      ['/v1/groups/billing/offsets', { offsets: [{ topic: 'orders', partition: 9, offset: 0 }] }],
    ] as const) {
      const { status, json } = await door.call('POST', path, body);
      expect(status).toBe(404);
      expect(problem.parse(json)).toEqual(json);
    }
  });

  it('refers to nothing that is not in it', async () => {
    const text = JSON.stringify(openapiDocument());
    for (const [, pointer] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      const found = (pointer ?? '')
        .split('/')
        .reduce<unknown>((at, step) => (at as Record<string, unknown>)[step], openapiDocument());
      expect(found).toBeDefined();
    }
  });
});

describe('PROTOCOL.md', () => {
  it('has the table of errors as errors.ts has it', () => {
    const rows = Object.entries(errorTable).map(([code, [number, retriable, status, effect, advice]]) => {
      return `| ${code} | ${number} | ${status} | ${retriable ? 'yes' : 'no'} | ${effect} | ${advice} |`;
    });
    const table = [
      '| code | Kafka no. | status | retriable | effect | what to do |',
      '|---|---:|---:|---|---|---|',
      ...rows,
    ];
    expect(protocol).toContain(`${table.join('\n')}\n`);
  });

  it('names every path', () => {
    for (const { method, path } of routes) {
      expect(protocol).toContain(`\`${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}\``);
    }
  });
});
