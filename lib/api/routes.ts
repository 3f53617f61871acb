/** Every path of the HTTP door: what is not here does not exist. `openapi.ts` describes each under the same name. */

import { jsonContentType } from '../wire.ts';
import { fetchMany, fetchOne } from './fetch-records.ts';
import {
  commitOffsets,
  deleteGroup,
  describeGroup,
  fetchGroupOffsets,
  heartbeat,
  listGroups,
  resetGroupOffsets,
} from './groups.ts';
import { type Handler, json, negotiate, partitionOf, readQuery, topicOf } from './http.ts';
import { plainInt64 } from './json-records.ts';
import { openapiText } from './openapi.ts';
import { produceBatches } from './produce-batches.ts';
import { produceRecords } from './produce-records.ts';
import { offsetsQuery } from './schemas.ts';
import { alterTopic, createTopic, deleteTopic, describeTopic, listTopics } from './topics.ts';

export interface Route {
  /** Names the path in the log of requests and in the OpenAPI document. */
  readonly api: string;
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  /** The names of its query parameters; all others are refused. @default none */
  readonly query?: readonly string[];
  readonly handle: Handler;
}

export function readsBody({ api, method }: Pick<Route, 'api' | 'method'>): boolean {
  return (method === 'POST' || method === 'PATCH') && api !== 'createProducer';
}

const listOffsets: Handler = async ({ log }, call) => {
  const topic = topicOf(call);
  const partition = partitionOf(call);
  negotiate(call, [jsonContentType]);
  const { timestamp: asked } = readQuery(call, offsetsQuery);
  const isWord = asked === 'earliest' || asked === 'latest' || asked === 'max';
  const { offset, timestamp } = await log.listOffsets({ topic, partition, timestamp: isWord ? asked : Number(asked) });
  return json({ offset: offset ?? null, timestamp: timestamp === undefined ? null : plainInt64(timestamp) });
};

const createProducer: Handler = async ({ log }, call) => {
  negotiate(call, [jsonContentType]);
  const { producerId, producerEpoch } = await log.nextProducer();
  return json({ producerId, producerEpoch });
};

/** Says that the process answers; touches no store, so that a slow store does not get the process killed. */
const health: Handler = async () => json({ status: 'ok' });

const openapi: Handler = async (_deps, call) => {
  negotiate(call, [jsonContentType]);
  return { status: 200, headers: { 'content-type': jsonContentType }, body: openapiText() };
};

export const routes: readonly Route[] = [
  { api: 'createTopic', method: 'POST', path: '/v1/topics', handle: createTopic },
  { api: 'listTopics', method: 'GET', path: '/v1/topics', query: ['limit', 'after'], handle: listTopics },
  { api: 'describeTopic', method: 'GET', path: '/v1/topics/:topic', query: ['offsets'], handle: describeTopic },
  { api: 'alterTopic', method: 'PATCH', path: '/v1/topics/:topic', handle: alterTopic },
  { api: 'deleteTopic', method: 'DELETE', path: '/v1/topics/:topic', handle: deleteTopic },
  { api: 'produceRecords', method: 'POST', path: '/v1/topics/:topic/records', handle: produceRecords },
  { api: 'produceBatches', method: 'POST', path: '/v1/topics/:topic/batches', handle: produceBatches },
  {
    api: 'fetchRecords',
    method: 'GET',
    path: '/v1/topics/:topic/partitions/:partition/records',
    query: ['offset', 'maxBytes', 'minBytes', 'maxWaitMs'],
    handle: fetchOne,
  },
  { api: 'fetchPartitions', method: 'POST', path: '/v1/topics/:topic/fetch', handle: fetchMany },
  {
    api: 'listOffsets',
    method: 'GET',
    path: '/v1/topics/:topic/partitions/:partition/offsets',
    query: ['timestamp'],
    handle: listOffsets,
  },
  { api: 'createProducer', method: 'POST', path: '/v1/producers', handle: createProducer },
  { api: 'heartbeat', method: 'POST', path: '/v1/groups/:group/heartbeat', handle: heartbeat },
  { api: 'commitOffsets', method: 'POST', path: '/v1/groups/:group/offsets', handle: commitOffsets },
  {
    api: 'fetchGroupOffsets',
    method: 'GET',
    path: '/v1/groups/:group/offsets',
    query: ['topic'],
    handle: fetchGroupOffsets,
  },
  { api: 'resetGroupOffsets', method: 'POST', path: '/v1/groups/:group/offsets/reset', handle: resetGroupOffsets },
  { api: 'listGroups', method: 'GET', path: '/v1/groups', query: ['limit', 'after'], handle: listGroups },
  { api: 'describeGroup', method: 'GET', path: '/v1/groups/:group', handle: describeGroup },
  { api: 'deleteGroup', method: 'DELETE', path: '/v1/groups/:group', handle: deleteGroup },
  { api: 'openapi', method: 'GET', path: '/v1/openapi.json', handle: openapi },
  { api: 'health', method: 'GET', path: '/v1/health', handle: health },
];
