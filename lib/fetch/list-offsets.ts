/**
 * Offsets by time, as Kafka's ListOffsets has them: the first record in offset order that is not older than asked, which
 * need not be the one with the smallest timestamp; `max` is the first record with the highest timestamp (KIP-734).
 */

import { assert, isLogError } from '../errors.ts';
import type { ListOffsetsRequest, ListOffsetsResult, Log } from '../log.ts';
import { decodeRecords, readBatchHeader } from '../record/record-batch.ts';
import type { MetadataStore } from '../store/metadata-store.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { isPartitionOf, type TopicCache, unknownPartition, unknownTopic } from '../topic/topics.ts';
import { findRunByTimestamp, maxTimestampOf } from './find-batches.ts';
import { readRuns, stampedBatches } from './read-runs.ts';

export interface ListOffsetsDeps {
  readonly objectStore: ObjectStore;
  readonly metadataStore: MetadataStore;
  readonly topics: TopicCache;
}

const none: ListOffsetsResult = { offset: undefined, timestamp: undefined };

export function createListOffsets({ objectStore, metadataStore, topics }: ListOffsetsDeps): Log['listOffsets'] {
  return async function listOffsets({ topic: name, partition, timestamp }: ListOffsetsRequest) {
    const topic = await topics.get(name);
    if (!isPartitionOf(topic, partition)) throw unknownPartition(topic, partition);
    const gone = () => {
      topics.forget(name);
      return unknownTopic(name);
    };
    const [head] = await metadataStore.getHeads(topic.topicId, [partition]);
    if (head === undefined) throw gone();
    if (timestamp === 'earliest') return { offset: head.logStartOffset, timestamp: undefined };
    if (timestamp === 'latest') return { offset: head.logEndOffset, timestamp: undefined };

    const wanted = timestamp === 'max' ? maxTimestampOf(head) : timestamp;
    const run = wanted === undefined ? undefined : await findRunByTimestamp(metadataStore, head, wanted);
    if (run === 'gone') throw gone();
    if (wanted === undefined || run === undefined) return none;

    const [bytes] = await readRuns(objectStore, [run]);
    assert(bytes !== undefined, 'a run that was asked for was read');
    if (isLogError(bytes)) throw bytes;
    for (const { batch } of stampedBatches(run, bytes, run.baseOffset)) {
      if (readBatchHeader(batch).maxTimestamp < wanted) continue;
      for (const record of decodeRecords(batch)) {
        if (record.timestamp >= wanted) return { offset: Number(record.offset), timestamp: record.timestamp };
      }
    }
    return none;
  };
}
