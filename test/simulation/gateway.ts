/** A client that sends for many producers at once, as whoever speaks another protocol for them would. */

import type { TopicName } from '../../lib/ids.ts';
import { Client } from '../../lib/verify/client.ts';
import type { SentBatch } from '../../lib/verify/recorder.ts';

/** As many as make one commit more than one condition holds, mostly. */
const producerCounts = { min: 50, max: 110 };
const attemptsMax = 6;

interface Producer {
  readonly producerId: number;
  nextSequence: number;
}

/** One request with a batch of each producer, or some of them; what was not acked is sent again with what follows it. */
export class Gateway extends Client {
  override async run(): Promise<void> {
    const { chance } = this;
    const topic = this.anyTopic();
    const partition = this.anyPartition(topic);
    let producers: readonly Producer[] = [];
    while (await this.next()) {
      if (producers.length === 0 || chance.happens(0.1)) producers = await this.#newProducers();
      const some = producers.filter(() => chance.happens(0.9));
      const batches = some.map(({ producerId, nextSequence: baseSequence }) =>
        this.newBatch(partition, { producerId, producerEpoch: 0, baseSequence }),
      );
      const acked = new Set(await this.#sendUntilAcked(topic, batches));
      for (const [index, batch] of batches.entries()) {
        const producer = some[index];
        if (producer !== undefined && acked.has(batch)) producer.nextSequence += batch.values.length;
      }
      // Who was not answered does not know what comes next.
      producers = producers.filter((one) => !some.includes(one) || acked.has(batches[some.indexOf(one)] as SentBatch));
    }
  }

  async #newProducers(): Promise<Producer[]> {
    const count = this.chance.integer(producerCounts.min, producerCounts.max);
    const asked = await Promise.all(Array.from({ length: count }, () => this.deps.recorder.nextProducer(this)));
    return asked.flatMap(({ outcome }) =>
      outcome.kind === 'ok' ? { producerId: outcome.producerId, nextSequence: 0 } : [],
    );
  }

  /** Those that were acked. */
  async #sendUntilAcked(topic: TopicName, batches: readonly SentBatch[]): Promise<readonly SentBatch[]> {
    const acked: SentBatch[] = [];
    let left = batches;
    for (let attempt = 0; attempt < attemptsMax && left.length > 0; attempt++) {
      const operations = await this.deps.recorder.produce(this, topic, left);
      acked.push(...left.filter((_, index) => operations[index]?.outcome.kind === 'ok'));
      left = left.filter((_, index) => {
        const outcome = operations[index]?.outcome;
        return (outcome?.kind === 'failed' || outcome?.kind === 'unknown') && outcome.isRetriable;
      });
      await this.deps.clock.sleep(this.chance.fraction() * Math.min(this.deps.workload.retryMsMax, 50 * 2 ** attempt));
    }
    return acked;
  }
}
