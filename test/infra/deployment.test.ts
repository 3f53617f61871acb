/**
 * The stack at work: the client signs its requests, API Gateway checks them by the template, the bundled functions answer,
 * and what they may do with S3 and DynamoDB is what their roles say.
 */

import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { InvokeCommandInput } from '@aws-sdk/client-lambda';
import { AwsClient, AwsV4Signer } from 'aws4fetch';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openAwsLog } from '../../lib/aws-log.ts';
import { callJson } from '../../lib/client/api-calls.ts';
import { Millrace as Client, isLogError, type LogError } from '../../lib/client/index.ts';
import { connect } from '../../lib/client/millrace.ts';
import type { Transport } from '../../lib/client/transport.ts';
import { systemClock } from '../../lib/clock.ts';
import { parseGroupId, parseTopicName } from '../../lib/ids.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import { testGroup } from '../e2e/group.ts';
import { type Deployment, deploy } from '../support/deployment.ts';
import { dynamoDbMissing } from '../support/dynoxide.ts';
import { policiesOf } from '../support/policy.ts';
import { resolveTemplate } from '../support/template.ts';
import { type Stacks, synthesize } from './stacks.ts';

describe.skipIf(dynamoDbMissing)(`a deployed stack${dynamoDbMissing ?? ''}`, () => {
  let stacks: Stacks;
  let deployed: Deployment;
  let topicIds: Record<string, string>;

  /** Each role of the stack is the name of its access key too. */
  const secretOf = (role: string) => `secret of ${role}`;

  beforeAll(async () => {
    stacks = await synthesize();
    const callers = Object.entries(stacks.roles).map(
      ([id, principal]) => [id, { secretAccessKey: secretOf(id), principal }] as const,
    );
    deployed = await deploy({ ...stacks, template: stacks.team, callers: Object.fromEntries(callers) });
    await using operator = clientOf('Operator');
    const made = [
      await operator.admin.createTopic('orders', { partitions: 2 }),
      await operator.admin.createTopic('payments', { partitions: 1 }),
    ];
    topicIds = Object.fromEntries(made.map(({ topic, topicId }) => [topic, topicId]));
  }, 120_000);
  afterAll(async () => {
    await deployed?.close();
    stacks?.remove();
  });

  function clientOf(role: string): Client {
    const credentials = { accessKeyId: role, secretAccessKey: secretOf(role) };
    return new Client({ endpoint: deployed.gateway.url, auth: { region: 'us-east-1', credentials } });
  }

  function transportOf(role: string): Transport {
    const credentials = { accessKeyId: role, secretAccessKey: secretOf(role) };
    return connect({ endpoint: deployed.gateway.url, auth: { region: 'us-east-1', credentials } }, systemClock);
  }

  const denied = (call: Promise<unknown>): Promise<LogError> =>
    call.then(
      () => expect.fail('it was allowed'),
      (error: unknown) => (isLogError(error, 'TOPIC_AUTHORIZATION_FAILED') ? error : Promise.reject(error)),
    );

  test('a producer and a consumer, each with one grant, pass records through orders', async () => {
    await using producing = clientOf('OrdersProducer');
    await using consuming = clientOf('OrdersConsumer');
    const producer = producing.producer('orders');
    const values = Array.from({ length: 200 }, (_, at) => `order ${at}`);
    await Promise.all(values.map((value) => producer.send({ key: value, value })));
    const seen: (string | null)[] = [];
    for await (const { valueText } of consuming.consumer('orders', { from: 'earliest', follow: false })) {
      seen.push(valueText);
    }
    expect(seen.sort()).toEqual(values.sort());
  });

  test('the same producer is refused on payments, told by whom and for what', async () => {
    await using producing = clientOf('OrdersProducer');
    const error = await denied(producing.producer('payments').send({ value: 'v' }));
    expect(error.message).toMatch(
      /OrdersProducer.* is not authorized to perform: execute-api:Invoke on resource: .*payments/,
    );
    expect(error.effect).toBe('none');
    await using consuming = clientOf('OrdersConsumer');
    await denied(consuming.admin.describeTopic('payments'));
    await denied(consuming.admin.deleteTopic('orders'));
  });

  test('no path below a granted topic leads a function to another topic', async () => {
    const granted = '/v1/topics/orders/partitions/';
    const tricks = [
      '..\\..\\payments\\partitions\\0/records',
      '..%2f..%2fpayments%2fpartitions%2f0/records',
      '%2e%2e/records',
      '../records',
      '..%5c..%5cpayments%5cpartitions%5c0/records',
      '0;..\\..\\payments/records',
    ];
    for (const trick of tricks) {
      const answer = await sendRaw('OrdersConsumer', 'GET', `${granted}${trick}?offset=earliest`);
      expect([trick, answer.status >= 400 && answer.status < 500, answer.text]).toEqual([
        trick,
        true,
        expect.not.stringContaining('"records"'),
      ]);
    }
  });

  /** As it is: no client library gets to tidy the path up. */
  async function sendRaw(role: string, method: string, path: string): Promise<{ status: number; text: string }> {
    const { host, hostname, port } = new URL(deployed.gateway.url);
    const [rawPath = '', query] = `/prod${path}`.split('?');
    const signer = new AwsV4Signer({
      method,
      url: `http://${host}/?${query}`,
      accessKeyId: role,
      secretAccessKey: secretOf(role),
      service: 'execute-api',
      region: 'us-east-1',
    });
    signer.encodedPath = rawPath.split('/').map(encodeURIComponent).join('/');
    const { headers } = await signer.sign();
    return await new Promise((resolve, reject) => {
      const outgoing = http.request(
        { hostname, port, method, path: `${rawPath}?${query}`, headers: { ...Object.fromEntries(headers), host } },
        async (answer) => {
          const text = Buffer.concat(await answer.toArray()).toString();
          resolve({ status: answer.statusCode ?? 0, text });
        },
      );
      outgoing.on('error', reject);
      outgoing.end();
    });
  }

  test('the resource of the template makes its topic, with the properties as CloudFormation would send them', async () => {
    const told: unknown[] = [];
    const cloudFormation = http.createServer(async (request, response) => {
      told.push(JSON.parse(Buffer.concat(await request.toArray()).toString()));
      response.end();
    });
    await new Promise<void>((resolve) => cloudFormation.listen(0, '127.0.0.1', resolve));
    try {
      const template = resolveTemplate(stacks.team, { ...stacks.attributes, [stacks.table]: deployed.table });
      const [scratch] = template
        .ofType('Custom::MillraceTopic')
        .filter(({ Properties }) => Properties.topic !== 'orders');
      const { error } = await deployed.functions.topics.invoke({
        RequestType: 'Create',
        ResponseURL: `http://127.0.0.1:${(cloudFormation.address() as AddressInfo).port}/`,
        StackId: 'stack',
        RequestId: 'request',
        LogicalResourceId: scratch?.logicalId,
        ResourceType: scratch?.Type,
        // Every value becomes text on the way.
        ResourceProperties: textOf(scratch?.Properties),
      });
      expect(error).toBeUndefined();
      expect(told).toMatchObject([{ Status: 'SUCCESS', Data: { topicId: expect.any(String), partitions: 1 } }]);
    } finally {
      cloudFormation.close();
    }
  });

  test('with direct access to orders a program appends and reads there, and nowhere else', async () => {
    const attributes = { [Object.keys(stacks.attributes)[0] ?? '']: topicIds.orders ?? '' };
    const open = async (role: string) => {
      const guard = await deployed.guard(stacks.roles[role] ?? '', attributes);
      const { bucket, table } = deployed;
      const access = { region: 'us-east-1', endpoint: guard.endpoint, clock: systemClock };
      return { guard, log: openAwsLog({ bucket, table, ...access }) };
    };
    process.env.AWS_ACCESS_KEY_ID ??= 'test';
    process.env.AWS_SECRET_ACCESS_KEY ??= 'test';
    const producer = await open('DirectProducer');
    const consumer = await open('DirectConsumer');
    const [orders, payments] = [parseTopicName('orders'), parseTopicName('payments')];
    const fetch = (topic: typeof orders) =>
      consumer.log.fetch({
        topic,
        partitions: [{ partition: 0, offset: 'earliest' }],
        maxBytes: 1e6,
        minBytes: 0,
        maxWaitMs: 0,
      });
    try {
      const { producerId } = await producer.log.nextProducer();
      expect(producerId).toBeGreaterThanOrEqual(0);
      const record = { timestamp: Date.now(), key: null, value: Buffer.from('direct'), headers: [] };
      const batch = () => encodeBatch({ records: [record] });
      for (let count = 0; count < 40; count++) {
        const [result] = await producer.log.produce({ topic: orders, batches: [{ partition: 1, batch: batch() }] });
        expect(result).toHaveProperty('baseOffset');
      }
      await producer.log.settled();
      const [read] = await fetch(orders);
      expect(read).toMatchObject({ logStartOffset: 0, batches: expect.any(Array) });
      expect([...producer.guard.seen, ...consumer.guard.seen].filter((access) => access.startsWith('refused'))).toEqual(
        [],
      );

      expect(await producer.log.produce({ topic: payments, batches: [{ partition: 0, batch: batch() }] })).toEqual([
        { partition: 0, error: expect.objectContaining({ code: 'KAFKA_STORAGE_ERROR' }) },
      ]);
      await expect(fetch(payments)).rejects.toMatchObject({
        code: 'KAFKA_STORAGE_ERROR',
        message: expect.stringContaining('was denied; check that the role is allowed dynamodb:GetItem'),
      });
    } finally {
      await producer.log.close();
      await consumer.log.close();
    }
  });

  test('a member with one grant is in billing by HTTP, and is refused in every other group', async () => {
    const transport = transportOf('BillingMember');
    await testGroup(transport, 'orders', 'billing');
    const join = { memberEpoch: 0, topics: ['orders'] };
    const error = await denied(callJson(transport, 'POST', '/v1/groups/audit/heartbeat', { json: join }));
    expect(error.message).toMatch(/BillingMember.* is not authorized .*groups\/audit\/heartbeat/);
    await denied(callJson(transport, 'GET', '/v1/groups/audit/offsets'));
    await denied(callJson(transport, 'GET', '/v1/groups'));
    await transport.close();
  });

  test('a member by direct access joins billing, commits and leaves, and no other group is open to it', async () => {
    const attributes = { [Object.keys(stacks.attributes)[0] ?? '']: topicIds.orders ?? '' };
    const guard = await deployed.guard(stacks.roles.DirectMember ?? '', attributes);
    const { bucket, table } = deployed;
    const log = openAwsLog({ bucket, table, region: 'us-east-1', endpoint: guard.endpoint, clock: systemClock });
    const topic = parseTopicName('orders');
    const [billing, audit] = [parseGroupId('billing'), parseGroupId('audit')];
    try {
      const { memberId, memberEpoch } = await log.groups.join({ groupId: billing, topics: [topic] });
      await log.groups.heartbeat({ groupId: billing, memberId, memberEpoch });
      const offsets = [{ topic, partition: 0, offset: 1 }];
      const [committed] = await log.groups.commitOffsets({
        groupId: billing,
        member: { memberId, memberEpoch },
        offsets,
      });
      expect(committed).not.toHaveProperty('error');
      await log.groups.leave({ groupId: billing, memberId, isTemporary: false });
      expect((await log.groups.describe(billing)).partitions).toMatchObject([{ committedOffset: 1 }, {}]);
      await log.groups.resetOffsets({ groupId: billing, topic, to: 'latest' });
      await log.groups.delete(billing);
      expect([...guard.seen].filter((access) => access.startsWith('refused'))).toEqual([]);
      await expect(log.groups.join({ groupId: audit, topics: [topic] })).rejects.toMatchObject({
        code: 'KAFKA_STORAGE_ERROR',
        message: expect.stringContaining('was denied'),
      });
    } finally {
      await log.close();
    }
  });

  /** Invokes the functions with the rights of its role, until it is cut off. */
  function invokerOf(role: string): { readonly client: Client; readonly cut: (isCut: boolean) => void } {
    let isCut = false;
    const template = resolveTemplate(stacks.team, { ...stacks.attributes, [stacks.table]: deployed.table });
    const { allows } = policiesOf(template);
    const send = async (command: object) => {
      const { FunctionName: name = '', Payload } = (command as { input: InvokeCommandInput }).input;
      const resource = `arn:aws:lambda:us-east-1:123456789012:function:${name}`;
      if (isCut) throw Object.assign(new Error('nobody there'), { code: 'ECONNREFUSED' });
      if (!allows(stacks.roles[role] ?? '', { action: 'lambda:InvokeFunction', resource })) {
        const message = `User: ${role} is not authorized to perform: lambda:InvokeFunction on resource: ${resource}`;
        throw Object.assign(new Error(message), { name: 'AccessDeniedException', $fault: 'client' });
      }
      const called = Object.values(deployed.functions).find((one) => one.name === name);
      const { payload, error } =
        (await called?.invoke(JSON.parse(Buffer.from(Payload as Uint8Array).toString()))) ?? {};
      const failed = error === undefined ? {} : { FunctionError: 'Unhandled' };
      return { StatusCode: 200, Payload: Buffer.from(JSON.stringify(error ?? payload)), ...failed };
    };
    return {
      client: new Client({ invoke: { ...stacks.functions, client: { send } } }),
      cut: (isCutNow) => {
        isCut = isCutNow;
      },
    };
  }

  test('members by invoke share a topic, one dies with records at hand, and the others read all to its end', async () => {
    await using operator = clientOf('Operator');
    await operator.admin.createTopic('parcels', { partitions: 6 });
    await using producing = invokerOf('InvokingProducer').client;
    const producer = producing.producer('parcels', { batchBytesMax: 500 });
    const values = Array.from({ length: 360 }, (_, at) => `parcel ${at}`);
    await Promise.all(values.map((value, at) => producer.send({ value, partition: at % 6 })));

    const members = Array.from({ length: 3 }, () => {
      const invoker = invokerOf('InvokingMember');
      const consumer = invoker.client.consumer('parcels', { group: 'shipping', sessionTimeoutMs: 6_000 });
      const seen: (string | null)[] = [];
      const done = consumer.each(async ({ valueText }) => {
        seen.push(valueText);
        await systemClock.sleep(50);
      });
      return { ...invoker, consumer, seen, done };
    });
    const isSo = async (what: () => unknown) => await expect.poll(what, { timeout: 40_000, interval: 100 }).toBe(true);
    await isSo(() => members.every(({ seen }) => seen.length > 5));
    members[0]?.cut(true);
    const isRead = async () => {
      const { partitions } = await operator.admin.describeGroup('shipping');
      return partitions.length === 6 && partitions.every(({ lag }) => lag === 0);
    };
    await isSo(isRead);
    expect([...new Set(members.flatMap(({ seen }) => seen))].sort()).toEqual(values.toSorted());
    members[0]?.cut(false);
    await Promise.all(members.map(async ({ consumer, done }) => await Promise.all([consumer.close(), done])));
    await Promise.all(members.map(({ client }) => client.close()));
    expect(await operator.admin.describeGroup('shipping')).toMatchObject({ state: 'EMPTY', members: [] });
    await operator.admin.deleteGroup('shipping');
    await operator.admin.deleteTopic('parcels');
  }, 90_000);

  test('who may fetch by invoke and not be in groups is told what its role lacks', async () => {
    await using log = invokerOf('InvokingConsumer').client;
    const error = await denied(log.consumer('orders', { group: 'billing' }).each(() => {}));
    expect(error.message).toMatch(
      /^function LogGroup\w+ cannot be invoked: User: InvokingConsumer is not authorized to perform: lambda:InvokeFunction on/,
    );
  });

  test('each function was refused nothing, and no action of its role is there without being used', async () => {
    await using operator = clientOf('Operator');
    await using producing = clientOf('OrdersProducer');
    await using consuming = clientOf('OrdersConsumer');
    // More producers than a head has room for, and appends enough for several rolls.
    for (let count = 0; count < 24; count++) {
      await producing.producer('orders').send({ key: 'one', value: `of producer ${count}` });
    }
    for await (const _ of consuming.consumer('orders', { from: 'earliest', follow: false })) {
      // Through the pages and the objects.
    }
    // Producers and consumers that invoke ask their own function for the partitions.
    for (const name of ['produce', 'fetch'] as const) {
      const { payload } = await deployed.functions[name].invoke({ method: 'GET', path: '/v1/topics/orders' });
      expect([name, payload.status]).toEqual([name, 200]);
    }
    const [operating, member] = [transportOf('Operator'), transportOf('BillingMember')];
    await testGroup(member, 'orders', 'billing');
    const offsets = [{ topic: 'orders', partition: 0, offset: 1 }];
    await callJson(member, 'POST', '/v1/groups/billing/offsets', { json: { offsets } });
    const minuteAgo = { topic: 'orders', to: Date.now() - 60_000 };
    await callJson(operating, 'POST', '/v1/groups/billing/offsets/reset', { json: minuteAgo });
    expect(await callJson(operating, 'GET', '/v1/groups')).toMatchObject({ groups: [{ groupId: 'billing' }] });
    await Promise.all([operating.close(), member.close()]);

    await operator.admin.listOffsets('orders', 0, Date.now() - 60_000);
    for await (const _ of operator.admin.listTopics()) {
      // One page.
    }
    await operator.admin.alterTopic('orders', { partitions: 3, config: { 'max.message.bytes': '2000000' } });
    await operator.admin.deleteTopic('orders');

    const { ofType } = resolveTemplate(stacks.team, { ...stacks.attributes, [stacks.table]: deployed.table });
    for (const name of ['produce', 'fetch', 'topics', 'group'] as const) {
      const role = ofType('AWS::Lambda::Function').find(({ logicalId }) => logicalId === stacks.functions[name]);
      const roleId = String(role?.Properties.Role).split('/').at(-1);
      const granted = ofType('AWS::IAM::Policy')
        .filter(({ Properties }) => (Properties.Roles as string[]).includes(roleId ?? ''))
        .flatMap(
          ({ Properties }) => (Properties.PolicyDocument as { Statement: { Action: string | string[] }[] }).Statement,
        )
        .flatMap(({ Action }) => Action)
        .filter((action) => /^(s3|dynamodb):/.test(action));
      // What only tells a missing object from a forbidden one is never asked for.
      const expected = new Set(granted.filter((action) => action !== 's3:ListBucket'));
      expect([name, deployed.guards[name].seen]).toEqual([name, expected]);
    }
  });

  test('with response streaming the API hands out more at once than an invoke could carry', async () => {
    const { choicesParts, choices: template } = stacks;
    const callers = { Operator: { secretAccessKey: secretOf('Operator'), principal: choicesParts.operator } };
    const streaming = await deploy({ ...choicesParts, template, callers, attributes: {} });
    try {
      const accepted = { accessKeyId: 'Operator', secretAccessKey: secretOf('Operator'), retries: 0 };
      const signer = new AwsClient({ ...accepted, service: 'execute-api', region: 'us-east-1' });
      const call = (path: string, init: RequestInit) => signer.fetch(`${streaming.gateway.url}/v1/topics${path}`, init);
      const made = await call('', {
        method: 'POST',
        body: '{"topic":"big"}',
        headers: { 'content-type': 'application/json' },
      });
      expect(made.status).toBe(201);
      const value = 'a'.repeat(900_000);
      for (let count = 0; count < 10; count++) {
        const { error } = await streaming.functions.produce.invoke({
          topic: 'big',
          records: [{ value, partition: 0 }],
        });
        expect(error).toBeUndefined();
      }
      const answer = await call('/big/partitions/0/records?offset=earliest&maxBytes=20000000', { method: 'GET' });
      const { records } = (await answer.json()) as { records: { value: string }[] };
      expect(records.map((record) => record.value.length)).toEqual(Array.from({ length: 10 }, () => value.length));
    } finally {
      await streaming.close();
    }
  }, 60_000);
});

function textOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, textOf(member)]));
}
