/**
 * Consumers of one group on several machines, in virtual time: calls to the store take time, overtake each other, are lost on
 * the way there or back or come late; clocks differ; consumers dawdle, freeze, die, leave, and come back. After everything
 * that the store does it is looked at.
 */

import type { Clock } from '../../lib/clock.ts';
import { createLog, type OpenLog } from '../../lib/create-log.ts';
import { isLogError } from '../../lib/errors.ts';
import type { InstanceId } from '../../lib/ids.ts';
import { type TopicPartition, topicPartitionsOf } from '../../lib/store/assignment.ts';
import type { GroupStore, SeenGroup } from '../../lib/store/group-store.ts';
import type { OffsetItem } from '../../lib/store/items.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';
import { type Random, seededRandom } from '../support/random.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import { billing, orders, TestConsumer } from './group-fixture.ts';
import { type Family, openRaceStores } from './race-stores.ts';

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

export interface RaceOptions {
  readonly family?: Family;
  /** Stands between the log and the store, for a bug to be put in. */
  readonly change?: (store: GroupStore) => GroupStore;
}

export async function race(seed: number, options: RaceOptions = {}): Promise<RaceReport> {
  const { family = 'SQLite', change = (store) => store } = options;
  const random = seededRandom(seed);
  const clock = createVirtualClock(1_700_000_000_000);
  const floored: Clock = { nowMs: () => Math.floor(clock.nowMs()), sleep: clock.sleep };
  const happens = (percent: number) => random.integer(1, 100) <= percent;
  const counts: Record<string, number> = {};
  const count = (name: string) => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  let isCalm = false;
  const racers: Racer[] = [];
  const judge = new Judge(racers);
  const look = async () => judge.look(await stores.there.getGroup(billing), await stores.there.listOffsets(billing));
  const stores = openRaceStores(family, { clock: floored, random, count, isCalm: () => isCalm, look });

  const logs = Array.from({ length: machineCount }, (): OpenLog => {
    const skewMs = random.integer(-skewMsMax, skewMsMax);
    const skewed = { nowMs: () => floored.nowMs() + skewMs, sleep: clock.sleep };
    const randomBytes = (bytes: Uint8Array) => bytes.map(() => random.integer(0, 255));
    const { groupStore, ...metadataStore } = stores.open(skewed);
    const objectStore = createMemoryObjectStore({ clock: skewed, randomBytes });
    const ends = { clock: skewed, randomBytes };
    return createLog({ objectStore, metadataStore: { ...metadataStore, groupStore: change(groupStore) }, ...ends });
  });
  const anyLog = () => logs[random.integer(0, machineCount - 1)] as OpenLog;
  const topics = () => anyLog().topics;

  await clock.run(
    (async () => {
      await untilDone(clock, () => topics().create({ topic: orders, partitionCount: random.integer(1, 8) }));
      const endMs = clock.nowMs() + troubleMs;
      const loops: Promise<void>[] = [];
      const start = () => {
        const name = `m${racers.length}`;
        const isStatic = happens(30);
        const doubts = (place: string) => judge.doubt(place);
        const racer = new Racer({
          name,
          isStatic,
          clock,
          random,
          happens,
          count,
          anyLog,
          isCalm: () => isCalm,
          doubts,
        });
        racers.push(racer);
        loops.push(racer.live());
      };
      for (let index = random.integer(1, 4); index > 0; index--) start();
      while (clock.nowMs() < endMs) {
        await clock.sleep(random.integer(1_000, 40_000));
        if (racers.filter(({ isAlive }) => isAlive).length < 5 && happens(40)) start();
        if (happens(10)) await grow(clock, topics);
      }
      isCalm = true;
      if (!racers.some(({ isAlive }) => isAlive)) start();
      await clock.sleep(calmMs);
      const { partitions } = await topics().describe(orders);
      const held = racers.filter(({ isAlive }) => isAlive).flatMap(({ consumer }) => consumer.holds);
      judge.end(held, partitions.length, (await anyLog().groups.describe(billing)).state);
      for (const racer of racers) racer.isAlive = false;
      await Promise.all(loops);
    })(),
  );
  for (const log of logs) await log.close();
  await stores.close();
  return { violations: judge.violations, counts };
}

/** Over and over, whatever is lost on the way. */
async function untilDone<T>(clock: Clock, work: () => Promise<T>): Promise<T | undefined> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isLogError(error)) throw error;
      if (error.code !== 'KAFKA_STORAGE_ERROR') return undefined;
      await clock.sleep(100);
    }
  }
}

async function grow(clock: Clock, topics: () => OpenLog['topics']): Promise<void> {
  const description = await untilDone(clock, () => topics().describe(orders));
  const partitionCount = Math.min(12, (description?.partitions.length ?? 0) + 1);
  await untilDone(clock, () => topics().alter({ topic: orders, partitionCount }));
}

/** Looks at all there is after everything that happened, and says what must not be. */
class Judge {
  readonly violations: string[] = [];
  readonly #racers: readonly Racer[];
  /** The highest offset ever committed, by place. */
  readonly #committed = new Map<string, number>();
  /** A commit without an answer may be taken at any time after; its sender knows. */
  readonly #doubtful = new Set<string>();

  constructor(racers: readonly Racer[]) {
    this.#racers = racers;
  }

  doubt(commit: string): void {
    this.#doubtful.add(commit);
  }

  look(seen: SeenGroup | undefined, items: readonly OffsetItem[]): void {
    const owners = new Map(items.map((item) => [placeOf(item), item.owner]));
    const listed = new Map<string, string>();
    const { violations } = this;
    for (const { memberId, memberEpoch, currentAssignment, partitionsPendingRevocation } of seen?.sessions ?? []) {
      const places = [currentAssignment, partitionsPendingRevocation].flatMap((one) => topicPartitionsOf(one));
      for (const place of places.map(placeOf)) {
        const owner = owners.get(place);
        if (listed.has(place)) violations.push(`${place} is with ${listed.get(place)} and ${memberId}`);
        if (owner?.memberId !== memberId) violations.push(`${place} is with ${memberId}, and not its own`);
        if ((owner?.memberEpoch ?? 0) > memberEpoch) violations.push(`${place} is of a later epoch`);
        listed.set(place, memberId);
      }
    }
    for (const { consumer } of this.#racers) {
      const session = seen?.sessions.find(({ memberId }) => memberId === consumer.memberId);
      // One that is fenced, and does not know it yet, is held back by its epoch.
      if (session === undefined || session.memberEpoch !== consumer.memberEpoch || session.state === 'AWAY') continue;
      for (const place of consumer.heldPlaces()) {
        if (listed.get(place) !== consumer.memberId)
          violations.push(`${consumer.memberId} holds ${place}, not its own`);
      }
    }
    for (const { committed, ...item } of items) {
      const { offset = 0 } = committed ?? {};
      const place = placeOf(item);
      // A member reads on from where the one before it has committed, so offsets never fall.
      const isBack = offset < (this.#committed.get(place) ?? 0);
      if (isBack && !this.#doubtful.has(`orders/${item.partition}=${offset}`)) {
        violations.push(`${place} went back to ${offset}`);
      }
      this.#committed.set(place, offset);
    }
  }

  end(held: readonly string[], partitionCount: number, state: string): void {
    const wanted = Array.from({ length: partitionCount }, (_, partition) => `orders/${partition}`).sort();
    if (JSON.stringify(held.toSorted()) !== JSON.stringify(wanted)) this.violations.push(`in the end ${held} are held`);
    if (state !== 'STABLE') this.violations.push(`in the end the group is ${state}`);
  }
}

const placeOf = ({ topicId, partition }: TopicPartition) => `${topicId}/${partition}`;

interface World {
  readonly name: string;
  readonly isStatic: boolean;
  readonly clock: ReturnType<typeof createVirtualClock>;
  readonly random: Random;
  readonly happens: (percent: number) => boolean;
  readonly count: (name: string) => void;
  readonly anyLog: () => OpenLog;
  readonly isCalm: () => boolean;
  /** Told of commits that were not answered. */
  readonly doubts: (commit: string) => void;
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
    await this.#work();
    await this.#heartbeat();
    return true;
  }

  async #work(): Promise<void> {
    const { anyLog, count, doubts } = this.#world;
    try {
      for (const code of await this.consumer.work(anyLog())) count(code);
    } catch (error) {
      if (!isLogError(error, 'KAFKA_STORAGE_ERROR')) throw error;
      for (const commit of this.consumer.lastCommit) doubts(commit);
    }
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
  /** As `topic/partition=offset`. */
  lastCommit: string[] = [];
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
  async work(log: OpenLog): Promise<string[]> {
    this.lastCommit = [];
    for (const place of this.#positions.keys()) if (!this.holds.includes(place)) this.#positions.delete(place);
    if (this.holds.some((place) => !this.#positions.has(place))) {
      const found = await log.groups.fetchOffsets({ groupId: billing, topics: [orders] });
      const before = new Map(found.map(({ partition, offset }) => [`orders/${partition}`, offset]));
      for (const place of this.holds) {
        if (!this.#positions.has(place)) this.#positions.set(place, before.get(place) ?? 0);
      }
    }
    for (const place of this.holds) this.#positions.set(place, (this.#positions.get(place) ?? 0) + 1);
    this.lastCommit = [...this.#positions].map(([place, offset]) => `${place}=${offset}`);
    return this.holds.length === 0 ? [] : await this.commit(...this.#positions);
  }
}
