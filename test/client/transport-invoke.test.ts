import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type InvokeCommandInput,
  LambdaClient,
  RequestTooLargeException,
  ResourceNotFoundException,
  ServiceException,
  TooManyRequestsException,
} from '@aws-sdk/client-lambda';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type InvokeClient, LogError, Millrace } from '../../lib/client/index.ts';
import type { TransportRequest } from '../../lib/client/transport.ts';
import { type InvokeOptions, invokeTransport } from '../../lib/client/transport-invoke.ts';
import { systemClock } from '../../lib/clock.ts';
import { listenToBodies } from './http-server.ts';

const functions = { produce: 'log-produce', fetch: 'log-fetch', topics: 'log-topics', group: 'log-group' };
const get: TransportRequest = { method: 'GET', path: '/v1/health', headers: {}, timeoutMs: 5_000 };
const encode = (value: unknown) => ({ StatusCode: 200, Payload: Buffer.from(JSON.stringify(value)) });
const ok = encode({ status: 200, headers: {}, body: '{}', isBase64Encoded: false });

/** A client whose every invoke is answered by `answer`. */
function lambda(answer: (input: InvokeCommandInput, signal: AbortSignal) => unknown): InvokeClient {
  return {
    send: async (command, { abortSignal }) => answer((command as { input: InvokeCommandInput }).input, abortSignal),
  };
}

const invoking = (answer: Parameters<typeof lambda>[0], options: InvokeOptions = functions) =>
  invokeTransport({ ...options, client: lambda(answer) }, systemClock);

test.each([
  ['POST', '/v1/producers', undefined, 'log-produce'],
  ['POST', '/v1/topics/orders/records', undefined, 'log-produce'],
  ['POST', '/v1/topics/orders/batches', undefined, 'log-produce'],
  ['POST', '/v1/topics/orders/fetch', undefined, 'log-fetch'],
  ['GET', '/v1/topics/orders/partitions/0/records', undefined, 'log-fetch'],
  ['GET', '/v1/topics/orders/partitions/0/offsets', undefined, 'log-fetch'],
  ['GET', '/v1/topics/orders', undefined, 'log-topics'],
  ['GET', '/v1/topics/orders', 'producer', 'log-produce'],
  ['GET', '/v1/topics/orders', 'consumer', 'log-fetch'],
  ['DELETE', '/v1/topics/records', undefined, 'log-topics'],
  ['GET', '/v1/topics', undefined, 'log-topics'],
  ['GET', '/v1/health', undefined, 'log-topics'],
  ['GET', '/v1/groups', undefined, 'log-group'],
  ['POST', '/v1/groups/billing/heartbeat', undefined, 'log-group'],
  ['POST', '/v1/groups/billing/offsets', 'consumer', 'log-group'],
] as const)('%s %s of %s goes to %s', async (method, path, role, name) => {
  const seen: (string | undefined)[] = [];
  const transport = invoking(({ FunctionName }) => {
    seen.push(FunctionName);
    return ok;
  });
  await transport({ ...get, method, path, ...(role !== undefined && { role }) });
  expect(seen).toEqual([name]);
});

test('a request travels in the request form: JSON as text, anything else as Base64', async () => {
  const payloads: unknown[] = [];
  const transport = invoking(({ Payload }) => {
    payloads.push(JSON.parse(Buffer.from(Payload as Uint8Array).toString()));
    const body = Buffer.from([0, 255]).toString('base64');
    return encode({ status: 207, headers: { 'Millrace-Partitions': '0:1:1:0' }, body, isBase64Encoded: true });
  });
  const headers = { 'content-type': 'application/json' };
  const answer = await transport({
    ...get,
    query: { after: 'ä b' },
    headers,
    body: [Buffer.from('{"a"'), Buffer.from(':1}')],
  });
  expect([answer.status, answer.header('millrace-partitions'), answer.header('x')]).toEqual([
    207,
    '0:1:1:0',
    undefined,
  ]);
  expect(Buffer.from(answer.body)).toEqual(Buffer.from([0, 255]));
  await transport({
    ...get,
    headers: { 'content-type': 'application/vnd.millrace.batches' },
    body: [Buffer.from([1, 254])],
  });
  await transport(get);
  expect(payloads).toEqual([
    { method: 'GET', path: '/v1/health', query: { after: 'ä b' }, headers, body: '{"a":1}', isBase64Encoded: false },
    {
      method: 'GET',
      path: '/v1/health',
      query: {},
      headers: { 'content-type': 'application/vnd.millrace.batches' },
      body: 'Af4=',
      isBase64Encoded: true,
    },
    { method: 'GET', path: '/v1/health', query: {}, headers: {}, isBase64Encoded: false },
  ]);
});

test('a function that was not named is asked for by its name', async () => {
  await using log = new Millrace({ invoke: { produce: 'log-produce', client: lambda(() => ok) } });
  await expect(log.admin.describeTopic('orders')).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
    effect: 'none',
    message: 'no function for GET /v1/topics/orders; name it as invoke.topics',
  });
});

describe('a member of a group', () => {
  const read = async (log: Millrace) => {
    for await (const _ of log.consumer('orders', { group: 'billing' })) expect.fail('there is nothing to read');
  };

  test('whose client was not told of the group function is told so, and by nothing else', async () => {
    const reading = async () => {
      await using log = new Millrace({ invoke: { fetch: 'log-fetch', client: lambda(() => ok) } });
      await read(log);
    };
    await expect(reading()).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      effect: 'none',
      message: 'no function for POST /v1/groups/billing/heartbeat; name it as invoke.group',
    });
  });

  test('whose role may not invoke the group function is told what it lacks, and by nothing else', async () => {
    const message =
      'User: arn:aws:sts::1:assumed-role/Reader/me is not authorized to perform: lambda:InvokeFunction on resource: log-group';
    const client = lambda(() => Promise.reject(named('AccessDeniedException', { $fault: 'client', message })));
    const reading = async () => {
      await using log = new Millrace({ invoke: { fetch: 'log-fetch', group: 'log-group', client } });
      await read(log);
    };
    await expect(reading()).rejects.toMatchObject({
      code: 'TOPIC_AUTHORIZATION_FAILED',
      effect: 'none',
      message: `function log-group cannot be invoked: ${message}`,
    });
  });
});

const metadata = { $metadata: {}, message: 'told' };
const named = (name: string, more: object = {}) => Object.assign(new Error('told'), { name, ...more });

describe('an invoke that is refused or lost', () => {
  test.each<[string, Error, Partial<LogError>]>([
    [
      'is throttled',
      new TooManyRequestsException({ ...metadata, retryAfterSeconds: '2' }),
      { code: 'THROTTLING_QUOTA_EXCEEDED', effect: 'none', retriable: true, details: { retryAfterMs: 2_000 } },
    ],
    [
      'is throttled without a word on how long',
      new TooManyRequestsException(metadata),
      { code: 'THROTTLING_QUOTA_EXCEEDED', effect: 'none', retriable: true, details: undefined },
    ],
    [
      'is too large',
      new RequestTooLargeException(metadata),
      { code: 'MESSAGE_TOO_LARGE', effect: 'none', retriable: false, details: { bytesMax: 4_400_000 } },
    ],
    [
      'names no function',
      new ResourceNotFoundException(metadata),
      {
        code: 'INVALID_REQUEST',
        effect: 'none',
        retriable: false,
        message: 'function log-topics cannot be invoked: told',
      },
    ],
    [
      'is not allowed',
      named('AccessDeniedException', { $fault: 'client' }),
      { code: 'TOPIC_AUTHORIZATION_FAILED', effect: 'none', retriable: false },
    ],
    [
      'has no credentials',
      named('CredentialsProviderError'),
      { code: 'TOPIC_AUTHORIZATION_FAILED', effect: 'none', retriable: false },
    ],
    [
      'is refused for what else is wrong with it',
      named('InvalidRequestContentException', { $fault: 'client' }),
      { code: 'INVALID_REQUEST', effect: 'none', retriable: false },
    ],
    [
      'was signed by a wrong clock, which is right now',
      named('InvalidSignatureException', { $fault: 'client', $metadata: { clockSkewCorrected: true } }),
      { code: 'KAFKA_STORAGE_ERROR', effect: 'none', retriable: true },
    ],
    [
      'meets a function that is not ready',
      named('ResourceConflictException', { $fault: 'client' }),
      { code: 'KAFKA_STORAGE_ERROR', effect: 'none', retriable: true },
    ],
    [
      'meets a failure of Lambda before the function',
      named('ENINotReadyException', { $fault: 'server' }),
      { code: 'KAFKA_STORAGE_ERROR', effect: 'none', retriable: true },
    ],
    [
      'meets a failure of Lambda that may have come later',
      new ServiceException(metadata),
      { code: 'KAFKA_STORAGE_ERROR', effect: 'unknown', retriable: true },
    ],
    [
      'loses its connection',
      named('Error', { code: 'ECONNRESET' }),
      { code: 'KAFKA_STORAGE_ERROR', effect: 'unknown', retriable: true },
    ],
    [
      'finds nobody',
      named('Error', { code: 'ECONNREFUSED' }),
      { code: 'KAFKA_STORAGE_ERROR', effect: 'none', retriable: true },
    ],
  ])('%s', async (_, error, expected) => {
    const transport = invoking(() => Promise.reject(error));
    const failure = (await transport(get).catch((caught: unknown) => caught)) as LogError;
    expect(failure).toBeInstanceOf(LogError);
    expect(failure).toMatchObject(expected);
    expect(failure.cause).toBe(error);
  });
});

describe('a function that does not answer', () => {
  test.each<[string, unknown, Partial<LogError>]>([
    [
      'since its time was over',
      { errorType: 'Sandbox.Timedout', errorMessage: 'RequestId: 1 Error: Task timed out after 3.00 seconds' },
      { code: 'REQUEST_TIMED_OUT', effect: 'unknown', retriable: true },
    ],
    [
      'since its time was over, told the older way',
      { errorMessage: '2026-01-31T08:00:00.000Z 1 Task timed out after 3.00 seconds' },
      { code: 'REQUEST_TIMED_OUT', effect: 'unknown', retriable: true },
    ],
    [
      'since its answer was too large',
      { errorType: 'Function.ResponseSizeTooLarge', errorMessage: 'Response payload size exceeded maximum allowed' },
      { code: 'MESSAGE_TOO_LARGE', effect: 'unknown', retriable: false },
    ],
    [
      'since its process ended',
      { errorType: 'Runtime.ExitError', errorMessage: 'RequestId: 1 Error: Runtime exited with error: signal: killed' },
      { code: 'UNKNOWN_SERVER_ERROR', effect: 'unknown', retriable: true },
    ],
    [
      'since it threw',
      { errorType: 'TypeError', errorMessage: 'x is not a function', trace: [] },
      {
        code: 'UNKNOWN_SERVER_ERROR',
        effect: 'unknown',
        retriable: false,
        message: 'function log-topics failed: TypeError: x is not a function',
      },
    ],
  ])('%s', async (_, told, expected) => {
    const transport = invoking(() => ({ ...encode(told), FunctionError: 'Unhandled' }));
    await expect(transport(get)).rejects.toMatchObject(expected);
  });

  test.each([['{"statusCode":200}'], ['"text"'], ['null'], ['no JSON'], ['']])(
    'as a log would, but with %s, is taken for the wrong one',
    async (text) => {
      const transport = invoking(() => ({ StatusCode: 200, Payload: Buffer.from(text) }));
      await expect(transport(get)).rejects.toMatchObject({
        code: 'UNKNOWN_SERVER_ERROR',
        message: 'function log-topics gave no answer of a log; is it the right function?',
      });
    },
  );

  test('within the time of the request is given up, and the invoke is aborted', async () => {
    let wasAborted = false;
    const transport = invoking((_, signal) => {
      signal.addEventListener('abort', () => {
        wasAborted = true;
      });
      return new Promise(() => {});
    });
    await expect(transport({ ...get, timeoutMs: 30 })).rejects.toMatchObject({
      code: 'REQUEST_TIMED_OUT',
      effect: 'unknown',
      message: 'function log-topics did not answer within 30 ms',
    });
    expect(wasAborted).toBe(true);
  });

  test('before the caller has had enough ends with the reason of the caller', async () => {
    const transport = invoking(
      (_, signal) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(named('AbortError')), { once: true })),
    );
    const ending = new AbortController();
    const reason = new Error('enough');
    setTimeout(() => ending.abort(reason), 20);
    await expect(transport({ ...get, signal: ending.signal })).rejects.toBe(reason);
  });
});

describe('over the real LambdaClient', () => {
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' };
  const connect = (endpoint: string) => {
    const client = new LambdaClient({ endpoint, region: 'us-east-1', credentials, maxAttempts: 1 });
    onTestFinished(() => client.destroy());
    return invokeTransport({ ...functions, client }, systemClock);
  };

  test('an invoke arrives as one, and its answer comes back', async () => {
    const endpoint = await listenToBodies((request, body, response) => {
      const seen = JSON.stringify([request.url, JSON.parse(body.toString()).path]);
      response.end(JSON.stringify({ status: 200, headers: {}, body: seen, isBase64Encoded: false }));
    });
    const { body } = await connect(endpoint)(get);
    expect(JSON.parse(Buffer.from(body).toString())).toEqual([
      '/2015-03-31/functions/log-topics/invocations',
      '/v1/health',
    ]);
  });

  test('fetches that wait keep no other invoke from a connection', async () => {
    const endpoint = await listenToBodies((request, _, response) => {
      if (request.url?.includes('log-fetch')) return;
      response.end(JSON.stringify({ status: 200, headers: {}, body: '', isBase64Encoded: false }));
    });
    vi.stubEnv('AWS_ENDPOINT_URL_LAMBDA', endpoint);
    vi.stubEnv('AWS_ACCESS_KEY_ID', credentials.accessKeyId);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', credentials.secretAccessKey);
    onTestFinished(() => void vi.unstubAllEnvs());
    const transport = invokeTransport({ ...functions, region: 'us-east-1' }, systemClock);
    const ended = new AbortController();
    const poll = { ...get, method: 'POST', path: '/v1/topics/orders/fetch', signal: ended.signal } as const;
    const polls = Promise.allSettled(Array.from({ length: 100 }, () => transport(poll)));
    expect(await transport({ ...get, method: 'POST', path: '/v1/groups/billing/heartbeat' })).toMatchObject({
      status: 200,
    });
    ended.abort();
    await polls;
    await transport.close();
  });

  test('throttling, a failed function and a cut connection are told apart', async () => {
    let count = 0;
    const endpoint = await listenToBodies((request, _, response) => {
      count += 1;
      if (count === 1) {
        response.writeHead(429, { 'x-amzn-errortype': 'TooManyRequestsException', 'retry-after': '1' });
        response.end('{"message":"Rate Exceeded.","Reason":"ConcurrentInvocationLimitExceeded"}');
      } else if (count === 2) {
        response.writeHead(200, { 'x-amz-function-error': 'Unhandled' });
        response.end('{"errorType":"Error","errorMessage":"broken"}');
      } else request.socket.destroy();
    });
    const transport = connect(endpoint);
    await expect(transport(get)).rejects.toMatchObject({
      code: 'THROTTLING_QUOTA_EXCEEDED',
      details: { retryAfterMs: 1_000 },
    });
    await expect(transport(get)).rejects.toMatchObject({ code: 'UNKNOWN_SERVER_ERROR', effect: 'unknown' });
    await expect(transport(get)).rejects.toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'unknown' });
    expect(count).toBe(3);
  });

  test('who is not there was never asked', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    await expect(connect(`http://127.0.0.1:${port}`)(get)).rejects.toMatchObject({
      code: 'KAFKA_STORAGE_ERROR',
      effect: 'none',
      retriable: true,
    });
  });
});
