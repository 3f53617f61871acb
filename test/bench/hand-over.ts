/**
 * How long partitions are with nobody, in virtual time: `node test/bench/hand-over.ts`.
 *
 * Members send their heartbeats when they are told to, each at its own moment, and at once when they have given something
 * up, which takes them no time. Measured from the event until every partition is held again; the store takes none.
 */

import { createLog } from '../../lib/create-log.ts';
import type { GroupId, MemberId, TopicId } from '../../lib/ids.ts';
import { parseTopicName } from '../../lib/ids.ts';
import type { Groups, HeartbeatAnswer } from '../../lib/log.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';
import { seededRandom } from '../support/random.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';

const topic = parseTopicName('orders');
const groupId = 'billing' as GroupId;
type Event = 'joins' | 'leaves' | 'dies';

/** One event in a settled group; the milliseconds until all is held again. */
async function handOverMs(memberCount: number, partitionCount: number, event: Event, seed: number): Promise<number> {
  const random = seededRandom(seed);
  const virtual = createVirtualClock(1_700_000_000_000);
  const clock = { nowMs: () => Math.floor(virtual.nowMs()), sleep: virtual.sleep };
  const randomBytes = (bytes: Uint8Array) => bytes.map(() => random.integer(0, 255));
  const objectStore = createMemoryObjectStore({ clock, randomBytes });
  const log = createLog({ objectStore, metadataStore: openSqliteMetadataStore(':memory:'), clock, randomBytes });
  const members: Member[] = [];
  const loops: Promise<void>[] = [];
  const start = async () => {
    const member = new Member(`m${members.length}` as MemberId);
    members.push(member);
    member.take(await log.groups.join({ groupId, memberId: member.memberId, topics: [topic] }));
    loops.push(member.live(log.groups, clock.sleep));
    return member;
  };
  const isWhole = () => {
    const alive = members.filter(({ isAlive }) => isAlive);
    const held = alive.reduce((sum, { partitions }) => sum + partitions.length, 0);
    const shares = alive.map(({ partitions }) => partitions.length);
    return held === partitionCount && Math.max(...shares) - Math.min(...shares) <= 1;
  };
  const waitWhole = async () => {
    const startMs = clock.nowMs();
    while (!isWhole()) await clock.sleep(50);
    return clock.nowMs() - startMs;
  };
  const tookMs = await virtual.run(
    (async () => {
      await log.topics.create({ topic, partitionCount });
      for (let index = 0; index < memberCount; index++) {
        await start();
        await clock.sleep(random.integer(0, 200));
      }
      await waitWhole();
      await clock.sleep(60_000 + random.integer(0, 10_000));
      const first = members[0] as Member;
      if (event === 'joins') await start();
      else first.isAlive = false;
      if (event === 'leaves') await log.groups.leave({ groupId, memberId: first.memberId, isTemporary: false });
      const found = await waitWhole();
      for (const member of members) member.isAlive = false;
      await Promise.all(loops);
      return found;
    })(),
  );
  await log.close();
  return tookMs;
}

class Member {
  readonly memberId: MemberId;
  isAlive = true;
  partitions: readonly number[] = [];
  #topicId: TopicId | undefined;
  #answer: HeartbeatAnswer | undefined;

  constructor(memberId: MemberId) {
    this.memberId = memberId;
  }

  async live(groups: Groups, sleep: (ms: number) => Promise<void>): Promise<void> {
    for (let isNew = false; ; ) {
      const { memberEpoch = 0, heartbeatIntervalMs = 0 } = this.#answer ?? {};
      if (!isNew) await sleep(heartbeatIntervalMs);
      if (!this.isAlive) return;
      const owned = this.#topicId === undefined ? [] : [{ topic, topicId: this.#topicId, partitions: this.partitions }];
      isNew = this.take(await groups.heartbeat({ groupId, memberId: this.memberId, memberEpoch, owned }));
    }
  }

  /** True when something was given up, which the group is to hear of at once. */
  take(answer: HeartbeatAnswer): boolean {
    this.#answer = answer;
    if (answer.assignment === undefined) return false;
    const before = this.partitions;
    const [told] = answer.assignment;
    this.#topicId = told?.topicId ?? this.#topicId;
    this.partitions = told?.partitions ?? [];
    return before.some((partition) => !this.partitions.includes(partition));
  }
}

const seeds = 5;
console.log('| members | partitions | one joins | one leaves | one dies |');
console.log('|---:|---:|---:|---:|---:|');
for (const memberCount of [3, 30, 100]) {
  for (const partitionCount of [12, 300]) {
    const cells: string[] = [];
    for (const event of ['joins', 'leaves', 'dies'] as const) {
      const found: number[] = [];
      for (let seed = 1; seed <= seeds; seed++) found.push(await handOverMs(memberCount, partitionCount, event, seed));
      const seconds = found.toSorted((a, b) => a - b).map((ms) => (ms / 1_000).toFixed(1));
      cells.push(`${seconds[Math.floor(seeds / 2)]} s (${seconds[0]} to ${seconds.at(-1)})`);
    }
    console.log(`| ${memberCount} | ${partitionCount} | ${cells.join(' | ')} |`);
  }
}
