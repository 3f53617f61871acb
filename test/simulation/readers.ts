/** Clients that read, and one that administers. */

import type { TopicName } from '../../lib/ids.ts';
import { Client } from './client.ts';

/** Follows partitions of one topic from where it began, each poll where the one before it ended. */
export class Consumer extends Client {
  override async run(): Promise<void> {
    const { chance, deps, name } = this;
    const topic = this.anyTopic();
    const partitionCount = deps.plan.topics.find((one) => one.topic === topic)?.partitionCount ?? 1;
    const partitions = Array.from({ length: partitionCount }, (_, partition) => partition).filter(
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
        maxBytes: chance.pick([1, 100, 2_000, 1_000_000]),
        minBytes: chance.pick([0, 1, 1, 5_000]),
        maxWaitMs: chance.pick([0, 100, 5_000, 30_000]),
      });
      let isNewSession = false;
      for (const { partition, outcome } of polls) {
        if (outcome.kind === 'ok') positions.set(partition, outcome.nextOffset);
        else if (outcome.kind === 'failed' && !outcome.isRetriable) isNewSession = true;
      }
      if (isNewSession || chance.happens(0.02)) {
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
    while (await this.next()) {
      const topic = this.anyTopic();
      const partition = this.anyPartition(topic);
      const look = chance.pick(['fetch', 'fetch', 'fetch', 'time', 'time', 'watermark', 'describe', 'list'] as const);
      if (look === 'describe') await deps.recorder.changeTopic(this, 'describe', topic);
      else if (look === 'list') await deps.recorder.list(this);
      else if (look === 'watermark') {
        await deps.recorder.listOffsets(this, topic, partition, chance.pick(['earliest', 'latest', 'latest']));
      } else if (look === 'time') {
        const { nowMs, startMs } = deps.scheduler;
        const ago = chance.pick([0, chance.integer(0, 1_000), chance.integer(0, 1_100_000)]);
        const about = chance.pick([nowMs - ago, startMs - ago, startMs - chance.fraction() * (nowMs - startMs)]);
        const timestamp = chance.happens(0.25) ? 'max' : Math.floor(about);
        await deps.recorder.listOffsets(this, topic, partition, timestamp);
      } else {
        const some = chance.pick([0, chance.integer(0, 30), chance.integer(0, 500)]);
        const asked = chance.pick<number | 'earliest' | 'latest'>(['earliest', 'latest', some, some]);
        await deps.recorder.fetch(this, topic, {
          partitions: [{ partition, asked }],
          maxBytes: chance.pick([1, 1_000, 1_000_000, chance.happens(0.1) ? Number.MAX_SAFE_INTEGER : 1_000]),
          minBytes: chance.pick([0, 1]),
          maxWaitMs: chance.pick([0, 500]),
        });
      }
    }
  }
}

/** Makes topics larger, changes what they do to batches, and now and then deletes one and makes it again. */
export class Administrator extends Client {
  override async run(): Promise<void> {
    const { chance, deps } = this;
    const { theme } = deps.plan;
    while (await this.next()) {
      const { topic, partitionCount } = chance.pick(deps.plan.topics as [(typeof deps.plan.topics)[number]]);
      const drawn = chance.pick([
        'alter',
        'alter',
        'grow',
        'grow',
        'create',
        theme === 'mixed' || theme === 'churn' ? 'delete' : 'create',
      ] as const);
      const action = theme === 'churn' && chance.happens(0.7) ? 'delete' : drawn;
      if (action === 'delete') await this.#deleteAndCreate(topic, partitionCount);
      else if (action === 'create') await deps.recorder.changeTopic(this, 'create', topic, { partitionCount });
      else {
        const grow = () => deps.recorder.changeTopic(this, 'alter', topic, { partitionCount: chance.integer(1, 5) });
        const config = () => deps.recorder.changeTopic(this, 'alter', topic, { config: this.#anyConfig() });
        // Both at once meet each other in the store.
        if (chance.happens(0.3)) await Promise.all([grow(), config()]);
        else await (action === 'grow' ? grow() : config());
      }
    }
  }

  #anyConfig(): Record<string, string | null> {
    const { chance } = this;
    return chance.pick<Record<string, string | null>>([
      { 'message.timestamp.type': chance.pick(['CreateTime', 'LogAppendTime', null]) },
      { 'compression.type': chance.pick(['producer', 'uncompressed', 'lz4', null]) },
      { 'max.message.bytes': chance.pick(['1000', '100000', null]) },
      { 'message.timestamp.before.max.ms': chance.pick(['10000', null]) },
      // Refused: unknown, unsupported, out of range.
      { [chance.pick(['nonsense', 'retention.ms', 'compression.type'])]: 'nonsense' },
    ]);
  }

  async #deleteAndCreate(topic: TopicName, partitionCount: number): Promise<void> {
    const { chance, deps } = this;
    await deps.recorder.changeTopic(this, 'delete', topic);
    if (chance.happens(0.3)) await deps.scheduler.sleep(chance.integer(0, 10_000));
    for (let attempt = 0; attempt < 5; attempt++) {
      const { outcome } = await deps.recorder.changeTopic(this, 'create', topic, { partitionCount });
      if (outcome.kind === 'ok' || (outcome.kind === 'failed' && !outcome.isRetriable)) return;
    }
  }
}
