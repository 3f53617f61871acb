/** What a member of a group knows of a partition that it has. */

import type { FetchedPartition } from './fetch-batches.ts';
import type { TopicPartition } from './group-options.ts';

/**
 * `starting`: it is not known yet where to begin. `active`: fetched and handed out. `revoking`: nothing is handed out any
 * more, and it goes to another one when the record at hand is done. `gone`: it is another one's. `stale`: its topic was made
 * again; nothing is handed out any more, and the group is about to take it away.
 */
type State = 'starting' | 'active' | 'revoking' | 'gone' | 'stale';

export class OwnedPartition implements TopicPartition {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** A topic that was made again has other partitions. */
  readonly key: string;
  state: State = 'starting';
  /** Whether the user was told of it. */
  isAnnounced = false;
  isHeld = false;
  /** Whether the last fetch found nothing more. */
  isAtEnd = false;
  /** Where to fetch next: ahead of `handed` by what waits in the queue. */
  next = 0;
  /** As the last fetch told it. */
  highWatermark = 0;
  /** Behind the last record that was handed out. */
  handed = 0;
  /** Behind the last record that is done: what may be committed. Undefined while starting. */
  done: number | undefined;
  committed: number | undefined;
  readonly #queue: FetchedPartition[] = [];
  /** Of the record batches in the queue. */
  queuedBytes = 0;
  /** The number of the last request that asked for it. */
  turn = 0;
  /** Since when it has failed while others answered. */
  failingSinceMs: number | undefined;

  constructor(topic: string, topicId: string, partition: number) {
    this.topic = topic;
    this.topicId = topicId;
    this.partition = partition;
    this.key = `${topicId}/${partition}`;
  }

  get place(): TopicPartition {
    return { topic: this.topic, partition: this.partition };
  }

  /** What was fetched and is not at hand, in order. */
  get queue(): readonly FetchedPartition[] {
    return this.#queue;
  }

  enqueue(answer: FetchedPartition): void {
    this.#queue.push(answer);
    this.queuedBytes += bytesOf(answer);
  }

  dequeue(): void {
    const answer = this.#queue.shift();
    if (answer !== undefined) this.queuedBytes -= bytesOf(answer);
  }

  /** What is left of it is to be handed out next. */
  putBack(answer: FetchedPartition): void {
    this.#queue.unshift(answer);
    this.queuedBytes += bytesOf(answer);
  }

  #emptyQueue(): void {
    this.#queue.length = 0;
    this.queuedBytes = 0;
  }

  begin(offset: number, committed: number | undefined): void {
    this.committed = committed;
    this.skipTo(offset);
    this.state = 'active';
  }

  /** What is at hand comes to its end first. */
  skipTo(offset: number): void {
    this.#emptyQueue();
    this.next = offset;
    if (!this.isHeld) this.beginAt(offset);
  }

  /** All before `offset` is done, or gone for good; also where that is less than before. */
  beginAt(offset: number): void {
    this.handed = offset;
    this.done = offset;
  }

  stop(state: 'revoking' | 'gone' | 'stale'): void {
    this.state = state;
    this.#emptyQueue();
  }
}

function bytesOf({ batches }: FetchedPartition): number {
  return batches.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** As its user knows it: of a topic that was made again it is the same. */
export function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

/** A wait that others end. */
export class Bell {
  #ringing = Promise.withResolvers<void>();

  ring(): void {
    this.#ringing.resolve();
    this.#ringing = Promise.withResolvers();
  }

  /** Resolves when it rings next. Take it before looking at what it rings for. */
  next(): Promise<void> {
    return this.#ringing.promise;
  }
}
