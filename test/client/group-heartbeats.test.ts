/** What keeps a member in its group, and what does not: slow lists, lost answers, clocks that step, an end while it joins. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import type { GroupHandOver } from '../../lib/client/group-hand-over.ts';
import { GroupHeartbeats } from '../../lib/client/group-heartbeats.ts';
import { GroupMember } from '../../lib/client/group-member.ts';
import { HeldPartitions } from '../../lib/client/held-partitions.ts';
import { LogError } from '../../lib/client/index.ts';
import { makeTransport } from '../../lib/client/transport.ts';
import { systemRandomBytes } from '../../lib/clock.ts';
import { bodyOf, clock, openGroupWorld, until } from './group-fixture.ts';

const down = () => new LogError('KAFKA_STORAGE_ERROR', 'down for the test', { effect: 'none' });
const isHeartbeat = ({ path }: { readonly path: string }) => path.endsWith('/heartbeat');

describe('a member by pattern', () => {
  // Each heartbeat waited for the list of topics once a minute. While that was slow or failed none was sent, and the session
  // ended.
  test.each(['hangs', 'fails'])('stays one while the list of topics %s', async (how) => {
    const world = await openGroupWorld('direct');
    await world.fill('orders', 1, 1);
    let isBad = false;
    let asked = 0;
    const { client, sent } = world.openClient({
      through: async (request, log) => {
        if (!isBad || request.path !== '/v1/topics') return await log(request);
        asked += 1;
        if (how === 'hangs') await clock.sleep(25_000, request.signal);
        throw down();
      },
    });
    const lost: unknown[] = [];
    const options = { group: 'billing', sessionTimeoutMs: 12_000 };
    const consumer = client.consumer(/^ord/, { ...options, onLost: (_, reason) => void lost.push(reason) });
    const done = consumer.each(() => {});
    await until(() => consumer.assignment.length === 1, 'it has its partition');
    isBad = true;
    await until(() => asked > 0, 'the list is read again');
    const { length } = sent.filter(isHeartbeat);
    await clock.sleep(20_000);
    expect(sent.filter(isHeartbeat).length - length).toBeGreaterThan(2);
    expect(lost).toEqual([]);
    expect(consumer.assignment.length).toBe(1);
    await consumer.close();
    await done;
  });

  // What it lost made the next heartbeat due at once, and only a heartbeat that was sent made it due no longer.
  test('asks no more often than others where nothing can be reached', async () => {
    const world = await openGroupWorld('direct');
    await world.fill('orders', 1, 1);
    let isDown = false;
    let requests = 0;
    const { client } = world.openClient({
      through: async (request, log) => {
        if (!isDown) return await log(request);
        requests += 1;
        throw down();
      },
    });
    const lost: unknown[] = [];
    const options = { group: 'billing', sessionTimeoutMs: 6_000 };
    const consumer = client.consumer(/^ord/, { ...options, onLost: () => void lost.push('all') });
    const done = consumer.each(() => {});
    await until(() => consumer.assignment.length === 1, 'it has its partition');
    // By then the list of topics is to be read again.
    await clock.sleep(55_000);
    isDown = true;
    await until(() => lost.length > 0, 'its session is over');
    requests = 0;
    await clock.sleep(40_000);
    expect(requests).toBeGreaterThan(5);
    expect(requests).toBeLessThan(200);
    isDown = false;
    await until(() => consumer.assignment.length === 1, 'it is back');
    await consumer.close();
    await done;
  });
});

// The join was carried out after its consumer had gone: the log had a member that nobody was, for as long as a session.
test('who closes while it joins leaves no member behind', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 1);
  let joins = 0;
  const { client } = world.openClient({
    through: async (request, log) => {
      if (!isHeartbeat(request) || bodyOf(request).memberEpoch !== 0) return await log(request);
      joins += 1;
      const { signal, ...rest } = request;
      // The request arrives, whether or not somebody waits for its answer.
      const arrived = clock.sleep(2_000).then(() => log(rest));
      arrived.catch(() => {});
      const aborted = new Promise<never>((_, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      return await Promise.race([arrived, aborted]);
    },
  });
  const consumer = client.consumer('orders', { group: 'billing' });
  const done = consumer.each(() => {});
  await until(() => joins > 0, 'it joins');
  await consumer.close();
  await done;
  await clock.sleep(5_000);
  expect((await world.openClient().client.admin.describeGroup('billing')).members).toEqual([]);
});

// A heartbeat was waited for as long as a third of the session, and nobody looked at the handlers meanwhile.
test('a handler that hangs is found while a heartbeat has no answer, and none is waited for beyond 30 s', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 1);
  let hangs = false;
  const { client, sent } = world.openClient({
    through: async (request, log) => {
      if (!hangs || !isHeartbeat(request) || bodyOf(request).memberEpoch === -1) return await log(request);
      await clock.sleep(request.timeoutMs, request.signal);
      throw new LogError('REQUEST_TIMED_OUT', 'no answer');
    },
  });
  const options = { group: 'billing', sessionTimeoutMs: 15 * 60_000, processingTimeoutMs: 10_000 };
  let hangsSinceMs = 0;
  const done = client.consumer('orders', options).each(async () => {
    hangs = true;
    hangsSinceMs = clock.nowMs();
    await new Promise(() => {});
  });
  await expect(done).rejects.toMatchObject({
    code: 'REQUEST_TIMED_OUT',
    message: expect.stringMatching(/its handler/),
  });
  expect(clock.nowMs() - hangsSinceMs).toBeLessThan(100_000);
  expect(Math.max(...sent.filter(isHeartbeat).map(({ timeoutMs }) => timeoutMs))).toBe(30_000);
});

// It counted heartbeats, and who waits for others to give something up is told to send one each second.
test('who does not follow waits for what a busy member gives up after several seconds', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 2, 40);
  const busy = world.openClient().client.consumer('orders', { group: 'billing', concurrency: 2 });
  let count = 0;
  const busyDone = busy.each(async () => {
    count += 1;
    await clock.sleep(8_000);
  });
  await until(() => count >= 2, 'the first is at work');
  const values: unknown[] = [];
  const second = world.openClient().client.consumer('orders', { group: 'billing', follow: false });
  await second.each(({ valueText }) => void values.push(valueText));
  expect(values.length).toBeGreaterThan(10);
  await busy.close();
  await busyDone;
});

test('a clock that steps back by ten minutes keeps no heartbeat waiting', async () => {
  const world = await openGroupWorld('direct');
  await world.fill('orders', 1, 1);
  let backMs = 0;
  const stepping = { nowMs: () => clock.nowMs() - backMs, sleep: clock.sleep };
  const { client, sent } = world.openClient({ clock: stepping });
  const consumer = client.consumer('orders', { group: 'billing' });
  const done = consumer.each(() => {});
  await until(() => consumer.assignment.length === 1, 'it has its partition');
  backMs = 600_000;
  const { length } = sent.filter(isHeartbeat);
  await clock.sleep(30_000);
  expect(sent.filter(isHeartbeat).length - length).toBeGreaterThan(3);
  await consumer.close();
  await done;
});

// Each wait between two heartbeats left something behind at a promise that is seldom resolved: 500 bytes every 5 s.
test('heartbeats leave nothing behind in memory', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const leaving = new AbortController();
  let beats = 0;
  let nowMs = 0;
  const body = Buffer.from(JSON.stringify({ memberId: 'm', memberEpoch: 3, heartbeatIntervalMs: 5_000 }));
  const send = async () => {
    beats += 1;
    return { status: 200, header: () => undefined, body };
  };
  const deps = {
    transport: makeTransport('the test', send, async () => {}),
    clock: {
      nowMs: () => nowMs,
      sleep: async (ms: number) => {
        await new Promise((resolve) => setImmediate(resolve));
        nowMs += ms;
      },
    },
    randomBytes: systemRandomBytes,
    closing: leaving.signal,
    busy: new Set<never>(),
  };
  const options = { group: 'billing' };
  const member = new GroupMember(deps, options);
  const held = new HeldPartitions(() => {});
  const parts = { ...deps, options, member, held, stopped: leaving.signal, leaving: leaving.signal, fail: () => {} };
  const handOver = { follow: () => {}, lose: () => {} } as unknown as GroupHandOver;
  const running = new GroupHeartbeats(parts, 'orders', handOver).run();
  const heapBytesAfter = async (count: number) => {
    while (beats < count) await new Promise((resolve) => setTimeout(resolve, 10));
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = await heapBytesAfter(4_000);
  const grown = (await heapBytesAfter(16_000)) - before;
  leaving.abort();
  await running;
  expect(grown / 12_000).toBeLessThan(100);
}, 20_000);
