/** Clients that read. */

import { fetchPartitionsMax, fetchWaitMsMax } from '../limits.ts';
import { Client } from './client.ts';

/** Follows partitions of one topic from where it began, each poll where the one before it ended. */
export class Consumer extends Client {
  override async run(): Promise<void> {
    const { chance, deps, name } = this;
    const topic = this.anyTopic();
    const partitions = Array.from({ length: this.partitionCountOf(topic) }, (_, partition) => partition).filter(
      (partition) => partition === 0 || chance.happens(0.7),
    );
    const positions = new Map<number, number | 'earliest' | 'latest'>();
    let sessions = 0;
    const start = (partition: number) => positions.set(partition, chance.pick(['earliest', 'earliest', 'latest']));
    for (const partition of partitions) start(partition);
    while (await this.next()) {
      const polls = await deps.recorder.fetch(this, topic, {
        partitions: [...positions].map(([partition, asked]) => ({ partition, asked })),
        session: `${name}/${sessions}`,
        maxBytes: chance.pick([1, 100, 2_000, 1_000_000, 1_000_000]),
        minBytes: chance.pick([0, 1, 1, 5_000]),
        maxWaitMs: Math.min(deps.workload.waitMsMax, chance.pick([0, 100, 5_000, 30_000])),
      });
      let isNewSession = false;
      for (const { partition, outcome } of polls) {
        if (outcome.kind === 'ok') positions.set(partition, outcome.nextOffset);
        else if (outcome.kind === 'failed' && !outcome.isRetriable) isNewSession = true;
      }
      if (isNewSession || chance.happens(0.05)) {
        sessions += 1;
        for (const partition of partitions) start(partition);
      }
    }
  }
}

/** Looks here and there: offsets of its choice, offsets by time, watermarks. */
export class Reader extends Client {
  override async run(): Promise<void> {
    const { chance, deps } = this;
    const limits = chance.fork('limits');
    while (await this.next()) {
      const topic = this.anyTopic();
      const partition = this.anyPartition(topic);
      const look = chance.pick(['fetch', 'fetch', 'fetch', 'time', 'time', 'watermark', 'describe', 'list'] as const);
      if (look === 'describe') await deps.recorder.changeTopic(this, 'describe', topic);
      else if (look === 'list') await deps.recorder.list(this, deps.workload);
      else if (look === 'watermark') {
        await deps.recorder.listOffsets(this, topic, partition, chance.pick(['earliest', 'latest', 'latest']));
      } else if (look === 'time') {
        const { startMs } = deps;
        const nowMs = deps.clock.nowMs();
        const ago = chance.pick([0, chance.integer(0, 1_000), chance.integer(0, 1_100_000)]);
        const about = chance.pick([nowMs - ago, startMs - ago, startMs - chance.fraction() * (nowMs - startMs)]);
        const timestamp = chance.happens(0.25) ? 'max' : Math.floor(about);
        await deps.recorder.listOffsets(this, topic, partition, timestamp);
      } else {
        const some = chance.pick([0, chance.integer(0, 30), chance.integer(0, 500)]);
        const asked = chance.pick<number | 'earliest' | 'latest'>(['earliest', 'latest', some, some]);
        // Now and then a crowd asks for the same, and more reads are under way than are allowed at once.
        const crowd = chance.happens(0.02) ? 12 : 1;
        const isTooMuch = limits.happens(deps.workload.beyondLimits);
        const isTooWide = isTooMuch && limits.happens(0.5);
        const options = {
          partitions: Array.from({ length: isTooWide ? fetchPartitionsMax + 1 : 1 }, () => ({ partition, asked })),
          // Now and then more than is allowed.
          maxBytes: chance.pick([1_000, 1_000_000, 1_000_000, chance.happens(0.1) ? Number.MAX_SAFE_INTEGER : 1]),
          minBytes: chance.pick([0, 1]),
          maxWaitMs: chance.pick([0, 500]) + (isTooMuch && !isTooWide ? fetchWaitMsMax + 1 : 0),
        };
        await Promise.all(Array.from({ length: crowd }, () => deps.recorder.fetch(this, topic, options)));
      }
    }
  }
}
