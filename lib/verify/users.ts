/** Clients that use what users use: producer and consumer of the library, and the consumer as one of a group. */

import type { ConsumedRecord } from '../client/consumed-record.ts';
import type { GroupConsumer } from '../client/group-consumer.ts';
import type { Millrace } from '../client/millrace.ts';
import { isLogError } from '../errors.ts';
import type { TopicName } from '../ids.ts';
import type { Chance } from './chance.ts';
import { Client } from './client.ts';
import { GroupRecorder } from './group-recorder.ts';
import type { PollOperation } from './history.ts';
import type { Moment } from './instants.ts';
import type { Caller, Mutable } from './recorder.ts';
import { recordOf } from './records.ts';

/** Sends records one by one, and leaves batches, retries and producer ids to the library. */
export class Sender extends Client {
  override async run(): Promise<void> {
    const { chance, deps, name } = this;
    const topic = this.anyTopic();
    const millrace = deps.open(this);
    const isIdempotent = chance.happens(0.8);
    const producer = millrace.producer(topic, {
      idempotent: isIdempotent,
      lingerMs: chance.pick([0, 0, 5, 200]),
      batchBytesMax: chance.pick([100, 1_000, 131_072]),
      compression: chance.pick(['none', 'none', 'lz4']),
      requestsInFlightMax: chance.pick([1, 5]),
      deliveryTimeoutMs: chance.pick([3_000, 120_000]),
    });
    while (await this.next()) {
      for (let count = chance.pick([1, 1, 5]); count > 0; count--) {
        const partition = this.anyPartition(topic);
        const { values, timestamps } = this.newBatch(partition);
        for (const [index, value] of values.entries()) {
          const timestamp = timestamps[index] ?? 0;
          const sent = { partition, value, timestamp, ...(isIdempotent ? { session: `${name}/${partition}` } : {}) };
          const record = recordOf(value, timestamp);
          deps.beside(deps.recorder.send(this, topic, sent, () => producer.send({ ...record, timestamp, partition })));
        }
      }
      if (chance.happens(0.1)) await producer.flush();
    }
    deps.beside(millrace.close());
  }
}

/** Reads a topic as it grows, and begins anew when the library gives up. */
export class Follower extends Client {
  override async run(): Promise<void> {
    const { chance, deps } = this;
    const topic = this.anyTopic();
    const millrace = deps.open(this);
    const ending = new AbortController();
    const following = this.#follow(millrace, topic, ending.signal);
    while (await this.next()) if (chance.happens(0.02)) await deps.clock.sleep(5_000);
    ending.abort();
    await following;
    await millrace.close();
  }

  async #follow(millrace: Millrace, topic: TopicName, signal: AbortSignal): Promise<void> {
    const { chance, deps, name } = this;
    const { recorder, clock } = deps;
    for (let sessions = 0; !signal.aborted; sessions++) {
      const from = chance.pick(['earliest', 'earliest', 'latest'] as const);
      const session = { name: `${name}/${sessions}`, start: recorder.now(), from };
      const maxBytes = chance.pick([1, 2_000, 4_000_000]);
      const consumer = millrace.consumer(topic, { from, maxBytes, maxWaitMs: chance.pick([10, 5_000]), signal });
      try {
        for await (const record of consumer) {
          recorder.poll(this, topic, session, { partition: record.partition, record });
          if (chance.happens(0.1)) await clock.sleep(chance.fraction() * 1_000);
          if (chance.happens(0.01)) break;
        }
      } catch (error) {
        // An error of the log ends a session as it should; anything else is for the checker.
        if (!isLogError(error) || error.code === 'UNKNOWN_SERVER_ERROR') recorder.poll(this, topic, session, { error });
        await clock.sleep(1_000);
      }
      await clock.sleep(chance.fraction() * 10);
    }
  }
}

/** What a process asks goes nowhere once it is dead, and it hears nothing any more. */
class Process implements Caller {
  readonly name: string;
  readonly chance: Chance;
  readonly timeoutMs: number;
  isDead = false;

  constructor({ name, chance, timeoutMs }: Caller) {
    this.name = name;
    this.chance = chance;
    this.timeoutMs = timeoutMs;
  }
}

type Session = Moment & { readonly name: string };
type HandOut = (record: ConsumedRecord) => Mutable<PollOperation>;

interface Done {
  readonly topic: TopicName;
  readonly partition: number;
  readonly offset: number;
}

/** Reads as one of a group, from the earliest record on: is slow, hangs, leaves and dies now and then, and begins anew. */
export class Sharer extends Client {
  readonly #groups = new GroupRecorder(this.deps.recorder);
  #holdingCount = 0;

  override async run(): Promise<void> {
    const { chance, deps } = this;
    const ending = new AbortController();
    const sharing = this.#share(ending.signal);
    while (await this.next()) if (chance.happens(0.02)) await deps.clock.sleep(5_000);
    ending.abort();
    await sharing;
  }

  async #share(ending: AbortSignal): Promise<void> {
    const { chance, deps, name } = this;
    const { workload } = deps;
    const topics = workload.topics.map(({ topic }) => topic);
    const instanceId = chance.happens(0.3) ? { instanceId: name } : {};
    const hasHandlers = chance.fork('handlers');
    while (!ending.aborted) {
      const process = new Process(this);
      const millrace = deps.open(process);
      const sessions = new Map<string, Session>();
      const done = new Map<string, Done>();
      const consumer = millrace.consumer(topics, {
        group: workload.groups.shared,
        ...instanceId,
        sessionTimeoutMs: chance.pick(workload.sessionTimeoutsMs),
        processingTimeoutMs: workload.hangMs * chance.pick([0.5, 3]),
        autoCommitIntervalMs: chance.pick([500, 5_000]),
        maxBytes: chance.pick([1, 2_000, 4_000_000]),
        maxWaitMs: chance.pick([10, 2_000]),
        concurrency: 3,
        signal: ending,
        onAssigned: (partitions) => {
          for (const { topic, partition } of partitions) {
            const session = { ...deps.recorder.now(), name: `${name}/${this.#holdingCount++}` };
            sessions.set(`${topic}/${partition}`, session);
          }
        },
        onLost: (partitions) => {
          for (const { topic, partition } of partitions) done.delete(`${topic}/${partition}`);
        },
      });
      // What lies before it in its partition is done.
      const handOut = (record: ConsumedRecord) => {
        const { topic, partition, offset } = record;
        done.set(`${topic}/${partition}`, { topic: topic as TopicName, partition, offset });
        return this.#handOut(record, sessions);
      };
      let isInOrder = hasHandlers.happens(0.3)
        ? await this.#handle(process, consumer, handOut)
        : await this.#read(process, consumer, handOut);
      // Whoever is dead closes nothing. A last commit that fails is told here once more.
      if (!process.isDead) {
        await millrace.close().catch((error) => {
          isInOrder = false;
          this.#failed(error);
        });
      }
      await deps.clock.sleep(chance.fraction() * workload.thinkMs * 5);
      if (isInOrder) await this.#lookBack([...done.values()]);
    }
  }

  /** Whether the group remembers what it was handed. */
  async #lookBack(done: readonly Done[]): Promise<void> {
    for (const [topic, ofTopic] of Map.groupBy(done, (one) => one.topic)) {
      const offsets = ofTopic.map(({ partition, offset }) => ({ partition, offset }));
      await this.#groups.fetchOffsets(this, this.deps.workload.groups.shared, topic, offsets);
    }
  }

  /** Resolves true when it has left in order. */
  async #read(process: Process, consumer: GroupConsumer, handOut: HandOut): Promise<boolean> {
    const { chance, deps } = this;
    const { clock } = deps;
    // By hand: leaving a loop would leave the group, which the dead do not.
    const records = consumer[Symbol.asyncIterator]();
    try {
      for (let next = await records.next(); !next.done; next = await records.next()) {
        const poll = handOut(next.value);
        if (chance.happens(0.05)) await clock.sleep(chance.fraction() * deps.workload.thinkMs);
        if (chance.happens(0.005)) await clock.sleep(deps.workload.hangMs);
        const isCommitted = chance.happens(0.02);
        if (isCommitted) await consumer.commit(next.value);
        process.isDead = chance.happens(0.01);
        const isLeft = !process.isDead && chance.happens(0.01);
        if ((process.isDead || isLeft) && !isCommitted) poll.isUndone = true;
        if (process.isDead) return false;
        if (isLeft) break;
      }
      await records.return();
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** As `#read`, with several at hand at once, of which one fails now and then. */
  async #handle(process: Process, consumer: GroupConsumer, handOut: HandOut): Promise<boolean> {
    const { chance, deps } = this;
    const failure = new Error('a handler failed');
    const death = Promise.withResolvers<'died'>();
    const atHand = new Set<Mutable<PollOperation>>();
    const handle = async (record: ConsumedRecord) => {
      const poll = handOut(record);
      atHand.add(poll);
      if (chance.happens(0.3)) await deps.clock.sleep(chance.fraction() * deps.workload.thinkMs);
      process.isDead ||= chance.happens(0.005);
      if (process.isDead) death.resolve('died');
      // What is at the hand of the dead stays there.
      if (process.isDead) await new Promise(() => {});
      if (chance.happens(0.02)) throw failure;
      atHand.delete(poll);
    };
    const ended = await Promise.race([
      death.promise,
      consumer.each(handle).then(
        () => 'left' as const,
        (error: unknown) => error,
      ),
    ]);
    for (const poll of atHand) poll.isUndone = true;
    if (ended !== 'left' && ended !== 'died' && ended !== failure) this.#failed(ended);
    return ended === 'left';
  }

  #handOut(record: ConsumedRecord, sessions: ReadonlyMap<string, Session>): Mutable<PollOperation> {
    const { recorder, workload } = this.deps;
    const { topic, partition } = record;
    const { name, ...start } = sessions.get(`${topic}/${partition}`) ?? { ...recorder.now(), name: 'not assigned' };
    const session = { name, start, group: workload.groups.shared };
    return recorder.poll(this, topic as TopicName, session, { partition, record });
  }

  /** An error of the log ends a consumer as it should; anything else is for the checker. */
  #failed(error: unknown): void {
    if (isLogError(error) && error.code !== 'UNKNOWN_SERVER_ERROR') return;
    const { recorder, workload } = this.deps;
    const topic = workload.topics[0]?.topic as TopicName;
    recorder.poll(this, topic, { name: this.name, start: recorder.now() }, { error });
  }
}
