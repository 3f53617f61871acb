/** What API Gateway makes of a request for a Lambda function, and of the function's result for the caller (REST, v1). */

import { randomUUID } from 'node:crypto';
import type { APIGatewayProxyEvent } from 'aws-lambda';
import type { GatewayMethod } from './gateway-methods.ts';
import { accountId } from './template.ts';

export interface GatewayRequest {
  readonly method: string;
  /** Without the stage, percent-encoded as it came; REST APIs hand it on like that. */
  readonly path: string;
  readonly query: string;
  /** Names and values in turn, as node:http has them. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly sourceIp: string;
}

export interface MatchedMethod extends GatewayMethod {
  readonly apiId: string;
  readonly stage: string;
  /** As they came. */
  readonly pathParameters: Readonly<Record<string, string>>;
  readonly binaryMediaTypes: readonly string[];
}

export function toProxyEvent(
  { method, path, query, rawHeaders, body, sourceIp }: GatewayRequest,
  matched: MatchedMethod,
  caller: { readonly accessKey: string; readonly userArn: string } | undefined,
): APIGatewayProxyEvent {
  const multiValueHeaders = multiValues(
    rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name, rawHeaders[at + 1] ?? ''] as const] : [])),
  );
  // Taken off by API Gateway once it has been checked.
  for (const name of Object.keys(multiValueHeaders)) {
    if (name.toLowerCase() === 'authorization') delete multiValueHeaders[name];
  }
  const headers = lastValues(multiValueHeaders);
  const contentType = headerOf(headers, 'content-type');
  const isBinary = isBinaryType(contentType, matched.binaryMediaTypes);
  const multiValueQuery = multiValues([...new URLSearchParams(query)]);
  const hasQuery = Object.keys(multiValueQuery).length > 0;
  const parameters = Object.entries(matched.pathParameters).map(([name, value]) => [name, decodeURIComponent(value)]);
  const now = new Date();
  return {
    resource: matched.path,
    path,
    httpMethod: method,
    headers,
    multiValueHeaders,
    queryStringParameters: hasQuery ? lastValues(multiValueQuery) : null,
    multiValueQueryStringParameters: hasQuery ? multiValueQuery : null,
    pathParameters: parameters.length > 0 ? Object.fromEntries(parameters) : null,
    stageVariables: null,
    requestContext: {
      resourceId: matched.resourceId,
      resourcePath: matched.path,
      httpMethod: method,
      path: `/${matched.stage}${path}`,
      accountId,
      authorizer: null,
      protocol: 'HTTP/1.1',
      stage: matched.stage,
      requestTime: now.toUTCString(),
      requestTimeEpoch: now.getTime(),
      requestId: randomUUID(),
      apiId: matched.apiId,
      identity: {
        accessKey: caller?.accessKey ?? null,
        accountId: caller === undefined ? null : accountId,
        apiKey: null,
        apiKeyId: null,
        caller: caller?.accessKey ?? null,
        clientCert: null,
        cognitoAuthenticationProvider: null,
        cognitoAuthenticationType: null,
        cognitoIdentityId: null,
        cognitoIdentityPoolId: null,
        principalOrgId: null,
        sourceIp,
        user: caller?.accessKey ?? null,
        userAgent: headerOf(headers, 'user-agent') ?? null,
        userArn: caller?.userArn ?? null,
      },
    },
    body: body.length === 0 ? null : body.toString(isBinary ? 'base64' : 'utf8'),
    isBase64Encoded: body.length > 0 && isBinary,
  };
}

export interface GatewayAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Buffer;
}

/**
 * The answer a function's result stands for, or undefined when it is none: API Gateway then says 502. Base64 is decoded
 * only for callers who ask for a binary type first; the others get the base64 text.
 */
export function toAnswer(
  result: unknown,
  accept: string | undefined,
  binaryTypes: readonly string[],
): GatewayAnswer | undefined {
  if (typeof result !== 'object' || result === null || !('statusCode' in result)) return undefined;
  const { statusCode, headers, multiValueHeaders, body, isBase64Encoded, ...rest } = result as Record<string, unknown>;
  const isWrong =
    !Number.isInteger(Number(statusCode)) ||
    Object.keys(rest).length > 0 ||
    (body !== undefined && body !== null && typeof body !== 'string');
  if (isWrong) return undefined;
  const text = typeof body === 'string' ? body : '';
  const [firstAccepted] = (accept ?? '').split(',');
  const isDecoded = isBase64Encoded === true && isBinaryType(firstAccepted, binaryTypes);
  return {
    status: Number(statusCode),
    headers: {
      'content-type': 'application/json',
      ...lowerCase(headers as Record<string, string> | undefined),
      ...lowerCase(multiValueHeaders as Record<string, string[]> | undefined),
    },
    body: Buffer.from(text, isDecoded ? 'base64' : 'utf8'),
  };
}

/** The form of a streamed answer: status and headers as JSON, eight zero bytes, and the body as it is. */
export function toStreamedAnswer(bytes: Uint8Array): GatewayAnswer | undefined {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = all.indexOf(Buffer.alloc(8));
  if (end === -1) return undefined;
  const { statusCode, headers } = JSON.parse(all.toString('utf8', 0, end)) as {
    readonly statusCode: number;
    readonly headers?: Record<string, string>;
  };
  return { status: statusCode, headers: lowerCase(headers), body: all.subarray(end + 8) };
}

function isBinaryType(contentType: string | undefined, binaryTypes: readonly string[]): boolean {
  const type = contentType?.split(';')[0]?.trim().toLowerCase();
  return type !== undefined && (binaryTypes.includes(type) || binaryTypes.includes('*/*'));
}

function multiValues(pairs: readonly (readonly [string, string])[]): Record<string, string[]> {
  const values: Record<string, string[]> = {};
  for (const [name, value] of pairs) values[name] = [...(values[name] ?? []), value];
  return values;
}

function lastValues(values: Readonly<Record<string, readonly string[]>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, all]) => [name, all.at(-1) ?? '']));
}

function headerOf(headers: Readonly<Record<string, string>>, wanted: string): string | undefined {
  return Object.entries(headers).find(([name]) => name.toLowerCase() === wanted)?.[1];
}

function lowerCase<T>(headers: Readonly<Record<string, T>> | undefined): Record<string, T> {
  return Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
}
