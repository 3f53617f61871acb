/** Puts the log together over two stores: the one place that knows which room needs what. */

import type { Clock, RandomBytes } from './clock.ts';
import { LogError } from './errors.ts';
import { createFetch } from './fetch/fetch.ts';
import { createListOffsets } from './fetch/list-offsets.ts';
import { createGroups } from './group/groups.ts';
import type { Log } from './log.ts';
import { createProduce } from './produce/produce.ts';
import type { GroupStore } from './store/group-store.ts';
import type { MetadataStore } from './store/metadata-store.ts';
import type { ObjectStore } from './store/object-store.ts';
import { createTopics } from './topic/topics.ts';

export interface LogStores {
  readonly objectStore: ObjectStore;
  readonly metadataStore: MetadataStore;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
}

export interface OpenLog extends Log {
  /**
   * Resolves when nothing is under way that nobody waits for, such as the roll beside an append: a process that is about
   * to be frozen waits for this.
   */
  settled(): Promise<void>;
}

export function createLog(deps: LogStores): OpenLog {
  const { objectStore, metadataStore, clock, randomBytes } = deps;
  const closing = new AbortController();
  const { cache, ...topics } = createTopics({ metadataStore, clock, randomBytes });
  const rooms = { objectStore, metadataStore, clock, topics: cache };
  const { produce, settled } = createProduce(rooms);
  const listOffsets = createListOffsets(rooms);
  const { groupStore = noGroups } = metadataStore;
  const groups = createGroups({ groupStore, metadataStore, topics: cache, listOffsets, clock, randomBytes });
  const underWay = new Set<Promise<unknown>>();
  /** The stores are not closed under what goes on. */
  const finished = <Input extends readonly unknown[], Answer>(work: (...input: Input) => Promise<Answer>) => {
    return async (...input: Input): Promise<Answer> => {
      const answer = work(...input);
      underWay.add(answer);
      try {
        return await answer;
      } finally {
        underWay.delete(answer);
      }
    };
  };

  return {
    topics: {
      create: finished(topics.create),
      list: finished(topics.list),
      describe: finished(topics.describe),
      get: finished(topics.get),
      alter: finished(topics.alter),
      delete: finished(topics.delete),
    },
    groups: {
      join: finished(groups.join),
      heartbeat: finished(groups.heartbeat),
      leave: finished(groups.leave),
      commitOffsets: finished(groups.commitOffsets),
      fetchOffsets: finished(groups.fetchOffsets),
      resetOffsets: finished(groups.resetOffsets),
      list: finished(groups.list),
      describe: finished(groups.describe),
      delete: finished(groups.delete),
    },
    produce,
    fetch: finished(createFetch({ ...rooms, closing: closing.signal })),
    listOffsets: finished(listOffsets),
    nextProducer: finished(async () => ({ producerId: await metadataStore.nextProducerId(), producerEpoch: 0 })),
    settled,
    async close() {
      closing.abort();
      await Promise.allSettled(underWay);
      await settled();
      await objectStore.close();
      await metadataStore.close();
    },
  };
}

/** Of a metadata store that has no room for groups. */
const noGroups = new Proxy({} as GroupStore, {
  get() {
    throw new LogError('INVALID_REQUEST', 'this log keeps no groups');
  },
});
