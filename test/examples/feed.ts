/** One topic of the demo: publishes a file of entries while readers tail the topic, and measures both. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Millrace } from '../../lib/client/index.ts';
import { addToTally, type Entry, type SeenEntry, type Tally } from './proof.ts';
import type { OnRecord, Readers } from './readers.ts';

/** A record's value is this as JSON: the event, and its place in the file, by which the proof knows it again. */
export interface NumberedEvent<Event> {
  readonly index: number;
  readonly event: Event;
}

export interface Feed<Event> {
  readonly topic: string;
  readonly partitionCount: number;
  readonly startReaders: (onRecord: OnRecord) => Promise<Readers>;
  readonly events: readonly Event[];
  /** Each has one record on its way. */
  readonly callerCount: number;
  readonly keyOf: (event: Event) => string;
  readonly amountOf: (event: Event) => number;
  readonly onSeen?: (tallies: ReadonlyMap<string, Tally>, seenCount: number) => void;
}

export interface FeedResult {
  readonly published: readonly Entry[];
  /** In the order in which the readers got them, each once. */
  readonly seen: readonly SeenEntry[];
  readonly tallies: ReadonlyMap<string, Tally>;
  /** Records that came once more, by partition and offset, and were not counted again. */
  readonly againCount: number;
  /** From the first send to the last acknowledgement, and to the last record seen. */
  readonly publishMs: number;
  readonly consumeMs: number;
  /** From the send of a record until a reader saw it; sorted. */
  readonly latenciesMs: readonly number[];
}

/** A record that is not durable after this fails the demo. */
const deliveryTimeoutMs = 20_000;
/** Records that were acknowledged and are not seen after this are lost. */
const catchUpMsMax = 30_000;

export async function runFeed<Event>(log: Millrace, feed: Feed<Event>): Promise<FeedResult> {
  const { topic, partitionCount, events, keyOf, amountOf } = feed;
  await log.admin.createTopic(topic, { partitions: partitionCount });

  const published = events.map((event, index): Entry => ({ index, key: keyOf(event), amount: amountOf(event) }));
  const sentAtMs: number[] = [];
  const seen: SeenEntry[] = [];
  const tallies = new Map<string, Tally>();
  const latenciesMs: number[] = [];
  const nextOffsets = new Map<number, number>();
  let lastSeenAtMs = 0;

  let againCount = 0;

  // Readers come at least once to each record; where they are in a partition tells what came before.
  const readers = await feed.startReaders((partition, offset, key, value) => {
    if (offset < (nextOffsets.get(partition) ?? 0)) {
      againCount += 1;
      return;
    }
    const { index, event } = JSON.parse(value) as NumberedEvent<Event>;
    const entry = { index, key, amount: amountOf(event) };
    lastSeenAtMs = performance.now();
    latenciesMs.push(lastSeenAtMs - (sentAtMs[index] ?? Number.NaN));
    seen.push({ ...entry, partition, offset });
    addToTally(tallies, entry);
    nextOffsets.set(partition, offset + 1);
    feed.onSeen?.(tallies, seen.length);
  });
  readers.failed.catch(() => {});

  const startMs = performance.now();
  const publish = async (): Promise<number> => {
    const producer = log.producer(topic, { deliveryTimeoutMs });
    // Callers share one list and take turns: each sends an event, waits until that is durable, and takes the next.
    const waiting = events.entries();
    const call = async (): Promise<void> => {
      for (const [index, event] of waiting) {
        sentAtMs[index] = performance.now();
        const value = JSON.stringify({ index, event } satisfies NumberedEvent<Event>);
        await producer.send({ key: keyOf(event), value });
      }
    };
    await Promise.all(Array.from({ length: feed.callerCount }, call));
    return performance.now() - startMs;
  };

  try {
    // A reader that fails ends the wait for the producer, and the other way round.
    const publishMs = await Promise.race([publish(), readers.failed]);
    // The log itself says where the readers must get to; a record stored twice would be seen, too.
    const { partitions } = await log.admin.describeTopic(topic);
    const deadlineMs = performance.now() + catchUpMsMax;
    const isBehind = () =>
      partitions.some(({ partition, highWatermark }) => (nextOffsets.get(partition) ?? 0) < highWatermark);
    while (isBehind() && performance.now() < deadlineMs) await Promise.race([sleep(5), readers.failed]);
    return {
      published,
      seen,
      tallies,
      againCount,
      publishMs,
      consumeMs: lastSeenAtMs - startMs,
      latenciesMs: latenciesMs.sort((a, b) => a - b),
    };
  } finally {
    await readers.stop();
  }
}
