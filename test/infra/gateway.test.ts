/** Requests over real HTTP, with the methods and the policies of a synthesized stack. The functions only tell what they got. */

import http from 'node:http';
import type { APIGatewayProxyEvent } from 'aws-lambda';
import { AwsClient } from 'aws4fetch';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { type Stacks, synthesize } from './stacks.ts';

let stacks: Stacks;
let gateway: Gateway;
const calls: { readonly name: string; readonly event: APIGatewayProxyEvent }[] = [];
let result: unknown;

const ok = { statusCode: 200, headers: { 'Content-Type': 'application/json' }, body: '{"ok":true}' };

beforeAll(async () => {
  stacks = await synthesize();
  const names = Object.fromEntries(Object.entries(stacks.functions).map(([name, id]) => [id, name]));
  gateway = await startGateway({
    template: stacks.team,
    attributes: stacks.attributes,
    callers: Object.fromEntries(
      Object.entries(stacks.roles).map(([id, principal]) => [id, { secretAccessKey: `secret of ${id}`, principal }]),
    ),
    invoke: async (functionId, event) => {
      calls.push({ name: names[functionId] ?? functionId, event });
      return await (typeof result === 'function' ? result() : (result ?? ok));
    },
    integrationTimeoutMs: 200,
  });
}, 60_000);
afterAll(async () => {
  await gateway?.close();
  stacks?.remove();
});
afterEach(() => {
  calls.length = 0;
  result = undefined;
});

/** As `role`, by the signer that the client uses too. */
function send(role: string, line: string, init: RequestInit = {}): Promise<Response> {
  const [method = '', path = ''] = line.split(' ');
  const signer = new AwsClient({
    accessKeyId: role,
    secretAccessKey: `secret of ${role}`,
    service: 'execute-api',
    region: 'us-east-1',
    retries: 0,
  });
  return signer.fetch(`${gateway.url}${path}`, { method, ...init });
}

async function statuses(role: string, lines: readonly string[]): Promise<Record<string, number>> {
  const entries = await Promise.all(lines.map(async (line) => [line, (await send(role, line)).status] as const));
  return Object.fromEntries(entries);
}

const paths = (topic: string) => ({
  produce: [`POST /v1/topics/${topic}/records`, `POST /v1/topics/${topic}/batches`],
  consume: [
    `GET /v1/topics/${topic}/partitions/0/records?offset=earliest&maxBytes=1000`,
    `GET /v1/topics/${topic}/partitions/11/offsets?timestamp=latest`,
    `POST /v1/topics/${topic}/fetch`,
  ],
  describe: [`GET /v1/topics/${topic}`],
  manage: [`PATCH /v1/topics/${topic}`, `DELETE /v1/topics/${topic}`],
});
const groupPaths = (group: string) => ({
  seen: [`GET /v1/groups/${group}`, `GET /v1/groups/${group}/offsets?topic=orders`],
  managed: [`DELETE /v1/groups/${group}`, `POST /v1/groups/${group}/offsets/reset`],
  members: [`POST /v1/groups/${group}/heartbeat`, `POST /v1/groups/${group}/offsets`],
});
const shared = ['POST /v1/topics', 'GET /v1/topics', 'POST /v1/producers', 'GET /v1/groups'];
const all = [
  ...['orders', 'payments', 'orders2'].flatMap((topic) => Object.values(paths(topic)).flat()),
  ...['billing', 'audit', 'billing2'].flatMap((group) => Object.values(groupPaths(group)).flat()),
  ...shared,
];

const orders = paths('orders');
const payments = paths('payments');
const grants: Readonly<Record<string, readonly string[]>> = {
  OrdersProducer: [...orders.produce, ...orders.describe, 'POST /v1/producers'],
  OrdersConsumer: [...orders.consume, ...orders.describe],
  OrdersManager: [...orders.manage, ...orders.describe],
  PaymentsProducer: [...payments.produce, ...payments.describe, 'POST /v1/producers'],
  InvokingProducer: [],
  DirectConsumer: [],
  BillingMember: [...Object.values(groupPaths('billing')).flat(), ...orders.consume, ...orders.describe],
  InvokingMember: [],
  DirectMember: [],
  Nobody: [],
  // A `*` of IAM covers slashes: who may describe every topic may fetch from it. What members send is not the operator's.
  Operator: all.filter((line) =>
    /^\w+ \/v1\/topics(\/\w+)?$|^GET .*\/partitions|^(GET|DELETE) \/v1\/groups|\/reset$/.test(line),
  ),
};

test.for(Object.entries(grants))('%s may send what was granted and nothing else', async ([role, allowed]) => {
  expect(await statuses(role, all)).toEqual(
    Object.fromEntries(all.map((line) => [line, allowed.includes(line) ? 200 : 403])),
  );
  expect(calls).toHaveLength(allowed.length);
});

test('who may produce to orders is refused on payments, in the words of every other error', async () => {
  const answer = await send('OrdersProducer', 'POST /v1/topics/payments/records', { body: '{"records":[]}' });
  expect(answer.status).toBe(403);
  expect(await answer.json()).toMatchObject({
    code: 'TOPIC_AUTHORIZATION_FAILED',
    effect: 'none',
    retriable: false,
    detail: expect.stringMatching(
      /^User: .*OrdersProducer.* is not authorized to perform: execute-api:Invoke on resource: .*\/prod\/POST\/v1\/topics\/payments\/records$/,
    ),
  });
  expect(calls).toEqual([]);
});

test('who is in billing is refused in audit, in the words of every other error', async () => {
  const answer = await send('BillingMember', 'POST /v1/groups/audit/heartbeat', { body: '{"memberEpoch":0}' });
  expect(answer.status).toBe(403);
  expect(await answer.json()).toMatchObject({
    effect: 'none',
    retriable: false,
    detail: expect.stringMatching(/BillingMember.* is not authorized .*\/prod\/POST\/v1\/groups\/audit\/heartbeat$/),
  });
  expect(calls).toEqual([]);
});

test('a path that leads out of the topic is another path, however it is written', async () => {
  const tricks = [
    '/v1/topics/orders/../payments/records',
    '/v1/topics/orders%2f..%2fpayments/records',
    '/v1/topics/payments/records?topic=orders',
    '/v1/topics/orders%00/records',
    '/v1/topics/Orders/records',
    '/v1/topics//orders/records',
  ];
  for (const path of tricks) {
    // Unsigned, as nothing signed for such a path could be more: what counts is that no function sees it.
    const status = await new Promise((resolve, reject) => {
      const url = new URL(gateway.url);
      http
        .request({ host: url.hostname, port: url.port, method: 'POST', path: `/prod${path}` }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        })
        .on('error', reject)
        .end();
    });
    expect(status, path).toBe(403);
  }
  const encoded = await send('OrdersProducer', 'POST /v1/topics/payment%73/records');
  expect(encoded.status).toBe(403);
  expect(calls).toEqual([]);
});

test('each path reaches its function, with the path parameters beside it', async () => {
  const partition = 'GET /v1/topics/orders/partitions/3/records?offset=7';
  expect((await send('OrdersConsumer', partition)).status).toBe(200);
  expect((await send('OrdersProducer', 'POST /v1/topics/orders/records', { body: '{}' })).status).toBe(200);
  expect((await send('OrdersManager', 'DELETE /v1/topics/orders')).status).toBe(200);
  expect((await send('BillingMember', 'POST /v1/groups/billing/heartbeat', { body: '{}' })).status).toBe(200);
  expect(calls.map(({ name }) => name)).toEqual(['fetch', 'produce', 'topics', 'group']);
  expect(calls[3]?.event.pathParameters).toEqual({ group: 'billing' });
  expect(calls[0]?.event).toMatchObject({
    httpMethod: 'GET',
    path: '/v1/topics/orders/partitions/3/records',
    resource: '/v1/topics/{topic}/partitions/{partition}/records',
    pathParameters: { topic: 'orders', partition: '3' },
    queryStringParameters: { offset: '7' },
    body: null,
    isBase64Encoded: false,
    requestContext: { stage: 'prod', path: '/prod/v1/topics/orders/partitions/3/records' },
  });
});

test('record batches come as Base64, JSON as text', async () => {
  const batches = 'application/vnd.millrace.batches';
  const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);
  await send('OrdersProducer', 'POST /v1/topics/orders/batches', { headers: { 'content-type': batches }, body: bytes });
  await send('OrdersProducer', 'POST /v1/topics/orders/records', {
    headers: { 'content-type': 'application/json' },
    body: '{"records":[{"value":"ä"}]}',
  });
  expect(calls.map(({ event: { body, isBase64Encoded } }) => [isBase64Encoded, body])).toEqual([
    [true, Buffer.from(bytes).toString('base64')],
    [false, '{"records":[{"value":"ä"}]}'],
  ]);
});

test('a binary answer is decoded for who asks for it first, and is Base64 text for everyone else', async () => {
  const batches = 'application/vnd.millrace.batches';
  const bytes = Buffer.from([0, 255, 128, 7]);
  result = {
    statusCode: 200,
    headers: { 'content-type': batches },
    body: bytes.toString('base64'),
    isBase64Encoded: true,
  };
  const fetch = (accept: string) => send('OrdersConsumer', 'POST /v1/topics/orders/fetch', { headers: { accept } });
  expect(Buffer.from(await (await fetch(`${batches}, application/json`)).arrayBuffer())).toEqual(bytes);
  expect(await (await fetch(`application/json, ${batches}`)).text()).toBe(bytes.toString('base64'));
  expect(await (await fetch('*/*')).text()).toBe(bytes.toString('base64'));
});

test('a request that is unsigned, signed by a stranger, wrongly or long ago is refused', async () => {
  const url = `${gateway.url}/v1/topics/orders/records`;
  const signer = (accessKeyId: string, secretAccessKey: string) =>
    new AwsClient({ accessKeyId, secretAccessKey, service: 'execute-api', region: 'us-east-1', retries: 0 });
  const owner = signer('OrdersProducer', 'secret of OrdersProducer');
  const stale = await owner.sign(url, { method: 'POST', body: '{}', aws: { datetime: '20200101T000000Z' } });
  const signed = await owner.sign(url, { method: 'POST', body: '{}' });
  const changed = new Request(signed, { body: '{"records":[]}' });
  const answers = [
    await fetch(url, { method: 'POST', body: '{}' }),
    await signer('Stranger', 'secret').fetch(url, { method: 'POST', body: '{}' }),
    await signer('OrdersProducer', 'another secret').fetch(url, { method: 'POST', body: '{}' }),
    await fetch(stale),
    await fetch(changed),
  ];
  expect(answers.map(({ status, headers }) => [status, headers.get('x-amzn-errortype')])).toEqual([
    [403, 'MissingAuthenticationTokenException'],
    [403, 'UnrecognizedClientException'],
    [403, 'InvalidSignatureException'],
    [403, 'InvalidSignatureException'],
    [403, 'InvalidSignatureException'],
  ]);
  expect(calls).toEqual([]);
});

test('a path or method that is in no template is a missing token, and another stage is forbidden', async () => {
  const unknown = await send('Operator', 'GET /v1/nothing');
  expect(unknown.status).toBe(403);
  expect(await unknown.json()).toMatchObject({ detail: 'Missing Authentication Token' });
  expect((await send('Operator', 'PUT /v1/topics/orders')).status).toBe(403);
  const elsewhere = await fetch(gateway.url.replace(/prod$/, 'test/v1/topics'));
  expect([elsewhere.status, await elsewhere.json()]).toEqual([403, { message: 'Forbidden' }]);
});

test('bodies beyond the limits of API Gateway and of an invoke are refused as too large', async () => {
  const batches = { 'content-type': 'application/vnd.millrace.batches' };
  const sizes = [10 * 1024 * 1024 + 1, 5_000_000, 4_500_000];
  const answers = await Promise.all(
    sizes.map((size) =>
      send('OrdersProducer', 'POST /v1/topics/orders/batches', { headers: batches, body: new Uint8Array(size) }),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual([413, 413, 200]);
  expect(await answers[0]?.json()).toMatchObject({ code: 'MESSAGE_TOO_LARGE', effect: 'none' });
});

test('a function that fails, answers nonsense, too much or too late is a failure of the gateway', async () => {
  const line = 'POST /v1/topics/orders/records';
  const outcomes: unknown[] = [
    () => Promise.reject(new Error('the function failed')),
    { nonsense: true },
    { statusCode: 200, body: 'a'.repeat(6_291_557) },
    () => new Promise((resolve) => setTimeout(() => resolve(ok), 400)),
  ];
  const seen: unknown[] = [];
  for (result of outcomes) {
    const answer = await send('OrdersProducer', line);
    const { message, code, effect } = (await answer.json()) as Record<string, string>;
    seen.push([answer.status, message ?? `${code} ${effect}`]);
  }
  expect(seen).toEqual([
    [502, 'Internal server error'],
    [502, 'Internal server error'],
    [502, 'Internal server error'],
    [504, 'REQUEST_TIMED_OUT unknown'],
  ]);
});
