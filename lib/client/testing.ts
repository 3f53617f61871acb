/**
 * `millrace/testing`: a log in memory for the unit tests of programs that use one, with any test runner. It is the log
 * itself and not a stand-in: the code that runs on AWS, with order, offsets, idempotent producers and every error.
 *
 * ```ts
 * import { LogError } from 'millrace';
 * import { openTestLog } from 'millrace/testing';
 *
 * const log = await openTestLog({ topics: { orders: 3 } });       // once
 * beforeEach(() => log.reset());                                  // before each test
 *
 * test('an order is stored under its customer', async () => {
 *   await placeOrder(log, { customer: 'customer-7', total: 12 }); // takes it for the Millrace that it is
 *   const [record] = await log.records('orders');
 *   assert.equal(record.keyText, 'customer-7');
 *   assert.deepEqual(JSON.parse(record.valueText), { total: 12 });
 * });
 *
 * test('an order that the log refuses is not confirmed', async () => {
 *   log.failNext('produce', new LogError('MESSAGE_TOO_LARGE', 'refused by the test'));
 *   await assert.rejects(placeOrder(log, { customer: 'customer-7', total: 12 }));
 * });
 * ```
 */

import { createApp } from '../api/app.ts';
import { systemClock } from '../clock.ts';
import { isLogError, type LogError } from '../errors.ts';
import type { GroupId } from '../ids.ts';
import type { Log } from '../log.ts';
import { openEmbeddedLog } from '../server/embedded.ts';
import type { ConsumedRecord } from './consumed-record.ts';
import { Millrace } from './millrace.ts';
import { type Transport, type TransportRequest, wrapTransport } from './transport.ts';
import { directTransport } from './transport-direct.ts';

export interface TestLogOptions {
  /** Topics that are there from the start and after every `reset`, with their numbers of partitions. @default none */
  readonly topics?: Readonly<Record<string, number>>;
}

export interface FailOptions {
  /** How many calls fail. @default 1 */
  readonly times?: number;
  /** The log does what it was asked all the same, as when an answer is lost on its way. @default false */
  readonly isApplied?: boolean;
}

export interface TestLog extends Millrace {
  /** Every record of the topic, in the order in which they were acknowledged. */
  records(topic: string): Promise<ConsumedRecord[]>;

  /**
   * As `records`, once there are `count` of them. The topic may be made while this waits.
   * Throws when there are fewer after `timeoutMs` (5 s when absent).
   */
  waitForRecords(topic: string, count: number, options?: { readonly timeoutMs?: number }): Promise<ConsumedRecord[]>;

  /**
   * Has the next request that stores records, or the next that reads some, end with `error`.
   *
   * The client meets it as it would meet the log's own: what can be retried it tries again. For a `send` that fails, take
   * an error that cannot be, such as MESSAGE_TOO_LARGE; for one whose outcome nobody knows,
   * `new LogError('KAFKA_STORAGE_ERROR', '...', { retriable: false, effect: 'unknown' })`.
   */
  failNext(call: 'produce' | 'fetch', error: LogError, options?: FailOptions): void;

  /**
   * Deletes every topic and group, makes those of `topics` anew, and forgets failures that have not come about. A consumer of
   * a group that was not closed joins again, and has its share of what the next one reads.
   */
  reset(): Promise<void>;
}

/** One test file or one process is a good home for it: it takes milliseconds to open. `close` forgets everything. */
export async function openTestLog(options: TestLogOptions = {}): Promise<TestLog> {
  const appends = new Appends();
  const log = watched(await openEmbeddedLog({ memory: true }), appends);
  const app = createApp({ log, clock: systemClock });
  const opened = new OpenTestLog(directTransport(app, { close: () => log.close() }), log, appends, options);
  await opened.reset();
  return opened;
}

interface Failure extends Required<FailOptions> {
  readonly call: 'produce' | 'fetch';
  readonly error: LogError;
}

class OpenTestLog extends Millrace implements TestLog {
  readonly #log: Log;
  readonly #appends: Appends;
  readonly #topics: Readonly<Record<string, number>>;
  readonly #failures: Failure[];
  /** Without the failures. */
  readonly #behind: Millrace;

  constructor(transport: Transport, log: Log, appends: Appends, { topics = {} }: TestLogOptions) {
    const failures: Failure[] = [];
    super({ transport: failing(transport, failures) });
    this.#behind = new Millrace({ transport });
    this.#log = log;
    this.#appends = appends;
    this.#topics = topics;
    this.#failures = failures;
  }

  async records(topic: string): Promise<ConsumedRecord[]> {
    const { topicId } = await this.#behind.admin.describeTopic(topic);
    const appends = this.#appends.of(topicId);
    const byPlace = new Map<string, ConsumedRecord>();
    for await (const record of this.#behind.consumer(topic, { follow: false })) {
      byPlace.set(`${record.partition}:${record.offset}`, record);
    }
    return appends.flatMap(({ partition, baseOffset, recordCount }) =>
      Array.from({ length: recordCount }, (_, index) => byPlace.get(`${partition}:${baseOffset + index}`)).filter(
        (record) => record !== undefined,
      ),
    );
  }

  async waitForRecords(
    topic: string,
    count: number,
    { timeoutMs = 5_000 }: { readonly timeoutMs?: number } = {},
  ): Promise<ConsumedRecord[]> {
    const ended = new AbortController();
    const time = systemClock.sleep(timeoutMs, ended.signal).then(() => 'over' as const);
    try {
      while (true) {
        const appended = this.#appends.next();
        const records = await this.records(topic).catch((error: unknown) => {
          if (isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION')) return [];
          throw error;
        });
        if (records.length >= count) return records;
        if ((await Promise.race([appended, time])) === 'over') {
          throw new Error(`topic ${topic} has ${records.length} records after ${timeoutMs} ms, not ${count}`);
        }
      }
    } finally {
      ended.abort();
    }
  }

  failNext(call: 'produce' | 'fetch', error: LogError, { times = 1, isApplied = false }: FailOptions = {}): void {
    this.#failures.push({ call, error, times, isApplied });
  }

  async reset(): Promise<void> {
    this.#failures.length = 0;
    const { admin } = this.#behind;
    for await (const { topic } of admin.listTopics()) await admin.deleteTopic(topic);
    for await (const { groupId } of admin.listGroups()) await this.#deleteGroup(groupId as GroupId);
    for (const [topic, partitions] of Object.entries(this.#topics)) await admin.createTopic(topic, { partitions });
  }

  /** Its members leave; who is alive joins again, and may do so before the group is gone. */
  async #deleteGroup(groupId: GroupId): Promise<void> {
    const { groups } = this.#log;
    try {
      const { members } = await groups.describe(groupId);
      for (const { memberId } of members) await groups.leave({ groupId, memberId, isTemporary: false });
      await groups.delete(groupId);
    } catch (error) {
      if (!isLogError(error, 'UNKNOWN_MEMBER_ID') && !isLogError(error, 'NON_EMPTY_GROUP')) throw error;
    }
  }
}

interface Append {
  readonly topicId: string;
  readonly partition: number;
  readonly baseOffset: number;
  readonly recordCount: number;
}

/** What was acknowledged, in order. */
class Appends {
  readonly #all: Append[] = [];
  #next = Promise.withResolvers<void>();

  add(appends: readonly Append[]): void {
    this.#all.push(...appends);
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }

  of(topicId: string): Append[] {
    return this.#all.filter((append) => append.topicId === topicId);
  }

  /** Resolves when there are more than now. */
  next(): Promise<void> {
    return this.#next.promise;
  }
}

function watched(log: Log, appends: Appends): Log {
  return {
    ...log,
    async produce(request) {
      const results = await log.produce(request);
      const stored = results.flatMap((result) => ('error' in result || result.isDuplicate ? [] : [result]));
      // A topic that was deleted meanwhile has no records to look at.
      const topic = await log.topics.get(request.topic).catch(() => undefined);
      if (topic !== undefined) appends.add(stored.map((result) => ({ topicId: topic.topicId, ...result })));
      return results;
    },
  };
}

function failing(transport: Transport, failures: Failure[]): Transport {
  return wrapTransport(transport, async (request) => {
    const index = failures.findIndex(({ call }) => call === callOf(request));
    const failure = failures[index];
    if (failure === undefined) return transport(request);
    if (failure.times > 1) failures[index] = { ...failure, times: failure.times - 1 };
    else failures.splice(index, 1);
    if (failure.isApplied) await transport(request);
    throw failure.error;
  });
}

function callOf({ path }: TransportRequest): 'produce' | 'fetch' | undefined {
  if (/^\/v1\/topics\/[^/]+\/(batches|records)$/.test(path)) return 'produce';
  return /^\/v1\/topics\/[^/]+\/(fetch|partitions\/\d+\/records)$/.test(path) ? 'fetch' : undefined;
}
