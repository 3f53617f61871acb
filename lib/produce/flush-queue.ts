/**
 * When a flush starts, and in which order commits happen. What a flush does is `produce.ts`'s business.
 *
 * A lone caller is flushed at once. While one flush is being stored, whoever comes gathers for the next, which starts
 * when the one ahead is stored and being committed, or when enough bytes wait. No timer: a busy log makes larger
 * objects, an idle one answers sooner. Objects are stored in parallel; commits of one partition stay in the order in
 * which their batches came, so that a producer with several batches in flight is not reordered here.
 */

import { LogError } from '../errors.ts';

export interface FlushItem {
  readonly bytes: number;
  /** What it takes of the process until it is answered. */
  readonly heldBytes: number;
  /** Items with the same lane are committed in the order in which they were added. */
  readonly lane: string;
}

export interface FlushSteps<Item extends FlushItem, Stored, Result> {
  /** Makes the items of one flush durable in one object. */
  store(items: readonly Item[]): Promise<Stored>;
  /** Commits the items of one lane; one result per item. */
  commit(items: readonly Item[], stored: Stored): Promise<readonly Result[]>;
}

export interface FlushLimits {
  readonly flushBytesMax: number;
  readonly flushesInFlightMax: number;
  readonly bytesWaitingMax: number;
}

/** How long a caller is told to wait when too much is under way already. */
const retryAfterMs = 100;

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export class FlushQueue<Item extends FlushItem, Stored, Result> {
  readonly #steps: FlushSteps<Item, Stored, Result>;
  readonly #limits: FlushLimits;
  readonly #lanes = new Map<string, Promise<void>>();
  #open: Waiting<Item, Result>[] = [];
  #openBytes = 0;
  #heldBytes = 0;
  #refused: { readonly heldBytes: number; readonly error: LogError } | undefined;
  #storingCount = 0;
  #isStarting = false;

  constructor(steps: FlushSteps<Item, Stored, Result>, limits: FlushLimits) {
    this.#steps = steps;
    this.#limits = limits;
  }

  /** Resolves when the item is committed. Rejects at once, with no effect, when too many bytes are under way. */
  async add(item: Item): Promise<Result> {
    const { bytesWaitingMax } = this.#limits;
    if (this.#heldBytes > 0 && this.#heldBytes + item.heldBytes > bytesWaitingMax) throw this.#refusal();
    this.#heldBytes += item.heldBytes;
    this.#openBytes += item.bytes;
    try {
      return await new Promise<Result>((resolve, reject) => {
        this.#open.push({ item, resolve, reject });
        this.#startSoon();
      });
    } finally {
      this.#heldBytes -= item.heldBytes;
    }
  }

  /** The same for all that are refused while nothing changes: an error takes more than a small batch does. */
  #refusal(): LogError {
    if (this.#refused?.heldBytes !== this.#heldBytes) {
      const message = `${this.#heldBytes} bytes are being written already, at most ${this.#limits.bytesWaitingMax} at once`;
      const error = new LogError('THROTTLING_QUOTA_EXCEEDED', message, { details: { retryAfterMs } });
      this.#refused = { heldBytes: this.#heldBytes, error };
    }
    return this.#refused.error;
  }

  /** Behind everything else this turn of the event loop brings, so that requests that arrive together start together. */
  #startSoon(): void {
    if (this.#isStarting) return;
    this.#isStarting = true;
    setImmediate(() => {
      this.#isStarting = false;
      this.#startWhatMay();
    });
  }

  #startWhatMay(): void {
    const { flushBytesMax, flushesInFlightMax } = this.#limits;
    while (this.#open.length > 0 && this.#storingCount < flushesInFlightMax) {
      if (this.#storingCount > 0 && this.#openBytes < flushBytesMax) return;
      void this.#flush(this.#take());
    }
  }

  /** What has waited longest, up to the bytes of one flush, and one item at least. */
  #take(): Waiting<Item, Result>[] {
    let bytes = 0;
    let count = 0;
    for (const { item } of this.#open) {
      if (count > 0 && bytes + item.bytes > this.#limits.flushBytesMax) break;
      bytes += item.bytes;
      count += 1;
    }
    this.#openBytes -= bytes;
    return this.#open.splice(0, count);
  }

  async #flush(waiting: readonly Waiting<Item, Result>[]): Promise<void> {
    this.#storingCount += 1;
    const storing = this.#steps.store(waiting.map(({ item }) => item));
    // Lanes are joined now, not when the object is stored: a later object may be stored sooner.
    for (const lane of Map.groupBy(waiting, ({ item }) => item.lane)) void this.#commitLane(lane, storing);
    // A failed put is told by the lanes, each to its own callers.
    await storing.catch(() => undefined);
    this.#storingCount -= 1;
    this.#startWhatMay();
  }

  async #commitLane(
    [lane, waiting]: readonly [string, readonly Waiting<Item, Result>[]],
    storing: Promise<Stored>,
  ): Promise<void> {
    const ahead = this.#lanes.get(lane);
    const turn = Promise.withResolvers<void>();
    this.#lanes.set(lane, turn.promise);
    try {
      const stored = await storing;
      await ahead;
      const items = waiting.map(({ item }) => item);
      const results = await this.#steps.commit(items, stored);
      for (const [index, { resolve }] of waiting.entries()) resolve(results[index] as Result);
    } catch (error) {
      for (const { reject } of waiting) reject(error);
      await ahead;
    } finally {
      turn.resolve();
      if (this.#lanes.get(lane) === turn.promise) this.#lanes.delete(lane);
    }
  }
}
