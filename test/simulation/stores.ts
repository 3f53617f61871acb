/** Stores that all environments of a simulation share, and the doors through which each of them sees them. */

import type { MetadataStore } from '../../lib/store/metadata-store.ts';
import type { ObjectStore } from '../../lib/store/object-store.ts';
import type { TopicLife } from '../../lib/verify/history.ts';
import type { Environment } from './environment.ts';
import type { Instants } from './instants.ts';

export interface StoreDoors {
  readonly objectStore: ObjectStore;
  readonly metadataStore: MetadataStore;
}

export interface SharedStores {
  open(environment: Environment): StoreDoors;
  /** When topics came, grew and went, as the stores themselves know it. */
  readonly lives: TopicLives;
  close(): Promise<void>;
}

/** What the metadata store was made to do to topics, noted at the moment it was done. */
export class TopicLives {
  readonly all: (TopicLife & { to: number | undefined; partitionCounts: TopicLife['partitionCounts'][number][] })[] =
    [];
  readonly #instants: Instants;

  constructor(instants: Instants) {
    this.#instants = instants;
  }

  created({ topic, topicId, partitionCount: count }: { topic: string; topicId: string; partitionCount: number }): void {
    const { instant: from, ms: fromMs } = this.#instants();
    this.all.push({ topic, topicId, from, fromMs, to: undefined, partitionCounts: [{ count, from, fromMs }] });
  }

  altered(topicId: string, count: number): void {
    const life = this.all.find((one) => one.topicId === topicId);
    const { instant: from, ms: fromMs } = this.#instants();
    if ((life?.partitionCounts.at(-1)?.count ?? 0) < count) life?.partitionCounts.push({ count, from, fromMs });
  }

  deleted(topicId: string): void {
    const life = this.all.find((one) => one.topicId === topicId);
    if (life !== undefined) life.to = this.#instants().instant;
  }
}
