import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { parseTopicName } from '../../lib/ids.ts';
import { batchOf } from '../api/harness.ts';
import { type MemoryFunctions, openMemoryFunctions, readEvent } from './memory-function.ts';

/** The place CloudFormation waits at: answers `statuses` one after another, then 200. */
const answers: { body: Record<string, unknown>; bytes: number; headers: IncomingHttpHeaders }[] = [];
const statuses: number[] = [];
const cloudFormation = createServer(async (request, response) => {
  const text = Buffer.concat(await request.toArray()).toString();
  answers.push({ body: JSON.parse(text), bytes: Buffer.byteLength(text), headers: request.headers });
  response.writeHead(statuses.shift() ?? 200).end();
});
let ResponseURL = '';

beforeAll(async () => {
  await new Promise<void>((resolve) => cloudFormation.listen(0, '127.0.0.1', resolve));
  ResponseURL = `http://127.0.0.1:${(cloudFormation.address() as AddressInfo).port}/response?X-Amz-Signature=example`;
});
afterAll(() => cloudFormation.close());
beforeEach(() => {
  answers.length = 0;
  statuses.length = 0;
});

type Properties = Record<string, unknown>;
const topic = parseTopicName('orders');

/** Sends the event of the file with these properties instead of its own, and gives what CloudFormation was told. */
async function send(
  functions: MemoryFunctions,
  type: 'Create' | 'Update' | 'Delete',
  properties: Properties = {},
  physicalId?: string,
  remainingMs?: number,
) {
  const event = readEvent(`cloudformation-${type.toLowerCase()}`);
  Object.assign(event.ResourceProperties, properties);
  if (physicalId !== undefined) event.PhysicalResourceId = physicalId;
  expect(await functions.invoke('topics', { ...event, ResponseURL }, remainingMs)).toBeNull();
  const { StackId, RequestId, LogicalResourceId } = event;
  const told = answers.at(-1)?.body;
  expect(told).toMatchObject({ StackId, RequestId, LogicalResourceId, PhysicalResourceId: expect.stringMatching(/./) });
  return told as { Status: string; PhysicalResourceId: string; Reason?: string; Data?: Properties };
}

async function produce({ log }: MemoryFunctions) {
  await log.produce({ topic, batches: [{ partition: 0, batch: batchOf(['a']) }] });
}

test('creating makes the topic as it is wanted and tells its id', async () => {
  await using functions = openMemoryFunctions();
  const { Status, PhysicalResourceId, Data } = await send(functions, 'Create');
  const { topicId, partitionCount, config } = await functions.log.topics.describe(topic);
  expect(Status).toBe('SUCCESS');
  expect(PhysicalResourceId).toBe(`orders/${topicId}`);
  expect(Data).toEqual({ topic: 'orders', topicId, partitions: 3 });
  expect(partitionCount).toBe(3);
  expect(config['max.message.bytes']).toEqual({ value: '100000', source: 'topic' });
});

test('the answer is a PUT without a content type, as its signature wants it', async () => {
  await using functions = openMemoryFunctions();
  await send(functions, 'Create');
  expect(answers[0]?.headers).not.toHaveProperty('content-type');
  expect(answers[0]?.headers['content-length']).toBe(String(answers[0]?.bytes));
});

test('an event that comes twice has the same answer', async () => {
  await using functions = openMemoryFunctions();
  const created = await send(functions, 'Create', { removal: 'delete' });
  expect(await send(functions, 'Create', { removal: 'delete' })).toEqual(created);
  const id = created.PhysicalResourceId;
  const updated = await send(functions, 'Update', {}, id);
  expect(updated).toMatchObject({ Status: 'SUCCESS', PhysicalResourceId: id, Data: { partitions: 6 } });
  expect(await send(functions, 'Update', {}, id)).toEqual(updated);
  const deleted = await send(functions, 'Delete', { removal: 'delete' }, id);
  expect(deleted).toMatchObject({ Status: 'SUCCESS', PhysicalResourceId: id });
  expect(await send(functions, 'Delete', { removal: 'delete' }, id)).toEqual(deleted);
});

test('updating adds partitions, sets config and takes back what is not wanted any more', async () => {
  await using functions = openMemoryFunctions();
  const { PhysicalResourceId } = await send(functions, 'Create');
  await produce(functions);
  expect((await send(functions, 'Update', {}, PhysicalResourceId)).Status).toBe('SUCCESS');
  const { partitionCount, config } = await functions.log.topics.describe(topic);
  expect(partitionCount).toBe(6);
  expect(config['compression.type']).toEqual({ value: 'zstd', source: 'topic' });
  expect(config['max.message.bytes']?.source).toBe('default');
});

test('fewer partitions fail clearly and change nothing', async () => {
  await using functions = openMemoryFunctions();
  const { PhysicalResourceId } = await send(functions, 'Create');
  const shrunk = await send(functions, 'Update', { partitions: '2' }, PhysicalResourceId);
  expect(shrunk).toMatchObject({ Status: 'FAILED', PhysicalResourceId });
  expect(shrunk.Reason).toMatch(/^INVALID_PARTITIONS: topic orders has 3 partitions, 2 are wanted; .*never removed/);
  expect(shrunk.Reason).toContain('--resources-to-skip');
  expect((await functions.log.topics.describe(topic)).config['max.message.bytes']?.value).toBe('100000');
  expect(functions.finished.at(-1)).toMatchObject({ status: 400, code: 'INVALID_PARTITIONS' });
  expect(functions.finished.at(-1)?.invoke.line).toEqual({ api: 'topicResource' });
  expect(functions.failures).toEqual([]);
});

test('another name is another topic; the old one then goes as its own properties say', async () => {
  await using functions = openMemoryFunctions();
  const old = await send(functions, 'Create', { removal: 'delete' });
  await produce(functions);
  const renamed = await send(functions, 'Update', { topic: 'orders-2', removal: 'delete' }, old.PhysicalResourceId);
  expect(renamed.Status).toBe('SUCCESS');
  expect(renamed.PhysicalResourceId).toMatch(/^orders-2\//);
  expect((await functions.log.topics.describe(topic)).partitions[0]?.highWatermark).toBe(1);
  await send(functions, 'Delete', { removal: 'delete' }, old.PhysicalResourceId);
  await expect(functions.log.topics.describe(topic)).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' });
  expect((await functions.log.topics.describe(parseTopicName('orders-2'))).partitionCount).toBe(6);
});

test('removal keeps the topic and its records unless it was told otherwise', async () => {
  await using functions = openMemoryFunctions();
  const { PhysicalResourceId } = await send(functions, 'Create');
  await produce(functions);
  expect((await send(functions, 'Delete', {}, PhysicalResourceId)).Status).toBe('SUCCESS');
  expect((await functions.log.topics.describe(topic)).partitions[0]?.highWatermark).toBe(1);
});

test('a stack that comes back takes over the topic it had kept, as it is wanted now', async () => {
  await using functions = openMemoryFunctions();
  const first = await send(functions, 'Create');
  await produce(functions);
  await send(functions, 'Delete', {}, first.PhysicalResourceId);
  const again = await send(functions, 'Create', { partitions: '4', config: {} });
  expect(again).toMatchObject({ Status: 'SUCCESS', PhysicalResourceId: first.PhysicalResourceId });
  const { partitionCount, config } = await functions.log.topics.describe(topic);
  expect([partitionCount, config['max.message.bytes']?.source]).toEqual([4, 'default']);
});

test('a construct that gets another logical id does not lose its records with the old id', async () => {
  // CloudFormation creates the new id, and then deletes the old one: of the very same topic.
  await using functions = openMemoryFunctions();
  await send(functions, 'Create', { removal: 'delete' });
  await produce(functions);
  const refused = await send(functions, 'Create', { removal: 'delete' });
  expect(refused.Status).toBe('FAILED');
  expect(refused.Reason).toMatch(/^TOPIC_ALREADY_EXISTS: topic orders already exists and has records/);
  // The Delete that follows a failed Create must not touch what the Create did not make.
  expect((await send(functions, 'Delete', { removal: 'delete' }, refused.PhysicalResourceId)).Status).toBe('SUCCESS');
  expect((await functions.log.topics.describe(topic)).partitions[0]?.highWatermark).toBe(1);
});

test('a topic that others deleted and made again is theirs', async () => {
  await using functions = openMemoryFunctions();
  const { PhysicalResourceId } = await send(functions, 'Create');
  await functions.log.topics.delete(topic);
  await functions.log.topics.create({ topic });
  expect((await send(functions, 'Delete', { removal: 'delete' }, PhysicalResourceId)).Status).toBe('SUCCESS');
  expect((await functions.log.topics.describe(topic)).partitionCount).toBe(1);
});

test('properties that are wrong fail with their name, and CloudFormation is told', async () => {
  await using functions = openMemoryFunctions();
  const cases = [
    [{ topic: 'a b' }, /^INVALID_TOPIC_EXCEPTION: topic name "a b"/],
    [{ partitions: 'many' }, /^INVALID_REQUEST: property partitions/],
    [{ partitions: '0' }, /^INVALID_PARTITIONS/],
    [{ config: { 'retention.ms': '1' } }, /^INVALID_CONFIG: config "retention.ms"/],
    [{ removal: 'destroy' }, /^INVALID_REQUEST: property removal/],
  ] as const;
  for (const [properties, reason] of cases) {
    const told = await send(functions, 'Create', properties);
    expect(told.Status).toBe('FAILED');
    expect(told.Reason).toMatch(reason);
    expect(told.Reason).toMatch(/request [0-9a-f-]{36} in the log of the topics function/);
  }
});

test('a failure without a word of its own is told as well, and CloudFormation takes no long story', async () => {
  const fail = () => Promise.reject(new Error('x'.repeat(10_000)));
  await using functions = openMemoryFunctions((log) => ({ ...log, topics: { ...log.topics, create: fail } }));
  const told = await send(functions, 'Create');
  expect(told.Status).toBe('FAILED');
  expect(answers[0]?.bytes).toBeLessThan(4096);
  // The whole story is in the log.
  expect(functions.failures).toEqual([expect.objectContaining({ message: 'x'.repeat(10_000) })]);
  expect(functions.finished[0]).toMatchObject({ status: 500, code: 'UNKNOWN_SERVER_ERROR' });
});

test('a topic that is not ready in time is told in time', async () => {
  const never = () => new Promise<never>(() => {});
  await using functions = openMemoryFunctions((log) => ({ ...log, topics: { ...log.topics, create: never } }));
  const startMs = performance.now();
  const told = await send(functions, 'Create', {}, undefined, 5_500);
  expect(performance.now() - startMs).toBeLessThan(4_000);
  expect(told).toMatchObject({ Status: 'FAILED', Reason: expect.stringMatching(/^REQUEST_TIMED_OUT/) });
});

test('CloudFormation is told again when it did not hear, and Lambda is told when it never does', async () => {
  await using functions = openMemoryFunctions();
  statuses.push(503, 500);
  expect((await send(functions, 'Create')).Status).toBe('SUCCESS');
  expect(answers).toHaveLength(3);
  statuses.push(503, 503, 503);
  await expect(send(functions, 'Create')).rejects.toThrow(/answered with status 503/);
  expect(functions.failures).toHaveLength(1);
});

test('the name of another topic in the physical id is checked before anything is deleted', async () => {
  await using functions = openMemoryFunctions();
  await functions.log.topics.create({ topic });
  const { topicId } = await functions.log.topics.describe(topic);
  for (const physicalId of [
    'orders',
    'orders/',
    'orders/00000000-0000-4000-8000-000000000000',
    `/${topicId}`,
    'a b/c',
  ]) {
    await send(functions, 'Delete', { removal: 'delete' }, physicalId);
    expect((await functions.log.topics.describe(topic)).topicId, physicalId).toBe(topicId);
  }
});
