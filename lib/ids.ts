/** The named types of the log. Unknown values become these at a door (`parseX`) and are not checked again behind it. */

import { LogError } from './errors.ts';

type Brand<T, Name extends string> = T & { readonly [brand]: Name };
declare const brand: unique symbol;

export type TopicName = Brand<string, 'TopicName'>;
/** A UUID; tells a topic that was deleted and made again apart from the old one. */
export type TopicId = Brand<string, 'TopicId'>;
/** Consumers that share the partitions of their topics. */
export type GroupId = Brand<string, 'GroupId'>;
/** One incarnation of a consumer in a group; made by the consumer, mostly a UUID. */
export type MemberId = Brand<string, 'MemberId'>;
/** Of a static member: the same for every incarnation of one consumer. */
export type InstanceId = Brand<string, 'InstanceId'>;
/** 16 bytes as 32 lower-case hex digits: a UUIDv7, so objects sort by age. */
export type ObjectId = Brand<string, 'ObjectId'>;

/** Index from 0. */
export type Partition = number;
/** Position of a record in its partition; a safe integer. */
export type Offset = number;
/** A safe integer from 0 on, given by the log. */
export type ProducerId = number;
/** 0 to 32767. */
export type ProducerEpoch = number;
/** Milliseconds since the Unix epoch. */
export type Timestamp = number;

/** 64 bits as found in bytes: a number when it is a safe integer, else a bigint. `<` and `>` work across both. */
export type Int64 = number | bigint;

const topicNamePattern = /^[a-zA-Z0-9._-]{1,249}$/;

const groupNamePattern = /^[a-zA-Z0-9._-]{1,249}$/;

/** As for topics, since a path and an IAM policy carry it; Kafka takes any text. */
export function parseGroupId(value: unknown): GroupId {
  if (typeof value === 'string' && groupNamePattern.test(value) && value !== '.' && value !== '..') {
    return value as GroupId;
  }
  throw new LogError(
    'INVALID_GROUP_ID',
    `group id ${seenAs(value)} is not allowed; use 1 to 249 of the characters a-z A-Z 0-9 . _ - and neither "." nor ".."`,
  );
}

export function parseMemberId(value: unknown): MemberId {
  if (typeof value === 'string' && groupNamePattern.test(value)) return value as MemberId;
  throw notAllowed('memberId', value);
}

export function parseInstanceId(value: unknown): InstanceId {
  if (typeof value === 'string' && groupNamePattern.test(value)) return value as InstanceId;
  throw notAllowed('instanceId', value);
}

function notAllowed(field: string, value: unknown): LogError {
  return new LogError(
    'INVALID_REQUEST',
    `${field} ${seenAs(value)} is not allowed; use 1 to 249 of the characters a-z A-Z 0-9 . _ -`,
  );
}

function seenAs(value: unknown): string {
  if (typeof value !== 'string') return typeof value;
  const length = value.length > seenLengthMax ? ` of ${value.length} characters` : '';
  return `${JSON.stringify(value.slice(0, seenLengthMax))}${length}`;
}
const seenLengthMax = 80;

/** Kafka's rule (`Topic.java`): 1 to 249 of a-z A-Z 0-9 . _ -, and neither "." nor "..". */
export function parseTopicName(value: unknown): TopicName {
  if (typeof value === 'string' && topicNamePattern.test(value) && value !== '.' && value !== '..') {
    return value as TopicName;
  }
  throw new LogError(
    'INVALID_TOPIC_EXCEPTION',
    `topic name ${seenAs(value)} is not allowed; use 1 to 249 of the characters a-z A-Z 0-9 . _ - and neither "." nor ".."`,
  );
}
