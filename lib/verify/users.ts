/** Clients that use what users use: producer and consumer of the library. */

import type { Millrace } from '../client/millrace.ts';
import { isLogError } from '../errors.ts';
import type { TopicName } from '../ids.ts';
import { Client } from './client.ts';
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
      const session = { name: `${name}/${sessions}`, start: recorder.now() };
      const from = chance.pick(['earliest', 'earliest', 'latest'] as const);
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
