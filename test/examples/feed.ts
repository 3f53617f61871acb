/** One topic of the demo: publishes a file of entries while consumers tail the topic, and measures both. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Millrace } from '../../lib/client/index.ts';
import { addToTally, type Entry, type SeenEntry, type Tally } from './proof.ts';

/** A record's value is this as JSON: the event, and its place in the file, by which the proof knows it again. */
export interface NumberedEvent<Event> {
  readonly index: number;
  readonly event: Event;
}

export interface Feed<Event> {
  readonly topic: string;
  readonly partitionCount: number;
  readonly consumerCount: number;
  readonly events: readonly Event[];
  /** Each has one record on its way. */
  readonly callerCount: number;
  readonly keyOf: (event: Event) => string;
  readonly amountOf: (event: Event) => number;
  readonly onSeen?: (tallies: ReadonlyMap<string, Tally>, seenCount: number) => void;
}

export interface FeedResult {
  readonly published: readonly Entry[];
  /** In the order in which the consumers got them. */
  readonly seen: readonly SeenEntry[];
  readonly tallies: ReadonlyMap<string, Tally>;
  /** From the first send to the last acknowledgement, and to the last record seen. */
  readonly publishMs: number;
  readonly consumeMs: number;
  /** From the send of a record until a consumer saw it; sorted. */
  readonly latenciesMs: readonly number[];
}

/** A record that is not durable after this fails the demo. */
const deliveryTimeoutMs = 20_000;
/** Records that were acknowledged and are not seen after this are lost. */
const catchUpMsMax = 10_000;

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

  // Each consumer has its own share of the partitions, and reads from the start of an empty topic: it tails.
  const stop = new AbortController();
  const tail = async (partitions: readonly number[]): Promise<void> => {
    for await (const record of log.consumer(topic, { from: 'earliest', partitions, signal: stop.signal })) {
      const { index, event } = JSON.parse(record.valueText ?? 'null') as NumberedEvent<Event>;
      const entry = { index, key: record.keyText ?? '', amount: amountOf(event) };
      lastSeenAtMs = performance.now();
      latenciesMs.push(lastSeenAtMs - (sentAtMs[index] ?? Number.NaN));
      seen.push({ ...entry, partition: record.partition, offset: record.offset });
      addToTally(tallies, entry);
      nextOffsets.set(record.partition, record.offset + 1);
      feed.onSeen?.(tallies, seen.length);
    }
  };
  const tails = Promise.all(shares(partitionCount, feed.consumerCount).map(tail));

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
    // A consumer that fails ends the wait for the producer, and the other way round.
    const publishMs = await Promise.race([
      publish(),
      tails.then(() => Promise.reject(new Error('a consumer ended early'))),
    ]);
    // The log itself says where the consumers must get to; a record stored twice would be seen, too.
    const { partitions } = await log.admin.describeTopic(topic);
    const deadlineMs = performance.now() + catchUpMsMax;
    const isBehind = () =>
      partitions.some(({ partition, highWatermark }) => (nextOffsets.get(partition) ?? 0) < highWatermark);
    while (isBehind() && performance.now() < deadlineMs) await sleep(5);
    return {
      published,
      seen,
      tallies,
      publishMs,
      consumeMs: lastSeenAtMs - startMs,
      latenciesMs: latenciesMs.sort((a, b) => a - b),
    };
  } finally {
    stop.abort();
    await tails;
  }
}

/** Partitions 0 to n - 1 dealt out, as evenly as can be. */
function shares(partitionCount: number, consumerCount: number): number[][] {
  const partitions = Array.from({ length: partitionCount }, (_, partition) => partition);
  return Array.from({ length: consumerCount }, (_, consumer) =>
    partitions.filter((p) => p % consumerCount === consumer),
  );
}
