import { expect, test } from 'vitest';
import { routes } from '../../lib/api/routes.ts';
import { parseTopicName } from '../../lib/ids.ts';
import { batchOf } from '../api/harness.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import { openMemoryFunctions, readEvent } from './memory-function.ts';

const topic = parseTopicName('orders');
const fetchPath = '/v1/topics/orders/partitions/0/records';

test('each function answers its own routes and refuses the others, and together they answer all', async () => {
  await using functions = openMemoryFunctions();
  for (const { api, method, path } of routes) {
    const names = { ':topic': 'orders', ':partition': '0', ':group': 'billing' };
    const event = { method, path: path.replaceAll(/:\w+/g, (name) => names[name as keyof typeof names]) };
    const answers = await Promise.all(
      (['produce', 'fetch', 'topics', 'group'] as const).map(async (name) => {
        await using own = openMemoryFunctions(() => functions.log);
        return await own.invoke(name, event);
      }),
    );
    const refused = answers.filter(({ status }) => status === 421);
    // Who may produce or fetch must learn of the partitions, and by invoke may call no other function.
    expect(refused, api).toHaveLength(api === 'describeTopic' ? 1 : 3);
    for (const { body } of refused) {
      expect(JSON.parse(body)).toMatchObject({ code: 'INVALID_REQUEST', effect: 'none' });
      expect(JSON.parse(body).detail).toMatch(new RegExp(`^${api} is not answered by this function, only \\w+`));
    }
  }
});

test('the produce function does not delete a topic, whatever the form of the event', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic });
  const rest = { httpMethod: 'DELETE', path: '/v1/topics/orders', resource: '/v1/topics/{topic}' };
  expect((await functions.invoke('produce', rest)).statusCode).toBe(421);
  expect((await functions.invoke('produce', { method: 'DELETE', path: '/v1/topics/orders' })).status).toBe(421);
  await expect(functions.invoke('produce', readEvent('plain-delete'))).rejects.toMatchObject({
    name: 'INVALID_REQUEST',
  });
  await expect(functions.invoke('produce', readEvent('cloudformation-delete'))).rejects.toMatchObject({
    name: 'INVALID_REQUEST',
  });
  expect((await functions.log.topics.describe(topic)).topic).toBe('orders');
});

test('a long poll ends while there is time to answer', async () => {
  const clock = createVirtualClock();
  await using functions = openMemoryFunctions(undefined, clock);
  await functions.log.topics.create({ topic });
  const event = { method: 'GET', path: fetchPath, query: { maxWaitMs: '30000', offset: '0' } };
  const answer = await clock.run(functions.invoke('fetch', event, 28_000));
  expect(answer.status).toBe(200);
  expect(JSON.parse(answer.body)).toMatchObject({ records: [], nextOffset: 0 });
  // 500 ms are kept for the answer, and 1,200 ms for reading what was found.
  expect(clock.nowMs()).toBe(26_300);
});

test('a long poll answers as soon as something comes', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic });
  const event = { method: 'GET', path: fetchPath, query: { maxWaitMs: '30000', offset: '0' } };
  const answer = functions.invoke('fetch', event);
  await functions.log.produce({ topic, batches: [{ partition: 0, batch: batchOf(['a']) }] });
  expect(JSON.parse((await answer).body).records).toHaveLength(1);
});

test('an invoke with hardly any time left does not wait at all', async () => {
  const clock = createVirtualClock();
  await using functions = openMemoryFunctions(undefined, clock);
  await functions.log.topics.create({ topic });
  const event = { method: 'GET', path: fetchPath, query: { maxWaitMs: '30000', offset: '0' } };
  expect((await clock.run(functions.invoke('fetch', event, 800))).status).toBe(200);
  expect(clock.nowMs()).toBe(0);
});

test('a log that does not answer in time is told before Lambda would end the function', async () => {
  const never = () => new Promise<never>(() => {});
  await using functions = openMemoryFunctions((log) => ({ ...log, produce: never, fetch: never }));
  await functions.log.topics.create({ topic });
  const produced = await functions.invoke('produce', readEvent('request-produce'), 500);
  expect(produced.status).toBe(504);
  expect(JSON.parse(produced.body)).toMatchObject({ code: 'REQUEST_TIMED_OUT', effect: 'unknown', retriable: true });
  const fetched = await functions.invoke('fetch', { method: 'GET', path: fetchPath }, 500);
  expect(JSON.parse(fetched.body)).toMatchObject({ code: 'REQUEST_TIMED_OUT', effect: 'none' });
  await expect(functions.invoke('produce', readEvent('plain-produce'), 500)).rejects.toMatchObject({
    name: 'REQUEST_TIMED_OUT',
    message: expect.stringContaining('effect: unknown'),
  });
});

// Whatever ended in `/fetch` counted as a read: a delete that ran out of time was told to have had no effect.
test('a topic or a group that is called fetch is changed as any other is', async () => {
  const never = () => new Promise<never>(() => {});
  await using functions = openMemoryFunctions((log) => ({
    ...log,
    topics: { ...log.topics, delete: never },
    groups: { ...log.groups, delete: never },
  }));
  for (const [name, path] of [
    ['topics', '/v1/topics/fetch'],
    ['group', '/v1/groups/fetch'],
  ] as const) {
    const { body } = await functions.invoke(name, { method: 'DELETE', path }, 500);
    expect(JSON.parse(body)).toMatchObject({ code: 'REQUEST_TIMED_OUT', effect: 'unknown' });
  }
});

test('the answer waits for what the log does beside it, since the environment is frozen then', async () => {
  let isSettled = false;
  const settled = async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    isSettled = true;
  };
  await using functions = openMemoryFunctions((log) => ({ ...log, settled }));
  await functions.log.topics.create({ topic });
  await functions.invoke('produce', readEvent('request-produce'));
  expect(isSettled).toBe(true);
});

test('two invokes at once in one environment are a bug', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic });
  const waiting = functions.invoke('fetch', { method: 'GET', path: fetchPath, query: { maxWaitMs: '30000' } }, 2_000);
  await expect(functions.invoke('fetch', { method: 'GET', path: fetchPath })).rejects.toThrow(/one invoke at a time/);
  await waiting;
  expect((await functions.invoke('fetch', { method: 'GET', path: fetchPath })).status).toBe(200);
});

test('a bug answers 500 and is told to whoever reads the log', async () => {
  const broken = new TypeError('something is undefined');
  await using functions = openMemoryFunctions((log) => ({ ...log, produce: () => Promise.reject(broken) }));
  await functions.log.topics.create({ topic });
  const answer = await functions.invoke('produce', readEvent('request-produce'));
  expect(answer.status).toBe(500);
  expect(JSON.parse(answer.body)).toMatchObject({ code: 'UNKNOWN_SERVER_ERROR', effect: 'unknown' });
  expect(answer.body).not.toContain('undefined');
  expect(functions.failures).toEqual([broken]);
});

test('each invoke is told with what it did, and only the first is cold', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic });
  await functions.invoke('produce', readEvent('request-produce'));
  await functions.invoke('produce', readEvent('request-produce'));
  await functions.invoke('fetch', readEvent('rest-fetch-batches'));
  await functions.invoke('fetch', { method: 'GET', path: fetchPath, query: { offset: '9' } });
  await functions.invoke('fetch', { method: 'GET', path: 7 });
  const [first, second, fetched, outOfRange, malformed] = functions.finished;
  expect(first).toMatchObject({ status: 200, code: undefined, isColdStart: true });
  expect(first?.invoke.line).toMatchObject({ api: 'produceRecords', topic: 'orders', recordCount: 1 });
  expect(first?.invoke.usage).toMatchObject({ recordsIn: 1, recordsOut: 0 });
  expect(first?.invoke.usage.bytesIn).toBeGreaterThan(60);
  expect(second?.isColdStart).toBe(false);
  expect(fetched?.invoke.usage).toMatchObject({ recordsOut: 2, recordsIn: 0 });
  expect(outOfRange).toMatchObject({ status: 416, code: 'OFFSET_OUT_OF_RANGE' });
  expect(malformed).toMatchObject({ status: 400, code: 'INVALID_REQUEST' });
  expect(malformed?.invoke.line).toBeUndefined();
});

test('the failure of one partition among several is told by its code', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic });
  const body = JSON.stringify({
    partitions: [
      { partition: 0, offset: 0 },
      { partition: 3, offset: 0 },
    ],
  });
  for (const accept of ['application/json', 'application/vnd.millrace.batches']) {
    const answer = await functions.invoke('fetch', {
      method: 'POST',
      path: '/v1/topics/orders/fetch',
      headers: { accept, 'content-type': 'application/json' },
      body,
    });
    expect(answer.status, accept).toBe(207);
    expect(functions.finished.at(-1)?.code).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  }
});
