/**
 * What groups cost on DynamoDB, and how long a hand-over takes: `node test/bench/groups.ts`.
 *
 * Units are those that the emulator reports, prices those of `prices.json`; a request by HTTP is one of
 * the REST API and an invocation, whose duration comes on top. Time is virtual:
 * members send as often as they are told to, spread evenly, give up at once what they are told to give up, and requests
 * take no time. So a figure is what the protocol needs, and what a handler and the network take comes on top.
 */

import { createHash } from 'node:crypto';
import { randomUuid, systemClock } from '../../lib/clock.ts';
import { createLog } from '../../lib/create-log.ts';
import type { GroupId, MemberId, TopicId } from '../../lib/ids.ts';
import { parseTopicName } from '../../lib/ids.ts';
import { heartbeatIntervalMsMax, sessionTimeoutMsDefault } from '../../lib/limits.ts';
import type { HeartbeatAnswer } from '../../lib/log.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';
import type { StoreRequest } from '../../lib/store/store-request.ts';
import { createTable, dynamoDbMissing, startDynoxide } from '../support/dynoxide.ts';
import { prices } from './cost.ts';

export interface Spent {
  readonly requests: number;
  readonly writeUnits: number;
  readonly readUnits: number;
}

const topic = parseTopicName('orders');
const groupId = 'billing' as GroupId;
const randomBytes = (bytes: Uint8Array) => crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);

/** Spread as those of clients are, and the same in every run: who is given what depends on their order. */
function nthMemberId(n: number): MemberId {
  return randomUuid((bytes) => {
    bytes.set(createHash('sha256').update(String(n)).digest().subarray(0, bytes.length));
    return bytes;
  }) as MemberId;
}

/** Members that do as they are told at once; `round` is one heartbeat of each. */
export async function openGroup(endpoint: { client: Parameters<typeof createTable>[0] }, partitionCount: number) {
  const clock = { atMs: 1_700_000_000_000 };
  let spent: Spent = { requests: 0, writeUnits: 0, readUnits: 0 };
  const onRequest = ({ writeUnits, readUnits }: StoreRequest) => {
    spent = {
      requests: spent.requests + 1,
      writeUnits: spent.writeUnits + writeUnits,
      readUnits: spent.readUnits + readUnits,
    };
  };
  const logClock = {
    nowMs: () => clock.atMs,
    sleep: async (ms: number) => new Promise<void>((r) => setTimeout(r, Math.min(ms, 20))),
  };
  const table = await createTable(endpoint.client);
  const metadataStore = openDynamoDbMetadataStore({
    table,
    client: endpoint.client,
    clock: systemClock,
    randomBytes,
    onRequest,
  });
  const objectStore = createMemoryObjectStore({ clock: logClock, randomBytes });
  const log = createLog({ objectStore, metadataStore, clock: logClock, randomBytes });
  await log.topics.create({ topic, partitionCount });
  const members: GroupMember[] = [];
  let joined = 0;
  return {
    log,
    clock,
    members,
    /** What was spent since it was last asked. */
    take(): Spent {
      const taken = spent;
      spent = { requests: 0, writeUnits: 0, readUnits: 0 };
      return taken;
    },
    async join(count: number) {
      for (let index = 0; index < count; index++) {
        const member = new GroupMember(nthMemberId(joined++));
        members.push(member);
        member.take(await log.groups.join({ groupId, memberId: member.memberId, topics: [topic] }), clock.atMs);
      }
    },
    async beat(member: GroupMember) {
      const { memberId, memberEpoch } = member;
      const answer = await log.groups.heartbeat({ groupId, memberId, memberEpoch, ...member.owned() });
      member.take(answer, clock.atMs);
    },
    async round() {
      for (const member of members) await this.beat(member);
    },
    async leave(member: GroupMember) {
      members.splice(members.indexOf(member), 1);
      await log.groups.leave({ groupId, memberId: member.memberId, isTemporary: false });
    },
    /** Every partition is held, and all members are at one epoch. */
    isSettled(): boolean {
      const held = members.reduce((sum, member) => sum + member.partitionCount, 0);
      return held === partitionCount && new Set(members.map(({ memberEpoch }) => memberEpoch)).size === 1;
    },
    /** Gives the rounds it took. */
    async settle(): Promise<number> {
      for (let rounds = 0; rounds <= 20; rounds++) {
        if (this.isSettled()) return rounds;
        await this.round();
      }
      throw new Error('the group does not settle');
    },
  };
}

class GroupMember {
  readonly memberId: MemberId;
  memberEpoch = 0;
  /** When it sends its next heartbeat. */
  dueAtMs = 0;
  #holds = new Map<TopicId, readonly number[]>();
  #hasChanged = false;

  constructor(memberId: MemberId) {
    this.memberId = memberId;
  }

  take({ memberEpoch, assignment, heartbeatIntervalMs }: HeartbeatAnswer, nowMs: number): void {
    const heldBefore = this.#holds;
    this.memberEpoch = memberEpoch;
    this.#hasChanged = assignment !== undefined;
    this.dueAtMs = nowMs + heartbeatIntervalMs;
    if (assignment === undefined) return;
    this.#holds = new Map(assignment.map(({ topicId, partitions }) => [topicId, partitions]));
    const keeps = (topicId: TopicId, partition: number) => this.#holds.get(topicId)?.includes(partition) === true;
    const hasLost = [...heldBefore].some(([topicId, partitions]) => partitions.some((one) => !keeps(topicId, one)));
    // Others wait for what it gives up.
    if (hasLost) this.dueAtMs = nowMs;
  }

  get partitionCount(): number {
    return [...this.#holds.values()].reduce((sum, { length }) => sum + length, 0);
  }

  owned() {
    if (!this.#hasChanged) return {};
    return { owned: [...this.#holds].map(([topicId, partitions]) => ({ topic, topicId, partitions })) };
  }
}

const { usdPerMillion } = prices;

export function dollarsOf({ writeUnits, readUnits }: Spent): number {
  return (writeUnits * usdPerMillion.writeUnit + readUnits * usdPerMillion.readUnit) / 1e6;
}

type OpenGroup = Awaited<ReturnType<typeof openGroup>>;

export interface HandOver {
  /** From the change until every partition is held by one member again, all at one epoch. */
  readonly tookMs: number;
  /** Of all members, from when the change could be seen; so are the units. */
  readonly heartbeats: number;
  /** Of the member that sent most of them, the newcomer apart: it asks each second whether it is given anything. */
  readonly heartbeatsMax: number;
  readonly ofNewcomer: number;
  readonly spent: Spent;
}

interface Change {
  /** It can be seen from so long after it on. @default 0 */
  readonly seenFromMs?: number;
  readonly newcomer?: GroupMember | undefined;
}

/** Lets the members of a group send until it is settled. */
export async function handOver(group: OpenGroup, { seenFromMs = 0, newcomer }: Change = {}): Promise<HandOver> {
  const startMs = group.clock.atMs;
  const sent = new Map<GroupMember, number>();
  while (!group.isSettled()) {
    const next = group.members.reduce((one, other) => (other.dueAtMs < one.dueAtMs ? other : one));
    group.clock.atMs = Math.max(group.clock.atMs, next.dueAtMs);
    if (group.clock.atMs - startMs > 120_000) throw new Error('the group does not settle');
    if (group.clock.atMs - startMs > seenFromMs) {
      // What was spent before was for being alive.
      if (seenFromMs > 0 && sent.size === 0) group.take();
      sent.set(next, (sent.get(next) ?? 0) + 1);
    }
    await group.beat(next);
  }
  const ofNewcomer = newcomer === undefined ? 0 : (sent.get(newcomer) ?? 0);
  if (newcomer !== undefined) sent.delete(newcomer);
  const heartbeats = ofNewcomer + [...sent.values()].reduce((sum, count) => sum + count, 0);
  const heartbeatsMax = Math.max(0, ...sent.values());
  return { tookMs: group.clock.atMs - startMs, heartbeats, heartbeatsMax, ofNewcomer, spent: group.take() };
}

/** Each member sends once in the next 5 s, at a time of its own. */
export function spreadHeartbeats({ clock, members }: OpenGroup): void {
  for (const [index, member] of members.entries()) {
    member.dueAtMs = clock.atMs + Math.round(((index + 1) * heartbeatIntervalMsMax) / members.length);
  }
}

interface Measured {
  readonly quiet: Spent;
  readonly heartbeats: number;
  readonly handOvers: Readonly<Record<'leave' | 'death' | 'join', HandOver>>;
}

/** `rounds` quiet heartbeats of each, then one member leaves, one joins and one dies. */
export async function measure(group: OpenGroup, memberCount: number, rounds: number): Promise<Measured> {
  await group.join(memberCount);
  await group.settle();
  group.take();
  for (let round = 0; round < rounds; round++) {
    group.clock.atMs += heartbeatIntervalMsMax;
    await group.round();
  }
  const quiet = group.take();

  const after = async (make: () => Promise<Change>) => {
    spreadHeartbeats(group);
    const took = await handOver(group, await make());
    // At rest again before the next change.
    await group.round();
    group.take();
    return took;
  };
  const leave = await after(async () => {
    await group.leave(group.members[0] as GroupMember);
    return {};
  });
  const join = await after(async () => {
    await group.join(1);
    return { newcomer: group.members.at(-1) };
  });
  const death = await after(async () => {
    const [dead] = group.members.splice(0, 1);
    // Its last one.
    if (dead !== undefined) await group.beat(dead);
    return { seenFromMs: sessionTimeoutMsDefault };
  });
  return { quiet, heartbeats: rounds * memberCount, handOvers: { leave, death, join } };
}

async function main(): Promise<void> {
  if (dynamoDbMissing !== undefined) throw new Error(`no DynamoDB${dynamoDbMissing}`);
  const dynamoDb = await startDynoxide();
  const costs: string[] = [];
  const times: string[] = [];
  try {
    for (const memberCount of [3, 30, 100]) {
      for (const partitionCount of [12, 300]) {
        const group = await openGroup(dynamoDb, partitionCount);
        const { quiet, heartbeats, handOvers } = await measure(group, memberCount, 24);
        await group.log.close();
        const perHour = (memberCount * 3_600_000) / heartbeatIntervalMsMax;
        const share = perHour / heartbeats;
        const requests = (perHour * (usdPerMillion.apiRequest + usdPerMillion.invocation)) / 1e6;
        costs.push(
          row(
            memberCount,
            partitionCount,
            (quiet.writeUnits / heartbeats).toFixed(2),
            (quiet.readUnits / heartbeats).toFixed(2),
            Math.round(quiet.writeUnits * share).toLocaleString('en'),
            Math.round(quiet.readUnits * share).toLocaleString('en'),
            `$${(dollarsOf(quiet) * share).toFixed(4)}`,
            `$${requests.toFixed(4)}`,
          ),
        );
        for (const [change, { tookMs, heartbeats: all, heartbeatsMax, ofNewcomer, spent }] of Object.entries(
          handOvers,
        )) {
          const newcomers = change === 'join' ? ofNewcomer : '';
          const cells = [(tookMs / 1000).toFixed(1), all, heartbeatsMax, newcomers, Math.round(spent.writeUnits)];
          times.push(row(change, memberCount, partitionCount, ...cells));
        }
      }
    }
  } finally {
    await dynamoDb.close();
  }
  console.log(
    [
      '| members | partitions | write units a heartbeat | read units a heartbeat | write units an hour | read units an hour | DynamoDB an hour | requests by HTTP an hour |',
      '|---:|---:|---:|---:|---:|---:|---:|---:|',
      ...costs,
      '',
      '| change | members | partitions | s until settled | heartbeats | at most of one | of the newcomer | write units |',
      '|---|---:|---:|---:|---:|---:|---:|---:|',
      ...['leave', 'death', 'join'].flatMap((change) => times.filter((line) => line.startsWith(`| ${change} `))),
    ].join('\n'),
  );
}

const row = (...cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;

if (import.meta.main) await main();
