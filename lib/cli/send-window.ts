/** Sends many records with a bounded number of them unanswered, and counts what was stored. */

import type { Producer, ProducerRecord } from '../client/index.ts';
import { MiB } from '../limits.ts';

/** Unanswered records and their bytes. The producer's buffer is larger, so it never has to wait itself. */
const recordsMax = 5_000;
const bytesMax = 8 * MiB;

export interface StoredRange {
  recordCount: number;
  firstOffset: number;
  /** Inclusive. */
  lastOffset: number;
}

/** `order` counts the records sent, from 0. */
export interface SendFailure {
  readonly order: number;
  readonly name: string;
  readonly lineNumber: number;
  readonly error: unknown;
}

export class SendWindow {
  /** The failure of the earliest record that failed. */
  failure: SendFailure | undefined;
  readonly stored = new Map<number, StoredRange>();

  private readonly producer: Producer;
  private readonly onStored: (bytes: number) => void;
  private sentCount = 0;
  private unanswered = 0;
  private unansweredBytes = 0;
  private wake: (() => void) | undefined;

  constructor(producer: Producer, onStored: (bytes: number) => void) {
    this.producer = producer;
    this.onStored = onStored;
  }

  get storedCount(): number {
    let count = 0;
    for (const range of this.stored.values()) count += range.recordCount;
    return count;
  }

  /** Undefined when there is room for more, else a promise to wait for before the next `send`. */
  ready(): Promise<void> | undefined {
    return this.hasRoom() ? undefined : this.waitUntil(() => this.hasRoom());
  }

  /** Hands over one record of `bytes`; its outcome is counted later. `line` is told with a failure. */
  send(record: ProducerRecord, bytes: number, line: Pick<SendFailure, 'name' | 'lineNumber'>): void {
    const order = this.sentCount++;
    this.unanswered += 1;
    this.unansweredBytes += bytes;
    const answered = () => {
      this.unanswered -= 1;
      this.unansweredBytes -= bytes;
      this.wake?.();
    };
    this.producer.send(record).then(
      ({ partition, offset }) => {
        this.count(partition, offset);
        this.onStored(bytes);
        answered();
      },
      (error: unknown) => {
        if (this.failure === undefined || order < this.failure.order) this.failure = { order, ...line, error };
        answered();
      },
    );
  }

  /** Resolves when every record was stored or has failed; the producer's own deadline bounds that. */
  async settled(): Promise<void> {
    await this.waitUntil(() => this.unanswered === 0);
  }

  private hasRoom(): boolean {
    return this.unanswered < recordsMax && this.unansweredBytes < bytesMax;
  }

  private async waitUntil(isMet: () => boolean): Promise<void> {
    while (!isMet()) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    this.wake = undefined;
  }

  private count(partition: number, offset: number): void {
    const range = this.stored.get(partition);
    if (range === undefined) {
      this.stored.set(partition, { recordCount: 1, firstOffset: offset, lastOffset: offset });
      return;
    }
    range.recordCount += 1;
    range.firstOffset = Math.min(range.firstOffset, offset);
    range.lastOffset = Math.max(range.lastOffset, offset);
  }
}
