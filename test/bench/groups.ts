/**
 * What groups cost on DynamoDB, and how long a hand-over takes: `node test/bench/groups.ts`.
 *
 * Units are those that the emulator reports, prices those of AWS (us-east-1, on demand, 2026): $0.625 per million write
 * units, $0.125 per million read units. Time goes by itself: 5 s from heartbeat to heartbeat.
 */

import { systemClock } from '../../lib/clock.ts';
import { createLog } from '../../lib/create-log.ts';
import type { GroupId, MemberId, TopicId } from '../../lib/ids.ts';
import { parseTopicName } from '../../lib/ids.ts';
import type { HeartbeatAnswer } from '../../lib/log.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';
import type { StoreRequest } from '../../lib/store/store-request.ts';
import { createTable, dynamoDbMissing, startDynoxide } from '../support/dynoxide.ts';

export interface Spent {
  readonly requests: number;
  readonly writeUnits: number;
  readonly readUnits: number;
}

const topic = parseTopicName('orders');
const groupId = 'billing' as GroupId;
const randomBytes = (bytes: Uint8Array) => crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);

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
        const member = new GroupMember(crypto.randomUUID() as MemberId);
        members.push(member);
        member.take(await log.groups.join({ groupId, memberId: member.memberId, topics: [topic] }));
      }
    },
    async round() {
      for (const member of members) {
        const { memberId, memberEpoch } = member;
        member.take(await log.groups.heartbeat({ groupId, memberId, memberEpoch, ...member.owned() }));
      }
    },
    async leave(member: GroupMember) {
      members.splice(members.indexOf(member), 1);
      await log.groups.leave({ groupId, memberId: member.memberId, isTemporary: false });
    },
    /** Rounds until every partition is held and all are at one epoch. */
    async settle(): Promise<number> {
      for (let rounds = 0; rounds <= 20; rounds++) {
        const held = members.reduce((sum, member) => sum + member.partitionCount, 0);
        const epochs = new Set(members.map(({ memberEpoch }) => memberEpoch));
        if (held === partitionCount && epochs.size === 1) return rounds;
        await this.round();
      }
      throw new Error('the group does not settle');
    },
  };
}

class GroupMember {
  readonly memberId: MemberId;
  memberEpoch = 0;
  #holds = new Map<TopicId, readonly number[]>();
  #hasChanged = false;

  constructor(memberId: MemberId) {
    this.memberId = memberId;
  }

  take({ memberEpoch, assignment }: HeartbeatAnswer): void {
    this.memberEpoch = memberEpoch;
    this.#hasChanged = assignment !== undefined;
    if (assignment !== undefined)
      this.#holds = new Map(assignment.map(({ topicId, partitions }) => [topicId, partitions]));
  }

  get partitionCount(): number {
    return [...this.#holds.values()].reduce((sum, { length }) => sum + length, 0);
  }

  owned() {
    if (!this.#hasChanged) return {};
    return { owned: [...this.#holds].map(([topicId, partitions]) => ({ topic, topicId, partitions })) };
  }
}

export function dollarsOf({ writeUnits, readUnits }: Spent): number {
  return (writeUnits * 0.625 + readUnits * 0.125) / 1e6;
}

async function main(): Promise<void> {
  if (dynamoDbMissing !== undefined) throw new Error(`no DynamoDB${dynamoDbMissing}`);
  const dynamoDb = await startDynoxide();
  try {
    console.log(
      '| members | partitions | write units, read units a quiet heartbeat | $ an hour | join: rounds, units | leave | death |',
    );
    console.log('|---:|---:|---:|---:|---:|---:|---:|');
    for (const memberCount of [3, 30, 100]) {
      for (const partitionCount of [12, 300]) {
        const group = await openGroup(dynamoDb, partitionCount);
        await group.join(memberCount);
        await group.settle();
        group.take();
        const rounds = 24;
        for (let round = 0; round < rounds; round++) {
          group.clock.atMs += 5_000;
          await group.round();
        }
        const quiet = group.take();
        const heartbeats = rounds * memberCount;
        const measure = async (change: () => Promise<void>) => {
          await change();
          const settled = await group.settle();
          const { writeUnits, readUnits } = group.take();
          return `${settled}, ${Math.round(writeUnits)}w ${Math.round(readUnits)}r`;
        };
        const joined = await measure(() => group.join(1));
        const left = await measure(async () => group.leave(group.members[0] as GroupMember));
        const died = await measure(async () => {
          group.members.shift();
          group.clock.atMs += 40_000;
          await group.round();
          group.clock.atMs += 6_000;
          group.take();
        });
        console.log(
          `| ${memberCount} | ${partitionCount} | ${(quiet.writeUnits / heartbeats).toFixed(3)}, ${(quiet.readUnits / heartbeats).toFixed(3)} | ${(dollarsOf(quiet) * (720 / rounds)).toFixed(5)} | ${joined} | ${left} | ${died} |`,
        );
        await group.log.close();
      }
    }
  } finally {
    await dynamoDb.close();
  }
}

if (import.meta.main) await main();
