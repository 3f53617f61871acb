/**
 * The events that carry an HTTP request, and how each wants its answer:
 *
 * | form    | event                                                  | answer                                       |
 * |---------|--------------------------------------------------------|----------------------------------------------|
 * | rest    | API Gateway proxy, payload 1.0 (REST APIs)             | statusCode, headers, body, isBase64Encoded   |
 * | http    | API Gateway proxy, payload 2.0; Lambda function URLs   | the same                                     |
 * | request | the request form: method, path, query, headers, body   | status, headers, body, isBase64Encoded       |
 *
 * https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html,
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html,
 * https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html. The plain form has a file of its own.
 */

import * as z from 'zod';
import { LogError } from '../lib/errors.ts';

export type EventForm = 'rest' | 'http' | 'request';

/** One HTTP request, whatever carried it. */
export interface EventRequest {
  readonly method: string;
  /** Path with its leading slash and without the stage, percent-encoded, and the query behind it. */
  readonly target: string;
  readonly headers: Headers;
  readonly body: Uint8Array | undefined;
}

/** A whole answer. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

const optionalText = z.string().nullish();
const headers = z.record(z.string(), z.string()).nullish();
const lists = z.record(z.string(), z.array(z.string())).nullish();
const body = { body: optionalText, isBase64Encoded: z.boolean().nullish() };

const restEvent = z.object({
  httpMethod: z.string(),
  path: z.string(),
  resource: optionalText,
  headers,
  multiValueHeaders: lists,
  queryStringParameters: headers,
  multiValueQueryStringParameters: lists,
  ...body,
});

const httpEvent = z.object({
  rawPath: z.string(),
  rawQueryString: z.string(),
  routeKey: optionalText,
  headers,
  requestContext: z.object({ http: z.object({ method: z.string() }), stage: optionalText }),
  ...body,
});

const requestEvent = z.strictObject({
  method: z.string(),
  path: z.string().startsWith('/'),
  query: headers,
  headers,
  ...body,
});

/** By what only this form has; undefined for anything else. */
export function formOf(event: unknown): EventForm | undefined {
  if (typeof event !== 'object' || event === null) return undefined;
  if ('httpMethod' in event) return 'rest';
  if ('rawPath' in event) return 'http';
  return 'method' in event && 'path' in event ? 'request' : undefined;
}

/** Throws INVALID_REQUEST where the event is not what its form says. */
export function parseRequest(form: EventForm, event: unknown): EventRequest {
  if (form === 'rest') {
    const { path, resource, ...rest } = parse(restEvent, event);
    const query = fromLists(new URLSearchParams(), rest.multiValueQueryStringParameters, rest.queryStringParameters);
    // The path came decoded: a question mark in it is none of a query.
    const encoded = withoutPrefix(path, resource).replaceAll('?', '%3F').replaceAll('#', '%23');
    const all = fromLists(new Headers(), rest.multiValueHeaders, rest.headers);
    return { method: rest.httpMethod, target: withQuery(encoded, String(query)), headers: all, body: bodyOf(rest) };
  }
  if (form === 'http') {
    const { rawPath, rawQueryString, routeKey, requestContext, ...rest } = parse(httpEvent, event);
    const { http, stage } = requestContext;
    const isInStage = rawPath.startsWith(`/${stage}/`);
    const path = withoutPrefix(isInStage ? rawPath.slice(`/${stage}`.length) : rawPath, routeKey?.split(' ')[1]);
    const all = fromLists(new Headers(), undefined, rest.headers);
    return { method: http.method, target: withQuery(path, rawQueryString), headers: all, body: bodyOf(rest) };
  }
  const { method, path, query, ...rest } = parse(requestEvent, event);
  const all = fromLists(new Headers(), undefined, rest.headers);
  return {
    method,
    target: withQuery(path, String(new URLSearchParams(query ?? {}))),
    headers: all,
    body: bodyOf(rest),
  };
}

/** What the function returns for an answer, in the form of the request. */
export function encodeAnswer(form: EventForm, answer: Answer): Record<string, unknown> {
  const { status, body } = answer;
  const isBase64Encoded = body.byteLength > 0 && !isText(answer);
  const rest = {
    headers: Object.fromEntries(answer.headers),
    body: Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString(isBase64Encoded ? 'base64' : 'utf8'),
    isBase64Encoded,
  };
  return form === 'request' ? { status, ...rest } : { statusCode: status, ...rest };
}

/** Whether the body is UTF-8 text: JSON of all kinds and event streams. Anything else travels as Base64. */
export function isText({ headers }: Pick<Answer, 'headers'>): boolean {
  return /^(text\/|application\/([a-z.]+\+)?json\b)/.test(headers.get('content-type') ?? '');
}

/**
 * The path without what a custom domain's base path or a stage put before it: API Gateway has matched `resource` (say
 * `/v1/topics/{topic}/records`, and checked the caller's rights on it), so that many segments from the end are ours.
 */
function withoutPrefix(path: string, resource: string | null | undefined): string {
  if (!resource?.startsWith('/') || resource.includes('+}')) return path;
  const segments = path.split('/').slice(1);
  const own = segments.slice(-resource.split('/').slice(1).length);
  return `/${own.join('/')}`;
}

function withQuery(path: string, query: string): string {
  if (query === '') return path;
  return `${path}${path.includes('?') ? '&' : '?'}${query}`;
}

type Lists = z.infer<typeof lists>;

/** Every value of `many`, else the single ones of `single`: API Gateway gives both, a test invoke perhaps neither. */
function fromLists<T extends Headers | URLSearchParams>(target: T, many: Lists, single: z.infer<typeof headers>): T {
  const all = many ?? Object.fromEntries(Object.entries(single ?? {}).map(([name, value]) => [name, [value]]));
  try {
    for (const [name, values] of Object.entries(all)) for (const value of values) target.append(name, value);
  } catch (cause) {
    throw new LogError('INVALID_REQUEST', 'headers hold a name or a value that HTTP does not allow', { cause });
  }
  return target;
}

function bodyOf(event: { body?: string | null | undefined; isBase64Encoded?: boolean | null | undefined }) {
  if (event.body === null || event.body === undefined) return undefined;
  return Buffer.from(event.body, event.isBase64Encoded === true ? 'base64' : 'utf8');
}

function parse<Schema extends z.ZodType>(schema: Schema, event: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(event);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const at = ['event', ...(issue?.path ?? [])].join('.');
  const text = issue?.message ?? 'is wrong';
  throw new LogError('INVALID_REQUEST', `${at.slice(0, 120)}: ${text.charAt(0).toLowerCase()}${text.slice(1, 300)}`);
}
