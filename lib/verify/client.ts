/** What all clients of a run have. */

import type { Millrace } from '../client/millrace.ts';
import type { Clock } from '../clock.ts';
import type { GroupId, TopicName } from '../ids.ts';
import type { Codec } from '../record/record-batch.ts';
import type { Chance } from './chance.ts';
import type { ProduceOperation } from './history.ts';
import type { Caller, Recorder, SentBatch } from './recorder.ts';
import { drawName } from './records.ts';

export interface Workload {
  readonly topics: readonly { readonly topic: TopicName; readonly partitionCount: number }[];
  /** Topics that come and go beside these, and of which clients do nothing but list them. */
  readonly topicsBeside: readonly TopicName[];
  /** Clients pause for this long on average. */
  readonly thinkMs: number;
  /** A client gives up after one of these. */
  readonly timeoutsMs: readonly [number, ...number[]];
  /** How the timestamps of records go as time goes on: with it (1), not at all, or back (-1). */
  readonly timestampDrift: number;
  /** Probability that a request without a producer id is delivered twice, as Lambda delivers asynchronous invokes. */
  readonly deliveredTwice: number;
  /** The second delivery is this late at most. */
  readonly secondDeliveryMsMax: number;
  /** No fetch waits longer for records. */
  readonly waitMsMax: number;
  /** Nobody waits longer before it tries again. */
  readonly retryMsMax: number;
  /** Topics on one page of a list. */
  readonly listPageMax: number;
  /** One whose members make the calls of the protocol themselves, and one whose members are the library's consumers. */
  readonly groups: { readonly raw: GroupId; readonly shared: GroupId };
  /** All members leave every so often, and for so long are outsiders who change their group. Undefined: never. */
  readonly recess?: { readonly everyMs: number; readonly forMs: number } | undefined;
  /** A member's session lasts one of these. */
  readonly sessionTimeoutsMs: readonly [number, ...number[]];
  /** A handler that hangs takes this long. */
  readonly hangMs: number;
  /** What a record is filled up with, in bytes: one of these. */
  readonly fillerBytes: readonly [number, ...number[]];
  /** Probability that a reader asks for more than is allowed. */
  readonly beyondLimits: number;
}

export interface ClientDeps {
  readonly workload: Workload;
  readonly clock: Clock;
  readonly startMs: number;
  readonly recorder: Recorder;
  /** The library's own client. */
  readonly open: (caller: Caller) => Millrace;
  /** False when no more operations are allowed: the client finishes what it began and ends. */
  readonly mayGoOn: () => boolean;
  /** What runs beside the clients and must end before everything is read. */
  readonly beside: (work: Promise<unknown>) => void;
}

export abstract class Client implements Caller {
  readonly name: string;
  readonly chance: Chance;
  readonly timeoutMs: number;
  protected readonly deps: ClientDeps;
  readonly #claims: Chance;
  #recordCount = 0;

  constructor(deps: ClientDeps, name: string, chance: Chance) {
    this.deps = deps;
    this.name = name;
    this.chance = chance;
    this.timeoutMs = chance.pick(deps.workload.timeoutsMs);
    this.#claims = chance.fork('claims');
  }

  abstract run(): Promise<void>;

  /** Resolves true when another operation may be begun, after a pause. */
  protected async next(): Promise<boolean> {
    await this.deps.clock.sleep(this.chance.fraction() * this.deps.workload.thinkMs * 2);
    return this.deps.mayGoOn();
  }

  protected anyTopic(): TopicName {
    return this.anyTopicItem().topic;
  }

  protected anyTopicItem(): Workload['topics'][number] {
    return this.chance.pick(this.deps.workload.topics as [Workload['topics'][number]]);
  }

  protected partitionCountOf(topic: TopicName): number {
    return this.deps.workload.topics.find((one) => one.topic === topic)?.partitionCount ?? 1;
  }

  /** Mostly one that is there, sometimes one that may have been added, or that never was. */
  protected anyPartition(topic: TopicName): number {
    return this.chance.integer(0, this.partitionCountOf(topic) - (this.chance.happens(0.1) ? 0 : 1));
  }

  /** One to four new records. Timestamps are about now, and now and then far back. */
  protected newBatch(partition: number, producer?: ProduceOperation['producer']): SentBatch {
    const { chance, deps } = this;
    const values = Array.from({ length: chance.pick([1, 1, 1, 2, 4]) }, () =>
      drawName(chance, this.name, this.#recordCount++, deps.workload.fillerBytes),
    );
    const about = deps.startMs + deps.workload.timestampDrift * (deps.clock.nowMs() - deps.startMs);
    const timestamps = values.map(() => about - chance.pick([0, 0, 0, 5, 100, 1_000_000]));
    const codec: Codec = chance.happens(0.1) ? chance.pick(['gzip', 'lz4', 'snappy', 'zstd'] as const) : 'none';
    const claimedMaxTimestamp = this.#claims.happens(0.03)
      ? about + this.#claims.integer(-1_000_000, 1_000_000)
      : undefined;
    return { partition, values, timestamps, codec, producer, claimedMaxTimestamp };
  }
}
