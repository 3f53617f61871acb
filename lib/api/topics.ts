/** Topics: create, list, describe, alter, delete. */

import { parseTopicName } from '../ids.ts';
import type { TopicDescription, TopicSummary } from '../log.ts';
import { jsonContentType } from '../wire.ts';
import { noContent } from './answer.ts';
import { type Handler, json, negotiate, readJson, readQuery, topicOf } from './http.ts';
import { alterTopicBody, createTopicBody, describeTopicQuery, listTopicsQuery } from './schemas.ts';

const pageDefault = 100;

export const createTopic: Handler = async ({ log }, call) => {
  negotiate(call, [jsonContentType]);
  const body = await readJson(call, createTopicBody);
  const topic = parseTopicName(body.topic);
  call.line.topic = topic;
  const created = await log.topics.create({ topic, ...changesOf(body) });
  return json(describe(created), 201, { 'content-type': jsonContentType, location: `/v1/topics/${topic}` });
};

export const listTopics: Handler = async ({ log }, call) => {
  negotiate(call, [jsonContentType]);
  const { limit = pageDefault, after } = readQuery(call, listTopicsQuery);
  // One more than asked for tells whether there is a next page.
  const found = await log.topics.list({
    limit: limit + 1,
    ...(after !== undefined && { after: parseTopicName(after) }),
  });
  const topics = found.slice(0, limit);
  const next = found.length > limit ? topics.at(-1)?.topic : undefined;
  return json({ topics: topics.map(summarize), ...(next !== undefined && { next }) });
};

export const describeTopic: Handler = async ({ log }, call) => {
  negotiate(call, [jsonContentType]);
  const { offsets } = readQuery(call, describeTopicQuery);
  const topic = topicOf(call);
  if (offsets === 'false') return json(summarize(await log.topics.get(topic)));
  return json(describe(await log.topics.describe(topic)));
};

export const alterTopic: Handler = async ({ log }, call) => {
  const topic = topicOf(call);
  negotiate(call, [jsonContentType]);
  const body = await readJson(call, alterTopicBody);
  return json(describe(await log.topics.alter({ topic, ...changesOf(body) })));
};

export const deleteTopic: Handler = async ({ log }, call) => {
  await log.topics.delete(topicOf(call));
  return noContent;
};

interface Changes {
  readonly partitions?: number | undefined;
  readonly config?: Readonly<Record<string, unknown>> | undefined;
}

function changesOf({ partitions, config }: Changes) {
  return {
    ...(partitions !== undefined && { partitionCount: partitions }),
    ...(config !== undefined && { config }),
  };
}

function summarize({ topic, topicId, partitionCount, config }: TopicSummary): TopicSummary {
  return { topic, topicId, partitionCount, config };
}

function describe(description: TopicDescription): TopicDescription {
  return { ...summarize(description), partitions: description.partitions };
}
