/**
 * The whole way in: check, write one object, commit, answer.
 *
 * A batch is acknowledged only after its object is durable and its offsets are committed. An object without a commit is
 * garbage, never data; a commit whose reply is lost has an unknown effect, and a producer with an id may send again.
 */

import { type Clock, turnOfTheLoop } from '../clock.ts';
import { isLogError, LogError } from '../errors.ts';
import type { TopicId } from '../ids.ts';
import {
  flushBytesMax,
  flushesInFlightMax,
  MiB,
  produceBytesWaitingMax,
  requestDecompressedBytesMax,
  waitingBatchBytes,
} from '../limits.ts';
import type { Log, ProduceRequest, ProduceResult } from '../log.ts';
import type { DecompressionBudget } from '../record/record-batch.ts';
import type { BatchCoordinates } from '../store/items.ts';
import type { BatchOutcome, MetadataStore, NewBatch } from '../store/metadata-store.ts';
import { encodeFooter } from '../store/object-layout.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { isPartitionOf, type Topic, type TopicCache, unknownPartition, unknownTopic } from '../topic/topics.ts';
import { prepareBatch, type ReadyBatch } from './check-batch.ts';
import { type FlushItem, FlushQueue } from './flush-queue.ts';
import { createRoller } from './roll.ts';

export interface ProduceDeps {
  readonly objectStore: ObjectStore;
  readonly metadataStore: MetadataStore;
  readonly topics: TopicCache;
  readonly clock: Clock;
}

/** A batch that passed its checks, on its way into an object. */
interface PendingBatch extends ReadyBatch, FlushItem {
  readonly topic: Topic;
  readonly partition: number;
}

type Sent = ProduceRequest['batches'][number];

/**
 * While a request is prepared others get a turn after so many bytes, as they were sent and decompressed: some 10 ms, or 60
 * where the topic has them compressed anew as gzip.
 */
const turnBytes = 4 * MiB;

/** Rolls that an append waits for when the tail is far too long, before it gives up. */
const rollsBeforeAppendMax = 3;

export function createProduce(deps: ProduceDeps): { produce: Log['produce']; settled: () => Promise<void> } {
  const { objectStore, metadataStore, clock } = deps;
  const roller = createRoller({ metadataStore });
  const underWay = new Set<Promise<unknown>>();
  /** By topic, the request that gave others a turn before all of it was prepared. Later ones wait and do not overtake it. */
  const preparing = new Map<TopicId, Promise<void>>();
  const queue = new FlushQueue<PendingBatch, Map<PendingBatch, BatchCoordinates>, BatchOutcome>(
    { store: storeObject, commit: commitPartition },
    { flushBytesMax, flushesInFlightMax, bytesWaitingMax: produceBytesWaitingMax },
  );

  async function produce(request: ProduceRequest): Promise<readonly ProduceResult[]> {
    const answer = answerTo(request);
    underWay.add(answer);
    try {
      return await answer;
    } finally {
      underWay.delete(answer);
    }
  }

  async function answerTo(request: ProduceRequest): Promise<readonly ProduceResult[]> {
    const topic = await deps.topics.get(request.topic);
    const { topicId } = topic;
    while (preparing.has(topicId)) await preparing.get(topicId);
    const results: Promise<ProduceResult>[] = [];
    const budget = { bytesLeft: requestDecompressedBytesMax };
    let sentBytes = 0;
    const preparedBytes = () => sentBytes + requestDecompressedBytesMax - budget.bytesLeft;
    let turnAt = turnBytes;
    let turns: PromiseWithResolvers<void> | undefined;
    try {
      for (const sent of request.batches) {
        if (preparedBytes() >= turnAt) {
          turns ??= Promise.withResolvers();
          preparing.set(topicId, turns.promise);
          // A bug is told below, when every batch is on its way; until then nobody waits for these.
          for (const result of results) result.catch(() => undefined);
          await turnOfTheLoop();
          turnAt = preparedBytes() + turnBytes;
        }
        results.push(produceBatch(topic, sent, budget));
        sentBytes += sent.batch.length;
      }
    } finally {
      if (turns !== undefined) preparing.delete(topicId);
      turns?.resolve();
    }
    return await Promise.all(results);
  }

  async function produceBatch(topic: Topic, sent: Sent, budget: DecompressionBudget): Promise<ProduceResult> {
    const { partition } = sent;
    try {
      if (!isPartitionOf(topic, partition)) throw unknownPartition(topic, partition);
      const ready = prepareBatch(sent.batch, topic.config, clock, budget);
      const lane = `${topic.topicId}/${partition}`;
      const bytes = ready.batch.length;
      const heldBytes = bytes + waitingBatchBytes;
      const committed = await queue.add({ ...ready, topic, partition, lane, bytes, heldBytes });
      if (committed.outcome === 'refused') return { partition, error: committed.error };
      const { outcome, baseOffset, timestamp } = committed;
      return { partition, baseOffset, recordCount: ready.recordCount, timestamp, isDuplicate: outcome === 'duplicate' };
    } catch (error) {
      if (isLogError(error)) return { partition, error };
      throw error;
    }
  }

  /** One immutable object: batches sorted by topic and partition, each partition's in order of arrival, then a footer. */
  async function storeObject(pending: readonly PendingBatch[]): Promise<Map<PendingBatch, BatchCoordinates>> {
    const sorted = pending.toSorted((a, b) =>
      a.topic.topicId === b.topic.topicId ? a.partition - b.partition : a.topic.topicId < b.topic.topicId ? -1 : 1,
    );
    let byteStart = 0;
    const rows = sorted.map(({ topic, partition, batch, recordCount, maxTimestamp }) => {
      const row = {
        topicId: topic.topicId,
        partition,
        byteStart,
        byteLength: batch.length,
        offsetCount: recordCount,
        maxTimestamp,
      };
      byteStart += batch.length;
      return row;
    });
    const objectId = await objectStore.put([...sorted.map(({ batch }) => batch), encodeFooter(rows)]);
    return new Map(
      sorted.map((batch, index) => {
        const { byteStart, byteLength, offsetCount, maxTimestamp } = rows[index] as (typeof rows)[number];
        return [batch, { objectId, byteStart, byteLength, offsetCount, maxTimestamp }];
      }),
    );
  }

  /** One conditional write on the partition's head: the only place where offsets come from. */
  async function commitPartition(
    pending: readonly PendingBatch[],
    stored: Map<PendingBatch, BatchCoordinates>,
  ): Promise<readonly BatchOutcome[]> {
    const [{ topic, partition }] = pending as readonly [PendingBatch];
    const batches = pending.map((batch): NewBatch => {
      const { recordCount, maxTimestamp, producer } = batch;
      return { coordinates: stored.get(batch) as BatchCoordinates, recordCount, timestamp: maxTimestamp, producer };
    });
    for (let rolls = 0; ; rolls++) {
      const commit = await metadataStore.commitBatches({ topicId: topic.topicId, partition, batches });
      if (commit.outcome === 'committed') {
        roller.rollWhenDue(commit);
        return commit.batches;
      }
      if (commit.outcome === 'missing') {
        deps.topics.forget(topic.topic);
        throw unknownTopic(topic.topic);
      }
      if (rolls === rollsBeforeAppendMax) {
        const message = `index of topic ${topic.topic} partition ${partition} has ${commit.head.tail.length} entries not yet rolled`;
        throw new LogError('KAFKA_STORAGE_ERROR', message, { effect: 'none' });
      }
      await roller.roll(commit.head);
    }
  }

  async function settled(): Promise<void> {
    await Promise.allSettled(underWay);
    await roller.settled();
  }

  return { produce, settled };
}
