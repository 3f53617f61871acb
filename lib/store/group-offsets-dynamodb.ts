/** How far groups have read, on DynamoDB: one item for each partition, and one conditional update for each commit. */

import { isLogError, LogError } from '../errors.ts';
import type { GroupId, Timestamp } from '../ids.ts';
import { DynamoDbCall, inParallel } from './call-dynamodb.ts';
import { decodeOffset, groupPk, offsetKey, offsetPrefix, offsetSkEnd } from './group-items-dynamodb.ts';
import type { Committer, GroupStore, OffsetCommit, OffsetOutcome } from './group-store.ts';
import type { OffsetItem } from './items.ts';
import { type Item, numberValue, textOf } from './items-dynamodb.ts';
import { epochOf, mayCommit } from './offset-item.ts';
import type { DynamoDbRequests } from './requests-dynamodb.ts';

/** A commit that meets others with a later time takes a later one this often. */
const commitAttemptsMax = 8;

type Offsets = Pick<GroupStore, 'getOffsets' | 'listOffsets' | 'commitOffsets'>;

export function offsetsOf(requests: DynamoDbRequests): Offsets {
  const commitOffset = async (
    call: DynamoDbCall,
    groupId: GroupId,
    by: Committer,
    commit: OffsetCommit,
    committedAt: Timestamp,
  ): Promise<OffsetOutcome> => {
    let at = committedAt;
    let wasSilent = false;
    for (let attempt = 1; attempt <= commitAttemptsMax; attempt++) {
      const { outcome, item: found, mayBeDone } = await call.update(offsetUpdate(groupId, by, commit, at), true);
      if (outcome === 'done') return { outcome: 'committed' };
      wasSilent ||= mayBeDone;
      const item = found === undefined ? undefined : decodeOffset(found);
      const stored = item?.committed;
      // An attempt of ours whose answer was lost.
      const isOurs =
        stored?.committedAt === at && stored.offset === commit.offset && stored.metadata === commit.metadata;
      if (isOurs && stored.epoch <= epochOf(by)) return { outcome: 'committed' };
      // It may have been done, and others have done theirs after it: to do it again would undo that.
      if (wasSilent) return { outcome: 'failed', error: overtaken(groupId, commit) };
      if (stored === undefined || !mayCommit(item, by, commit)) return { outcome: 'refused', item };
      at = stored.committedAt + 1;
    }
    throw new LogError(
      'KAFKA_STORAGE_ERROR',
      `partition ${commit.partition} of group ${groupId} is committed by others, ${commitAttemptsMax} attempts were overtaken`,
      { effect: 'none' },
    );
  };

  return {
    async getOffsets(groupId, partitions) {
      const keys = new Map(partitions.map((place) => [offsetKey(groupId, place).sk.S, offsetKey(groupId, place)]));
      const items = await new DynamoDbCall(requests).getItems([...keys.values()]);
      const found = new Map(items.map((item) => [textOf(item, 'sk'), decodeOffset(item)]));
      return partitions.map((place) => found.get(offsetKey(groupId, place).sk.S));
    },

    async listOffsets(groupId) {
      const items = await queryAll(new DynamoDbCall(requests), groupPk(groupId), offsetPrefix, offsetSkEnd);
      return items.map(decodeOffset);
    },

    async commitOffsets(groupId, committer, commits, committedAt) {
      const call = new DynamoDbCall(requests);
      const outcomes: OffsetOutcome[] = [];
      await inParallel([...commits.entries()], async ([index, commit]) => {
        outcomes[index] = await commitOffset(call, groupId, committer, commit, committedAt).catch(failed);
      });
      return outcomes;
    },
  };
}

function overtaken(groupId: GroupId, { partition }: OffsetCommit): LogError {
  return new LogError(
    'KAFKA_STORAGE_ERROR',
    `a commit of partition ${partition} of group ${groupId} was not answered, and by now others own the partition or have committed it`,
    { effect: 'unknown' },
  );
}

/** Each item is written by itself: what became of one says nothing of the others. */
function failed(error: unknown): OffsetOutcome {
  if (!isLogError(error)) throw error;
  return { outcome: 'failed', error };
}

/** All pages of a range of sort keys, both ends included. */
export async function queryAll(call: DynamoDbCall, pk: string, from: string, to: string): Promise<readonly Item[]> {
  const found: Item[] = [];
  for (let start: Item | undefined; ; ) {
    const { items, isEnd } = await call.query({
      KeyConditionExpression: 'pk = :pk AND sk BETWEEN :from AND :to',
      ExpressionAttributeValues: { ':pk': { S: pk }, ':from': { S: from }, ':to': { S: to } },
      ...(start === undefined ? {} : { ExclusiveStartKey: start }),
    });
    found.push(...items);
    const last = items.at(-1);
    if (isEnd || last?.pk === undefined || last.sk === undefined) return found;
    start = { pk: last.pk, sk: last.sk };
  }
}

/** If nobody has been given the partition, or committed it, since the group had this epoch. */
export function deleteIfUnused(groupId: GroupId, { topicId, partition }: OffsetItem, groupEpoch: number) {
  return {
    Key: offsetKey(groupId, { topicId, partition }),
    ConditionExpression: '(attribute_not_exists(u) OR u < :e) AND (attribute_not_exists(e) OR e < :e)',
    ExpressionAttributeValues: { ':e': numberValue(groupEpoch) },
  };
}

/**
 * With a member: if the partition is its own and was given to it no later. Without: if it is nobody's, or that of the owner
 * who is gone, who is taken out; not over what is of a later epoch, as in `mayCommit`.
 */
function offsetUpdate(groupId: GroupId, by: Committer, commit: OffsetCommit, at: Timestamp) {
  const { offset, metadata, ownerGoneAtVersion } = commit;
  const isNoLater = '(attribute_not_exists(u) OR u <= :e) AND (attribute_not_exists(e) OR e <= :e)';
  const isTaken = by.memberId === undefined && ownerGoneAtVersion !== undefined;
  const [condition, change, values]: [string, string, Item] =
    by.memberId !== undefined
      ? ['w = :w AND u <= :e', ', e = u', { ':w': { S: by.memberId } }]
      : isTaken
        ? [
            `(attribute_not_exists(w) OR v = :v) AND ${isNoLater}`,
            ', e = :e, v = if_not_exists(v, :zero) + :one REMOVE w, u',
            { ':v': numberValue(ownerGoneAtVersion), ':zero': numberValue(0), ':one': numberValue(1) },
          ]
        : [
            `attribute_not_exists(w) AND ${isNoLater}`,
            ', e = :e, v = if_not_exists(v, :zero)',
            { ':zero': numberValue(0) },
          ];
  return {
    Key: offsetKey(groupId, commit),
    UpdateExpression: `SET o = :o, m = :m, t = :t${change}`,
    ConditionExpression: `${condition} AND (attribute_not_exists(t) OR t < :t)`,
    ExpressionAttributeValues: {
      ...values,
      ':o': numberValue(offset),
      ':m': { S: metadata },
      ':t': numberValue(at),
      ':e': numberValue(epochOf(by)),
    },
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
  };
}
