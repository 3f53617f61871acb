/**
 * The items of groups as DynamoDB has them, in the table of `items-dynamodb.ts`.
 *
 * | item    | pk                | sk                              | attributes                                              |
 * |---------|-------------------|---------------------------------|---------------------------------------------------------|
 * | entry   | `groups`          | group id                        | none; there as long as the group, so that it is listed  |
 * | head    | `group/{groupId}` | `head`                          | v, e, n, c, z, o: see below                             |
 * | session | as the head       | `member/{memberId}`             | v, e, p, s, t, x, y, r, a, g                            |
 * | members | as the head       | `members`                       | v, d: members with their targets, topics; deflated JSON |
 * | offset  | as the head       | `offset/{topicId}/{partition}`  | v, w, u, o, m, t, e                                     |
 *
 * The head of a deleted group has `e` and `expiresAt` alone.
 *
 * Head, sessions and members lie side by side, so that one query finds them, and no offsets. Short names, since a session is
 * written with every heartbeat and an offset with every commit:
 *
 * | name | head             | session               | offset                                                            |
 * |------|------------------|-----------------------|-------------------------------------------------------------------|
 * | v    | version          | version               | version                                                           |
 * | e    | groupEpoch       | memberEpoch           | epoch of the commit: u of then, or the group's                    |
 * | n, c | memberCount, checkAt |                   |                                                                   |
 * | z    | emptySince; absent while there are members |  |                                                              |
 * | o    | offsetsFromEpoch |                       | offset; absent before the first commit, as m, t and e are         |
 * | p, s |                  | previousMemberEpoch, state |                                                              |
 * | t    |                  | seenAt                | committedAt                                                       |
 * | x, y |                  | sessionTimeoutMs, rebalanceTimeoutMs |                                                    |
 * | r    |                  | revokeBy; absent when nothing is pending |                                                |
 * | a, g |                  | current assignment, pending revocation: bytes, absent when there are none |               |
 * | w, u |                  |                       | member id and epoch of the owner; absent when it is nobody's      |
 * | m    |                  |                       | metadata                                                          |
 */

import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { assert, LogError } from '../errors.ts';
import type { GroupId, MemberId, Timestamp, TopicId } from '../ids.ts';
import { deletedGroupRetentionMs, KiB } from '../limits.ts';
import {
  type Assignment,
  decodeAssignment,
  encodeAssignment,
  noPartitions,
  type TopicPartition,
} from './assignment.ts';
import { decodePlan, encodePlan } from './group-text.ts';
import type { Group, GroupHead, MemberSession, MemberState, OffsetItem } from './items.ts';
import { type Item, type Key, numberOf, numberValue, textOf, timeToLiveAttribute } from './items-dynamodb.ts';

// ---- keys

const key = (pk: string, sk: string): Key => ({ pk: { S: pk }, sk: { S: sk } });

export const groupsPk = 'groups';
export const groupPk = (groupId: GroupId) => `group/${groupId}`;
export const headSk = 'head';
export const membersSk = 'members';
const sessionPrefix = 'member/';
export const offsetPrefix = 'offset/';
/** Behind every offset of a group. */
export const offsetSkEnd = 'offset/~';

export const entryKey = (groupId: GroupId) => key(groupsPk, groupId);
export const groupHeadKey = (groupId: GroupId) => key(groupPk(groupId), headSk);
export const membersKey = (groupId: GroupId) => key(groupPk(groupId), membersSk);
export const sessionKey = (groupId: GroupId, memberId: MemberId) => key(groupPk(groupId), sessionPrefix + memberId);
/** Padded, so that text sorts as numbers do. */
export const offsetKey = (groupId: GroupId, { topicId, partition }: TopicPartition) =>
  key(groupPk(groupId), `${offsetPrefix}${topicId}/${String(partition).padStart(10, '0')}`);

export const isSession = (item: Item) => textOf(item, 'sk').startsWith(sessionPrefix);

// ---- the group

export function encodeHead(head: GroupHead): Item {
  return {
    ...groupHeadKey(head.groupId),
    v: numberValue(head.version),
    e: numberValue(head.groupEpoch),
    n: numberValue(head.memberCount),
    c: numberValue(head.checkAt),
    ...(head.emptySince === undefined ? {} : { z: numberValue(head.emptySince) }),
    o: numberValue(head.offsetsFromEpoch),
  };
}

/** What stays of a deleted group until DynamoDB takes it away: where its epochs were. */
export function encodeDeletedHead(groupId: GroupId, groupEpoch: number, deletedAt: Timestamp): Item {
  const seconds = Math.ceil((deletedAt + deletedGroupRetentionMs) / 1000);
  return { ...groupHeadKey(groupId), e: numberValue(groupEpoch), [timeToLiveAttribute]: numberValue(seconds) };
}

export function deletedEpochOf(item: Item | undefined): number | undefined {
  return item?.[timeToLiveAttribute] === undefined ? undefined : numberOf(item, 'e');
}

/** Undefined: there is no group, or no longer. */
export function decodeGroupHead(item: Item | undefined): GroupHead | undefined {
  if (item === undefined || item[timeToLiveAttribute] !== undefined) return undefined;
  return {
    groupId: textOf(item, 'pk').slice('group/'.length) as GroupId,
    version: numberOf(item, 'v'),
    groupEpoch: numberOf(item, 'e'),
    memberCount: numberOf(item, 'n'),
    checkAt: numberOf(item, 'c'),
    emptySince: optionalNumberOf(item, 'z'),
    offsetsFromEpoch: numberOf(item, 'o'),
  };
}

/** DynamoDB takes items of up to 400 KB. */
const membersBytesMax = 390 * KiB;

export function encodeMembers(group: Group): Item {
  const bytes = deflateRawSync(encodePlan(group));
  if (bytes.length > membersBytesMax) {
    throw new LogError(
      'GROUP_MAX_SIZE_REACHED',
      `the members of group ${group.groupId} take ${bytes.length} bytes, there is room for ${membersBytesMax}; use fewer members or topics`,
    );
  }
  return { ...membersKey(group.groupId), v: numberValue(group.version), d: { B: bytes } };
}

export function decodeMembers(item: Item): Pick<Group, 'members' | 'topics'> {
  return decodePlan(inflateRawSync(bytesOf(item, 'd')).toString());
}

// ---- sessions

export function encodeSession(groupId: GroupId, session: MemberSession): Item {
  return {
    ...sessionKey(groupId, session.memberId),
    t: numberValue(session.seenAt),
    ...sessionAttributes(session),
  };
}

/** All but the key and `seenAt`, which heartbeats alone write. */
export function sessionAttributes(session: MemberSession): Item {
  return {
    v: numberValue(session.version),
    e: numberValue(session.memberEpoch),
    p: numberValue(session.previousMemberEpoch),
    s: { S: session.state },
    x: numberValue(session.sessionTimeoutMs),
    y: numberValue(session.rebalanceTimeoutMs),
    ...(session.revokeBy === undefined ? {} : { r: numberValue(session.revokeBy) }),
    ...(session.currentAssignment.size === 0 ? {} : { a: { B: encodeAssignment(session.currentAssignment) } }),
    ...(session.partitionsPendingRevocation.size === 0
      ? {}
      : { g: { B: encodeAssignment(session.partitionsPendingRevocation) } }),
  };
}
/** Those that may be absent. */
export const optionalSessionAttributes = ['r', 'a', 'g'] as const;

export function decodeSession(item: Item): MemberSession {
  return {
    memberId: textOf(item, 'sk').slice(sessionPrefix.length) as MemberId,
    version: numberOf(item, 'v'),
    memberEpoch: numberOf(item, 'e'),
    previousMemberEpoch: numberOf(item, 'p'),
    state: textOf(item, 's') as MemberState,
    seenAt: numberOf(item, 't'),
    sessionTimeoutMs: numberOf(item, 'x'),
    rebalanceTimeoutMs: numberOf(item, 'y'),
    revokeBy: optionalNumberOf(item, 'r'),
    currentAssignment: assignmentOf(item, 'a'),
    partitionsPendingRevocation: assignmentOf(item, 'g'),
  };
}

// ---- offsets

export function decodeOffset(item: Item): OffsetItem {
  const [, topicId, partition] = textOf(item, 'sk').split('/');
  assert(topicId !== undefined && partition !== undefined, `offset item ${item.sk?.S} names a partition`);
  const isCommitted = item.o !== undefined;
  return {
    topicId: topicId as TopicId,
    partition: Number(partition),
    version: numberOf(item, 'v'),
    owner:
      item.w === undefined ? undefined : { memberId: textOf(item, 'w') as MemberId, memberEpoch: numberOf(item, 'u') },
    committed: isCommitted
      ? {
          offset: numberOf(item, 'o'),
          metadata: textOf(item, 'm'),
          committedAt: numberOf(item, 't'),
          epoch: numberOf(item, 'e'),
        }
      : undefined,
  };
}

// ---- values

function optionalNumberOf(item: Item, name: string): number | undefined {
  return item[name] === undefined ? undefined : numberOf(item, name);
}

function assignmentOf(item: Item, name: string): Assignment {
  return item[name] === undefined ? noPartitions : decodeAssignment(bytesOf(item, name));
}

function bytesOf(item: Item, name: string): Uint8Array {
  const bytes = item[name]?.B;
  assert(bytes !== undefined, `attribute ${name} of item ${item.pk?.S} ${item.sk?.S} is there`);
  return bytes;
}
