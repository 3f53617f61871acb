/**
 * Requests as direct invokes of the log's functions, without API Gateway: the caller needs `lambda:InvokeFunction` on each
 * function it uses, and that one permission reaches every topic. The request form of PROTOCOL.md, in and out.
 */

import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import { isFetch } from '../wire.ts';
import { withinDeadline } from './deadline.ts';
import { functionError, rejectedInvoke } from './invoke-errors.ts';
import { missingPeer } from './missing-peer.ts';
import {
  lambdaLimits,
  makeTransport,
  type Transport,
  type TransportRequest,
  type TransportResponse,
} from './transport.ts';

/** Names or ARNs of the functions, in `produce`, `fetch`, `topics` and `group`; those that are not used can be left out. */
export interface InvokeOptions {
  /** Used by producers. */
  readonly produce?: string;
  /** Used by consumers. */
  readonly fetch?: string;
  /** Used by `admin`. */
  readonly topics?: string;
  /** Used by consumers of a group, and by `admin` for groups. */
  readonly group?: string;
  /** @default what the AWS SDK finds: environment or profile */
  readonly region?: string;
  /** A `LambdaClient` of your own. Make it with `maxAttempts: 1`: what can be tried again is decided here. */
  readonly client?: InvokeClient;
}

/** As much of a `LambdaClient` as is used. */
export interface InvokeClient {
  send(command: object, options: { readonly abortSignal: AbortSignal }): Promise<unknown>;
}

/** What a `LambdaClient` answers, as far as it is read. */
interface InvokeOutput {
  readonly FunctionError?: string;
  readonly Payload?: Uint8Array;
}

type FunctionRole = 'produce' | 'fetch' | 'topics' | 'group';

const lambdaPackage = '@aws-sdk/client-lambda';
/** As many as over HTTP, for fetches and for the rest: each invoke holds a connection until its answer. */
const socketsMax = 64;
const connectMsMax = 5_000;

export function invokeTransport(options: InvokeOptions, clock: Clock): Transport {
  const opened: { [use in 'fetches' | 'rest']?: ReturnType<typeof openClient> } = {};

  async function send(request: TransportRequest): Promise<TransportResponse> {
    const role = functionFor(request);
    const name = options[role];
    if (name === undefined) {
      throw new LogError(
        'INVALID_REQUEST',
        `no function for ${request.method} ${request.path}; name it as invoke.${role}`,
      );
    }
    const timedOut = () =>
      new LogError('REQUEST_TIMED_OUT', `function ${name} did not answer within ${request.timeoutMs} ms`);
    return withinDeadline(clock, request, timedOut, async (abortSignal) => {
      const use = isFetch(request.method, request.path) ? 'fetches' : 'rest';
      opened[use] ??= openClient(options);
      const { client, InvokeCommand } = await opened[use];
      const command = new InvokeCommand({ FunctionName: name, Payload: encodeRequest(request) });
      let output: InvokeOutput;
      try {
        output = (await client.send(command, { abortSignal })) as InvokeOutput;
      } catch (error) {
        throw rejectedInvoke(name, error);
      }
      if (output.FunctionError !== undefined) throw functionError(name, output.Payload);
      return decodeAnswer(name, output.Payload);
    });
  }

  async function close(): Promise<void> {
    // Who gave a client may still use it.
    if (options.client !== undefined) return;
    // Who asked for one that could not be opened was told so.
    for (const one of Object.values(opened)) await one.then(({ client }) => client.destroy?.()).catch(() => {});
  }
  return makeTransport(describe(options), send, close, lambdaLimits);
}

async function openClient({ client, region }: InvokeOptions): Promise<{
  readonly client: InvokeClient & { destroy?(): void };
  readonly InvokeCommand: typeof import('@aws-sdk/client-lambda').InvokeCommand;
}> {
  const { InvokeCommand, LambdaClient } = await import('@aws-sdk/client-lambda').catch(
    missingPeer('to invoke functions', lambdaPackage),
  );
  if (client !== undefined) return { client, InvokeCommand };
  const own = new LambdaClient({
    ...(region !== undefined && { region }),
    // An invoke that is repeated in here would append twice, and nobody would know.
    maxAttempts: 1,
    requestHandler: { connectionTimeout: connectMsMax, httpsAgent: { maxSockets: socketsMax } },
  });
  await own.config.region().catch((cause: unknown) => {
    throw new LogError('INVALID_REQUEST', 'no AWS region was found; name one as invoke.region', { cause });
  });
  return { client: own, InvokeCommand };
}

function describe({ produce, fetch, topics, group }: InvokeOptions): string {
  return `functions ${[produce, fetch, topics, group].filter((name) => name !== undefined).join(', ')}`;
}

/** Each function answers only what its callers are allowed; what producer and consumer ask about topics, theirs answer. */
function functionFor({ method, path, role }: TransportRequest): FunctionRole {
  if (/^\/v1\/groups(\/|$)/.test(path)) return 'group';
  if (role !== undefined) return role === 'producer' ? 'produce' : 'fetch';
  if (path === '/v1/producers') return 'produce';
  if (method === 'POST' && /^\/v1\/topics\/[^/]+\/(records|batches)$/.test(path)) return 'produce';
  return /^\/v1\/topics\/[^/]+\/(partitions\/|fetch$)/.test(path) ? 'fetch' : 'topics';
}

function encodeRequest({ method, path, query = {}, headers, body: parts }: TransportRequest): Uint8Array {
  const body = parts === undefined ? undefined : Buffer.concat(parts);
  const isBase64Encoded = body !== undefined && !isText(headers['content-type']);
  const text = body?.toString(isBase64Encoded ? 'base64' : 'utf8');
  return Buffer.from(JSON.stringify({ method, path, query, headers, body: text, isBase64Encoded }));
}

function isText(contentType: string | undefined): boolean {
  return contentType?.startsWith('application/json') === true;
}

/** Throws UNKNOWN_SERVER_ERROR when it is none, for example since the function is some other one. */
function decodeAnswer(name: string, payload: Uint8Array = new Uint8Array()): TransportResponse {
  let answer: Partial<Record<'status' | 'headers' | 'body' | 'isBase64Encoded', unknown>> | null;
  try {
    answer = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8'));
  } catch {
    answer = null;
  }
  const { status, headers, body, isBase64Encoded } = answer ?? {};
  if (typeof status !== 'number') {
    throw new LogError('UNKNOWN_SERVER_ERROR', `function ${name} gave no answer of a log; is it the right function?`);
  }
  const named = new Map(Object.entries(headers ?? {}).map(([key, value]) => [key.toLowerCase(), String(value)]));
  const text = typeof body === 'string' ? body : '';
  return {
    status,
    header: (key) => named.get(key),
    body: Buffer.from(text, isBase64Encoded === true ? 'base64' : 'utf8'),
  };
}
