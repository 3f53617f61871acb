/** What a deployed log must do for its callers, by each of the three ways to it. Cleans up what it made. */

import { LambdaClient } from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openMillrace } from '../../lib/client/direct.ts';
import { isLogError, Millrace } from '../../lib/client/index.ts';
import { connect, type MillraceOptions } from '../../lib/client/millrace.ts';
import { systemClock } from '../../lib/clock.ts';
import { testGroup } from './group.ts';
import type { Stack, Target } from './targets.ts';

/** Over the network: what is asked for request by request goes these ways too. */
const remote = {
  http: ({ endpoint, region }: Stack) => ({ endpoint, auth: { region, service: 'execute-api' } }),
  invoke: ({ functions, region, awsEndpoint }: Stack) => {
    const client = new LambdaClient({ region, maxAttempts: 1, ...(awsEndpoint && { endpoint: awsEndpoint }) });
    return { invoke: { ...functions, client } };
  },
} satisfies Record<string, (stack: Stack) => MillraceOptions>;
const doors = {
  http: (stack: Stack) => new Millrace(remote.http(stack)),
  invoke: (stack: Stack) => new Millrace(remote.invoke(stack)),
  direct: ({ bucket, table, region, awsEndpoint }: Stack) =>
    openMillrace({ bucket, table, region, ...(awsEndpoint && { endpoint: awsEndpoint }) }),
};
const doorNames = ['http', 'invoke', 'direct'] as const;

const deployMsMax = 300_000;
const slow = 120_000;

export function testStack(name: string, target: Target): void {
  const skipped = 'skipped' in target ? target.skipped : undefined;
  describe.skipIf(skipped)(`the log on ${name}${skipped === undefined ? '' : ` (skipped: ${skipped})`}`, () => {
    let stack: Stack;
    const logs = {} as Record<(typeof doorNames)[number], Millrace>;
    /** Not used before on a stack that outlives this run. */
    const run = `e2e-${Date.now().toString(36)}`;
    const made: string[] = [];

    beforeAll(async () => {
      if ('skipped' in target) return;
      stack = await target.open();
      for (const door of doorNames) logs[door] = await doors[door](stack);
    }, deployMsMax);
    afterAll(async () => {
      for (const topic of made) await logs.http.admin.deleteTopic(topic);
      for (const log of Object.values(logs)) await log.close();
      await stack?.close();
    }, slow);

    async function newTopic(word: string, options: { partitions: number; config?: Record<string, string> }) {
      const topic = `${run}-${word}`;
      await logs.http.admin.createTopic(topic, options);
      made.push(topic);
      return topic;
    }

    async function readAll(log: Millrace, topic: string) {
      const records: { partition: number; offset: number; key: string | null; value: string | null }[] = [];
      for await (const { partition, offset, keyText, valueText } of log.consumer(topic, { follow: false })) {
        records.push({ partition, offset, key: keyText, value: valueText });
      }
      return records;
    }

    describe.each(doorNames)('by %s', (door) => {
      test(
        'topics are created, described, altered and deleted',
        async () => {
          const { admin } = logs[door];
          const topic = await newTopic(`admin-${door}`, { partitions: 2 });
          expect(await admin.describeTopic(topic)).toMatchObject({ topic, partitionCount: 2 });
          await expect(admin.createTopic(topic)).rejects.toMatchObject({
            code: 'TOPIC_ALREADY_EXISTS',
            effect: 'none',
          });
          await admin.alterTopic(topic, { partitions: 3, config: { 'max.message.bytes': '2000' } });
          expect(await admin.describeTopic(topic)).toMatchObject({
            partitionCount: 3,
            config: { 'max.message.bytes': { value: '2000', source: 'topic' } },
          });
          const names: string[] = [];
          for await (const { topic: listed } of admin.listTopics()) names.push(listed);
          expect(names).toContain(topic);
          await admin.deleteTopic(made.splice(made.indexOf(topic), 1)[0] as string);
          await expect(admin.describeTopic(topic)).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' });
        },
        slow,
      );

      test(
        'records come back in the order of their keys, once, whatever is in them',
        async () => {
          const topic = await newTopic(`order-${door}`, { partitions: 3 });
          const producer = logs[door].producer(topic);
          const sent = Array.from({ length: 300 }, (_, at) => ({
            key: `key ${at % 7}`,
            value: `value ${at} \u00e4\u{1f980}`,
          }));
          const places = await Promise.all(sent.map((record) => producer.send(record)));
          expect(new Set(places.map(({ partition, offset }) => `${partition}/${offset}`)).size).toBe(300);
          await producer.send({ key: null, value: null, headers: [['name', 'value']], partition: 0 });

          const records = await readAll(logs[door], topic);
          for (const { key } of sent.slice(0, 7)) {
            const expected = sent.filter((one) => one.key === key).map(({ value }) => value);
            expect(records.filter((one) => one.key === key).map(({ value }) => value)).toEqual(expected);
          }
          expect(records).toHaveLength(301);
        },
        slow,
      );

      test(
        'more than six megabytes go in and out, in pieces that fit',
        async () => {
          const topic = await newTopic(`large-${door}`, { partitions: 1 });
          const producer = logs[door].producer(topic, { compression: 'none' });
          const values = Array.from({ length: 12 }, (_, at) => String.fromCharCode(97 + at).repeat(700_000));
          await Promise.all(values.map((value) => producer.send({ value })));
          const records = await readAll(logs[door], topic);
          expect(records.map(({ value }) => value)).toEqual(values);
        },
        slow,
      );

      test(
        'bad requests are told what is wrong, and change nothing',
        async () => {
          const topic = await newTopic(`bad-${door}`, { partitions: 1, config: { 'max.message.bytes': '1000' } });
          const failure = async (call: Promise<unknown>) =>
            call.then(
              () => expect.unreachable('it succeeded'),
              (error: unknown) => (isLogError(error) ? { code: error.code, effect: error.effect } : error),
            );
          const send = (name: string, value: string, partition = 0) =>
            logs[door].producer(name).send({ value, partition });
          expect(await failure(send(`${run}-nobody`, 'v'))).toEqual({
            code: 'UNKNOWN_TOPIC_OR_PARTITION',
            effect: 'none',
          });
          expect(await failure(send(topic, 'x'.repeat(5000)))).toEqual({ code: 'MESSAGE_TOO_LARGE', effect: 'none' });
          expect(await failure(logs[door].admin.listOffsets(topic, 9, 'latest'))).toEqual({
            code: 'UNKNOWN_TOPIC_OR_PARTITION',
            effect: 'none',
          });
          expect(await readAll(logs[door], topic)).toEqual([]);
        },
        slow,
      );

      test(
        'a reader at the end is given what comes',
        async () => {
          const topic = await newTopic(`wait-${door}`, { partitions: 1 });
          const seen: (string | null)[] = [];
          const consumer = logs[door].consumer(topic, { from: 'earliest' });
          const reading = (async () => {
            for await (const { valueText } of consumer) {
              seen.push(valueText);
              if (seen.length === 3) break;
            }
          })();
          const producer = logs[door].producer(topic);
          for (const value of ['one', 'two', 'three']) await producer.send({ value });
          await reading;
          expect(seen).toEqual(['one', 'two', 'three']);
        },
        slow,
      );
    });

    test.each(['http', 'invoke'] as const)(
      'two members of a group share a topic by %s, commit, leave, and the group is deleted',
      async (door) => {
        const topic = await newTopic(`group-${door}`, { partitions: 2 });
        const transport = connect(remote[door](stack), systemClock);
        await testGroup(transport, topic, `${run}-${door}`);
        await transport.close();
      },
      slow,
    );

    test(
      'all three ways lead to one log: many producers at once, no offset twice, none missing',
      async () => {
        const topic = await newTopic('together', { partitions: 1 });
        const perProducer = 40;
        const producers = doorNames.flatMap((door) => [0, 1].map((number) => ({ name: `${door}-${number}`, door })));
        await Promise.all(
          producers.map(async ({ name, door }) => {
            const producer = logs[door].producer(topic);
            for (let at = 0; at < perProducer; at++) await producer.send({ key: name, value: String(at) });
          }),
        );
        const [first, ...others] = await Promise.all(doorNames.map((door) => readAll(logs[door], topic)));
        for (const other of others) expect(other).toEqual(first);
        expect(first?.map(({ offset }) => offset)).toEqual(
          Array.from({ length: producers.length * perProducer }, (_, at) => at),
        );
        for (const { name } of producers) {
          const own = first?.filter(({ key }) => key === name).map(({ value }) => value);
          expect(own).toEqual(Array.from({ length: perProducer }, (_, at) => String(at)));
        }
      },
      slow,
    );

    test(
      'the plain form takes an event written by hand, and throws what failed',
      async () => {
        const topic = await newTopic('plain', { partitions: 1 });
        const { InvokeCommand } = await import('@aws-sdk/client-lambda');
        const { region, awsEndpoint, functions } = stack;
        const lambda = new LambdaClient({ region, ...(awsEndpoint && { endpoint: awsEndpoint }) });
        const invoke = async (FunctionName: string, event: object) => {
          const { FunctionError, Payload } = await lambda.send(
            new InvokeCommand({ FunctionName, Payload: JSON.stringify(event) }),
          );
          return { FunctionError, answer: JSON.parse(Buffer.from(Payload ?? []).toString()) };
        };
        const produced = await invoke(functions.produce, { topic, records: [{ key: 'k', value: { total: 12 } }] });
        expect(produced).toMatchObject({ answer: { results: [{ partition: 0, baseOffset: 0, recordCount: 1 }] } });
        const fetched = await invoke(functions.fetch, { topic, partition: 0, offset: 'earliest' });
        expect(fetched.answer).toMatchObject({
          records: [{ offset: 0, key: 'k', value: '{"total":12}' }],
          nextOffset: 1,
        });
        const failed = await invoke(functions.produce, { topic: `${run}-nobody`, records: [{ value: 'v' }] });
        expect(failed).toMatchObject({
          FunctionError: 'Unhandled',
          answer: { errorType: 'UNKNOWN_TOPIC_OR_PARTITION' },
        });
        lambda.destroy();
      },
      slow,
    );
  });
}
