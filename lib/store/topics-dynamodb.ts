/** Topics: made, changed and deleted in transactions, so that a name, its topic and its heads come and go together. */

import type { TransactWriteItem } from '@aws-sdk/client-dynamodb';
import { assert, isLogError, LogError, withUnknownEffect } from '../errors.ts';
import type { Partition, TopicId, TopicName } from '../ids.ts';
import { actionsPerTransactionMax, chunks, DynamoDbCall, inParallel } from './call-dynamodb.ts';
import type { TopicItem } from './items.ts';
import {
  decodeTopic,
  deletionKey,
  deletionsPk,
  emptyHead,
  encodeConfig,
  encodeTopic,
  headKey,
  type Item,
  type Key,
  nameKey,
  numberOf,
  numberValue,
  partitionPk,
  textOf,
  topicKey,
  topicsPk,
} from './items-dynamodb.ts';
import type { MetadataStore } from './metadata-store.ts';
import type { DynamoDbRequests } from './requests-dynamodb.ts';

/** Alters that meet a delete make it start over this often. */
const deleteAttemptsMax = 8;
/** Of the transaction that deletes a topic: topic, name and note. */
const deleteActions = 3;
/** Deletions of earlier calls, cut short by a crash or a deadline, that one call goes on with. */
const deletionsResumedMax = 4;

type Topics = Pick<MetadataStore, 'createTopic' | 'getTopic' | 'listTopics' | 'alterTopic' | 'deleteTopic'>;

export function topicsOf(requests: DynamoDbRequests): Topics {
  const TableName = requests.table;

  /** Makes a head where there is none; one that is there stays as it is, so this may be done over and over. */
  const makeHead = (topicId: TopicId, partition: Partition): TransactWriteItem => {
    const names = Object.keys(emptyHead) as (keyof typeof emptyHead)[];
    return {
      Update: {
        TableName,
        Key: headKey(topicId, partition),
        UpdateExpression: `SET ${names.map((name) => `${name} = if_not_exists(${name}, :${name})`).join(', ')}`,
        ExpressionAttributeValues: Object.fromEntries(names.map((name) => [`:${name}`, emptyHead[name]])),
      },
    };
  };

  /**
   * The heads of new partitions in as many transactions as they take, the last of them with `changes`. A crash before it
   * leaves heads that nobody knows of.
   */
  const changeWithHeads = async (
    call: DynamoDbCall,
    topicId: TopicId,
    partitions: readonly Partition[],
    changes: readonly TransactWriteItem[],
  ) => {
    const lastCount = Math.min(partitions.length, actionsPerTransactionMax - changes.length);
    const before = partitions.slice(0, partitions.length - lastCount);
    const make = (partition: Partition) => makeHead(topicId, partition);
    await inParallel(chunks(before, actionsPerTransactionMax), async (chunk) => {
      await call.transact(chunk.map(make));
    });
    return await call.transact([...changes, ...partitions.slice(before.length).map(make)]);
  };

  const read = async (call: DynamoDbCall, topic: TopicName): Promise<TopicItem | undefined> => {
    const item = await call.get(topicKey(topic));
    return item === undefined ? undefined : decodeTopic(item);
  };

  return {
    async createTopic(topic) {
      const call = new DynamoDbCall(requests);
      const { topicId, partitionCount } = topic;
      const changes: TransactWriteItem[] = [
        {
          Put: {
            TableName,
            Item: { ...nameKey(topic.topic), topic: { S: topic.topic }, topicId: { S: topicId } },
            ConditionExpression: 'attribute_not_exists(pk)',
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
        },
        { Put: { TableName, Item: encodeTopic(topic) } },
      ];
      const isOneTransaction = changes.length + partitionCount <= actionsPerTransactionMax;
      // Before many heads are made for nothing.
      const taken = isOneTransaction ? undefined : await call.get(nameKey(topic.topic));
      if (taken !== undefined) return { outcome: 'exists', topic: textOf(taken, 'topic') as TopicName };

      const lost = await changeWithHeads(call, topicId, range(0, partitionCount), changes);
      if (lost === undefined) return { outcome: 'created' };
      const there = lost[0]?.Item;
      assert(there !== undefined, 'a name that is taken says by which topic');
      // Made by an attempt without an answer, so long ago that DynamoDB has forgotten its token.
      if (textOf(there, 'topicId') === topicId) return { outcome: 'created' };
      if (!isOneTransaction) await deleteHeads(call, topicId, range(0, partitionCount));
      return { outcome: 'exists', topic: textOf(there, 'topic') as TopicName };
    },

    // Strongly consistent, as the list is: who was told that a topic is there goes on to use it.
    getTopic: async (topic) => await read(new DynamoDbCall(requests), topic),

    async listTopics({ after, limit }) {
      const call = new DynamoDbCall(requests);
      const topics: TopicItem[] = [];
      let last: TopicName | undefined = after;
      for (let isEnd = false; !isEnd && topics.length < limit; ) {
        const page = await call.query({
          KeyConditionExpression: last === undefined ? 'pk = :pk' : 'pk = :pk AND sk > :after',
          ExpressionAttributeValues: {
            ':pk': { S: topicsPk },
            ...(last === undefined ? {} : { ':after': { S: last } }),
          },
          Limit: limit - topics.length,
        });
        topics.push(...page.items.map(decodeTopic));
        last = topics.at(-1)?.topic;
        isEnd = page.isEnd;
      }
      return topics;
    },

    async alterTopic({ topic, topicId, version, config, partitionCount }) {
      const call = new DynamoDbCall(requests);
      // Says which heads are new, and that is so as long as the version is the same.
      const there = await read(call, topic);
      if (there?.topicId !== topicId || there.version !== version) return 'conflict';
      const lost = await changeWithHeads(call, topicId, range(there.partitionCount, partitionCount), [
        {
          Update: {
            TableName,
            Key: topicKey(topic),
            UpdateExpression: 'SET config = :config, partitionCount = :partitionCount, version = :next',
            ConditionExpression: 'topicId = :topicId AND version = :version',
            ExpressionAttributeValues: {
              ':config': encodeConfig(config),
              ':partitionCount': numberValue(partitionCount),
              ':next': numberValue(version + 1),
              ':topicId': { S: topicId },
              ':version': numberValue(version),
            },
          },
        },
      ]);
      return lost === undefined ? 'altered' : 'conflict';
    },

    /**
     * The topic goes with its name and its heads, and leaves a note of what is still to be deleted. Whatever stops the rest,
     * the next call of this goes on with it. No head outlives its topic: a process that still knows it would append to it
     * when there is a new one of that name. Heads for which the transaction has no room go before it, so that a crash
     * leaves a topic that can be deleted again.
     */
    async deleteTopic(topic, topicId) {
      const call = new DynamoDbCall(requests);
      let areHeadsGone = false;
      try {
        for (let attempt = 1; attempt <= deleteAttemptsMax; attempt++) {
          const there = await read(call, topic);
          if (there?.topicId !== topicId) return false;
          const { partitionCount, version } = there;
          const lastCount = Math.min(partitionCount, actionsPerTransactionMax - deleteActions);
          areHeadsGone ||= lastCount < partitionCount;
          await deleteHeads(call, topicId, range(lastCount, partitionCount));
          const lost = await call.transact([
            {
              Delete: {
                TableName,
                Key: topicKey(topic),
                ConditionExpression: 'topicId = :topicId AND version = :version',
                ExpressionAttributeValues: { ':topicId': { S: topicId }, ':version': numberValue(version) },
              },
            },
            { Delete: { TableName, Key: nameKey(topic) } },
            { Put: { TableName, Item: { ...deletionKey(topicId), partitionCount: numberValue(partitionCount) } } },
            ...range(0, lastCount).map((partition) => ({ Delete: { TableName, Key: headKey(topicId, partition) } })),
          ]);
          if (lost !== undefined) continue;
          try {
            await deleteContents(call, topicId, partitionCount);
            await resumeDeletions(call);
          } catch (error) {
            // The topic is gone all the same, and the note says what is not.
            if (!isLogError(error)) throw error;
          }
          return true;
        }
        throw new LogError(
          'KAFKA_STORAGE_ERROR',
          `topic ${topic} is being altered by others, ${deleteAttemptsMax} attempts to delete it failed`,
          { effect: 'none' },
        );
      } catch (error) {
        throw areHeadsGone ? withUnknownEffect(error, 'partitions of it may be gone: delete it again') : error;
      }
    },
  };
}

async function resumeDeletions(call: DynamoDbCall): Promise<void> {
  const { items } = await call.query({
    KeyConditionExpression: 'pk = :pk',
    ExpressionAttributeValues: { ':pk': { S: deletionsPk } },
    Limit: deletionsResumedMax,
  });
  for (const item of items) await deleteContents(call, textOf(item, 'sk') as TopicId, numberOf(item, 'partitionCount'));
}

/** The heads are gone: nothing is appended or rolled any more, so what is found is all there is. */
async function deleteContents(call: DynamoDbCall, topicId: TopicId, partitionCount: number): Promise<void> {
  await inParallel(range(0, partitionCount), async (partition) => {
    for (let isEnd = false; !isEnd; ) {
      const page = await call.query({
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': { S: partitionPk(topicId, partition) } },
        ProjectionExpression: 'pk, sk',
      });
      await call.delete(page.items.map(keyOf));
      isEnd = page.isEnd;
    }
  });
  await call.delete([deletionKey(topicId)]);
}

async function deleteHeads(call: DynamoDbCall, topicId: TopicId, partitions: readonly Partition[]): Promise<void> {
  await call.delete(partitions.map((partition) => headKey(topicId, partition)));
}

const keyOf = (item: Item): Key => ({ pk: { S: textOf(item, 'pk') }, sk: { S: textOf(item, 'sk') } });

/** From `from` up to but not including `to`. */
const range = (from: number, to: number) => Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index);
