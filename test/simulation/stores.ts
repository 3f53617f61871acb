/** Stores that all environments of a simulation share, and the doors through which each of them sees them. */

import type { MetadataStore } from '../../lib/store/metadata-store.ts';
import type { ObjectStore } from '../../lib/store/object-store.ts';
import type { TopicLife } from '../../lib/verify/history.ts';
import type { Instants } from '../../lib/verify/instants.ts';
import type { Environment } from './environment.ts';

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

interface Life extends TopicLife {
  leaving: number | undefined;
  to: number | undefined;
  readonly partitionCounts: TopicLife['partitionCounts'][number][];
}

/**
 * What the metadata store was made to do to topics, noted at the moment it was done.
 *
 * A topic that is deleted piece by piece ends with its last head; and no later than somebody is told that it is deleted, or
 * that there is a new one of its name: from then on nobody may be answered by the old one.
 */
export class TopicLives {
  readonly all: Life[] = [];
  readonly #instants: Instants;
  readonly #heads = new Map<string, number>();

  constructor(instants: Instants) {
    this.#instants = instants;
  }

  created({ topic, topicId, partitionCount: count }: { topic: string; topicId: string; partitionCount: number }): void {
    // Who failed may have looked what became of it, and found what another has made.
    if (this.#find(topicId) !== undefined) return;
    const { instant: from, ms: fromMs } = this.#instants();
    const partitionCounts = [{ count, from, fromMs }];
    this.all.push({ topic, topicId, from, fromMs, leaving: undefined, to: undefined, partitionCounts });
  }

  altered(topicId: string, count: number): void {
    const life = this.#find(topicId);
    const { instant: from, ms: fromMs } = this.#instants();
    if ((life?.partitionCounts.at(-1)?.count ?? 0) < count) life?.partitionCounts.push({ count, from, fromMs });
  }

  headMade(topicId: string): void {
    this.#heads.set(topicId, (this.#heads.get(topicId) ?? 0) + 1);
  }

  headGone(topicId: string): void {
    this.#heads.set(topicId, (this.#heads.get(topicId) ?? 0) - 1);
    this.#endWithoutHeads(topicId);
  }

  /** The topic is found no more; its heads may be. */
  unlisted(topicId: string): void {
    const life = this.#find(topicId);
    if (life !== undefined) life.leaving = this.#instants().instant;
    this.#endWithoutHeads(topicId);
  }

  /** What a topic was found to be, when it was not told what became of a change to it. */
  seen(topic: string, item: { topic: string; topicId: string; partitionCount: number } | undefined): void {
    const last = this.all.findLast((life) => life.topic === topic && life.leaving === undefined);
    if (last !== undefined && last.topicId !== item?.topicId) this.unlisted(last.topicId);
    if (item === undefined) return;
    if (last?.topicId === item.topicId) this.altered(item.topicId, item.partitionCount);
    else this.created(item);
  }

  /** Somebody was told that the topic was deleted, or that one was made. */
  told(topic: string): void {
    for (const life of this.all) if (life.topic === topic) this.#end(life);
  }

  #find(topicId: string): Life | undefined {
    return this.all.find((one) => one.topicId === topicId);
  }

  #endWithoutHeads(topicId: string): void {
    const life = this.#find(topicId);
    if (life !== undefined && (this.#heads.get(topicId) ?? 0) <= 0) this.#end(life);
  }

  #end(life: Life): void {
    if (life.leaving !== undefined) life.to ??= this.#instants().instant;
  }
}
