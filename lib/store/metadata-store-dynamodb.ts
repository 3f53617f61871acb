/**
 * The metadata store on DynamoDB: any number of processes work on one table, and each step of the log is one request.
 *
 * Every read is strongly consistent. Heads have to be: they say how far the log goes. Pages have to be since one may have
 * been made a moment ago, and a reader that was not shown it would go on behind it; a query of pages costs a thousandth of the
 * object reads that follow it.
 */

import { LogError } from '../errors.ts';
import type { Partition, TopicId } from '../ids.ts';
import { commitBatches } from './append-dynamodb.ts';
import { DynamoDbCall } from './call-dynamodb.ts';
import { openDynamoDbGroupStore } from './group-store-dynamodb.ts';
import type { Head } from './items.ts';
import {
  counterKey,
  decodeHead,
  decodePage,
  headKey,
  numberOf,
  numberValue,
  pageKey,
  pageSkEnd,
  partitionPk,
} from './items-dynamodb.ts';
import type { CommitOutcome, MetadataStore } from './metadata-store.ts';
import { type DynamoDbOptions, DynamoDbRequests } from './requests-dynamodb.ts';
import { rollTail } from './roll-dynamodb.ts';
import { topicsOf } from './topics-dynamodb.ts';

export { tableDefinition } from './items-dynamodb.ts';
export type { DynamoDbOptions } from './requests-dynamodb.ts';

/**
 * The table must be there, made with `tableDefinition`. Errors are KAFKA_STORAGE_ERROR and say what to check; a commit
 * whose answer is lost has an unknown effect, unless all of its batches have a producer id: then it is sent again, and is
 * there once.
 */
export function openDynamoDbMetadataStore(options: DynamoDbOptions): MetadataStore {
  const requests = new DynamoDbRequests(options);
  const topics = topicsOf(requests);
  const underWay = new Set<Promise<unknown>>();
  const lanes = new Map<string, Promise<unknown>>();
  let isClosed = false;

  /** Runs a call, which `close` waits for. */
  const run = async <T>(work: () => Promise<T>): Promise<T> => {
    if (isClosed) {
      throw new LogError('KAFKA_STORAGE_ERROR', 'the metadata store is closed', { retriable: false, effect: 'none' });
    }
    const answer = work();
    underWay.add(answer);
    try {
      return await answer;
    } finally {
      underWay.delete(answer);
    }
  };

  /** One after another for each partition: the order of calls is the order of offsets. */
  const inLane = async <T>(topicId: TopicId, partition: Partition, work: () => Promise<T>): Promise<T> => {
    const lane = partitionPk(topicId, partition);
    const answer = (lanes.get(lane) ?? Promise.resolve()).then(work, work);
    lanes.set(lane, answer);
    try {
      return await answer;
    } finally {
      if (lanes.get(lane) === answer) lanes.delete(lane);
    }
  };

  const getHeads = async (topicId: TopicId, partitions: readonly Partition[]): Promise<(Head | undefined)[]> => {
    const asked = [...new Set(partitions)];
    const items = await new DynamoDbCall(requests).getItems(asked.map((partition) => headKey(topicId, partition)));
    const heads = new Map(
      items.map((item) => {
        const partition = Number(item.pk?.S?.slice(topicId.length + 1));
        return [partition, decodeHead(topicId, partition, item)];
      }),
    );
    return partitions.map((partition) => heads.get(partition));
  };

  return {
    createTopic: (topic) => run(() => topics.createTopic(topic)),
    getTopic: (topic) => run(() => topics.getTopic(topic)),
    listTopics: (page) => run(() => topics.listTopics(page)),
    alterTopic: (change) => run(() => topics.alterTopic(change)),
    deleteTopic: (topic, topicId) => run(() => topics.deleteTopic(topic, topicId)),

    commitBatches: (commit): Promise<CommitOutcome> =>
      run(() => inLane(commit.topicId, commit.partition, () => commitBatches(requests, commit))),
    getHeads: (topicId, partitions) => run(() => getHeads(topicId, partitions)),
    rollTail: (seen) => run(() => rollTail(requests, seen)),

    findPages: (topicId, partition, offset, limit) =>
      run(async () => {
        const { pk, sk } = pageKey(topicId, partition, offset);
        const { items } = await new DynamoDbCall(requests).query({
          KeyConditionExpression: 'pk = :pk AND sk BETWEEN :from AND :to',
          ExpressionAttributeValues: { ':pk': pk, ':from': sk, ':to': { S: pageSkEnd } },
          Limit: limit,
        });
        return items.map(decodePage);
      }),

    nextProducerId: () =>
      run(async () => {
        // Repeatable: an id that nobody heard of is never used.
        const { item = {} } = await new DynamoDbCall(requests).update(
          {
            Key: counterKey,
            UpdateExpression: 'ADD #value :one',
            ExpressionAttributeNames: { '#value': 'value' },
            ExpressionAttributeValues: { ':one': numberValue(1) },
            ReturnValues: 'ALL_NEW',
          },
          true,
        );
        return numberOf(item, 'value') - 1;
      }),

    groupStore: openDynamoDbGroupStore(requests, run),

    close: async () => {
      if (isClosed) return;
      isClosed = true;
      await Promise.allSettled(underWay);
      requests.close();
    },
  };
}
