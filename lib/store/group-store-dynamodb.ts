/**
 * The group store on DynamoDB: any number of processes serve a group, and what they decide from what they have seen is done
 * only if it is still so.
 *
 * What a step costs, in write units of 1 KB (a transaction counts double) and read units of 4 KB:
 *
 * | step            | requests                                   | write units                                 | read units       |
 * |-----------------|--------------------------------------------|---------------------------------------------|------------------|
 * | renew a session | UpdateItem, GetItem, at once               | 1 per KB: one up to some 35 topics held     | 1                |
 * | read a group    | Query                                      |                                             | all of it, added |
 * | change a group  | TransactWriteItems                         | 2 + 2 per KB of members + 2 per session     |                  |
 * | hand over       | TransactWriteItems; UpdateItem when no     | 2 + 2 per partition; 1                      |                  |
 * |                 | partition is claimed                       |                                             |                  |
 * | commit          | UpdateItem for each partition              | 1 each, metadata of up to some 800 bytes    |                  |
 */

import { isDeepStrictEqual } from 'node:util';
import type { TransactWriteItem } from '@aws-sdk/client-dynamodb';
import { LogError, withUnknownEffect } from '../errors.ts';
import type { GroupId } from '../ids.ts';
import { actionsPerTransactionMax, chunks, DynamoDbCall } from './call-dynamodb.ts';
import {
  decodeGroupHead,
  decodeMembers,
  decodeSession,
  deletedEpochOf,
  encodeDeletedHead,
  encodeHead,
  encodeMembers,
  encodeSession,
  entryKey,
  groupHeadKey,
  groupPk,
  groupsPk,
  headSk,
  isSession,
  membersKey,
  membersSk,
  offsetKey,
  optionalSessionAttributes,
  sessionAttributes,
  sessionKey,
} from './group-items-dynamodb.ts';
import { deleteIfUnused, offsetsOf, queryAll } from './group-offsets-dynamodb.ts';
import { type GroupStore, type HandOver, offsetsAreGone, type SeenGroup, sessionIsRenewed } from './group-store.ts';
import type { GroupHead, MemberSession } from './items.ts';
import { type Item, numberOf, numberValue, textOf, timeToLiveAttribute } from './items-dynamodb.ts';
import type { DynamoDbRequests } from './requests-dynamodb.ts';

/** Reads of a group that meet a change of it start over this often. */
const readAttemptsMax = 5;

export function openDynamoDbGroupStore(
  requests: DynamoDbRequests,
  run: <T>(work: () => Promise<T>) => Promise<T>,
): GroupStore {
  const TableName = requests.table;
  const begin = () => new DynamoDbCall(requests);
  const offsets = offsetsOf(requests);

  const getGroup = async (groupId: GroupId): Promise<SeenGroup | undefined> => {
    const call = begin();
    for (let attempt = 1; attempt <= readAttemptsMax; attempt++) {
      const items = await queryAll(call, groupPk(groupId), headSk, membersSk);
      const head = decodeGroupHead(items.find(({ sk }) => sk?.S === headSk));
      const members = items.find(({ sk }) => sk?.S === membersSk);
      if (head === undefined && members === undefined) return undefined;
      // A query is not one instant: the group changed while it ran.
      if (head === undefined || members === undefined || head.version !== numberOf(members, 'v')) continue;
      const group = { ...head, ...decodeMembers(members) };
      return { group, sessions: items.filter(isSession).map(decodeSession) };
    }
    throw new LogError(
      'KAFKA_STORAGE_ERROR',
      `group ${groupId} changes all the time, ${readAttemptsMax} attempts to read it met a change`,
      { effect: 'none' },
    );
  };

  return {
    renewSession: (groupId, memberId, memberEpoch, seenAt) =>
      run(async () => {
        const call = begin();
        const [head, renewed] = await Promise.allSettled([
          call.get(groupHeadKey(groupId)),
          call.update(
            {
              Key: sessionKey(groupId, memberId),
              UpdateExpression: 'SET t = :t',
              ConditionExpression: 'e = :e AND t < :t',
              ExpressionAttributeValues: { ':t': numberValue(seenAt), ':e': numberValue(memberEpoch) },
              ReturnValues: 'ALL_NEW',
              ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
            },
            true,
          ),
        ]);
        if (renewed.status === 'rejected') throw renewed.reason;
        const { outcome, item } = renewed.value;
        if (head.status === 'rejected') {
          throw outcome === 'done' ? withUnknownEffect(head.reason, sessionIsRenewed) : head.reason;
        }
        const session = item === undefined ? undefined : decodeSession(item);
        return {
          // When the condition did not hold for the time alone, a later heartbeat came before this one.
          isRenewed: session !== undefined && session.memberEpoch === memberEpoch,
          head: decodeGroupHead(head.value),
          session,
        };
      }),

    getGroup: (groupId) => run(() => getGroup(groupId)),

    getGroupHead: (groupId) => run(async () => decodeGroupHead(await begin().get(groupHeadKey(groupId)))),
    getDeletedEpoch: (groupId) => run(async () => deletedEpochOf(await begin().get(groupHeadKey(groupId)))),

    listGroups: ({ after, limit }) =>
      run(async () => {
        const call = begin();
        const heads: GroupHead[] = [];
        let last: string | undefined = after;
        for (let isEnd = false; !isEnd && heads.length < limit; ) {
          const page = await call.query({
            KeyConditionExpression: last === undefined ? 'pk = :pk' : 'pk = :pk AND sk > :after',
            ExpressionAttributeValues: {
              ':pk': { S: groupsPk },
              ...(last === undefined ? {} : { ':after': { S: last } }),
            },
            Limit: limit - heads.length,
          });
          const ids = page.items.map((item) => textOf(item, 'sk') as GroupId);
          const found = (await call.getItems(ids.map(groupHeadKey))).flatMap((item) => decodeGroupHead(item) ?? []);
          heads.push(...found.toSorted((one, other) => (one.groupId < other.groupId ? -1 : 1)));
          last = ids.at(-1);
          isEnd = page.isEnd;
        }
        return heads;
      }),

    changeGroup: ({ group, seenVersion, puts, removes }) =>
      run(async () => {
        const { groupId } = group;
        const actions: TransactWriteItem[] = [
          {
            Put: {
              TableName,
              Item: encodeHead(group),
              ...(seenVersion === undefined ? ifNew(group) : ifVersion(seenVersion)),
            },
          },
          { Put: { TableName, Item: encodeMembers(group) } },
          ...(seenVersion === undefined ? [{ Put: { TableName, Item: entryKey(groupId) } }] : []),
          ...puts.map((put) => {
            return { Put: { TableName, Item: encodeSession(groupId, put.session), ...ifVersion(put.seenVersion) } };
          }),
          ...removes.map(({ memberId, seenVersion: version, seenAt }) => ({
            Delete: {
              TableName,
              Key: sessionKey(groupId, memberId),
              ConditionExpression: seenAt === undefined ? 'v = :v' : 'v = :v AND t = :t',
              ExpressionAttributeValues: {
                ':v': numberValue(version),
                ...(seenAt === undefined ? {} : { ':t': numberValue(seenAt) }),
              },
            },
          })),
        ];
        return (await begin().transact(actions)) === undefined ? 'changed' : 'conflict';
      }),

    scheduleCheck: (groupId, seenCheckAt, checkAt) =>
      run(async () => {
        await begin().update(
          {
            Key: groupHeadKey(groupId),
            UpdateExpression: 'SET c = :next',
            ConditionExpression: 'c = :seen',
            ExpressionAttributeValues: { ':next': numberValue(checkAt), ':seen': numberValue(seenCheckAt) },
          },
          true,
        );
      }),

    handOver: (handOver) =>
      run(async () => {
        const { groupId, session, claims } = handOver;
        const change = sessionUpdate(handOver);
        if (claims.length === 0) {
          const { outcome, item } = await begin().update(
            { ...change, ReturnValuesOnConditionCheckFailure: 'ALL_OLD' },
            true,
          );
          if (outcome === 'done') return 'done';
          // An attempt of this very step whose answer was lost.
          const isOurs = item !== undefined && isDeepStrictEqual(stateOf(decodeSession(item)), stateOf(session));
          return isOurs ? 'done' : 'conflict';
        }
        const lost = await begin().transact([
          { Update: { TableName, ...change } },
          ...claims.map((claim) => ({
            Update: {
              TableName,
              Key: offsetKey(groupId, claim),
              UpdateExpression: 'SET v = :next, w = :w, u = :u',
              ConditionExpression: claim.seenVersion === undefined ? 'attribute_not_exists(pk)' : 'v = :seen',
              ExpressionAttributeValues: {
                ':next': numberValue((claim.seenVersion ?? 0) + 1),
                ':w': { S: session.memberId },
                ':u': numberValue(session.memberEpoch),
                ...(claim.seenVersion === undefined ? {} : { ':seen': numberValue(claim.seenVersion) }),
              },
            },
          })),
        ]);
        return lost === undefined ? 'done' : 'conflict';
      }),

    /** First the offsets count no longer, then they go, then the group: whatever stops it, nothing comes back to life. */
    deleteGroup: (head, deletedAt) =>
      run(async () => {
        const call = begin();
        const { groupId, groupEpoch, version } = head;
        const next = { ...head, version: version + 1, groupEpoch: groupEpoch + 1, offsetsFromEpoch: groupEpoch + 1 };
        const emptied = await call.transact([
          { Put: { TableName, Item: encodeHead(next), ...ifEmptyAt(version) } },
          {
            Update: {
              TableName,
              Key: membersKey(groupId),
              UpdateExpression: 'SET v = :v',
              ExpressionAttributeValues: { ':v': numberValue(next.version) },
            },
          },
        ]);
        if (emptied !== undefined) return 'conflict';
        try {
          for (const chunk of chunks(await offsets.listOffsets(groupId), actionsPerTransactionMax)) {
            const lost = await call.transact(
              chunk.map((item) => ({ Delete: { TableName, ...deleteIfUnused(groupId, item, next.groupEpoch) } })),
            );
            if (lost !== undefined) return 'emptied';
          }
          const lost = await call.transact([
            {
              Put: {
                TableName,
                Item: encodeDeletedHead(groupId, next.groupEpoch, deletedAt),
                ...ifEmptyAt(next.version),
              },
            },
            { Delete: { TableName, Key: membersKey(groupId) } },
            { Delete: { TableName, Key: entryKey(groupId) } },
          ]);
          return lost === undefined ? 'deleted' : 'emptied';
        } catch (error) {
          throw withUnknownEffect(error, offsetsAreGone);
        }
      }),

    getOffsets: (...asked) => run(() => offsets.getOffsets(...asked)),
    listOffsets: (groupId) => run(() => offsets.listOffsets(groupId)),
    commitOffsets: (...commits) => run(() => offsets.commitOffsets(...commits)),
  };
}

const stateOf = ({ seenAt: _, ...state }: MemberSession) => state;

// ---- conditions and updates

/** If the item has this version, or is not there. */
function ifVersion(version: number | undefined) {
  if (version === undefined) return { ConditionExpression: 'attribute_not_exists(pk)' };
  return { ConditionExpression: 'v = :v', ExpressionAttributeValues: { ':v': numberValue(version) } };
}

/** If there is no such group. One that is deleted had lower epochs, so that nothing that was sent to it fits this one. */
function ifNew({ groupEpoch }: GroupHead) {
  return {
    ConditionExpression: `attribute_not_exists(pk) OR (attribute_exists(${timeToLiveAttribute}) AND e < :e)`,
    ExpressionAttributeValues: { ':e': numberValue(groupEpoch) },
  };
}

function ifEmptyAt(version: number) {
  return {
    ConditionExpression: 'v = :v AND n = :none',
    ExpressionAttributeValues: { ':v': numberValue(version), ':none': numberValue(0) },
  };
}

function sessionUpdate({ groupId, session, seenVersion }: HandOver) {
  const attributes = sessionAttributes(session);
  const names = Object.keys(attributes);
  const removed = optionalSessionAttributes.filter((name) => attributes[name] === undefined);
  const sets = `SET ${names.map((name) => `${name} = :${name}`).join(', ')}`;
  return {
    Key: sessionKey(groupId, session.memberId),
    UpdateExpression: removed.length === 0 ? sets : `${sets} REMOVE ${removed.join(', ')}`,
    ConditionExpression: 'v = :seen',
    ExpressionAttributeValues: {
      ...Object.fromEntries(
        names.map((name) => [`:${name}`, attributes[name]] as [string, (typeof attributes)[string]]),
      ),
      ':seen': numberValue(seenVersion),
    } as Item,
  };
}
