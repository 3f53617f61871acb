/** Puts the log together over two stores: the one place that knows which room needs what. */

import type { Clock, RandomBytes } from './clock.ts';
import { createFetch } from './fetch/fetch.ts';
import { createListOffsets } from './fetch/list-offsets.ts';
import type { Log } from './log.ts';
import { createProduce } from './produce/produce.ts';
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
    produce,
    fetch: finished(createFetch({ ...rooms, closing: closing.signal })),
    listOffsets: finished(createListOffsets(rooms)),
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
