import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { SignatureV4 } from '@smithy/signature-v4';
import { describe, expect, test, vi } from 'vitest';
import { type AwsAuth, type AwsCredentials, awsServiceOf, credentialSource } from '../../lib/client/aws-auth.ts';
import { Millrace } from '../../lib/client/index.ts';
import { missingPeer } from '../../lib/client/missing-peer.ts';
import type { TransportRequest } from '../../lib/client/transport.ts';
import { httpTransport } from '../../lib/client/transport-http.ts';
import { signedTransport } from '../../lib/client/transport-signed.ts';
import { systemClock } from '../../lib/clock.ts';
import { listenToBodies } from './http-server.ts';

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
const region = 'eu-central-1';
const get: TransportRequest = { method: 'GET', path: '/v1/health', headers: {}, timeoutMs: 5_000 };
const nowMs = Date.UTC(2015, 7, 30, 12, 36);
const clock = { ...systemClock, nowMs: () => nowMs };

function signing(endpoint: string, auth: AwsAuth, ownClock = clock) {
  return signedTransport(httpTransport({ endpoint }), { region, ...auth }, ownClock);
}

/** Node's own class for the sum, so that this sha256 is not the one under test. */
class Sha256 {
  readonly #hash;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', Buffer.from(secret as Uint8Array));
  }
  update(data: string | Uint8Array): void {
    this.#hash.update(data);
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
  reset(): void {
    throw new Error('not used');
  }
}

/** What the AWS SDK's own signer makes of a request as it arrived. */
async function signedByTheSdk(request: IncomingMessage, body: Buffer, service: string, by: AwsCredentials) {
  const signer = new SignatureV4({ service, region, credentials: by, sha256: Sha256, applyChecksum: true });
  const url = new URL(request.url ?? '', `http://${request.headers.host}`);
  const { authorization: _, connection: __, 'content-length': ___, ...headers } = request.headers;
  const signed = await signer.sign(
    {
      method: request.method ?? '',
      protocol: 'http:',
      hostname: url.hostname,
      port: Number(url.port),
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: headers as Record<string, string>,
      body,
    },
    {
      signingDate: new Date(nowMs),
      // The lists of the two signers differ in this one.
      unsignableHeaders: new Set(['content-type']),
    },
  );
  return signed.headers.authorization;
}

describe('a signed request', () => {
  const requests: [string, Partial<TransportRequest>][] = [
    ['without a body', {}],
    ['with a query to be encoded', { query: { after: "a b&c=d+e/é!'()*~", limit: '10' } }],
    ['with a path that is encoded already', { path: '/v1/topics/a%20b%2Fc/partitions/0/records' }],
    [
      'with a body in parts',
      {
        method: 'POST',
        path: '/v1/topics/orders/batches',
        headers: { 'content-type': 'application/octet-stream', accept: 'application/json,  text/plain' },
        body: [Uint8Array.of(0, 255), Buffer.from('second'), new Uint8Array(0)],
      },
    ],
  ];
  test.each(requests)('%s bears the signature that the AWS SDK would give it', async (_, request) => {
    const expected: (string | undefined)[] = [];
    const seen: (string | undefined)[] = [];
    const by = { ...credentials, sessionToken: 'token+/==' };
    const endpoint = await listenToBodies(async (incoming, body, response) => {
      seen.push(incoming.headers.authorization);
      expected.push(await signedByTheSdk(incoming, body, seen.length === 1 ? 'execute-api' : 'lambda', by));
      response.end('{}');
    });
    expect((await signing(`${endpoint}/prod`, { credentials: by })({ ...get, ...request })).status).toBe(200);
    await signing(endpoint, { credentials: by, service: 'lambda' })({ ...get, ...request });
    expect(seen).toEqual(expected);
    expect(seen[0]).toContain(`Credential=AKIDEXAMPLE/20150830/${region}/execute-api/aws4_request`);
    expect(seen[0]).toContain('x-amz-content-sha256;x-amz-date;x-amz-security-token');
  });

  test('is signed anew when the log told that the clock is wrong, and rightly from then on', async () => {
    const dates: (string | undefined)[] = [];
    const theirs = new Date(nowMs + 3_600_000);
    const endpoint = await listenToBodies((request, _, response) => {
      dates.push(request.headers['x-amz-date'] as string);
      response.setHeader('date', theirs.toUTCString());
      response.statusCode = request.headers['x-amz-date'] === '20150830T133600Z' ? 200 : 403;
      response.end('{"message":"Signature expired: 20150830T123600Z is now earlier than 20150830T133100Z"}');
    });
    const transport = signing(endpoint, { credentials });
    expect((await transport(get)).status).toBe(200);
    expect((await transport(get)).status).toBe(200);
    expect(dates).toEqual(['20150830T123600Z', '20150830T133600Z', '20150830T133600Z']);
  });

  test('that is refused for another reason is not sent again', async () => {
    let count = 0;
    const endpoint = await listenToBodies((_, __, response) => {
      count += 1;
      response.setHeader('date', new Date(nowMs).toUTCString());
      response.statusCode = 403;
      response.end('{"Message":"User: arn:aws:iam::1:user/a is not authorized to perform: execute-api:Invoke"}');
    });
    await using log = new Millrace({ transport: signing(endpoint, { credentials: async () => credentials }) });
    await expect(log.admin.describeTopic('orders')).rejects.toMatchObject({
      code: 'TOPIC_AUTHORIZATION_FAILED',
      effect: 'none',
      message: expect.stringContaining('User: arn:aws:iam::1:user/a is not authorized'),
    });
    expect(count).toBe(1);
  });

  test('that is refused since its credentials have expired is signed with newer ones, once', async () => {
    const tokens: (string | undefined)[] = [];
    const endpoint = await listenToBodies((request, _, response) => {
      tokens.push(request.headers['x-amz-security-token'] as string);
      response.writeHead(403, { 'x-amzn-errortype': 'ExpiredTokenException' });
      response.end('{"message":"The security token included in the request is expired"}');
    });
    let given = 0;
    const ask = async () => ({ ...credentials, sessionToken: `token-${++given}` });
    expect((await signing(endpoint, { credentials: ask })(get)).status).toBe(403);
    expect(tokens).toEqual(['token-1', 'token-2']);
  });

  test('waits for credentials no longer than it may take in all', async () => {
    const endpoint = await listenToBodies((_, __, response) => response.end());
    const never = () => new Promise<AwsCredentials>(() => {});
    const waiting = signing(endpoint, { credentials: never })({ ...get, timeoutMs: 50 });
    await expect(waiting).rejects.toMatchObject({ code: 'REQUEST_TIMED_OUT', effect: 'none' });
  });

  test('takes the credentials that the AWS SDK finds when none are given', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'FROMTHEENVIRONMENT');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    let authorization: string | undefined;
    const endpoint = await listenToBodies((request, _, response) => {
      authorization = request.headers.authorization;
      response.end('{"topics":[]}');
    });
    await using log = new Millrace({ endpoint, auth: { region } });
    expect(await log.admin.listTopics().next()).toMatchObject({ done: true });
    vi.unstubAllEnvs();
    expect(authorization).toContain('Credential=FROMTHEENVIRONMENT/');
  });
});

describe('credentials that are asked for', () => {
  const at = (ms: number) => ({ ...credentials, expiration: new Date(nowMs + ms) });

  test('are held until five minutes before they expire, and asked for once at a time', async () => {
    let laterMs = 0;
    let askedCount = 0;
    const ask = async () => {
      askedCount += 1;
      return at(3_600_000 * askedCount);
    };
    const source = credentialSource(ask, { ...systemClock, nowMs: () => nowMs + laterMs });
    const [first, second] = await Promise.all([source.get(), source.get()]);
    expect(first).toBe(second);
    laterMs = 3_600_000 - 301_000;
    expect(await source.get()).toBe(first);
    laterMs = 3_600_000 - 299_000;
    expect(await source.get()).not.toBe(first);
    expect(askedCount).toBe(2);
  });

  test('are used to their end while no newer ones can be had, and then tell why', async () => {
    let laterMs = 0;
    let canAsk = true;
    const ask = async () => {
      if (!canAsk) throw new Error('sso session has ended');
      return at(600_000);
    };
    const source = credentialSource(ask, { ...systemClock, nowMs: () => nowMs + laterMs });
    const held = await source.get();
    canAsk = false;
    laterMs = 599_000;
    expect(await source.get()).toBe(held);
    laterMs = 601_000;
    await expect(source.get()).rejects.toMatchObject({
      code: 'TOPIC_AUTHORIZATION_FAILED',
      effect: 'none',
      message: 'no AWS credentials to sign with: sso session has ended',
    });
  });
});

test.each([
  ['a1b2c3.execute-api.eu-west-1.amazonaws.com', 'execute-api', 'eu-west-1'],
  ['a1b2c3-vpce-0f.execute-api.us-gov-west-1.amazonaws.com', 'execute-api', 'us-gov-west-1'],
  ['vpce-0f-x.execute-api.us-east-1.vpce.amazonaws.com', 'execute-api', 'us-east-1'],
  ['a1b2c3.execute-api.cn-north-1.amazonaws.com.cn', 'execute-api', 'cn-north-1'],
  ['a1b2c3.execute-api.us-east-2.api.aws', 'execute-api', 'us-east-2'],
  ['abcdef.lambda-url.ap-south-1.on.aws', 'lambda', 'ap-south-1'],
])('an endpoint at %s is signed for %s in %s', (host, service, itsRegion) => {
  expect(awsServiceOf(host)).toEqual({ service, region: itsRegion });
});

test.each([
  '127.0.0.1',
  'api.example.com',
  'execute-api.us-east-1.amazonaws.com',
  'x.execute-api.y.amazonaws.com.evil.example',
])('an endpoint at %s is not taken for one of AWS', (host) => {
  expect(awsServiceOf(host)).toBeUndefined();
});

test("a domain of one's own needs a region", () => {
  expect(() => new Millrace({ endpoint: 'https://log.example.com', auth: {} })).toThrow(
    'auth needs a region: the name log.example.com does not tell it',
  );
});

test('a package that is not installed is named', async () => {
  const absent = 'a-package-that-nobody-has';
  const importing = import(absent).catch(missingPeer('to do this', absent));
  await expect(importing).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
    message: 'to do this, install a-package-that-nobody-has',
  });
});
