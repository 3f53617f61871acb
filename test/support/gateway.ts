/**
 * API Gateway on this machine: a real HTTP server that does what a synthesized template says. It finds the method, checks
 * the signature, evaluates the caller's own policies, calls the function and answers, refusals included.
 *
 * What is left out: throttling, caching, request validation, authorizers, resource policies.
 */

import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { APIGatewayProxyEvent } from 'aws-lambda';
import { type GatewayAnswer, type GatewayRequest, toAnswer, toProxyEvent, toStreamedAnswer } from './gateway-event.ts';
import { type GatewayMethod, methodsOf } from './gateway-methods.ts';
import { isLike, policiesOf } from './policy.ts';
import { checkSignature } from './sigv4.ts';
import { type Attributes, accountId, region, resolveTemplate, type Template } from './template.ts';

export interface GatewayOptions {
  readonly template: Template;
  /** What only a deployment knows; see `resolveTemplate`. */
  readonly attributes?: Attributes;
  /** Who signs with which access key: `principal` is the logical id of a role or user of the template. */
  readonly callers: Readonly<Record<string, { readonly secretAccessKey: string; readonly principal: string }>>;
  /** Gives the function's result, of a function that streams the bytes; rejects when the function failed. */
  invoke(functionLogicalId: string, event: APIGatewayProxyEvent): Promise<unknown>;
  /** @default 29 s, as API Gateway's */
  readonly integrationTimeoutMs?: number;
}

export interface Gateway {
  /** Stage and all, without a slash at its end. */
  readonly url: string;
  close(): Promise<void>;
}

const requestBytesMax = 10 * 1024 * 1024;
/** Of an event or a result as JSON. Source: the messages Lambda refuses them with. */
const eventBytesMax = 6_291_456;
const resultBytesMax = 6_291_556;

/** A refusal by API Gateway itself: type of gateway response, status, error type, message. */
class Refusal extends Error {
  readonly responseType: string;
  readonly status: number;
  readonly errorType: string;
  constructor(responseType: string, status: number, errorType: string, message: string) {
    super(message);
    this.responseType = responseType;
    this.status = status;
    this.errorType = errorType;
  }
}

export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { callers, integrationTimeoutMs = 29_000 } = options;
  const template = resolveTemplate(options.template, options.attributes);
  const policies = policiesOf(template);
  const api = only(template.ofType('AWS::ApiGateway::RestApi'));
  const stage = String(only(template.ofType('AWS::ApiGateway::Stage')).Properties.StageName);
  const binaryMediaTypes = (api.Properties.BinaryMediaTypes ?? []) as string[];
  const methods = methodsOf(template);
  const permissions = template.ofType('AWS::Lambda::Permission').map(({ Properties }) => Properties);
  const responses = template.ofType('AWS::ApiGateway::GatewayResponse').map(({ Properties }) => Properties);

  const handle = async (request: GatewayRequest, headers: IncomingMessage['headers']): Promise<GatewayAnswer> => {
    const found = methods.find(({ method, pattern }) => method === request.method && pattern.test(request.path));
    if (found === undefined) {
      const message = 'Missing Authentication Token';
      throw new Refusal('MISSING_AUTHENTICATION_TOKEN', 403, 'MissingAuthenticationTokenException', message);
    }
    if (request.body.length > requestBytesMax) {
      const message = `HTTP content length exceeded ${requestBytesMax} bytes.`;
      throw new Refusal('REQUEST_TOO_LARGE', 413, 'RequestEntityTooLargeException', message);
    }
    const resourceArn = `${api.logicalId}/${stage}/${request.method}${request.path}`;
    const caller = found.isSigned ? authorize(request, headers, resourceArn) : undefined;
    const methodArn = `arn:aws:execute-api:${region}:${accountId}:${resourceArn}`;
    const isPermitted = permissions.some(
      (permission) =>
        permission.Principal === 'apigateway.amazonaws.com' &&
        permission.FunctionName === found.functionArn &&
        isLike(String(permission.SourceArn), methodArn),
    );
    if (!isPermitted) throw internalError(500);

    const pathParameters = found.pattern.exec(request.path)?.groups ?? {};
    const place = { apiId: api.logicalId, stage, pathParameters, binaryMediaTypes };
    const event = toProxyEvent(request, { ...found, ...place }, caller);
    if (Buffer.byteLength(JSON.stringify(event)) > eventBytesMax) {
      throw new Refusal('REQUEST_TOO_LARGE', 413, 'RequestEntityTooLargeException', 'Request Too Long');
    }
    const result = await withTimeout(options.invoke(found.functionId, event), integrationTimeoutMs);
    const answer = answerOf(found, result, headers.accept);
    if (answer === undefined) throw internalError(502);
    return answer;
  };

  const answerOf = ({ isStreamed }: GatewayMethod, result: unknown, accept: string | undefined) => {
    if (isStreamed) return result instanceof Uint8Array ? toStreamedAnswer(result) : undefined;
    const isTooLarge = Buffer.byteLength(JSON.stringify(result) ?? '') > resultBytesMax;
    return isTooLarge ? undefined : toAnswer(result, accept, binaryMediaTypes);
  };

  const authorize = (request: GatewayRequest, headers: IncomingMessage['headers'], resourceArn: string) => {
    // The stage is part of what was signed, since it is part of the path the caller asked for.
    const signed = { ...request, path: `/${stage}${request.path}`, headers: flat(headers) };
    const check = checkSignature(signed, (accessKeyId) => callers[accessKeyId]?.secretAccessKey);
    if ('refused' in check) throw new Refusal(check.refused[0], 403, check.refused[1], check.refused[2]);
    const principal = callers[check.accessKeyId]?.principal ?? '';
    const userArn = `arn:aws:sts::${accountId}:assumed-role/${principal}/session`;
    const resource = `arn:aws:execute-api:${region}:${accountId}:${resourceArn}`;
    if (!policies.allows(principal, { action: 'execute-api:Invoke', resource })) {
      const hidden = resource.replace(accountId, `********${accountId.slice(-4)}`);
      const message = `User: ${userArn} is not authorized to perform: execute-api:Invoke on resource: ${hidden}`;
      throw new Refusal('ACCESS_DENIED', 403, 'AccessDeniedException', message);
    }
    return { accessKey: check.accessKeyId, userArn };
  };

  const refusalAnswer = (refusal: Refusal): GatewayAnswer => {
    const family = refusal.status < 500 ? 'DEFAULT_4XX' : 'DEFAULT_5XX';
    const own = [refusal.responseType, family].flatMap((type) => responses.filter((one) => one.ResponseType === type));
    const { ResponseTemplates, ResponseParameters, StatusCode = refusal.status } = own[0] ?? {};
    const body = (ResponseTemplates as Record<string, string> | undefined)?.['application/json'];
    const parameters = Object.entries((ResponseParameters ?? {}) as Record<string, string>).map(([name, value]) => [
      name.replace('gatewayresponse.header.', '').toLowerCase(),
      value.replace(/^'(.*)'$/, '$1'),
    ]);
    return {
      status: Number(StatusCode),
      headers: {
        'content-type': 'application/json',
        'x-amzn-errortype': refusal.errorType,
        ...Object.fromEntries(parameters),
      },
      body: Buffer.from(
        (body ?? '{"message":$context.error.messageString}').replaceAll('$context.error.messageString', () =>
          JSON.stringify(refusal.message),
        ),
      ),
    };
  };

  const server = createServer(async (incoming, outgoing) => {
    let answer: GatewayAnswer;
    try {
      const [fullPath = '', query = ''] = (incoming.url ?? '').split(/\?(.*)/s);
      const parts: Buffer[] = [];
      for await (const part of incoming) parts.push(part);
      const [, named, path] = /^\/([^/]+)(\/.*)?$/.exec(fullPath) ?? [];
      // Another stage is another API for all API Gateway says of it.
      if (named !== stage) throw new Refusal('', 403, 'ForbiddenException', 'Forbidden');
      const request: GatewayRequest = {
        method: incoming.method ?? '',
        path: path ?? '/',
        query,
        rawHeaders: incoming.rawHeaders,
        body: Buffer.concat(parts),
        sourceIp: incoming.socket.remoteAddress ?? '',
      };
      answer = await handle(request, incoming.headers);
    } catch (error) {
      answer = refusalAnswer(error instanceof Refusal ? error : internalError(502));
    }
    outgoing.writeHead(answer.status, answer.headers as Record<string, string | string[]>);
    outgoing.end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/${stage}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function internalError(status: 500 | 502): Refusal {
  return new Refusal('DEFAULT_5XX', status, 'InternalServerErrorException', 'Internal server error');
}

async function withTimeout<T>(answer: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    const refusal = new Refusal(
      'INTEGRATION_TIMEOUT',
      504,
      'InternalServerErrorException',
      'Endpoint request timed out',
    );
    timer = setTimeout(() => reject(refusal), timeoutMs);
  });
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

function only<T>(found: readonly T[]): T {
  const [first, ...others] = found;
  if (first === undefined || others.length > 0)
    throw new Error(`gateway: ${found.length} REST APIs or stages, not one`);
  return first;
}

function flat(headers: IncomingMessage['headers']): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(',') : value]),
  );
}
