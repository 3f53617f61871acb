/**
 * The plain form of an invoke, for people, Step Functions and EventBridge: what is wanted as one JSON object, whose
 * answer is the JSON body of the HTTP answer, and which fails by throwing.
 *
 * | function | event                                                                        | call                 |
 * |----------|------------------------------------------------------------------------------|----------------------|
 * | produce  | `{"topic","records":[...]}`, with `producerId` and so on where it is wanted   | produce JSON records |
 * | fetch    | `{"topic","partition","offset","maxBytes","minBytes","maxWaitMs"}`            | fetch one partition  |
 * |          | `{"topic","partitions":[{"partition","offset"}],...}`                        | fetch several        |
 * |          | `{"topic","partition","timestamp"}`                                          | list offsets         |
 * | topics   | `{"action":"create","topic","partitions","config"}`, `alter` the same         | create, alter        |
 * |          | `{"action":"describe","topic"}`, `delete` the same                           | describe, delete     |
 * |          | `{"action":"list","limit","after"}`                                          | list                 |
 * | group    | `{"action":"heartbeat","group","memberId","memberEpoch",...}`                | heartbeat            |
 * |          | `{"action":"commit","group","offsets":[{"topic","partition","offset"}]}`     | commit offsets       |
 * |          | `{"action":"offsets","group","topic"}`                                       | committed offsets    |
 * |          | `{"action":"reset","group","topic","to"}`                                    | reset offsets        |
 * |          | `{"action":"describe","group"}`, `delete` the same                           | describe, delete     |
 * |          | `{"action":"list","limit","after"}`                                          | list                 |
 *
 * All members but `topic`, `group` and `action` are passed on as they are, so the app says what is wrong with them.
 */

import { type ErrorCode, LogError } from '../lib/errors.ts';
import { parseGroupId, parseTopicName } from '../lib/ids.ts';
import { type Problem, problemToError } from '../lib/wire.ts';
import type { Answer, EventRequest } from './events.ts';

type Members = Readonly<Record<string, unknown>>;
export type PlainForm = (event: Members) => EventRequest;

const takenByAll = 'an API Gateway proxy event, a function URL event, {"method","path"}';

export const plainProduce: PlainForm = (event) => {
  const { topic, ...rest } = event;
  if (topic === undefined || rest.records === undefined) throw unknownForm(event, '{"topic","records"}');
  return withJson('POST', `${pathOf(topic)}/records`, rest);
};

export const plainFetch: PlainForm = (event) => {
  const { topic, partition, ...rest } = event;
  if (topic !== undefined && rest.partitions !== undefined) {
    return withJson('POST', `${pathOf(topic)}/fetch`, partition === undefined ? rest : { partition, ...rest });
  }
  if (topic === undefined || partition === undefined) {
    throw unknownForm(
      event,
      '{"topic","partition","offset"}, {"topic","partition","timestamp"}, {"topic","partitions"}',
    );
  }
  const path = `${pathOf(topic)}/partitions/${segment('partition', partition)}`;
  return withQuery(`${path}/${rest.timestamp === undefined ? 'records' : 'offsets'}`, rest);
};

export const plainTopics: PlainForm = (event) => {
  const { action, ...rest } = event;
  const { topic, ...changes } = rest;
  if (action === 'create') return withJson('POST', '/v1/topics', rest);
  if (action === 'list') return withQuery('/v1/topics', rest);
  if (action === 'alter') return withJson('PATCH', pathOf(topic), changes);
  if (action === 'describe') return withQuery(pathOf(topic), changes);
  if (action === 'delete') return { ...withQuery(pathOf(topic), changes), method: 'DELETE' };
  throw unknownForm(event, '{"action"} of create, list, describe, alter, delete');
};

export const plainGroup: PlainForm = (event) => {
  const { action, ...rest } = event;
  const { group, ...members } = rest;
  if (action === 'list') return withQuery('/v1/groups', rest);
  if (action === 'heartbeat') return withJson('POST', `${pathOfGroup(group)}/heartbeat`, members);
  if (action === 'commit') return withJson('POST', `${pathOfGroup(group)}/offsets`, members);
  if (action === 'offsets') return withQuery(`${pathOfGroup(group)}/offsets`, members);
  if (action === 'reset') return withJson('POST', `${pathOfGroup(group)}/offsets/reset`, members);
  if (action === 'describe') return withQuery(pathOfGroup(group), members);
  if (action === 'delete') return { ...withQuery(pathOfGroup(group), members), method: 'DELETE' };
  throw unknownForm(event, '{"action"} of heartbeat, commit, offsets, reset, list, describe, delete');
};

/** The JSON body, null where there is none. Throws `PlainError` for any failure, that of a single partition included. */
export function plainResult({ status, body }: Answer): unknown {
  const json = body.byteLength === 0 ? null : JSON.parse(Buffer.from(body).toString());
  if (status < 207) return json;
  if (status !== 207) throw new PlainError(problemToError(json, status));
  const entries: readonly Partial<Problem>[] = json.results ?? json.partitions;
  const failed = entries.filter(({ code }) => code !== undefined);
  const { code, retriable, message } = problemToError(failed[0], status);
  // A retry of the whole would append once more what did not fail.
  const effect = json.results === undefined ? 'none' : 'unknown';
  const text = `${failed.length} of ${entries.length} partitions failed, the first: ${message}`;
  throw new PlainError(new LogError<ErrorCode>(code, text, { retriable, effect }));
}

/** Its name is what Lambda reports as `errorType`; the message says what only the HTTP answer's members would. */
export class PlainError extends Error {
  constructor(error: LogError) {
    super(`${error.message} (retriable: ${error.retriable}, effect: ${error.effect})`, { cause: error });
    this.name = error.code;
  }
}

function unknownForm(event: Members, forms: string): LogError {
  const seen = JSON.stringify(Object.keys(event).slice(0, 10)).slice(0, 200);
  return new LogError('INVALID_REQUEST', `event has the members ${seen}; this function takes ${takenByAll}, ${forms}`);
}

function pathOf(topic: unknown): string {
  return `/v1/topics/${parseTopicName(topic)}`;
}

function pathOfGroup(group: unknown): string {
  return `/v1/groups/${parseGroupId(group)}`;
}

function segment(name: string, value: unknown): string {
  if (typeof value === 'number' || typeof value === 'string') return encodeURIComponent(value);
  throw new LogError('INVALID_REQUEST', `${name} is ${JSON.stringify(value)?.slice(0, 40)}, it must be a number`);
}

function withJson(method: string, target: string, json: Members): EventRequest {
  const headers = new Headers({ 'content-type': 'application/json' });
  return { method, target, headers, body: Buffer.from(JSON.stringify(json)) };
}

function withQuery(path: string, query: Members): EventRequest {
  const pairs = Object.entries(query).map(([name, value]) => [name, segment(name, value)]);
  const text = pairs.map(([name, value]) => `${encodeURIComponent(name ?? '')}=${value}`).join('&');
  return { method: 'GET', target: text === '' ? path : `${path}?${text}`, headers: new Headers(), body: undefined };
}
