/** Faults at the door of the SDK: `send` of the client fails before, after or instead of the request. */

import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  type DynamoDBServiceException,
  InternalServerError,
  ProvisionedThroughputExceededException,
  RequestLimitExceeded,
  ThrottlingException,
  TransactionCanceledException,
  TransactionConflictException,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Clock, systemClock } from '../../lib/clock.ts';
import type { LogError } from '../../lib/errors.ts';
import { type ObjectId, parseTopicName, type TopicId } from '../../lib/ids.ts';
import type { MetadataStore, NewBatch } from '../../lib/store/metadata-store.ts';
import { type DynamoDbOptions, openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import type { StoreRequest } from '../../lib/store/store-request.ts';
import { createTable, type DynamoDb, dynamoDbMissing, emulatorAccess, startDynoxide } from '../support/dynoxide.ts';

/** What becomes of one request: `carry` has it carried out and gives the answer. */
type Fault = (carry: () => Promise<unknown>) => Promise<unknown>;

const broken = () => Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
const refusedConnection = () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
const lostRequest: Fault = () => Promise.reject(broken());
const unsent: Fault = () => Promise.reject(refusedConnection());
const lostReply: Fault = async (carry) => {
  await carry();
  throw broken();
};
/** The code is that of a connection which could not be opened; this one was. */
const lostNetwork: Fault = async (carry) => {
  await carry();
  throw Object.assign(new Error('read EHOSTUNREACH'), { code: 'EHOSTUNREACH', syscall: 'read' });
};
const never: Fault = () => new Promise(() => {});
const failWith =
  (error: () => Error): Fault =>
  () =>
    Promise.reject(error());

const answered = { $metadata: { httpStatusCode: 400 }, message: 'told by dynamodb' };
const named = (name: string, status = 400) =>
  Object.assign(new Error(`arn:aws:iam::123456789012:role/secret ${name}`), {
    name,
    $metadata: { httpStatusCode: status },
  });
const throttling = {
  ThrottlingException: () => new ThrottlingException(answered),
  ProvisionedThroughputExceededException: () => new ProvisionedThroughputExceededException(answered),
  RequestLimitExceeded: () => new RequestLimitExceeded(answered),
} satisfies Record<string, () => DynamoDBServiceException>;
const conflict = () => new TransactionConflictException(answered);
const cancelled =
  (code: string, before = 'None') =>
  () =>
    new TransactionCanceledException({ ...answered, CancellationReasons: [{ Code: before }, { Code: code }] });
const serverError = () => new InternalServerError({ ...answered, $metadata: { httpStatusCode: 500 } });

/** Ten times as quick as the clock on the wall, so that retries and deadlines take no time. */
const quickClock: Clock = {
  nowMs: () => Math.floor(performance.now() * 10),
  sleep: (ms, signal) => systemClock.sleep(ms / 10, signal),
};

const orders = parseTopicName('orders');

describe.skipIf(dynamoDbMissing)(`faults on DynamoDB${dynamoDbMissing ?? ''}`, () => {
  let dynamoDb: DynamoDb;
  let table: string;
  beforeAll(async () => {
    dynamoDb = await startDynoxide();
    table = await createTable(dynamoDb.client);
  });
  afterAll(() => dynamoDb.close());

  let topicId: TopicId;
  let store: MetadataStore;
  let requests: StoreRequest[];
  /** For the requests to come, one after another; when they are used up, `always`, and without that none. */
  let faults: Fault[];
  let always: Fault | undefined;

  const openStore = (given: Partial<DynamoDbOptions> = {}): MetadataStore => {
    const { client } = dynamoDb;
    const send = (command: never) => {
      // Without the signal: what is under way cannot be called back.
      const carry = () => client.send(command) as Promise<unknown>;
      const fault = faults.shift() ?? always;
      return fault === undefined ? carry() : fault(carry);
    };
    return openDynamoDbMetadataStore({
      table,
      client: { send, config: client.config, destroy: () => {} } as unknown as DynamoDBClient,
      clock: quickClock,
      randomBytes: (bytes) => crypto.getRandomValues(bytes),
      onRequest: (request) => requests.push(request),
      ...given,
    });
  };

  beforeEach(async () => {
    faults = [];
    always = undefined;
    requests = [];
    store = openStore();
    topicId = crypto.randomUUID() as string as TopicId;
    const topic = { topic: parseTopicName(`orders-${topicId}`), topicId, partitionCount: 1, config: {} };
    await store.createTopic({ ...topic, createdAt: 1, version: 1 });
    requests.splice(0);
    return () => store.close();
  });

  const append = (...batches: NewBatch[]) => store.commitBatches({ topicId, partition: 0, batches });
  const head = async () => {
    const [stored] = await openStore().getHeads(topicId, [0]);
    if (stored === undefined) throw new Error('there is no head');
    return stored;
  };
  const failureOf = async (call: () => Promise<unknown>): Promise<LogError> => {
    const answer = await call().then(
      (value) => new Error(`answered ${JSON.stringify(value)}`),
      (error) => error,
    );
    expect(answer).toMatchObject({ code: 'KAFKA_STORAGE_ERROR' });
    return answer as LogError;
  };

  describe('an append', () => {
    test.each(Object.entries({ ...throttling, TransactionConflictException: conflict }))(
      'is sent again after %s, with and without a producer id',
      async (_, error) => {
        faults = [failWith(error), failWith(error)];
        expect(await append(newBatch())).toMatchObject({ outcome: 'committed' });
        expect(requests.map(({ failed }) => failed)).toEqual([true, true, false]);
        faults = [failWith(error)];
        expect(await append(newBatch([7, 0]))).toMatchObject({ batches: [{ outcome: 'committed', baseOffset: 1 }] });
        expect(await head()).toMatchObject({ logEndOffset: 2, tail: [{}, {}] });
      },
    );

    test.each(Object.entries(throttling))('that meets nothing but %s fails without effect', async (_, error) => {
      always = failWith(error);
      const failure = await failureOf(() => append(newBatch()));
      expect(failure).toMatchObject({ retriable: true, effect: 'none' });
      expect(failure.message).toMatch(/UpdateItem on table .* in region us-east-1 .* asks for less load/);
      expect(requests.length).toBeGreaterThan(2);
      expect(requests.length).toBeLessThanOrEqual(10);
      always = undefined;
      expect(await head()).toMatchObject({ logEndOffset: 0 });
    });

    test('that could not be sent is sent again', async () => {
      faults = [unsent];
      expect(await append(newBatch())).toMatchObject({ outcome: 'committed' });
      always = unsent;
      const failure = await failureOf(() => append(newBatch()));
      expect(failure).toMatchObject({ retriable: true, effect: 'none' });
      expect(failure.message).toMatch(/could not be sent .* check the network and the region/);
    });

    test.each(
      Object.entries({
        'the reply is lost': lostReply,
        'the reply is lost with the network': lostNetwork,
        'the request is lost': lostRequest,
        'the server fails': failWith(serverError),
      }),
    )('without a producer id is not repeated when %s, and its effect is unknown', async (_, fault) => {
      faults = [fault];
      const failure = await failureOf(() => append(newBatch()));
      expect(failure).toMatchObject({ retriable: true, effect: 'unknown' });
      expect(requests).toHaveLength(1);
      expect((await head()).tail).toHaveLength(fault === lostReply || fault === lostNetwork ? 1 : 0);
    });

    test.each(
      Object.entries({
        'the reply is lost': lostReply,
        'the request is lost': lostRequest,
        'the server fails': failWith(serverError),
      }),
    )('of a producer is there exactly once when %s', async (_, fault) => {
      await append(newBatch([7, 0]), newBatch());
      faults = [fault, fault];
      const answer = await append(newBatch([7, 1]), newBatch([8, 0]));
      const outcome = fault === lostReply ? 'duplicate' : 'committed';
      expect(answer).toMatchObject({
        batches: [
          { outcome, baseOffset: 2 },
          { outcome, baseOffset: 3 },
        ],
      });
      expect(await head()).toMatchObject({ logEndOffset: 4, tail: [{}, {}, {}, {}] });
      expect(await append(newBatch([7, 2]))).toMatchObject({ batches: [{ outcome: 'committed', baseOffset: 4 }] });
    });

    test('of a producer is there exactly once when its first attempt arrives after the second', async () => {
      let arrive = (): void => {};
      const late = new Promise<unknown>((resolve) => {
        faults = [
          (carry) => {
            arrive = () => resolve(carry().catch((error) => error));
            return new Promise(() => {});
          },
        ];
      });
      expect(await append(newBatch([7, 0]))).toMatchObject({ batches: [{ outcome: 'committed', baseOffset: 0 }] });
      arrive();
      expect(await late).toBeInstanceOf(ConditionalCheckFailedException);
      expect(await head()).toMatchObject({ logEndOffset: 1, tail: [{}] });
    });

    test('with and without producer ids mixed, or with more batches than a state remembers, is not repeated', async () => {
      faults = [lostReply];
      const failure = await failureOf(() => append(newBatch([7, 0]), newBatch()));
      expect(failure).toMatchObject({ retriable: true, effect: 'unknown' });
      faults = [lostReply];
      const six = Array.from({ length: 6 }, (_, sequence) => newBatch([8, sequence]));
      expect(await failureOf(() => append(...six))).toMatchObject({ effect: 'unknown' });
      expect(requests).toHaveLength(2);
      expect(await head()).toMatchObject({ logEndOffset: 8 });
    });

    // Moved out, looked up, and meanwhile taken back, advanced and moved out again: what was looked up is old.
    test('of a producer that was looked up among those moved out is judged anew when that state is old', async () => {
      const others = (from: number) => Array.from({ length: 17 }, (_, index) => newBatch([from + index, 0]));
      const appendAround = (...batches: NewBatch[]) => openStore().commitBatches({ topicId, partition: 0, batches });
      const moveOut = async (from: number) => {
        await appendAround(...others(from));
        await openStore().rollTail(await head());
      };
      await appendAround(newBatch([7, 0]));
      await moveOut(100);
      const pass: Fault = (carry) => carry();
      faults = [
        pass,
        async (carry) => {
          const answer = await carry();
          faults = [];
          await appendAround(newBatch([7, 1]));
          await moveOut(200);
          return answer;
        },
      ];
      expect(await append(newBatch([7, 1]))).toMatchObject({ batches: [{ outcome: 'duplicate', baseOffset: 18 }] });
      expect(await head()).toMatchObject({ logEndOffset: 36 });
    });

    test('of more producers than one request takes says of each batch whether it is there', async () => {
      const batches = Array.from({ length: 70 }, (_, producerId) => newBatch([producerId, 0]));
      faults = [(carry) => carry(), failWith(() => named('AccessDeniedException'))];
      const answer = await append(...batches);
      if (answer.outcome !== 'committed') throw new Error(`outcome is ${answer.outcome}`);
      expect(answer.batches.slice(0, 64).every(({ outcome }) => outcome === 'committed')).toBe(true);
      const refused = { outcome: 'refused', error: { code: 'KAFKA_STORAGE_ERROR', effect: 'none' } };
      expect(answer.batches.slice(64)).toMatchObject(Array.from({ length: 6 }, () => refused));
      expect(await head()).toEqual(answer.head);
      const again = await append(...batches);
      expect(again).toMatchObject({ batches: { 63: { outcome: 'duplicate' }, 64: { baseOffset: 64 } } });
    });

    test('whose first reply is lost and that is then denied has an unknown effect', async () => {
      faults = [lostReply, failWith(() => named('AccessDeniedException'))];
      expect(await failureOf(() => append(newBatch([7, 0])))).toMatchObject({ retriable: false, effect: 'unknown' });
    });

    test('without an answer ends by the deadline, and only then', async () => {
      const deadline = quickClock.nowMs() + 3_000;
      store = openStore({ deadline: () => deadline });
      always = never;
      const failure = await failureOf(() => append(newBatch()));
      expect(failure).toMatchObject({ retriable: true, effect: 'unknown' });
      expect(quickClock.nowMs()).toBeGreaterThan(deadline - 100);
      expect(quickClock.nowMs()).toBeLessThan(deadline + 5_000);
      expect(requests).toHaveLength(0);
      // A timer may fire a little early, and what little time was left would be used.
      while (quickClock.nowMs() < deadline) await quickClock.sleep(10);
      expect(await failureOf(() => append(newBatch()))).toMatchObject({ effect: 'none' });
    });
  });

  describe('a roll', () => {
    test.each(['TransactionConflict', 'ThrottlingError', 'ProvisionedThroughputExceeded'])(
      'that is cancelled for %s is tried again',
      async (code) => {
        await append(newBatch());
        faults = [failWith(cancelled(code))];
        expect(await store.rollTail(await readAround(head))).toBe('rolled');
        expect(await head()).toMatchObject({ tailBase: 1, tail: [] });
      },
    );

    test('that meets nothing but conflicts fails without effect', async () => {
      await append(newBatch());
      const seen = await head();
      always = failWith(cancelled('TransactionConflict'));
      const failure = await failureOf(() => store.rollTail(seen));
      expect(failure).toMatchObject({ retriable: true, effect: 'none' });
      expect(failure.message).toContain('met other transactions');
    });

    test.each(Object.entries({ 'the reply': lostReply, 'the request': lostRequest }))(
      'is done once when %s is lost',
      async (_, fault) => {
        await append(newBatch());
        const seen = await head();
        faults = [fault, fault];
        expect(await store.rollTail(seen)).toBe('rolled');
        expect(await head()).toMatchObject({ logEndOffset: 1, tailBase: 1, tail: [] });
        expect(await store.findPages(topicId, 0, 0, 10)).toHaveLength(1);
      },
    );

    // The page is let go of before the head is. A bug was told then, and that the append that waited may have been done.
    test('is lost when another one has made the page and still holds the head', async () => {
      await append(newBatch());
      const seen = await head();
      expect(await openStore().rollTail(seen)).toBe('rolled');
      faults = [failWith(cancelled('TransactionConflict', 'ConditionalCheckFailed'))];
      expect(await store.rollTail(seen)).toBe('lost');
    });

    test('is worked out again when an append makes a difference to it', async () => {
      const producers = Array.from({ length: 17 }, (_, id) => newBatch([id, 0]));
      await append(...producers);
      const seen = await head();
      // The producer that would move appends just before the transaction.
      const between: Fault = async (carry) => {
        expect(await openStore().commitBatches({ topicId, partition: 0, batches: [newBatch([0, 1])] })).toMatchObject({
          outcome: 'committed',
        });
        return await carry();
      };
      faults = [(carry) => carry(), between];
      expect(await store.rollTail(seen)).toBe('rolled');
      const rolled = await head();
      expect(rolled).toMatchObject({ tailBase: 17, tail: [{}], movedProducerIdMax: 1 });
      expect(rolled.producers.at(-1)).toMatchObject({ producerId: 0, batches: [{}, { baseOffset: 17 }] });
    });

    // The put of a moved state is overtaken by its own second attempt, and arrives when the producer has moved out again.
    test('never replaces the state of a moved producer by an older one', async () => {
      const others = (from: number) => Array.from({ length: 16 }, (_, index) => newBatch([from + index, 0]));
      await append(newBatch([7, 0]), ...others(100));
      const seen = await head();
      let arrive = (): Promise<unknown> => Promise.resolve();
      faults = [
        (carry) => {
          arrive = carry;
          return new Promise(() => {});
        },
      ];
      expect(await store.rollTail(seen)).toBe('rolled');
      await append(newBatch([7, 1]), ...others(200));
      expect(await store.rollTail(await head())).toBe('rolled');
      await expect(arrive()).rejects.toThrow(ConditionalCheckFailedException);
      expect(await append(newBatch([7, 1]))).toMatchObject({ batches: [{ outcome: 'duplicate', baseOffset: 17 }] });
    });

    test('goes on without moving producers when appends always make a difference', async () => {
      await append(...Array.from({ length: 17 }, (_, id) => newBatch([id, 0])));
      const seen = await head();
      let sequence = 0;
      always = async (carry) => {
        const fault = always;
        always = undefined;
        sequence += 1;
        await openStore().commitBatches({ topicId, partition: 0, batches: [newBatch([(sequence - 1) % 17, 1])] });
        always = fault;
        return await carry();
      };
      expect(await store.rollTail(seen)).toBe('rolled');
      always = undefined;
      const rolled = await head();
      expect(rolled.tailBase).toBe(17);
      expect(rolled.producers).toHaveLength(17);
    });
  });

  describe('topics', () => {
    const other = () => {
      const id = crypto.randomUUID();
      return {
        topic: parseTopicName(`other-${id}`),
        topicId: id as string as TopicId,
        partitionCount: 1,
        config: {},
        createdAt: 1,
        version: 1,
      };
    };

    test.each(Object.entries({ reply: lostReply, request: lostRequest }))(
      'are made, altered and deleted once when a %s is lost',
      async (_, fault) => {
        const topic = other();
        faults = [fault, fault];
        expect(await store.createTopic(topic)).toEqual({ outcome: 'created' });
        faults = [fault, (carry) => carry(), fault];
        expect(await store.alterTopic({ ...topic, partitionCount: 2 })).toBe('altered');
        expect(await store.getTopic(topic.topic)).toMatchObject({ version: 2, partitionCount: 2 });
        faults = [fault, (carry) => carry(), fault];
        expect(await store.deleteTopic(topic.topic, topic.topicId)).toBe(true);
        expect(await store.getTopic(topic.topic)).toBeUndefined();
      },
    );

    test('a lost reply never gives a producer id twice', async () => {
      const before = await store.nextProducerId();
      faults = [lostReply];
      expect(await store.nextProducerId()).toBe(before + 2);
    });

    test('what a delete could not delete is deleted by the next one', async () => {
      const [first, second] = [{ ...other(), partitionCount: 30 }, other()];
      await store.createTopic(first);
      await store.createTopic(second);
      await store.commitBatches({ topicId: first.topicId, partition: 0, batches: [newBatch()] });
      const [head] = await store.getHeads(first.topicId, [0]);
      if (head !== undefined) await store.rollTail(head);
      // The topic is looked up and deleted with its heads; its pages are not.
      faults = [(carry) => carry(), (carry) => carry()];
      always = failWith(() => named('AccessDeniedException'));
      expect(await store.deleteTopic(first.topic, first.topicId)).toBe(true);
      always = undefined;
      expect(await store.getTopic(first.topic)).toBeUndefined();
      expect(await store.getHeads(first.topicId, [0, 29])).toEqual([undefined, undefined]);
      expect(await store.findPages(first.topicId, 0, 0, 10)).toHaveLength(1);
      expect(await store.deleteTopic(second.topic, second.topicId)).toBe(true);
      expect(await store.findPages(first.topicId, 0, 0, 10)).toEqual([]);
    });

    // The heads that the transaction has no room for are deleted before it, and were told to be there still.
    test('that could not be deleted are told to be whole only while they are', async () => {
      for (const { partitionCount, effect } of [
        { partitionCount: 97, effect: 'none' },
        { partitionCount: 98, effect: 'unknown' },
      ] as const) {
        const topic = { ...other(), partitionCount };
        await store.createTopic(topic);
        faults = Array.from({ length: partitionCount - 96 }, (): Fault => (carry) => carry());
        always = failWith(() => named('AccessDeniedException'));
        const failure = await failureOf(() => store.deleteTopic(topic.topic, topic.topicId));
        always = undefined;
        const heads = await store.getHeads(topic.topicId, [0, partitionCount - 1]);
        const seen = { effect: failure.effect, heads: heads.map((head) => head !== undefined) };
        expect(seen).toEqual({ effect, heads: [true, effect === 'none'] });
        expect(await store.deleteTopic(topic.topic, topic.topicId)).toBe(true);
      }
    });

    test('of more partitions than a transaction takes are whole or not there, and leave no heads when the name is taken', async () => {
      const topic = { ...other(), partitionCount: 250 };
      const rival = { ...topic, topicId: crypto.randomUUID() as string as TopicId, partitionCount: 1 };
      faults = [(carry) => carry(), (carry) => carry(), lostRequest];
      expect(await store.createTopic(topic)).toEqual({ outcome: 'created' });
      expect((await store.getHeads(topic.topicId, [0, 97, 98, 249])).every((one) => one !== undefined)).toBe(true);
      expect(await store.createTopic({ ...topic, topicId: rival.topicId })).toMatchObject({ outcome: 'exists' });
      await store.deleteTopic(topic.topic, topic.topicId);
      // Another process takes the name after it was looked up and found free.
      faults = [
        async (carry) => {
          const answer = await carry();
          await openStore().createTopic(rival);
          return answer;
        },
      ];
      expect(await store.createTopic(topic)).toEqual({ outcome: 'exists', topic: topic.topic });
      expect((await store.getHeads(topic.topicId, [0, 100, 249])).filter((one) => one !== undefined)).toEqual([]);
    });
  });

  describe('a batch of requests', () => {
    test('that is done in part is gone on with', async () => {
      const topic = { topic: parseTopicName('many'), topicId: crypto.randomUUID() as string as TopicId };
      await store.createTopic({ ...topic, partitionCount: 40, config: {}, createdAt: 1, version: 1 });
      faults = [
        async (carry) => {
          const answer = (await carry()) as { Responses: Record<string, { pk: { S: string }; sk: { S: string } }[]> };
          const items = answer.Responses[table] ?? [];
          const left = items.splice(5).map(({ pk, sk }) => ({ pk, sk }));
          return { ...answer, UnprocessedKeys: { [table]: { Keys: left, ConsistentRead: true } } };
        },
      ];
      const heads = await store.getHeads(
        topic.topicId,
        Array.from({ length: 40 }, (_, partition) => partition),
      );
      expect(heads.map((one) => one?.partition)).toEqual(Array.from({ length: 40 }, (_, partition) => partition));
      expect(requests.filter(({ operation }) => operation === 'BatchGetItem')).toHaveLength(2);
    });
  });

  describe('what is wrong with the account', () => {
    const wrong = {
      AccessDeniedException: [false, /was denied; check that the role is allowed dynamodb:\w+ .*on the table/],
      ExpiredTokenException: [true, /credentials have expired; renew them/],
      UnrecognizedClientException: [false, /UnrecognizedClientException; check the AWS credentials/],
      ResourceNotFoundException: [
        false,
        /is not there in region us-east-1; check its name, its account and the region/,
      ],
      ValidationException: [false, /was refused/],
    } as const;

    test.each(Object.entries(wrong))(
      '%s says what to check, and nothing was done',
      async (name, [retriable, message]) => {
        await append(newBatch());
        const seen = await head();
        requests.splice(0);
        always = failWith(() => named(name));
        for (const call of [
          () => append(newBatch()),
          () => append(newBatch([7, 0])),
          () => store.rollTail(seen),
          () => store.getHeads(topicId, [0]),
          () => store.getTopic(orders),
          () => store.nextProducerId(),
        ]) {
          const failure = await failureOf(call);
          expect(failure).toMatchObject({ retriable, effect: 'none' });
          expect(failure.message).toMatch(message);
          expect(failure.message).toContain(table);
          if (name !== 'ValidationException') expect(failure.message).not.toContain('123456789012');
        }
        // Not one of them was sent twice.
        expect(requests).toHaveLength(6);
      },
    );

    test('a denied roll names every permission that it needs', async () => {
      await append(newBatch());
      const seen = await head();
      always = failWith(() => named('AccessDeniedException'));
      expect((await failureOf(() => store.rollTail(seen))).message).toContain(
        'dynamodb:PutItem and dynamodb:UpdateItem on the table',
      );
    });

    test('a table that is not there is named', async () => {
      const missing = openStore({ table: 'millrace-missing' });
      const failure = await failureOf(() => missing.nextProducerId());
      expect(failure.message).toBe(
        'table millrace-missing is not there in region us-east-1; check its name, its account and the region',
      );
      expect(failure).toMatchObject({ retriable: false, effect: 'none' });
    });

    test('credentials that nobody gives are asked for', async () => {
      const credentials = () =>
        Promise.reject(Object.assign(new Error('Could not load credentials'), { name: 'CredentialsProviderError' }));
      const client = new DynamoDBClient({
        ...emulatorAccess,
        endpoint: dynamoDb.endpoint,
        credentials,
        maxAttempts: 1,
      });
      const failure = await failureOf(() => openStore({ client }).nextProducerId());
      expect(failure).toMatchObject({ retriable: false, effect: 'none' });
      expect(failure.message).toContain('Could not load credentials; check the AWS credentials');
      client.destroy();
    });

    test('a bug is not made into an answer', async () => {
      always = failWith(() => new TypeError('no such method'));
      await expect(store.nextProducerId()).rejects.toThrow(TypeError);
    });
  });

  test('a store of its own client finds the endpoint, closes the client, and keeps to the deadline', async () => {
    const own = openDynamoDbMetadataStore({
      table,
      region: 'us-east-1',
      endpoint: 'http://127.0.0.1:9',
      clock: systemClock,
      randomBytes: (bytes) => crypto.getRandomValues(bytes),
      deadline: () => systemClock.nowMs() + 200,
    });
    const startedAt = performance.now();
    expect((await failureOf(() => own.nextProducerId())).effect).toBe('none');
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    await own.close();
  });

  test('a condition that did not hold is an answer, counted by the item it was held against', async () => {
    await append(newBatch([7, 0]));
    requests.splice(0);
    await append(newBatch([7, 0]));
    expect(requests).toMatchObject([{ operation: 'UpdateItem', failed: false, writeUnits: 1, readUnits: 0 }]);
    always = failWith(() => new ConditionalCheckFailedException(answered));
    expect(await append(newBatch())).toEqual({ outcome: 'missing' });
  });

  /** Reads with no fault in the way; those that wait are for what follows. */
  async function readAround<T>(read: () => Promise<T>): Promise<T> {
    const waiting = faults;
    faults = [];
    try {
      return await read();
    } finally {
      faults = waiting;
    }
  }
});

function newBatch(producer?: readonly [producerId: number, baseSequence: number]): NewBatch {
  const objectId = crypto.randomUUID().replaceAll('-', '') as ObjectId;
  return {
    coordinates: { objectId, byteStart: 0, byteLength: 100, offsetCount: 1, maxTimestamp: 1 },
    recordCount: 1,
    timestamp: 1,
    producer: producer && { producerId: producer[0], producerEpoch: 0, baseSequence: producer[1] },
  };
}
