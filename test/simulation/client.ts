/** What all clients of a simulation have. */

import type { TopicName } from '../../lib/ids.ts';
import type { Codec } from '../../lib/record/record-batch.ts';
import type { ProduceOperation } from '../../lib/verify/history.ts';
import type { Chance } from './chance.ts';
import type { Fleet } from './fleet.ts';
import type { Plan } from './plan.ts';
import type { Caller, Recorder, SentBatch } from './recorder.ts';
import { drawName } from './records.ts';
import type { Scheduler } from './scheduler.ts';

export interface ClientDeps {
  readonly plan: Plan;
  readonly scheduler: Scheduler;
  readonly recorder: Recorder;
  readonly fleet: Fleet;
  /** False when no more operations are allowed: the client finishes what it began and ends. */
  readonly mayGoOn: () => boolean;
  /** What runs beside the clients and must end before the audit begins. */
  readonly beside: (work: Promise<unknown>) => void;
}

export abstract class Client implements Caller {
  readonly name: string;
  readonly chance: Chance;
  readonly timeoutMs: number;
  protected readonly deps: ClientDeps;
  #recordCount = 0;

  constructor(deps: ClientDeps, name: string, chance: Chance) {
    this.deps = deps;
    this.name = name;
    this.chance = chance;
    // Where topics come and go, those who lose patience make one anew while the old one is still being deleted.
    const isImpatient = deps.plan.theme === 'churn';
    this.timeoutMs = chance.pick(isImpatient ? [300, 1_000, 10_000] : [1_000, 10_000, 40_000]);
  }

  abstract run(): Promise<void>;

  /** Resolves true when another operation may be begun, after a pause. */
  protected async next(): Promise<boolean> {
    const { thinkMs } = this.deps.plan;
    await this.deps.scheduler.sleep(this.chance.fraction() * thinkMs * 2);
    return this.deps.mayGoOn();
  }

  protected anyTopic(): TopicName {
    const { topics } = this.deps.plan;
    return this.chance.pick(topics as [Plan['topics'][number]]).topic;
  }

  /** Mostly one that is there, sometimes one that an alter may have added, or that never was. */
  protected anyPartition(topic: TopicName): number {
    const { topics } = this.deps.plan;
    const partitionCount = topics.find((one) => one.topic === topic)?.partitionCount ?? 1;
    return this.chance.integer(0, partitionCount - (this.chance.happens(0.1) ? 0 : 1));
  }

  /** One to four new records. Timestamps are about now, and now and then far back. */
  protected newBatch(partition: number, producer?: ProduceOperation['producer']): SentBatch {
    const { chance, deps } = this;
    const values = Array.from({ length: chance.pick([1, 1, 1, 2, 4]) }, () =>
      drawName(chance, this.name, this.#recordCount++),
    );
    const { scheduler, plan } = deps;
    const about = Math.floor(scheduler.startMs + plan.timestampDrift * (scheduler.nowMs - scheduler.startMs));
    const timestamps = values.map(() => about - chance.pick([0, 0, 0, 5, 100, 1_000_000]));
    const codec: Codec = chance.happens(0.1) ? chance.pick(['gzip', 'lz4', 'snappy', 'zstd'] as const) : 'none';
    return { partition, values, timestamps, codec, producer };
  }
}
