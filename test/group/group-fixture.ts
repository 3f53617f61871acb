/** A log with groups over memory, a clock that the test sets, and consumers that do as they are told. */

import { onTestFinished } from 'vitest';
import { createLog, type OpenLog } from '../../lib/create-log.ts';
import type { GroupId, InstanceId, MemberId } from '../../lib/ids.ts';
import { parseTopicName } from '../../lib/ids.ts';
import type { Groups, HeartbeatAnswer, JoinRequest } from '../../lib/log.ts';
import type { GroupStore } from '../../lib/store/group-store.ts';
import type { MetadataStore } from '../../lib/store/metadata-store.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';
import { systemRandom } from '../log-fixture.ts';

export const billing = 'billing' as GroupId;
export const orders = parseTopicName('orders');
export const returns = parseTopicName('returns');

export interface SetClock {
  nowMs: number;
}

export interface GroupLog {
  readonly log: OpenLog;
  readonly groups: Groups;
  readonly clock: SetClock;
  readonly groupStore: GroupStore;
  /** Names of the calls that the log made to the group store since the last time this was asked. */
  calls(): string[];
}

export async function openGroupLog(
  options: {
    readonly topics?: Readonly<Record<string, number>>;
    readonly metadataStore?: MetadataStore;
    readonly wrap?: (store: GroupStore) => GroupStore;
  } = {},
): Promise<GroupLog> {
  const clock = { nowMs: 1_000_000 };
  const given = options.metadataStore ?? openSqliteMetadataStore(':memory:');
  if (given.groupStore === undefined) throw new Error('the store keeps groups');
  const made: string[] = [];
  const { groupStore } = given;
  const counted = new Proxy(groupStore, {
    get(target, name) {
      const member = Reflect.get(target, name);
      return (...args: unknown[]) => {
        made.push(String(name));
        return member.apply(target, args);
      };
    },
  });
  const metadataStore = { ...given, groupStore: options.wrap?.(counted) ?? counted };
  const logClock = { nowMs: () => clock.nowMs, sleep: async () => {} };
  const objectStore = createMemoryObjectStore({ clock: logClock, randomBytes: systemRandom });
  const log = createLog({ objectStore, metadataStore, clock: logClock, randomBytes: systemRandom });
  onTestFinished(() => log.close());
  for (const [topic, partitionCount] of Object.entries(options.topics ?? { orders: 6 })) {
    await log.topics.create({ topic: parseTopicName(topic), partitionCount });
  }
  return { log, groups: log.groups, clock, groupStore, calls: () => made.splice(0) };
}

/** One consumer of a group: what it holds it says as `topic/partition`. */
export class TestConsumer {
  readonly memberId: MemberId;
  memberEpoch = 0;
  /** Told to hold, and what it still holds beyond that. */
  told: string[] = [];
  holds: string[] = [];
  last: HeartbeatAnswer | undefined;
  readonly #groups: Groups;
  readonly #request: JoinRequest;
  readonly #topicIds = new Map<string, string>();

  constructor(groups: Groups, memberId: string, request: Partial<JoinRequest> & { instanceId?: InstanceId } = {}) {
    this.#groups = groups;
    this.memberId = memberId as MemberId;
    this.#request = { groupId: billing, topics: [orders], ...request, memberId: this.memberId };
  }

  async join(): Promise<this> {
    this.holds = [];
    this.#take(await this.#groups.join(this.#request));
    return this;
  }

  /** Says what it holds, and lets go at once of what it is told to unless `slow`. */
  async heartbeat(options: { readonly slow?: boolean; readonly says?: boolean } = {}): Promise<HeartbeatAnswer> {
    const { groupId, instanceId } = this.#request;
    const answer = await this.#groups.heartbeat({
      groupId,
      memberId: this.memberId,
      memberEpoch: this.memberEpoch,
      ...(instanceId === undefined ? {} : { instanceId }),
      ...(options.says === false ? {} : { owned: this.owned() }),
    });
    this.#take(answer);
    if (options.slow !== true) this.letGo();
    return answer;
  }

  owned() {
    return [...this.#topicIds].map(([topic, topicId]) => ({
      topic: parseTopicName(topic),
      topicId: topicId as never,
      partitions: this.holds.filter((one) => one.startsWith(`${topic}/`)).map((one) => Number(one.split('/')[1])),
    }));
  }

  letGo(): void {
    this.holds = this.holds.filter((one) => this.told.includes(one));
  }

  async leave(isTemporary = false): Promise<void> {
    await this.#groups.leave({ groupId: this.#request.groupId, memberId: this.memberId, isTemporary });
    this.holds = [];
    this.told = [];
  }

  async commit(...offsets: [place: string, offset: number][]) {
    const results = await this.#groups.commitOffsets({
      groupId: this.#request.groupId,
      member: { memberId: this.memberId, memberEpoch: this.memberEpoch },
      offsets: offsets.map(([place, offset]) => {
        const [topic, partition] = place.split('/');
        return { topic: parseTopicName(topic), partition: Number(partition), offset };
      }),
    });
    return results.map(({ error }) => error?.code ?? 'committed');
  }

  #take(answer: HeartbeatAnswer): void {
    this.last = answer;
    this.memberEpoch = answer.memberEpoch;
    if (answer.assignment === undefined) return;
    this.told = answer.assignment.flatMap(({ topic, topicId, partitions }) => {
      this.#topicIds.set(topic, topicId);
      return partitions.map((partition) => `${topic}/${partition}`);
    });
    this.holds = [...new Set([...this.holds, ...this.told])].sort();
  }
}

/** Rounds of one heartbeat each until nobody is told anything new; 10 at most. */
export async function settle(...consumers: readonly TestConsumer[]): Promise<number> {
  for (let round = 1; round <= 10; round++) {
    const before = JSON.stringify(consumers.map(({ holds, memberEpoch }) => [holds, memberEpoch]));
    for (const consumer of consumers) await consumer.heartbeat();
    if (JSON.stringify(consumers.map(({ holds, memberEpoch }) => [holds, memberEpoch])) === before) return round - 1;
  }
  throw new Error('the group does not settle');
}
