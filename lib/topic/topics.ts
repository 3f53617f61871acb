/** Create, list, describe, alter and delete topics; and look them up fast. */

import { type Clock, type RandomBytes, randomUuid } from '../clock.ts';
import { LogError, withUnknownEffect } from '../errors.ts';
import type { TopicId, TopicName } from '../ids.ts';
import { partitionCountMax } from '../limits.ts';
import type { TopicDescription, TopicSummary, Topics } from '../log.ts';
import type { TopicItem } from '../store/items.ts';
import type { MetadataStore } from '../store/metadata-store.ts';
import { changeConfig, describeConfig, type TopicConfig, topicConfig } from './topic-config.ts';

export interface Topic {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly partitionCount: number;
  readonly config: TopicConfig;
}

/** Looks topics up by name, and forgets what turned out to be old. */
export interface TopicCache {
  /** Throws UNKNOWN_TOPIC_OR_PARTITION. At most `ageMsMax` behind what other processes changed. */
  get(topic: TopicName): Promise<Topic>;
  /** Called when a head that should be there is missing: the topic was deleted, perhaps made again. */
  forget(topic: TopicName): void;
}

/** A warm process answers from memory for this long; a change by another process is seen no later. */
const cacheAgeMsMax = 5_000;
/** Topics remembered; the one looked up first goes first. */
const cacheTopicsMax = 10_000;
/** Alters that meet each other start over this often. */
const alterAttemptsMax = 8;

interface Entry {
  readonly item: TopicItem;
  readonly topic: Topic;
  readonly readAtMs: number;
}

export function createTopics(deps: {
  readonly metadataStore: MetadataStore;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
}): Topics & { readonly cache: TopicCache } {
  const { metadataStore, clock } = deps;
  const cached = new Map<TopicName, Entry>();
  const reading = new Map<TopicName, Promise<Entry>>();

  const lookUp = async (name: TopicName): Promise<Entry> => {
    const entry = cached.get(name);
    if (entry !== undefined && isYoung(entry)) return entry;
    // Who comes while it is being read gets what that read finds, so that nobody is overtaken by who came later. That there
    // is no such topic is no answer for them: it may have been made since the read began.
    const underWay = reading.get(name);
    const found = underWay && (await underWay.catch(() => undefined));
    return found !== undefined && isYoung(found) ? found : await readAndKeep(name);
  };

  const isYoung = ({ readAtMs }: Entry): boolean => {
    const ageMs = clock.nowMs() - readAtMs;
    // Below 0 the clock was set back since; how old the entry is cannot be known then.
    return ageMs >= 0 && ageMs < cacheAgeMsMax;
  };

  const readAndKeep = async (name: TopicName): Promise<Entry> => {
    const read = readEntry(name);
    reading.set(name, read);
    try {
      const entry = await read;
      // Else it was forgotten meanwhile, and this may be what was there before.
      if (reading.get(name) === read) keep(name, entry);
      return entry;
    } finally {
      if (reading.get(name) === read) reading.delete(name);
    }
  };

  const readEntry = async (name: TopicName): Promise<Entry> => {
    const readAtMs = clock.nowMs();
    const item = await readItem(name);
    const { topic, topicId, partitionCount } = item;
    return { item, topic: { topic, topicId, partitionCount, config: topicConfig(item.config) }, readAtMs };
  };

  const keep = (name: TopicName, entry: Entry) => {
    cached.delete(name);
    cached.set(name, entry);
    for (const oldest of cached.keys()) {
      if (cached.size <= cacheTopicsMax) break;
      cached.delete(oldest);
    }
  };

  const forget = (name: TopicName) => {
    cached.delete(name);
    reading.delete(name);
  };

  const readItem = async (name: TopicName): Promise<TopicItem> => {
    const item = await metadataStore.getTopic(name);
    if (item === undefined) throw unknownTopic(name);
    return item;
  };

  const describe = async (item: TopicItem): Promise<TopicDescription> => {
    const indexes = Array.from({ length: item.partitionCount }, (_, partition) => partition);
    const heads = await metadataStore.getHeads(item.topicId, indexes);
    const partitions = heads.map((head, partition) => {
      if (head === undefined) throw unknownTopic(item.topic);
      return { partition, logStartOffset: head.logStartOffset, highWatermark: head.logEndOffset };
    });
    return { ...summary(item), partitions };
  };

  return {
    cache: {
      get: async (name) => (await lookUp(name)).topic,
      forget,
    },

    async create({ topic, partitionCount = 1, config = {} }) {
      checkPartitionCount(partitionCount, 1);
      const item: TopicItem = {
        topic,
        topicId: randomUuid(deps.randomBytes) as TopicId,
        partitionCount,
        config: changeConfig({}, config),
        createdAt: clock.nowMs(),
        version: 1,
      };
      const created = await metadataStore.createTopic(item);
      forget(topic);
      if (created.outcome === 'exists') throw topicExists(topic, created.topic);
      // As it was made: a read that failed now would be told as a failure of the whole.
      const partitions = Array.from({ length: partitionCount }, (_, partition) => {
        return { partition, logStartOffset: 0, highWatermark: 0 };
      });
      return { ...summary(item), partitions };
    },

    list: async (page) => (await metadataStore.listTopics(page)).map(summary),
    describe: async (name) => await describe(await readItem(name)),
    get: async (name) => summary((await lookUp(name)).item),

    async alter({ topic, partitionCount, config = {} }) {
      for (let attempt = 0; attempt < alterAttemptsMax; attempt++) {
        const item = await readItem(topic);
        const changed = {
          ...item,
          config: changeConfig(item.config, config),
          partitionCount: partitionCount ?? item.partitionCount,
        };
        if (partitionCount !== undefined) checkPartitionCount(partitionCount, item.partitionCount);
        const outcome = await metadataStore.alterTopic(changed);
        forget(topic);
        if (outcome === 'altered') return await describe({ ...changed, version: item.version + 1 }).catch(afterChange);
      }
      throw new LogError(
        'KAFKA_STORAGE_ERROR',
        `topic ${topic} is being altered by others, ${alterAttemptsMax} attempts failed`,
        {
          effect: 'none',
        },
      );
    },

    async delete(name) {
      const item = await readItem(name);
      const isDeleted = await metadataStore.deleteTopic(name, item.topicId);
      forget(name);
      if (!isDeleted) throw unknownTopic(name);
    },
  };
}

/** A failure to look at what was changed, which is no failure to change it. */
function afterChange(error: unknown): never {
  throw withUnknownEffect(error, 'the topic was altered');
}

export function unknownTopic(topic: TopicName): LogError {
  return new LogError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${topic} does not exist`);
}

export function unknownPartition(topic: Topic, partition: number): LogError {
  return new LogError(
    'UNKNOWN_TOPIC_OR_PARTITION',
    `partition ${partition} does not exist, topic ${topic.topic} has ${topic.partitionCount} partitions, from 0 to ${topic.partitionCount - 1}`,
  );
}

export function isPartitionOf(topic: Topic, partition: number): boolean {
  return Number.isInteger(partition) && partition >= 0 && partition < topic.partitionCount;
}

function topicExists(topic: TopicName, there: TopicName): LogError {
  if (there === topic) return new LogError('TOPIC_ALREADY_EXISTS', `topic ${topic} already exists`);
  // Kafka's rule: metric names cannot tell "." from "_".
  return new LogError(
    'INVALID_TOPIC_EXCEPTION',
    `topic ${topic} collides with topic ${there}: "." and "_" count as the same`,
  );
}

/** Kafka's two rules: a new topic has at least one partition, an old one only grows (CreatePartitions). */
function checkPartitionCount(partitionCount: number, partitionCountMin: number): void {
  if (Number.isInteger(partitionCount) && partitionCount >= partitionCountMin && partitionCount <= partitionCountMax)
    return;
  throw new LogError(
    'INVALID_PARTITIONS',
    `partition count is ${partitionCount}, allowed is ${partitionCountMin} to ${partitionCountMax}`,
  );
}

function summary(item: TopicItem): TopicSummary {
  const { topic, topicId, partitionCount } = item;
  return { topic, topicId, partitionCount, config: describeConfig(item.config) };
}
