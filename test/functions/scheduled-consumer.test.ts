/** A member that is a function, started now and then: what lib/group/README.md shows, by invoke of the log's functions. */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Millrace } from '../../lib/client/index.ts';
import { parseGroupId, parseInstanceId, parseTopicName } from '../../lib/ids.ts';
import { batchOf } from '../api/harness.ts';
import { lambdaOver } from '../client/lambda.ts';
import { billOrders } from '../examples/billing-run.ts';
import { openMemoryFunctions } from './memory-function.ts';

const topic = parseTopicName('orders');
const billing = parseGroupId('billing');

test('a function that runs now and then reads on where it ended, and keeps its partitions meanwhile', async () => {
  await using functions = openMemoryFunctions();
  const { log } = functions;
  await log.topics.create({ topic, partitionCount: 2 });
  const orders = Array.from({ length: 24 }, (_, at) => `order ${at}`);
  for (const [at, value] of orders.entries()) {
    await log.produce({ topic, batches: [{ partition: at % 2, batch: batchOf([value]) }] });
  }
  const client = lambdaOver(log);
  const names = { produce: 'produce', fetch: 'fetch', topics: 'topics', group: 'group' };
  const billed: (string | null)[] = [];
  let runs = 0;
  for (; billed.length < orders.length && runs < 50; runs++) {
    // Each run is a new client, as in an environment of its own.
    await using millrace = new Millrace({ invoke: { ...names, client } });
    const endsAtMs = Date.now() + 11_500;
    await billOrders(millrace, { getRemainingTimeInMillis: () => endsAtMs - Date.now() }, async ({ valueText }) => {
      billed.push(valueText);
      await new Promise((resolve) => setTimeout(resolve, 100));
    });

    const { members } = await log.groups.describe(billing);
    expect(members).toMatchObject([{ instanceId: 'billing-1', state: 'AWAY', targetAssignment: [{ topic }] }]);
    expect(members[0]?.targetAssignment[0]?.partitions).toEqual([0, 1]);
  }
  client.destroy();
  // None is missing, and none came twice: each run commits before it goes.
  expect(billed.toSorted()).toEqual(orders.toSorted());
  expect(runs).toBeGreaterThan(1);

  // Somebody who comes meanwhile gets nothing of what it keeps but its own share.
  const second = await log.groups.join({ groupId: billing, topics: [topic] });
  const { members } = await log.groups.describe(billing);
  const targets = members.map(({ targetAssignment }) => targetAssignment[0]?.partitions.length);
  expect(targets).toEqual([1, 1]);
  expect(second.memberEpoch).toBeGreaterThan(1);
}, 120_000);

test('a run beside another of the same name waits for it in vain, and takes nothing from it', async () => {
  await using functions = openMemoryFunctions();
  const { log } = functions;
  await log.topics.create({ topic });
  await log.produce({ topic, batches: [{ partition: 0, batch: batchOf(['order']) }] });
  const { memberId } = await log.groups.join({
    groupId: billing,
    instanceId: parseInstanceId('billing-1'),
    topics: [topic],
  });
  const client = lambdaOver(log);
  await using millrace = new Millrace({ invoke: { fetch: 'fetch', topics: 'topics', group: 'group', client } });
  const context = { getRemainingTimeInMillis: () => 11_000 };
  await billOrders(millrace, context, () => expect.fail('the other has its partition'));
  expect((await log.groups.describe(billing)).members).toMatchObject([{ memberId, state: 'STABLE' }]);
  client.destroy();
}, 20_000);

// A signal cannot be aborted some time ago: this threw a RangeError.
test('a run whose time is too short ends at once, and without an error', async () => {
  await using functions = openMemoryFunctions();
  const { log } = functions;
  await log.topics.create({ topic });
  const client = lambdaOver(log);
  await using millrace = new Millrace({ invoke: { fetch: 'fetch', topics: 'topics', group: 'group', client } });
  await billOrders(millrace, { getRemainingTimeInMillis: () => 3_000 }, async () => {});
  client.destroy();
});

test('the program that lib/group/README.md shows is the one that is tested', () => {
  const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
  const shown = read('../examples/billing-run.ts').replace('../../lib/client/index.ts', 'millrace');
  expect(read('../../lib/group/README.md')).toContain(`\`\`\`ts\n${shown}\`\`\``);
});
