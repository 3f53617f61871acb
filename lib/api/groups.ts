/** Groups: heartbeat, committed offsets, list, describe, reset, delete. */

import { LogError } from '../errors.ts';
import {
  type GroupId,
  type InstanceId,
  type MemberId,
  parseGroupId,
  parseInstanceId,
  parseMemberId,
  parseTopicName,
  type TopicId,
  type TopicName,
} from '../ids.ts';
import { requestBytesMax } from '../limits.ts';
import type { CommitOffsetsResult, HeartbeatAnswer, HeartbeatRequest } from '../log.ts';
import { jsonContentType } from '../wire.ts';
import { type Answer, noContent } from './answer.ts';
import {
  commitOffsetsBody,
  groupOffsetsQuery,
  type HeartbeatBody,
  heartbeatBody,
  listGroupsQuery,
  resetOffsetsBody,
} from './group-schemas.ts';
import { type Call, type Handler, json, negotiate, readJson, readQuery } from './http.ts';
import { type OnError, problemAnswer, problemOf } from './problem.ts';

const pageDefault = 100;

/** Kafka's numbers for what a heartbeat means that is not from a member that stays. */
const joining = 0;
const leaving = -1;
const leavingForAWhile = -2;

export const heartbeat: Handler = async ({ log: { groups } }, call) => {
  const groupId = groupOf(call);
  negotiate(call, [jsonContentType]);
  const body = await readJson(call, heartbeatBody, requestBytesMax);
  const memberId = body.memberId === undefined ? undefined : parseMemberId(body.memberId);
  call.line.memberEpoch = body.memberEpoch;
  const given = changesOf(body);
  if (body.memberEpoch === joining) {
    const { topics } = given;
    if (topics === undefined) throw invalid('topics: a member that joins names its topics');
    if (body.owned?.some(({ partitions }) => partitions.length > 0)) {
      throw invalid('owned: a member that joins holds nothing yet');
    }
    return json(answerOf(await groups.join({ groupId, ...(memberId && { memberId }), ...given, topics })));
  }
  if (memberId === undefined) throw invalid('memberId: a member that has joined names itself');
  const { memberEpoch } = body;
  if (memberEpoch === leaving || memberEpoch === leavingForAWhile) {
    const { instanceId } = given;
    const isTemporary = memberEpoch === leavingForAWhile;
    await groups.leave({ groupId, memberId, ...(instanceId && { instanceId }), isTemporary });
    return json({ memberId, memberEpoch });
  }
  const owned = body.owned?.map(({ topic, topicId, partitions }) => ({
    topic: parseTopicName(topic),
    ...(topicId !== undefined && { topicId: topicId as TopicId }),
    partitions,
  }));
  return json(answerOf(await groups.heartbeat({ groupId, memberId, memberEpoch, ...given, ...(owned && { owned }) })));
};

type Changes = Pick<HeartbeatRequest, 'topics' | 'assignor' | 'sessionTimeoutMs' | 'rebalanceTimeoutMs'> & {
  readonly instanceId?: InstanceId;
};

function changesOf({ instanceId, topics, assignor, sessionTimeoutMs, rebalanceTimeoutMs }: HeartbeatBody): Changes {
  return {
    ...(instanceId !== undefined && { instanceId: parseInstanceId(instanceId) }),
    ...(topics !== undefined && { topics: topics.map(parseTopicName) }),
    ...(assignor !== undefined && { assignor }),
    ...(sessionTimeoutMs !== undefined && { sessionTimeoutMs }),
    ...(rebalanceTimeoutMs !== undefined && { rebalanceTimeoutMs }),
  };
}

function answerOf({ memberId, memberEpoch, heartbeatIntervalMs, assignment }: HeartbeatAnswer) {
  return { memberId, memberEpoch, heartbeatIntervalMs, ...(assignment && { assignment }) };
}

export const commitOffsets: Handler = async ({ log, onError }, call) => {
  const groupId = groupOf(call);
  negotiate(call, [jsonContentType]);
  const { memberId, memberEpoch, offsets } = await readJson(call, commitOffsetsBody, requestBytesMax);
  const results = await log.groups.commitOffsets({
    groupId,
    ...(memberId !== undefined && memberEpoch !== undefined && { member: memberOf(call, memberId, memberEpoch) }),
    offsets: offsets.map(({ topic, topicId, partition, offset, metadata }) => ({
      topic: parseTopicName(topic),
      ...(topicId !== undefined && { topicId: topicId as TopicId }),
      partition,
      offset,
      ...(metadata !== undefined && { metadata }),
    })),
  });
  return commitAnswer(results, onError);
};

function memberOf({ line }: Call, memberId: string, memberEpoch: number): { memberId: MemberId; memberEpoch: number } {
  line.memberEpoch = memberEpoch;
  return { memberId: parseMemberId(memberId), memberEpoch };
}

/** As for a produce: 207 when some failed, and when all did the first one's own problem, with all results beside it. */
function commitAnswer(results: readonly CommitOffsetsResult[], onError: OnError): Answer {
  const entries = results.map(({ topic, partition, error }) => {
    return { topic, partition, ...(error !== undefined && problemOf(error, onError)) };
  });
  const failures = results.flatMap(({ error }) => error ?? []);
  const [first] = failures;
  if (first === undefined) return json({ results: entries });
  if (failures.length < results.length) return json({ results: entries }, 207);
  return problemAnswer(
    problemOf(first, () => {}),
    { results: entries },
  );
}

export const fetchGroupOffsets: Handler = async ({ log }, call) => {
  const groupId = groupOf(call);
  negotiate(call, [jsonContentType]);
  const { topic } = readQuery(call, groupOffsetsQuery);
  const topics: TopicName[] | undefined = topic?.split(',').map(parseTopicName);
  return json({ offsets: await log.groups.fetchOffsets({ groupId, ...(topics && { topics }) }) });
};

export const resetGroupOffsets: Handler = async ({ log }, call) => {
  const groupId = groupOf(call);
  negotiate(call, [jsonContentType]);
  const { topic: name, partitions, to } = await readJson(call, resetOffsetsBody);
  const topic = parseTopicName(name);
  call.line.topic = topic;
  return json({ offsets: await log.groups.resetOffsets({ groupId, topic, to, ...(partitions && { partitions }) }) });
};

export const listGroups: Handler = async ({ log }, call) => {
  negotiate(call, [jsonContentType]);
  const { limit = pageDefault, after } = readQuery(call, listGroupsQuery);
  // One more than asked for says whether there is another page.
  const found = await log.groups.list({ limit: limit + 1, ...(after !== undefined && { after: parseGroupId(after) }) });
  const groups = found.slice(0, limit);
  const next = found.length > limit ? groups.at(-1)?.groupId : undefined;
  return json({ groups, ...(next !== undefined && { next }) });
};

export const describeGroup: Handler = async ({ log }, call) => {
  const groupId = groupOf(call);
  negotiate(call, [jsonContentType]);
  const { members, partitions, ...group } = await log.groups.describe(groupId);
  return json({
    ...group,
    members: members.map(({ instanceId, ...member }) => ({ ...member, instanceId: instanceId ?? null })),
    partitions: partitions.map(({ committedOffset, metadata, lag, memberId, ...partition }) => ({
      ...partition,
      committedOffset: committedOffset ?? null,
      metadata: metadata ?? null,
      lag: lag ?? null,
      memberId: memberId ?? null,
    })),
  });
};

export const deleteGroup: Handler = async ({ log }, call) => {
  await log.groups.delete(groupOf(call));
  return noContent;
};

function groupOf(call: Call): GroupId {
  const groupId = parseGroupId(call.param('group'));
  call.line.groupId = groupId;
  return groupId;
}

function invalid(message: string): LogError {
  return new LogError('INVALID_REQUEST', message);
}
