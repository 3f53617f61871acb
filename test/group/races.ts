/**
 * Consumers of one group on several machines, in virtual time: calls to the store take time, overtake each other, are lost on
 * the way there or back or come late; clocks differ; consumers dawdle, freeze, die, leave, and come back. After everything
 * that the store does it is looked at.
 */

import { createLog, type OpenLog } from '../../lib/create-log.ts';
import { isLogError, LogError } from '../../lib/errors.ts';
import type { InstanceId } from '../../lib/ids.ts';
import { type Assignment, partitionCountOf, topicPartitionsOf } from '../../lib/store/assignment.ts';
import type { GroupStore, OffsetOutcome } from '../../lib/store/group-store.ts';
import type { MetadataStore } from '../../lib/store/metadata-store.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';
import { type Random, seededRandom } from '../support/random.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import { billing, orders, TestConsumer } from './group-fixture.ts';

const machineCount = 3;
const skewMsMax = 2_000;
const troubleMs = 6 * 60_000;
/** After the trouble everyone is given this long. */
const calmMs = 3 * 60_000;

export interface RaceReport {
  /** What did not hold; empty is good. */
  readonly violations: string[];
  /** What was seen to happen, by name. */
  readonly counts: Record<string, number>;
}

/** `change` stands between the log and the store, for a bug to be put in. */
export async function race(
  seed: number,
  change: (store: GroupStore) => GroupStore = (store) => store,
): Promise<RaceReport> {
  const random = seededRandom(seed);
  const clock = createVirtualClock(1_700_000_000_000);
  const violations: string[] = [];
  const counts: Record<string, number> = {};
  const count = (name: string) => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  const happens = (percent: number) => random.integer(1, 100) <= percent;
  const metadata = openSqliteMetadataStore(':memory:');
  const { groupStore } = metadata;
  if (groupStore === undefined) throw new Error('the store keeps groups');
  let isCalm = false;
  const racers: Racer[] = [];

  const look = async () => {
    const seen = await groupStore.getGroup(billing);
    const owners = new Map(
      (await groupStore.listOffsets(billing)).map(({ topicId, partition, owner }) => [
        `${topicId}/${partition}`,
        owner,
      ]),
    );
    const listed = new Map<string, string>();
    for (const session of seen?.sessions ?? []) {
      for (const place of [session.currentAssignment, session.partitionsPendingRevocation].flatMap(placesOf)) {
        if (listed.has(place)) violations.push(`${place} is with ${listed.get(place)} and ${session.memberId}`);
        listed.set(place, session.memberId);
        if (owners.get(place)?.memberId !== session.memberId) violations.push(`${place} is not ${session.memberId}'s`);
        if ((owners.get(place)?.memberEpoch ?? 0) > session.memberEpoch)
          violations.push(`${place} is of a later epoch`);
      }
    }
    for (const { consumer } of racers) {
      const session = seen?.sessions.find(({ memberId }) => memberId === consumer.memberId);
      // One that is fenced, and does not know it yet, is held back by its epoch.
      if (session === undefined || session.memberEpoch !== consumer.memberEpoch || session.state === 'AWAY') continue;
      for (const place of consumer.heldPlaces()) {
        if (listed.get(place) !== consumer.memberId)
          violations.push(`${consumer.memberId} holds ${place}, which is not its own`);
      }
    }
  };

  /** Every commit in the order in which the store took it, so that what is fetched can be judged. */
  const taken = new Map<string, number>();
  const judge = (name: string, args: readonly unknown[], answer: unknown) => {
    if (name !== 'commitOffsets') return;
    const [, , commits] = args as Parameters<GroupStore['commitOffsets']>;
    (answer as readonly OffsetOutcome[]).forEach(({ outcome }, index) => {
      const commit = commits[index];
      count(outcome);
      if (commit === undefined || outcome !== 'committed') return;
      const place = `${commit.topicId}/${commit.partition}`;
      // A member reads on from where the one before it has committed, so offsets never fall.
      if (commit.offset < (taken.get(place) ?? 0)) violations.push(`${place} went back to ${commit.offset}`);
      taken.set(place, commit.offset);
    });
  };

  const overNetwork = (name: string, call: (...args: unknown[]) => Promise<unknown>) => {
    return async (...args: unknown[]) => {
      const isWrite = !name.startsWith('get') && !name.startsWith('list');
      const carryOut = async () => {
        const answer = await call(...args);
        if (isWrite) judge(name, args, answer);
        if (isWrite) await look();
        return answer;
      };
      const failed = () => new LogError('KAFKA_STORAGE_ERROR', `${name} was not answered`);
      await clock.sleep(random.integer(1, 30));
      const fault = isCalm ? 100 : random.integer(1, 100);
      if (fault <= 3) throw failed();
      // A commit without an answer may be taken at any time after; that is for its sender to know, and not a fault.
      if (fault <= 5 && isWrite && name !== 'commitOffsets') {
        void clock.sleep(random.integer(100, 60_000)).then(() => carryOut().catch(() => undefined));
        count('late');
        throw failed();
      }
      const answer = await carryOut();
      await clock.sleep(random.integer(1, 30));
      if (fault <= 8) {
        count('lost answer');
        throw failed();
      }
      return answer;
    };
  };
  const network = new Proxy(groupStore, {
    get: (target, name) => overNetwork(String(name), Reflect.get(target, name).bind(target)),
  });

  const logs = Array.from({ length: machineCount }, (): OpenLog => {
    const skewMs = random.integer(-skewMsMax, skewMsMax);
    const skewed = { nowMs: () => Math.floor(clock.nowMs()) + skewMs, sleep: clock.sleep };
    const metadataStore: MetadataStore = { ...metadata, groupStore: change(network), close: async () => {} };
    const objectStore = createMemoryObjectStore({ clock: skewed, randomBytes: randomBytesOf(random) });
    return createLog({ objectStore, metadataStore, clock: skewed, randomBytes: randomBytesOf(random) });
  });
  const anyLog = () => logs[random.integer(0, machineCount - 1)] as OpenLog;

  await clock.run(
    (async () => {
      await anyLog().topics.create({ topic: orders, partitionCount: random.integer(1, 8) });
      const endMs = clock.nowMs() + troubleMs;
      const loops: Promise<void>[] = [];
      let made = 0;
      const start = () => {
        const isStatic = happens(30);
        const racer = new Racer({
          name: `m${made++}`,
          isStatic,
          clock,
          random,
          happens,
          count,
          anyLog,
          isCalm: () => isCalm,
        });
        racers.push(racer);
        loops.push(racer.live());
      };
      for (let index = random.integer(1, 4); index > 0; index--) start();
      while (clock.nowMs() < endMs) {
        await clock.sleep(random.integer(1_000, 40_000));
        if (racers.filter(({ isAlive }) => isAlive).length < 5 && happens(40)) start();
        if (happens(10)) {
          const { partitionCount } = await anyLog()
            .topics.describe(orders)
            .then(({ partitions }) => ({ partitionCount: partitions.length }));
          await anyLog().topics.alter({ topic: orders, partitionCount: Math.min(12, partitionCount + 1) });
        }
      }
      isCalm = true;
      if (!racers.some(({ isAlive }) => isAlive)) start();
      await clock.sleep(calmMs);
      const { partitions } = await anyLog().topics.describe(orders);
      const alive = racers.filter(({ isAlive }) => isAlive);
      const held = alive.flatMap(({ consumer }) => consumer.holds).toSorted();
      const wanted = partitions.map(({ partition }) => `orders/${partition}`).toSorted();
      if (JSON.stringify(held) !== JSON.stringify(wanted)) violations.push(`in the end ${held} are held`);
      const { state } = await anyLog().groups.describe(billing);
      if (state !== 'STABLE') violations.push(`in the end the group is ${state}`);
      for (const racer of racers) racer.isAlive = false;
      await Promise.all(loops);
    })(),
  );
  for (const log of logs) await log.close();
  await metadata.close();
  return { violations, counts };
}

interface World {
  readonly name: string;
  readonly isStatic: boolean;
  readonly clock: ReturnType<typeof createVirtualClock>;
  readonly random: Random;
  readonly happens: (percent: number) => boolean;
  readonly count: (name: string) => void;
  readonly anyLog: () => OpenLog;
  readonly isCalm: () => boolean;
}

/** One consumer and the machine under it. */
class Racer {
  isAlive = true;
  consumer: RacingConsumer;
  readonly #world: World;
  #lives = 0;

  constructor(world: World) {
    this.#world = world;
    this.consumer = this.#newConsumer();
  }

  async live(): Promise<void> {
    const { clock, random, happens, count, isCalm } = this.#world;
    while (this.isAlive) {
      try {
        await this.consumer.join();
        for (let isMember = true; isMember && this.isAlive; ) isMember = await this.#turn();
      } catch (error) {
        if (!isLogError(error)) throw error;
        count(error.code);
        const isLost = ['UNKNOWN_MEMBER_ID', 'FENCED_MEMBER_EPOCH', 'FENCED_INSTANCE_ID'].includes(error.code);
        if (isLost || happens(50)) this.consumer.forget();
        if (isLost && happens(50)) this.consumer = this.#newConsumer();
        await clock.sleep(random.integer(10, isCalm() ? 500 : 3_000));
      }
    }
  }

  /** One heartbeat and what comes before the next. False: the member is one no longer. */
  async #turn(): Promise<boolean> {
    const { clock, random, happens, count, isCalm, isStatic } = this.#world;
    const intervalMs = this.consumer.last?.heartbeatIntervalMs ?? 1_000;
    await clock.sleep(random.integer(intervalMs / 2, intervalMs));
    if (!isCalm()) {
      if (happens(2)) {
        count('frozen');
        await clock.sleep(random.integer(20_000, 120_000));
      }
      if (happens(1)) {
        count('died');
        this.isAlive = false;
        return false;
      }
      if (happens(2)) {
        count('left');
        await this.consumer.leave(isStatic && happens(60));
        await clock.sleep(random.integer(100, 20_000));
        return false;
      }
      if (happens(1)) {
        count('restarted');
        this.consumer.forget();
        return false;
      }
    }
    await this.consumer.work(this.#world.anyLog()).catch((error: unknown) => {
      if (!isLogError(error, 'KAFKA_STORAGE_ERROR')) throw error;
    });
    await this.#heartbeat();
    return true;
  }

  async #heartbeat(): Promise<void> {
    const { clock, random, happens, isCalm } = this.#world;
    for (;;) {
      try {
        await this.consumer.heartbeat({ slow: true, says: happens(80) || this.consumer.mustSay });
        this.consumer.mustSay = false;
        break;
      } catch (error) {
        if (!isLogError(error, 'KAFKA_STORAGE_ERROR') || !this.isAlive) throw error;
        this.consumer.mustSay = true;
        await clock.sleep(random.integer(10, 1_000));
      }
    }
    if (isCalm() || happens(80)) this.consumer.letGo();
  }

  #newConsumer(): RacingConsumer {
    const { name, isStatic, anyLog } = this.#world;
    const instanceId = isStatic ? { instanceId: `i-${name}` as InstanceId } : {};
    return new RacingConsumer(anyLog, `${name}-${this.#lives++}`, { ...instanceId, rebalanceTimeoutMs: 20_000 });
  }
}

class RacingConsumer extends TestConsumer {
  /** The answer to a heartbeat was lost. */
  mustSay = false;
  readonly #positions = new Map<string, number>();

  constructor(anyLog: () => OpenLog, name: string, request: ConstructorParameters<typeof TestConsumer>[2]) {
    // Each request goes to another machine, as functions and load balancers have it.
    super(
      new Proxy({} as OpenLog['groups'], { get: (_, method) => Reflect.get(anyLog().groups, method) }),
      name,
      request,
    );
  }

  override async join(): Promise<this> {
    this.#positions.clear();
    return await super.join();
  }

  heldPlaces(): string[] {
    return this.owned().flatMap(({ topicId, partitions }) => partitions.map((partition) => `${topicId}/${partition}`));
  }

  forget(): void {
    this.holds = [];
    this.told = [];
    this.memberEpoch = 0;
  }

  /** Reads on, from where it was or, in a partition that is new to it, from what is committed; and commits that. */
  async work(log: OpenLog): Promise<void> {
    for (const place of this.#positions.keys()) if (!this.holds.includes(place)) this.#positions.delete(place);
    if (this.holds.some((place) => !this.#positions.has(place))) {
      const found = await log.groups.fetchOffsets({ groupId: billing, topics: [orders] });
      const before = new Map(found.map(({ partition, offset }) => [`orders/${partition}`, offset]));
      for (const place of this.holds) {
        if (!this.#positions.has(place)) this.#positions.set(place, before.get(place) ?? 0);
      }
    }
    for (const place of this.holds) this.#positions.set(place, (this.#positions.get(place) ?? 0) + 1);
    if (this.holds.length > 0) await this.commit(...this.#positions);
  }
}

const placesOf = (assignment: Assignment) =>
  partitionCountOf(assignment) === 0
    ? []
    : topicPartitionsOf(assignment).map((one) => `${one.topicId}/${one.partition}`);

function randomBytesOf(random: Random) {
  return (bytes: Uint8Array) => bytes.map(() => random.integer(0, 255));
}
