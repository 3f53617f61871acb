/** The OpenAPI 3.1 document, made from the schemas that the handlers parse with. */

import * as z from 'zod';
import {
  batchesContentType,
  eventStreamContentType,
  jsonContentType,
  partitionsHeader,
  problemContentType,
} from '../wire.ts';
import * as groups from './group-schemas.ts';
import * as schemas from './schemas.ts';

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly summary: string;
  readonly query?: z.ZodObject;
  readonly body?: Readonly<Record<string, z.ZodType | 'binary'>>;
  /** By status; all others are problems. */
  readonly answers: Readonly<Record<number, Readonly<Record<string, z.ZodType | 'binary'>> | undefined>>;
}

const topic = { [jsonContentType]: schemas.topicAnswer };
const offsetsOfGroup = { [jsonContentType]: groups.groupOffsetsAnswer };
const committed = { [jsonContentType]: groups.commitOffsetsAnswer };
const produced = { [jsonContentType]: schemas.produceAnswer };
const fetched = { [jsonContentType]: schemas.fetchManyAnswer, [batchesContentType]: 'binary' } as const;

/** By the name the route has. */
export const operations: Readonly<Record<string, Operation>> = {
  createTopic: {
    method: 'post',
    path: '/v1/topics',
    summary: 'Create a topic',
    body: { [jsonContentType]: schemas.createTopicBody },
    answers: { 201: topic },
  },
  listTopics: {
    method: 'get',
    path: '/v1/topics',
    summary: 'List topics by name',
    query: schemas.listTopicsQuery,
    answers: { 200: { [jsonContentType]: schemas.topicsAnswer } },
  },
  describeTopic: {
    method: 'get',
    path: '/v1/topics/{topic}',
    summary: 'Describe a topic',
    query: schemas.describeTopicQuery,
    answers: { 200: { [jsonContentType]: schemas.describeTopicAnswer } },
  },
  alterTopic: {
    method: 'patch',
    path: '/v1/topics/{topic}',
    summary: 'Alter config, add partitions',
    body: { [jsonContentType]: schemas.alterTopicBody },
    answers: { 200: topic },
  },
  deleteTopic: { method: 'delete', path: '/v1/topics/{topic}', summary: 'Delete a topic', answers: { 204: undefined } },
  produceRecords: {
    method: 'post',
    path: '/v1/topics/{topic}/records',
    summary: 'Produce JSON records',
    body: { [jsonContentType]: schemas.produceBody },
    answers: { 200: produced, 207: produced },
  },
  produceBatches: {
    method: 'post',
    path: '/v1/topics/{topic}/batches',
    summary: 'Produce record batches: frames of int32 partition, int32 byteLength, one record batch v2',
    body: { [batchesContentType]: 'binary' },
    answers: { 200: produced, 207: produced },
  },
  fetchRecords: {
    method: 'get',
    path: '/v1/topics/{topic}/partitions/{partition}/records',
    summary: `Fetch one partition; record batches carry the watermarks in ${partitionsHeader}`,
    query: schemas.fetchQuery,
    answers: {
      200: {
        [jsonContentType]: schemas.fetchAnswer,
        [batchesContentType]: 'binary',
        [eventStreamContentType]: 'binary',
      },
    },
  },
  fetchPartitions: {
    method: 'post',
    path: '/v1/topics/{topic}/fetch',
    summary: 'Fetch many partitions of one topic',
    body: { [jsonContentType]: schemas.fetchBody },
    answers: { 200: fetched, 207: fetched },
  },
  listOffsets: {
    method: 'get',
    path: '/v1/topics/{topic}/partitions/{partition}/offsets',
    summary: 'Find an offset by timestamp',
    query: schemas.offsetsQuery,
    answers: { 200: { [jsonContentType]: schemas.offsetsAnswer } },
  },
  createProducer: {
    method: 'post',
    path: '/v1/producers',
    summary: 'Get a producer id for idempotent produce',
    answers: { 200: { [jsonContentType]: schemas.producerAnswer } },
  },
  heartbeat: {
    method: 'post',
    path: '/v1/groups/{group}/heartbeat',
    summary: 'Join a group, stay in it, or leave it',
    body: { [jsonContentType]: groups.heartbeatBody },
    answers: { 200: { [jsonContentType]: groups.heartbeatAnswer } },
  },
  commitOffsets: {
    method: 'post',
    path: '/v1/groups/{group}/offsets',
    summary: 'Commit offsets, as a member or while the group has none',
    body: { [jsonContentType]: groups.commitOffsetsBody },
    answers: { 200: committed, 207: committed },
  },
  fetchGroupOffsets: {
    method: 'get',
    path: '/v1/groups/{group}/offsets',
    summary: 'The committed offsets of a group',
    query: groups.groupOffsetsQuery,
    answers: { 200: offsetsOfGroup },
  },
  resetGroupOffsets: {
    method: 'post',
    path: '/v1/groups/{group}/offsets/reset',
    summary: 'Set the committed offsets of a topic, while the group has no members',
    body: { [jsonContentType]: groups.resetOffsetsBody },
    answers: { 200: offsetsOfGroup },
  },
  listGroups: {
    method: 'get',
    path: '/v1/groups',
    summary: 'List groups by id',
    query: groups.listGroupsQuery,
    answers: { 200: { [jsonContentType]: groups.groupsAnswer } },
  },
  describeGroup: {
    method: 'get',
    path: '/v1/groups/{group}',
    summary: 'Describe a group: members, assignment, lag',
    answers: { 200: { [jsonContentType]: groups.groupAnswer } },
  },
  deleteGroup: {
    method: 'delete',
    path: '/v1/groups/{group}',
    summary: 'Delete a group that has no members, with its offsets',
    answers: { 204: undefined },
  },
  openapi: {
    method: 'get',
    path: '/v1/openapi.json',
    summary: 'This document',
    answers: { 200: { [jsonContentType]: z.unknown() } },
  },
  health: {
    method: 'get',
    path: '/v1/health',
    summary: 'Whether the process answers',
    answers: { 200: { [jsonContentType]: schemas.healthAnswer } },
  },
};

export function openapiDocument(): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [api, operation] of Object.entries(operations)) {
    const path = paths[operation.path] ?? {};
    path[operation.method] = describeOperation(api, operation);
    paths[operation.path] = path;
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Millrace',
      version: 'v1',
      description: 'A Kafka-style log over HTTP; PROTOCOL.md is the normative text.',
    },
    paths,
    components: {
      schemas: { Problem: jsonSchema(schemas.problemAnswer, 'output') },
      responses: {
        Problem: {
          description: 'A problem document (RFC 9457)',
          content: { [problemContentType]: { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
    },
  };
}

let text: string | undefined;

/** Made when first asked for: a process that is never asked, such as a Lambda, does not pay for it. */
export function openapiText(): string {
  text ??= JSON.stringify(openapiDocument());
  return text;
}

function describeOperation(api: string, { path, summary, query, body, answers }: Operation) {
  const responses = Object.entries(answers).map(([status, content]) => {
    const description = status === '207' ? 'Some of it failed; those entries are problems' : 'Everything worked';
    return [status, content === undefined ? { description } : { description, content: contentOf(content, 'output') }];
  });
  return {
    operationId: api,
    summary,
    parameters: [...pathParameters(path), ...queryParameters(query)],
    ...(body === undefined ? {} : { requestBody: { required: true, content: contentOf(body, 'input') } }),
    responses: { ...Object.fromEntries(responses), default: { $ref: '#/components/responses/Problem' } },
  };
}

function pathParameters(path: string) {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => {
    const schema = name === 'partition' ? { type: 'integer', minimum: 0 } : { type: 'string' };
    return { name, in: 'path', required: true, schema };
  });
}

function queryParameters(query: z.ZodObject | undefined) {
  return Object.entries(query?.shape ?? {}).map(([name, schema]) => {
    const required = !schema.safeParse(undefined).success;
    return { name, in: 'query', required, schema: jsonSchema(schema, 'input') };
  });
}

function contentOf(content: Readonly<Record<string, z.ZodType | 'binary'>>, io: 'input' | 'output') {
  const entries = Object.entries(content).map(([contentType, schema]) => [
    contentType,
    // OpenAPI 3.1 describes bytes by the content type alone.
    schema === 'binary' ? {} : { schema: jsonSchema(schema, io) },
  ]);
  return Object.fromEntries(entries);
}

function jsonSchema(schema: z.core.$ZodType, io: 'input' | 'output') {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: 'draft-2020-12', io });
  return rest;
}
