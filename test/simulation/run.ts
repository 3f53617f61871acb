/** What happens in one run: topics are made, clients work while trouble is made, the trouble ends, and an audit reads everything. */

import type { GroupId, TopicName } from '../../lib/ids.ts';
import { checkCrc, readBatchHeader } from '../../lib/record/record-batch.ts';
import { timestampOf } from '../../lib/store/object-id.ts';
import { decodeFooter } from '../../lib/store/object-layout.ts';
import type { S3ObjectStore, StoredObject } from '../../lib/store/object-store-s3.ts';
import type { Chance } from '../../lib/verify/chance.ts';
import type { Client, ClientDeps } from '../../lib/verify/client.ts';
import { type Drained, drainGroup } from '../../lib/verify/drain-group.ts';
import { answerOf, type Operation, type ProduceOperation } from '../../lib/verify/history.ts';
import type { createInstants } from '../../lib/verify/instants.ts';
import { Member } from '../../lib/verify/members.ts';
import { IdempotentProducer, PlainProducer } from '../../lib/verify/producers.ts';
import { readToTheEnd } from '../../lib/verify/read-to-the-end.ts';
import { Consumer, Reader } from '../../lib/verify/readers.ts';
import { type Caller, type CallLog, Recorder } from '../../lib/verify/recorder.ts';
import { Follower, Sender, Sharer } from '../../lib/verify/users.ts';
import { Administrator, wideTopic } from './administrator.ts';
import { Fleet } from './fleet.ts';
import { Gateway } from './gateway.ts';
import { Nemesis } from './nemesis.ts';
import { type ClientKind, clientKinds, type Plan } from './plan.ts';
import type { Scheduler } from './scheduler.ts';
import { openSimulatedClient } from './simulated-client.ts';
import type { StoreNetwork } from './store-network.ts';
import type { SharedStores } from './stores.ts';

/** What only the end of a run can show: that the log works again when nothing is in its way, and that the run came to its end. */
export interface AuditViolation {
  readonly invariant: 'healsWhenFaultsEnd' | 'objectsCanBeReadAlone' | 'nothingIsABug';
  readonly text: string;
  readonly operations: readonly Operation[];
}

export const groups = { raw: 'billing' as GroupId, shared: 'shipping' as GroupId };

/** Longer than any request is late, any environment frozen, any topic cached. */
const calmMs = 400_000;
const kinds: Readonly<
  Record<ClientKind, new (deps: ClientDeps, name: string, chance: Chance, theme: Plan['theme']) => Client>
> = {
  plain: PlainProducer,
  idempotent: IdempotentProducer,
  consumer: Consumer,
  reader: Reader,
  admin: Administrator,
  sender: Sender,
  follower: Follower,
  member: Member,
  sharer: Sharer,
  gateway: Gateway,
};

export class Run {
  readonly recorder: Recorder;
  readonly failures: AuditViolation[] = [];
  readonly #fleet: Fleet;
  readonly #nemesis: Nemesis;
  readonly #beside = new Set<Promise<unknown>>();
  readonly #plan: Plan;
  readonly #chance: Chance;
  readonly #scheduler: Scheduler;
  readonly #network: StoreNetwork;
  readonly #stores: SharedStores;

  constructor(
    plan: Plan,
    chance: Chance,
    scheduler: Scheduler,
    network: StoreNetwork,
    stores: SharedStores,
    instants: ReturnType<typeof createInstants>,
  ) {
    this.#plan = plan;
    this.#chance = chance;
    this.#scheduler = scheduler;
    this.#network = network;
    this.#stores = stores;
    const { faults, serverCount, lambdaCountMax, skewMsMax } = plan;
    const fleetChance = chance.fork('fleet');
    this.#fleet = new Fleet({ scheduler, chance: fleetChance, faults, stores, serverCount, lambdaCountMax, skewMsMax });
    this.#nemesis = new Nemesis({ scheduler, chance: chance.fork('nemesis'), faults, fleet: this.#fleet });
    const call: CallLog = ({ chance: own, timeoutMs }, work) =>
      this.#fleet.call(own, timeoutMs, ({ log }) => work(log));
    this.recorder = new Recorder(call, instants, (topic) => stores.lives.told(topic));
  }

  async whole(): Promise<void> {
    this.#setCalm(true);
    await this.#createTopics();
    this.#setCalm(false);
    void this.#nemesis.run(this.#plan.thinkMs * 10);
    await Promise.all(this.#clients().map((client) => client.run()));
    this.#nemesis.end();
    this.#setCalm(true);
    // What is still being tried again is tried without faults, and meets the requests that were late.
    while (this.#beside.size > 0) await Promise.all(this.#beside);
    // Nor do sessions last longer that were renewed by a clock that was ahead.
    await this.#scheduler.clock.sleep(calmMs + this.#nemesis.aheadMsMax);
    for (const { name, requests } of this.#fleet.environments) {
      if (requests.size > 0)
        this.#fail(`${requests.size} requests are under way in ${name} after ${calmMs} ms of calm`);
    }
    await this.#audit();
    // It takes as many requests as the seed has made objects, so some seeds do.
    if (this.#chance.fork('objects').happens(0.2)) await this.#auditObjects();
  }

  #setCalm(isCalm: boolean): void {
    this.#network.isCalm = isCalm;
    this.#fleet.isCalm = isCalm;
  }

  #clients(): Client[] {
    const { clients, operationsMax } = this.#plan;
    let operationsLeft = operationsMax;
    const { theme, faults, topics, thinkMs, timestampDrift, fillerBytes } = this.#plan;
    const deps: ClientDeps = {
      workload: {
        topics,
        topicsBeside: [wideTopic],
        thinkMs,
        timestampDrift,
        // Where topics come and go, those who lose patience make one anew while the old one is still being deleted.
        timeoutsMs: theme === 'churn' ? [300, 1_000, 10_000] : [1_000, 10_000, 40_000],
        deliveredTwice: faults.probability.deliveredTwice,
        secondDeliveryMsMax: 60_000,
        waitMsMax: 30_000,
        retryMsMax: 10_000,
        // Few enough for there to be several pages.
        listPageMax: 2,
        groups,
        recess: this.#plan.recess,
        sessionTimeoutsMs: [6_000, 10_000, 10_000, 45_000],
        hangMs: 20_000,
        fillerBytes,
        beyondLimits: 0.01,
      },
      clock: this.#scheduler.clock,
      startMs: this.#scheduler.startMs,
      recorder: this.recorder,
      open: (caller) => openSimulatedClient(this.#scheduler, this.#fleet, caller),
      mayGoOn: () => operationsLeft-- > 0,
      beside: (work) => {
        this.#beside.add(work);
        void work.then(() => this.#beside.delete(work));
      },
    };
    return clientKinds.flatMap((kind) =>
      Array.from({ length: clients[kind] }, (_, index) => {
        const name = `${kind}${index}`;
        return new kinds[kind](deps, name, this.#chance.fork(name), theme);
      }),
    );
  }

  async #createTopics(): Promise<void> {
    const caller = this.#auditor();
    for (const { topic, partitionCount } of this.#plan.topics) {
      this.#expectOk(await this.recorder.changeTopic(caller, 'create', topic, { partitionCount }));
    }
  }

  /** Every log that is there takes records, without a producer id and with one, and is read from its start to its end. */
  async #audit(): Promise<void> {
    const caller = this.#auditor();
    const topics: Drained[] = [];
    for (const { topic, partitionCounts } of this.#stores.lives.all.filter(({ leaving }) => leaving === undefined)) {
      const name = this.#plan.topics.find((one) => one.topic === topic)?.topic;
      if (name === undefined) continue;
      this.#expectOk(await this.recorder.changeTopic(caller, 'describe', name));
      const partitionCount = partitionCounts.at(-1)?.count ?? 0;
      topics.push({ topic: name, partitionCount });
      for (let partition = 0; partition < partitionCount; partition++) {
        await this.#probe(caller, name, partition);
        this.#expectOk(...(await readToTheEnd(this.recorder, caller, name, partition)));
        this.#expectOk(await this.recorder.listOffsets(caller, name, partition, 'max'));
      }
    }
    const { member, sharer } = this.#plan.clients;
    for (const group of [...(member > 0 ? [groups.raw] : []), ...(sharer > 0 ? [groups.shared] : [])]) {
      const wrong = await drainGroup(this.recorder, caller, this.#scheduler.clock, group, topics, { hasDeath: true });
      for (const text of wrong) this.#fail(text);
    }
  }

  async #probe(caller: Caller, topic: TopicName, partition: number): Promise<void> {
    const asked = await this.recorder.nextProducer(caller);
    this.#expectOk(asked);
    const producerId = answerOf(asked)?.producerId ?? 0;
    const producers: readonly ProduceOperation['producer'][] = [
      undefined,
      { producerId, producerEpoch: 0, baseSequence: 0 },
      { producerId, producerEpoch: 0, baseSequence: 1 },
      { producerId, producerEpoch: 1, baseSequence: 0 },
    ];
    for (const [index, producer] of producers.entries()) {
      const values = [`auditor.${topic.length}${partition}${index}+0`];
      const probe = {
        partition,
        values,
        timestamps: [this.#scheduler.clock.nowMs()],
        codec: 'none' as const,
        producer,
      };
      this.#expectOk(...(await this.recorder.produce(caller, topic, [probe])));
    }
  }

  /**
   * The footer of each object names its batches, and they are whole; and lists by age, as a sweep needs them, show those of
   * that age. Where objects cannot be listed this finds none.
   */
  async #auditObjects(): Promise<void> {
    const environment = this.#fleet.start('server');
    const { objectStore } = this.#stores.open(environment);
    if (!('list' in objectStore)) return;
    const store = objectStore as S3ObjectStore;
    const objects: StoredObject[] = [];
    for await (const object of store.list({ before: Number.MAX_SAFE_INTEGER })) objects.push(object);
    await this.#auditAges(store, objects);
    for (const { objectId, byteLength } of objects) {
      try {
        const problem = objectProblem(await store.read(objectId, 0, byteLength));
        if (problem !== undefined) this.#failAlone(objectId, problem);
      } catch (error) {
        this.#failAlone(objectId, String(error));
      }
    }
  }

  async #auditAges(store: S3ObjectStore, objects: readonly StoredObject[]): Promise<void> {
    const chance = this.#chance.fork('ages');
    const anyTime = () => this.#scheduler.startMs + chance.integer(0, this.#scheduler.nowMs - this.#scheduler.startMs);
    const ages = { from: chance.happens(0.5) ? 0 : anyTime(), before: anyTime() };
    const listed = new Set<string>();
    for await (const { objectId } of store.list(ages)) listed.add(objectId);
    for (const { objectId, storedAt } of objects) {
      const madeAt = timestampOf(objectId);
      const isMeant = madeAt >= ages.from && madeAt < ages.before && storedAt < ages.before;
      if (isMeant === listed.has(objectId)) continue;
      const text = `made at ${madeAt}, stored at ${storedAt}, ${isMeant ? 'not ' : ''}listed as of ${JSON.stringify(ages)}`;
      this.#failAlone(objectId, text);
    }
  }

  #failAlone(objectId: string, problem: string): void {
    this.failures.push({ invariant: 'objectsCanBeReadAlone', text: `object ${objectId}: ${problem}`, operations: [] });
  }

  #auditor(): Caller {
    return { name: 'auditor', chance: this.#chance.fork('auditor'), timeoutMs: 60_000 };
  }

  #expectOk(...operations: readonly Operation[]): void {
    for (const operation of operations) {
      const { outcome, type, topic } = operation;
      if (outcome.kind === 'ok') continue;
      const text = `the auditor's ${type} on ${topic} ended ${JSON.stringify(outcome)} with nothing in its way`;
      this.#fail(text, operation);
    }
  }

  #fail(text: string, ...operations: readonly Operation[]): void {
    this.failures.push({ invariant: 'healsWhenFaultsEnd', text, operations });
  }
}

/** What is wrong with an object, by what it says itself. */
function objectProblem(object: Uint8Array): string | undefined {
  let byteStart = 0;
  for (const row of decodeFooter(object)) {
    if (row.byteStart !== byteStart) return `a batch starts at ${row.byteStart}, not at ${byteStart}`;
    byteStart += row.byteLength;
    const batch = object.subarray(row.byteStart, byteStart);
    checkCrc(batch);
    const { recordCount, maxTimestamp } = readBatchHeader(batch);
    if (recordCount !== row.offsetCount || maxTimestamp !== row.maxTimestamp) {
      return `the batch at ${row.byteStart} has ${recordCount} records up to ${maxTimestamp}, its footer ${row.offsetCount} up to ${row.maxTimestamp}`;
    }
  }
  return undefined;
}
