/** What a member of a group has: its partitions, which of them are paused, and which somebody is at. */

import type { Assignment } from './group-member.ts';
import type { TopicPartition } from './group-options.ts';
import { Bell, nameOf, type OwnedPartition } from './owned-partition.ts';

/** One that somebody is at; it may be another member's already. */
export interface AtHand {
  readonly one: OwnedPartition;
  /** Since when with the record, or the batch, that it is at. */
  readonly sinceMs: number;
}

export class HeldPartitions implements Iterable<OwnedPartition> {
  /** Rung whenever something of this has changed, or was fetched. */
  readonly bell = new Bell();
  readonly #onChange: (one?: OwnedPartition) => void;
  /** By key, in the order in which their turn comes. */
  readonly #owned = new Map<string, OwnedPartition>();
  readonly #atHand = new Map<string, AtHand>();
  readonly #paused = new Set<string>();
  #isAllPaused = false;

  /** `onChange` is called when other partitions may be wanted than before; or this one alone, which comes with every record. */
  constructor(onChange: (one?: OwnedPartition) => void) {
    this.#onChange = onChange;
  }

  [Symbol.iterator](): Iterator<OwnedPartition> {
    return this.#owned.values();
  }

  get size(): number {
    return this.#owned.size;
  }

  /** Without those that are about to begin, or to go. */
  get active(): OwnedPartition[] {
    return [...this].filter(({ state }) => state === 'active');
  }

  find(topic: string, partition: number): OwnedPartition | undefined {
    return [...this].find((one) => one.topic === topic && one.partition === partition);
  }

  has({ key }: OwnedPartition): boolean {
    return this.#owned.has(key);
  }

  /** As a member tells it. That it has those no more whose topic was made again has the group look at its topics. */
  get assignment(): Assignment {
    const told = [...this].filter(({ state }) => state !== 'stale');
    const byTopic = Map.groupBy(told, ({ topicId }) => topicId);
    return [...byTopic].map(([topicId, list]) => {
      return {
        topic: list[0]?.topic ?? '',
        topicId,
        partitions: list.map(({ partition }) => partition).sort((a, b) => a - b),
      };
    });
  }

  add(one: OwnedPartition): void {
    this.#owned.set(one.key, one);
  }

  /** It is another one's from now on. */
  remove(one: OwnedPartition): void {
    if (this.#owned.get(one.key) === one) this.#owned.delete(one.key);
    one.stop('gone');
    this.#paused.delete(nameOf(one));
  }

  /** What is paused stays so, should it come back. */
  removeAll(): void {
    for (const one of this) one.stop('gone');
    this.#owned.clear();
  }

  // ---- at hand

  get atHand(): AtHand[] {
    return [...this.#atHand.values()];
  }

  isAtHand({ key }: OwnedPartition): boolean {
    return this.#atHand.has(key);
  }

  /** Whoever is served goes to the back. */
  take(one: OwnedPartition, nowMs: number): void {
    one.isHeld = true;
    this.#atHand.set(one.key, { one, sinceMs: nowMs });
    this.#owned.delete(one.key);
    this.#owned.set(one.key, one);
    this.#onChange(one);
  }

  /** Its next record is given to whoever is at it. */
  hand(one: OwnedPartition, nextOffset: number, nowMs: number): void {
    one.handed = nextOffset;
    if (this.#atHand.has(one.key)) this.#atHand.set(one.key, { one, sinceMs: nowMs });
  }

  release(one: OwnedPartition): void {
    one.isHeld = false;
    this.#atHand.delete(one.key);
    this.bell.ring();
    this.#onChange(one);
  }

  // ---- paused

  isPaused(one: TopicPartition): boolean {
    return this.#isAllPaused || (this.#paused.size > 0 && this.#paused.has(nameOf(one)));
  }

  pause(partitions: readonly TopicPartition[] | undefined): void {
    if (partitions === undefined) this.#isAllPaused = true;
    for (const one of partitions ?? []) this.#paused.add(nameOf(one));
    this.#onChange();
  }

  resume(partitions: readonly TopicPartition[] | undefined): void {
    if (partitions === undefined) {
      this.#isAllPaused = false;
      this.#paused.clear();
    }
    for (const one of partitions ?? []) this.#paused.delete(nameOf(one));
    this.changed();
  }

  changed(): void {
    this.bell.ring();
    this.#onChange();
  }
}
