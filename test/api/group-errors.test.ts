/** Every refusal of groups, as its receiver reads it: provoked over HTTP, by code, status, effect and words. */

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { errorTable } from '../../lib/errors.ts';
import {
  commitOffsetsMax,
  groupMembersMax,
  groupsPageMax,
  offsetMetadataBytesMax,
  subscribedTopicsMax,
} from '../../lib/limits.ts';
import type { GroupStore } from '../../lib/store/group-store.ts';
import { groupOf, memberOf, sessionOf } from '../contract/group-store.ts';
import { type GroupLog, openGroupLog, orders } from '../group/group-fixture.ts';
import { systemRandom } from '../log-fixture.ts';
import { DynamoDbDouble } from '../simulation/aws/dynamodb.ts';
import { type Input, openStore } from '../support/dynamodb-double.ts';
import { type Answer, type Door, openApp } from './harness.ts';

const heartbeats = '/v1/groups/billing/heartbeat';
const offsets = '/v1/groups/billing/offsets';
const minuteMs = 60_000;

interface World extends GroupLog {
  readonly beat: (body: object) => Promise<Answer>;
  readonly join: (memberId: string, more?: object) => Promise<Answer>;
  readonly commit: (entries: object | readonly object[], member?: object) => Promise<Answer>;
  readonly reset: (body: object) => Promise<Answer>;
  readonly call: Door['call'];
}

/** A log with the topics orders (2 partitions) and returns (1), and a group billing of the member m1. */
async function openWorld(options: Parameters<typeof openGroupLog>[0] = {}): Promise<World> {
  const opened = await openGroupLog({ topics: { orders: 2, returns: 1 }, ...options });
  const { call } = openApp({ log: opened.log });
  const beat = (body: object) => call('POST', heartbeats, body);
  const join = (memberId: string, more = {}) => beat({ memberId, memberEpoch: 0, topics: ['orders'], ...more });
  const commit = (entries: object | readonly object[], member = {}) =>
    call('POST', offsets, { ...member, offsets: [entries].flat() });
  const reset = (body: object) => call('POST', `${offsets}/reset`, { topic: 'orders', ...body });
  return { ...opened, beat, join, commit, reset, call };
}

const m1 = { memberId: 'm1', memberEpoch: 1 };
const entry = { topic: 'orders', partition: 0, offset: 1 };
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

type Refusal = readonly [what: string, provoke: (world: World) => Promise<Answer>, detail: RegExp | string];

/** By code. The member m1 is alone in the group, at epoch 1, and has both partitions of orders. */
const refusals: Readonly<Record<string, readonly Refusal[]>> = {
  UNKNOWN_MEMBER_ID: [
    [
      'a heartbeat of nobody',
      ({ beat }) => beat({ memberId: 'm9', memberEpoch: 1 }),
      'member m9 is not in group billing, or no longer',
    ],
    [
      'a leave of nobody',
      ({ beat }) => beat({ memberId: 'm9', memberEpoch: -1 }),
      'member m9 is not in group billing, or no longer',
    ],
    [
      'a heartbeat after the session was over',
      async ({ beat, join, clock }) => {
        await join('m2');
        clock.nowMs += minuteMs;
        await join('m3');
        return await beat(m1);
      },
      'member m1 is not in group billing, or no longer',
    ],
    [
      'a commit of nobody',
      ({ commit }) => commit(entry, { memberId: 'm9', memberEpoch: 1 }),
      'member m9 is not in group billing, or no longer',
    ],
    [
      'a commit without a member where there is one',
      ({ commit }) => commit(entry),
      'group billing has 1 member, and only members commit; join it, and send memberId and memberEpoch',
    ],
  ],
  FENCED_MEMBER_EPOCH: [
    [
      'an epoch that the member never had',
      ({ beat }) => beat({ memberId: 'm1', memberEpoch: 7 }),
      'member m1 of group billing is at epoch 1, the heartbeat is of epoch 7',
    ],
    [
      'a heartbeat of a member that left for a while',
      async ({ beat, join }) => {
        await join('m2', { instanceId: 'i2' });
        await beat({ memberId: 'm2', memberEpoch: -2 });
        return await beat({ memberId: 'm2', memberEpoch: 2 });
      },
      'member m2 of group billing left for a while, the heartbeat is of epoch 2',
    ],
    [
      'a member that keeps what it had to give up',
      async ({ beat, join, clock }) => {
        await beat({ ...m1, rebalanceTimeoutMs: 10_000 });
        await join('m2');
        await beat(m1);
        clock.nowMs += 10_001;
        return await beat({ ...m1, owned: [{ topic: 'orders', partitions: [0, 1] }] });
      },
      'member m1 of group billing did not give up its partitions within 10000 ms',
    ],
  ],
  FENCED_INSTANCE_ID: [
    [
      'a heartbeat of an instance that is another member by now',
      async ({ beat, join, clock }) => {
        await join('m2', { instanceId: 'i2' });
        clock.nowMs += minuteMs;
        await join('m3', { instanceId: 'i2' });
        return await beat({ memberId: 'm2', memberEpoch: 2, instanceId: 'i2' });
      },
      'instance i2 of group billing is another member now, not m2',
    ],
  ],
  UNRELEASED_INSTANCE_ID: [
    [
      'a join as an instance that is active',
      async ({ join }) => {
        await join('m2', { instanceId: 'i2' });
        return await join('m3', { instanceId: 'i2' });
      },
      'instance i2 of group billing is member m2, which is still active',
    ],
  ],
  STALE_MEMBER_EPOCH: [
    [
      'a commit of what was never given to it',
      ({ commit }) => commit({ topic: 'returns', partition: 0, offset: 1 }, m1),
      'partition 0 of topic returns is not given to any member, member m1 of group billing commits it at epoch 1',
    ],
    [
      'a commit at an epoch before that at which it was given',
      ({ commit }) => commit(entry, { memberId: 'm1', memberEpoch: 0 }),
      'partition 0 of topic orders was given to it at epoch 1, member m1 of group billing commits it at epoch 0',
    ],
    [
      'a commit of what another member has',
      async ({ beat, join, commit }) => {
        await join('m2');
        await beat(m1);
        await beat({ ...m1, owned: [{ topic: 'orders', partitions: [0] }] });
        await beat({ memberId: 'm2', memberEpoch: 2 });
        return await commit({ ...entry, partition: 1 }, { memberId: 'm1', memberEpoch: 2 });
      },
      'partition 1 of topic orders is given to another member, member m1 of group billing commits it at epoch 2',
    ],
  ],
  NON_EMPTY_GROUP: [
    [
      'a delete',
      ({ call }) => call('DELETE', '/v1/groups/billing'),
      'group billing has 1 member, and can be deleted only when it has none',
    ],
    [
      'a reset',
      async ({ join, reset }) => {
        await join('m2');
        return await reset({ to: 'earliest' });
      },
      'group billing has 2 members, and can be reset only when it has none',
    ],
    [
      'a reset while one is away',
      async ({ beat, join, reset }) => {
        await join('m2', { instanceId: 'i2' });
        await beat({ memberId: 'm2', memberEpoch: -2 });
        return await reset({ to: 'earliest' });
      },
      'group billing has 2 members, 1 of them away, and can be reset only when it has none',
    ],
    [
      'a delete while all are away',
      async ({ beat, join, call }) => {
        await join('m2', { instanceId: 'i2', sessionTimeoutMs: 60_000 });
        await beat({ memberId: 'm2', memberEpoch: -2 });
        await beat({ memberId: 'm1', memberEpoch: -1 });
        return await call('DELETE', '/v1/groups/billing');
      },
      'group billing has 1 member, away until 1970-01-01T00:17:40.000Z, and can be deleted only when it has none',
    ],
  ],
  GROUP_ID_NOT_FOUND: [
    ['a description of nothing', ({ call }) => call('GET', '/v1/groups/audit'), 'group audit does not exist'],
    ['a delete of nothing', ({ call }) => call('DELETE', '/v1/groups/audit'), 'group audit does not exist'],
  ],
  GROUP_MAX_SIZE_REACHED: [
    [
      'one member too many',
      async ({ groupStore, call, clock }) => {
        const groupId = 'crowd' as never;
        const names = numbers(groupMembersMax).map((index) => `m${String(index).padStart(4, '0')}`);
        const group = groupOf({
          groupId,
          members: names.map((name) => memberOf(name)),
          memberCount: names.length,
          emptySince: undefined,
        });
        const puts = names.map((name) => ({
          session: sessionOf(name, { seenAt: clock.nowMs }),
          seenVersion: undefined,
        }));
        await groupStore.changeGroup({ group, seenVersion: undefined, puts, removes: [] });
        return await call('POST', '/v1/groups/crowd/heartbeat', { memberEpoch: 0, topics: ['orders'] });
      },
      'group crowd has 1000 members, and no room for more',
    ],
  ],
  UNSUPPORTED_ASSIGNOR: [
    [
      'a join with one',
      ({ join }) => join('m2', { assignor: 'sticky' }),
      'assignor "sticky" is neither uniform nor range',
    ],
    [
      'a heartbeat with one',
      ({ beat }) => beat({ ...m1, assignor: 'x'.repeat(200) }),
      `assignor "${'x'.repeat(80)}" is neither uniform nor range`,
    ],
  ],
  OFFSET_METADATA_TOO_LARGE: [
    [
      'a commit with it',
      ({ commit }) => commit({ ...entry, metadata: 'x'.repeat(offsetMetadataBytesMax + 1) }, m1),
      'metadata of partition 0 of topic orders has 4097 bytes, 4096 are allowed',
    ],
  ],
  UNKNOWN_TOPIC_ID: [
    [
      'a commit for a topic that was deleted and made again',
      async ({ commit, log }) => {
        const { topicId } = await log.topics.get(orders);
        await log.topics.delete(orders);
        await log.topics.create({ topic: orders, partitionCount: 2 });
        return await commit({ ...entry, topicId }, m1);
      },
      /^topic orders has id [0-9a-f-]{36} now, and not [0-9a-f-]{36}$/,
    ],
  ],
  UNKNOWN_TOPIC_OR_PARTITION: [
    [
      'a commit in a topic that is not there',
      ({ commit }) => commit({ ...entry, topic: 'nope' }, m1),
      'partition 0 of topic nope: the topic does not exist',
    ],
    [
      'a commit in a partition that is not there',
      ({ commit }) => commit({ ...entry, partition: 2 }, m1),
      'partition 2 of topic orders: it has 2 partitions',
    ],
    [
      'a reset in a topic that is not there',
      ({ reset }) => reset({ topic: 'nope', to: 'latest' }),
      'topic nope does not exist',
    ],
    [
      'a reset of a partition that is not there',
      ({ reset }) => reset({ to: 'latest', partitions: [0, 5] }),
      'partition 5 does not exist, topic orders has 2 partitions, from 0 to 1',
    ],
  ],
  INVALID_GROUP_ID: [
    [
      'a character that no path should have',
      ({ call }) => call('GET', '/v1/groups/a%2Fb'),
      /^group id "a\/b" is not allowed; use 1 to 249 of the characters a-z/,
    ],
    [
      'a name that is too long',
      ({ call }) => call('POST', `/v1/groups/${'x'.repeat(250)}/heartbeat`, { memberEpoch: 0, topics: ['orders'] }),
      /^group id "x{80}" of 250 characters is not allowed; use 1 to 249/,
    ],
    ['a page after it', ({ call }) => call('GET', '/v1/groups?after=a%20b'), /^group id "a b" is not allowed/],
  ],
  INVALID_TOPIC_EXCEPTION: [
    [
      'a subscription to it',
      ({ join }) => join('m2', { topics: ['a b'] }),
      /^topic name "a b" is not allowed; use 1 to 249/,
    ],
    ['offsets of it', ({ call }) => call('GET', `${offsets}?topic=a%20b`), /^topic name "a b" is not allowed/],
  ],
  INVALID_REQUEST: [
    ['no epoch', ({ beat }) => beat({ memberId: 'm1' }), /^memberEpoch: it is missing$/],
    [
      'an epoch that means nothing',
      ({ beat }) => beat({ memberId: 'm1', memberEpoch: -3 }),
      /^memberEpoch -3: .*>=-2$/,
    ],
    ['half an epoch', ({ beat }) => beat({ memberId: 'm1', memberEpoch: 1.5 }), /^memberEpoch 1.5: .*expected int/],
    [
      'a heartbeat without a member',
      ({ beat }) => beat({ memberEpoch: 1 }),
      'memberId: a member that has joined names itself',
    ],
    [
      'a member id that is none',
      ({ beat }) => beat({ memberId: 'm 1', memberEpoch: 1 }),
      /^memberId "m 1" is not allowed; use/,
    ],
    [
      'an instance id that is none',
      ({ join }) => join('m2', { instanceId: '/' }),
      /^instanceId "\/" is not allowed; use/,
    ],
    [
      'a join without topics',
      ({ beat }) => beat({ memberId: 'm2', memberEpoch: 0 }),
      'topics: a member that joins names its topics',
    ],
    [
      'a join of one who holds something',
      ({ join }) => join('m2', { owned: [{ topic: 'orders', partitions: [1] }] }),
      'owned: a member that joins holds nothing yet',
    ],
    [
      'a topic id that is none',
      ({ beat }) => beat({ ...m1, owned: [{ topic: 'orders', topicId: 'x', partitions: [] }] }),
      'owned[0].topicId "x": is not a UUID',
    ],
    [
      'a topic id that is too long to be told',
      ({ commit }) => commit({ ...entry, topicId: 'x'.repeat(81) }, m1),
      'offsets[0].topicId of 81 characters: is not a UUID',
    ],
    [
      'a session timeout that is too short',
      ({ join }) => join('m2', { sessionTimeoutMs: 5_999 }),
      /^sessionTimeoutMs 5999: .*>=6000$/,
    ],
    [
      'a session timeout that is too long',
      ({ join }) => join('m2', { sessionTimeoutMs: 1_800_001 }),
      /^sessionTimeoutMs 1800001: .*<=1800000$/,
    ],
    [
      'a rebalance timeout that is too short',
      ({ join }) => join('m2', { rebalanceTimeoutMs: 999 }),
      /^rebalanceTimeoutMs 999: .*>=1000$/,
    ],
    [
      'a rebalance timeout that is too long',
      ({ join }) => join('m2', { rebalanceTimeoutMs: 3_600_001 }),
      /^rebalanceTimeoutMs 3600001: .*<=3600000$/,
    ],
    [
      'more topics than a member may subscribe to',
      ({ join }) => join('m2', { topics: numbers(subscribedTopicsMax + 1).map((index) => `t${index}`) }),
      /^topics of 1001 items: .*<=1000 items$/,
    ],
    ['a key that is not known', ({ join }) => join('m2', { server: 1 }), 'body: unrecognized key: "server"'],
    [
      'a temporary leave of a dynamic member',
      ({ beat }) => beat({ memberId: 'm1', memberEpoch: -2 }),
      'member m1 of group billing has no instance id; only a static member leaves for a while',
    ],
    ['a commit of nothing', ({ commit }) => commit([], m1), /^offsets of 0 items: .*>=1 items$/],
    [
      'a commit of too much',
      ({ commit }) => commit(numbers(commitOffsetsMax + 1).map(() => entry)),
      /^offsets of 10001 items: .*<=10000 items$/,
    ],
    ['a negative offset', ({ commit }) => commit({ ...entry, offset: -1 }, m1), /^offsets\[0\].offset -1: .*>=0$/],
    [
      'a member id without an epoch',
      ({ commit }) => commit(entry, { memberId: 'm1' }),
      'body: gives one of memberId and memberEpoch, which belong together',
    ],
    [
      'an epoch without a member id',
      ({ commit }) => commit(entry, { memberEpoch: 1 }),
      'body: gives one of memberId and memberEpoch, which belong together',
    ],
    // It came back as another character than it was committed with.
    [
      'metadata that is no text',
      ({ commit }) => commit({ ...entry, metadata: 'a\ud800b' }, m1),
      'offsets[0].metadata "a\\ud800b": holds half of a surrogate pair, which has no UTF-8 form',
    ],
    [
      'a commit that names a partition twice',
      ({ commit }) => commit([entry, entry], m1),
      'partition 0 of topic orders is given twice',
    ],
    [
      'a reset that names a partition twice',
      ({ reset }) => reset({ to: 'latest', partitions: [1, 0, 1] }),
      'partition 1 of topic orders is given twice',
    ],
    [
      'a reset to nowhere',
      ({ reset }) => reset({ to: 'middle' }),
      'to "middle": use "earliest", "latest", milliseconds since the Unix epoch, or {"shift":-10}',
    ],
    ['a reset to before all time', ({ reset }) => reset({ to: -1 }), /^to -1: .*>=0$/],
    ['a reset by half a record', ({ reset }) => reset({ to: { shift: 0.5 } }), /^to: use "earliest", .*"shift"/],
    ['a reset to no place', ({ reset }) => reset({}), /^to: use "earliest", .*"shift"/],
    [
      'a reset of no partition',
      ({ reset }) => reset({ to: 'latest', partitions: [] }),
      /^partitions of 0 items: .*>=1 items$/,
    ],
    [
      'a page that is too long',
      ({ call }) => call('GET', `/v1/groups?limit=${groupsPageMax + 1}`),
      /^limit 1001: is not from 1 to 1000$/,
    ],
    [
      'a filter that is not known',
      ({ call }) => call('GET', `${offsets}?topics=orders`),
      'query parameter "topics" is not known here; use topic',
    ],
  ],
};

describe.each(Object.entries(refusals))('%s answers', (code, ofCode) => {
  test.each(ofCode)('%s', async (_, provoke, detail) => {
    const world = await openWorld();
    await world.join('m1');
    const { status, json } = await provoke(world);
    const [number, retriable, ofTable, effect] = errorTable[code as keyof typeof errorTable];
    expect(number).toBeGreaterThan(0);
    const words = typeof detail === 'string' ? detail : expect.stringMatching(detail);
    expect(json).toMatchObject({ code, status: ofTable, retriable, effect, detail: words });
    expect(status).toBe(ofTable);
  });
});

describe('KAFKA_STORAGE_ERROR, which may pass, answers', () => {
  const told = (detail: string, effect = 'none') => ({
    status: 503,
    code: 'KAFKA_STORAGE_ERROR',
    retriable: true,
    effect,
    detail,
  });

  test('a join that meets changes of others time and again', async () => {
    const { join } = await openWorld({
      wrap: (store) => changed(store, { changeGroup: async () => 'conflict' }),
    });
    expect((await join('m1')).json).toMatchObject(
      told('group billing is being changed by others, 12 attempts met a change'),
    );
  });

  test('a join that is never given what it shall have, and is a member all the same', async () => {
    const { join, call } = await openWorld({ wrap: (store) => changed(store, { handOver: async () => 'conflict' }) });
    expect((await join('m1')).json).toMatchObject(
      told('group billing is being changed by others, 12 attempts met a change; the member has joined', 'unknown'),
    );
    expect((await call('GET', '/v1/groups/billing')).json.members).toMatchObject([{ memberId: 'm1' }]);
  });

  test('on DynamoDB a read and a commit that are overtaken time and again', async () => {
    const table = new DynamoDbDouble({ nowMs: () => 0 });
    let isOvertaken = false;
    const { join, call, commit } = await openWorld({
      metadataStore: openStore(table, (operation, input, request) => {
        // Another one commits just before, with a later time.
        const isCommit = operation === 'UpdateItem' && String(input.UpdateExpression).includes('o = :o');
        if (isOvertaken && isCommit) table.request(operation, later(input) as never);
        return request();
      }),
    });
    await join('m1');
    await commit(entry, m1);
    isOvertaken = true;
    expect((await commit(entry, m1)).json).toMatchObject(
      told('partition 0 of group billing is committed by others, 8 attempts were overtaken'),
    );

    // The head is of another version than the members, whenever they are read.
    table.request('UpdateItem', {
      TableName: 'table',
      Key: { pk: { S: 'group/billing' }, sk: { S: 'head' } },
      UpdateExpression: 'SET v = :v',
      ExpressionAttributeValues: { ':v': { N: '99' } },
    } as never);
    expect((await call('GET', '/v1/groups/billing')).json).toMatchObject(
      told('group billing changes all the time, 5 attempts to read it met a change'),
    );
  });
});

test('on DynamoDB members with more topics than an item has room for are refused, and the others stay', async () => {
  const { join, call } = await openWorld({ metadataStore: openStore(new DynamoDbDouble({ nowMs: () => 0 })) });
  const text = () => Buffer.from(systemRandom(new Uint8Array(180))).toString('base64url');
  const topics = () => numbers(subscribedTopicsMax).map(text);
  const answers = [await join('m1', { topics: topics() }), await join('m2', { topics: topics() })];
  answers.push(await join('m3', { topics: topics() }));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 409]);
  expect(answers[2]?.json).toMatchObject({
    code: 'GROUP_MAX_SIZE_REACHED',
    effect: 'none',
    detail: expect.stringMatching(
      /^the members of group billing take \d+ bytes, there is room for 399360; use fewer members or topics$/,
    ),
  });
  expect((await call('GET', '/v1/groups')).json.groups).toMatchObject([{ groupId: 'billing', memberCount: 2 }]);
}, 30_000);

/** A member joins between the first and the second partition of a commit that comes from no member. */
async function openInvaded(): Promise<World> {
  let world: World | undefined;
  const wrap = (store: GroupStore) =>
    changed(store, {
      async commitOffsets(groupId, by, commits, at) {
        if (commits.length < 2) return await store.commitOffsets(groupId, by, commits, at);
        const first = await store.commitOffsets(groupId, by, commits.slice(0, 1), at);
        await world?.join('m1');
        return [...first, ...(await store.commitOffsets(groupId, by, commits.slice(1), at))];
      },
    });
  world = await openWorld({ wrap });
  return world;
}

// Who committed without a member while one joined was told that all was committed; what the member had been given was not.
test('a commit that a member comes into says of each partition what became of it', async () => {
  const world = await openInvaded();
  const { status, json } = await world.commit([entry, { ...entry, partition: 1 }]);
  expect(status).toBe(207);
  expect(json.results).toMatchObject([
    { topic: 'orders', partition: 0 },
    { topic: 'orders', partition: 1, code: 'UNKNOWN_MEMBER_ID', effect: 'none' },
  ]);
  expect(json.results[0]).not.toHaveProperty('code');
  expect((await world.call('GET', offsets)).json.offsets).toMatchObject([{ partition: 0, offset: 1 }]);
});

// A reset did the same; and when it was refused, partitions that were set by then stayed set and the refusal denied it.
test('a reset that a member comes into says that it may have been done in part', async () => {
  const world = await openInvaded();
  const { json } = await world.reset({ to: 'latest' });
  expect(json).toMatchObject({
    status: 409,
    code: 'NON_EMPTY_GROUP',
    effect: 'unknown',
    detail: 'a member joined group billing while it was being reset',
  });
  expect((await world.call('GET', offsets)).json.offsets).toMatchObject([{ partition: 0 }]);
});

test('no code is thrown by groups that is not provoked here', () => {
  const thrown = new Set<string>();
  const root = new URL('../../lib/', import.meta.url);
  const files = ['api/groups.ts', ...['group', 'store'].flatMap((room) => namesIn(room))];
  for (const file of files) {
    const source = readFileSync(new URL(file, root), 'utf8');
    for (const [, code = ''] of source.matchAll(/new LogError\(\s*'([A-Z_]+)'/g)) thrown.add(code);
  }
  expect(thrown.size).toBeGreaterThan(10);
  expect([...thrown].filter((code) => refusals[code] === undefined)).toEqual(['KAFKA_STORAGE_ERROR']);

  function namesIn(room: string): string[] {
    return readdirSync(new URL(`${room}/`, root))
      .filter((name) => name.endsWith('.ts') && (room === 'group' || /^(group|offset-item)/.test(name)))
      .map((name) => `${room}/${name}`);
  }
});

function changed(store: GroupStore, methods: Partial<GroupStore>): GroupStore {
  return new Proxy(store, { get: (target, name) => Reflect.get(methods, name) ?? Reflect.get(target, name) });
}

/** The same commit at a later time. */
function later(input: Input): Input {
  const values = input.ExpressionAttributeValues ?? {};
  const at = { N: String(Number(values[':t']?.N) + 1) };
  return { ...input, ExpressionAttributeValues: { ...values, ':t': at, ':o': { N: '77' } } };
}
