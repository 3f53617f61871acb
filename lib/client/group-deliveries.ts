/**
 * Hands out what was fetched for a member of a group: the records of a partition in order and by one at a time, the
 * partitions in turn, and nothing that may be another member's by now.
 */

import { type ConsumedBatch, type ConsumedRecord, readBatches, readRecords } from './consumed-record.ts';
import type { FetchedPartition } from './fetch-batches.ts';
import type { GroupConsumerDeps } from './group-consumer-deps.ts';
import type { GroupHeartbeats } from './group-heartbeats.ts';
import type { OwnedPartition } from './owned-partition.ts';

/** One answer of a partition, at the hand of the one who handles it. */
interface Held {
  readonly one: OwnedPartition;
  readonly fetched: FetchedPartition;
}

export class GroupDeliveries {
  readonly #deps: GroupConsumerDeps;
  readonly #heartbeats: GroupHeartbeats;
  readonly #onEnd: () => void;

  /** `onEnd` is called when nothing more is to be handed out: all is read, by a consumer that does not follow, or one has left. */
  constructor(deps: GroupConsumerDeps, heartbeats: GroupHeartbeats, onEnd: () => void) {
    this.#deps = deps;
    this.#heartbeats = heartbeats;
    this.#onEnd = onEnd;
  }

  /** May be iterated several times at once: each is handed records of another partition. A record is done when the next is asked for. */
  records(): AsyncGenerator<ConsumedRecord, void, undefined> {
    return this.#handOut(readRecords, ({ offset }) => offset + 1);
  }

  batches(): AsyncGenerator<ConsumedBatch, void, undefined> {
    return this.#handOut(readBatches, ({ nextOffset }) => nextOffset);
  }

  async *#handOut<T>(
    read: (topic: string, fetched: FetchedPartition, end: number) => Iterable<T>,
    nextOffsetOf: (value: T) => number,
  ): AsyncGenerator<T, void, undefined> {
    const { held, clock } = this.#deps;
    for (let taken = await this.#take(); taken !== undefined; taken = await this.#take()) {
      const { one, fetched } = taken;
      // Else who was at it has failed, or left. What comes behind it must not be handed out, and done, before it is.
      let isThrough = false;
      try {
        for (const value of read(one.topic, fetched, Number.POSITIVE_INFINITY)) {
          if (!this.#isWanted(one)) break;
          held.hand(one, nextOffsetOf(value), clock.nowMs());
          yield value;
          one.done = nextOffsetOf(value);
        }
        this.#finish(taken);
        isThrough = true;
      } finally {
        if (!isThrough) this.#onEnd();
        held.release(one);
      }
    }
  }

  /** Undefined when there will be nothing more. */
  async #take(): Promise<Held | undefined> {
    const { held, stopped, clock } = this.#deps;
    for (;;) {
      const changed = held.bell.next();
      if (stopped.aborted) return undefined;
      for (const one of held) {
        const [fetched] = one.queue;
        if (fetched === undefined || held.isAtHand(one) || !this.#isWanted(one)) continue;
        one.dequeue();
        one.beginAt(fetched.offset);
        held.take(one, clock.nowMs());
        return { one, fetched };
      }
      if (this.#isAtEnd()) {
        this.#onEnd();
        return undefined;
      }
      await changed;
    }
  }

  /** Whether more of it may be handed out. */
  #isWanted(one: OwnedPartition): boolean {
    const { held, member, stopped } = this.#deps;
    return one.state === 'active' && !held.isPaused(one) && !stopped.aborted && member.isFresh;
  }

  #isAtEnd(): boolean {
    const { held, member, options } = this.#deps;
    if (options.follow !== false || !member.isMember || held.atHand.length > 0) return false;
    if (held.size === 0) return this.#heartbeats.areInVain;
    return [...held].every((one) => one.isAtEnd && one.queue.length === 0);
  }

  /** All of it is done, or what is left waits for better times. */
  #finish({ one, fetched }: Held): void {
    if (this.#isWanted(one)) {
      one.done = fetched.nextOffset;
      one.handed = fetched.nextOffset;
    } else if (one.state === 'active' && one.done !== fetched.nextOffset) {
      one.putBack({ ...fetched, offset: one.done ?? fetched.offset });
    }
  }
}
