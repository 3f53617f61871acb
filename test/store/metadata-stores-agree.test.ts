/** The store on DynamoDB and the one in memory are given the same calls, and must give the same answers. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { isLogError } from '../../lib/errors.ts';
import { type ObjectId, parseTopicName, type TopicId } from '../../lib/ids.ts';
import type { Head, TopicItem } from '../../lib/store/items.ts';
import type { MetadataStore, NewBatch } from '../../lib/store/metadata-store.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { createTable, type DynamoDb, dynamoDbMissing, startDynoxide } from '../support/dynoxide.ts';
import { type Random, seededRandom } from '../support/random.ts';

const seeds = Array.from({ length: 16 }, (_, index) => index + 1);
const callsOfSeed = 120;

describe.skipIf(dynamoDbMissing)(`DynamoDB and SQLite${dynamoDbMissing ?? ''}`, () => {
  let dynamoDb: DynamoDb;
  let table: string;
  beforeAll(async () => {
    dynamoDb = await startDynoxide();
    table = await createTable(dynamoDb.client);
  });
  afterAll(() => dynamoDb.close());

  test.each(seeds)('agree on every answer of a random sequence of calls (seed %i)', async (seed) => {
    const stores = [
      openSqliteMetadataStore(':memory:'),
      openDynamoDbMetadataStore({
        table: seed === 1 ? table : await createTable(dynamoDb.client),
        client: dynamoDb.client,
        clock: systemClock,
        randomBytes: (bytes) => crypto.getRandomValues(bytes),
      }),
    ] as const;
    const calls = new RandomCalls(seededRandom(seed));
    const history: string[] = [];
    for (let count = 0; count < callsOfSeed; count++) {
      const { name, call } = calls.next();
      history.push(name);
      const [expected, answer] = await Promise.all(stores.map(async (store) => comparable(await call(store))));
      expect(answer, `call ${count}, ${history.slice(-12).join(', ')}`).toEqual(expected);
      calls.learn(expected);
    }
    await Promise.all(stores.map((store) => store.close()));
  });
});

/** As a batch was refused: which sequence would have been taken. */
interface Refused {
  readonly error?: { readonly details?: { readonly producerId: number; readonly expectedSequence?: number } };
}

type Call = (store: MetadataStore) => Promise<unknown>;

/** Errors as what a caller sees of them. */
function comparable(answer: unknown): unknown {
  if (isLogError(answer)) return { code: answer.code, message: answer.message, details: answer.details };
  if (Array.isArray(answer)) return answer.map(comparable);
  if (typeof answer !== 'object' || answer === null) return answer;
  return Object.fromEntries(Object.entries(answer).map(([name, value]) => [name, comparable(value)]));
}

/** Few names, topics and producers, so that calls meet: sequences that follow, repeat, skip, and newer epochs. */
class RandomCalls {
  readonly #random: Random;
  readonly #topics: TopicItem[] = [];
  /** Heads as they were answered, old ones too: a roll is asked for with what its caller once saw. */
  readonly #heads: Head[] = [];
  readonly #sent: NewBatch[] = [];
  readonly #next = new Map<string, number>();
  readonly #epochs = new Map<number, number>();
  readonly #rollsOf100: number;
  #lane = '';
  #made = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#rollsOf100 = random.pick([1, 5, 15]);
  }

  next(): { name: string; call: Call } {
    const random = this.#random;
    const topic = this.#topics.at(-random.pick([1, 1, 1, 2])) ?? this.#topics[0];
    const dice = topic === undefined ? 0 : random.integer(0, 99);
    if (topic === undefined || dice < 2) return this.#create();
    if (dice < 5) return this.#alter(topic);
    if (dice < 6) return { name: 'delete', call: (store) => store.deleteTopic(topic.topic, topic.topicId) };
    if (dice < 8) return { name: 'get', call: (store) => store.getTopic(topic.topic) };
    if (dice < 10) return this.#list();
    if (dice < 13) return { name: 'nextProducerId', call: (store) => store.nextProducerId() };
    if (dice < 20) return this.#pages(topic);
    if (dice < 25) return { name: 'heads', call: (store) => store.getHeads(topic.topicId, [2, 0, 1]) };
    if (dice < 25 + this.#rollsOf100) return this.#roll(topic);
    return this.#commit(topic);
  }

  /** Keeps the heads of an answer, and the sequences that it asks for. */
  learn(answer: unknown): void {
    const { head: one, batches = [] } = (answer ?? {}) as { head?: unknown; batches?: Refused[] };
    for (const { error } of batches) {
      const { producerId, expectedSequence } = error?.details ?? {};
      if (expectedSequence !== undefined) this.#next.set(`${this.#lane} ${producerId}`, expectedSequence);
    }
    const heads = Array.isArray(answer) ? answer : [one];
    for (const head of heads) if (head !== undefined && head !== null && 'tailBase' in head) this.#heads.push(head);
  }

  #create() {
    const random = this.#random;
    const topic: TopicItem = {
      topic: parseTopicName(random.pick(['a.b', 'a_b', 'orders', 'Orders', 'x', 'y', 'z'])),
      topicId: this.#id() as TopicId,
      partitionCount: random.pick([1, 1, 2, 2, 3, 3, 3, 120]),
      config: random.pick([{}, { 'cleanup.policy': 'delete', 'max.message.bytes': '99' }]),
      createdAt: random.integer(0, 1e12),
      version: 1,
    };
    this.#topics.push(topic);
    return {
      name: `create ${topic.topic} ${topic.partitionCount}`,
      call: (store: MetadataStore) => store.createTopic(topic),
    };
  }

  #alter(topic: TopicItem) {
    const change = {
      ...topic,
      version: this.#random.integer(1, 2),
      config: { 'retention.ms': '1' },
      // Partitions are never taken away.
      partitionCount: this.#random.pick([topic.partitionCount, topic.partitionCount + 1, 230]),
    };
    this.#topics[this.#topics.indexOf(topic)] = { ...topic, partitionCount: change.partitionCount };
    return { name: 'alter', call: (store: MetadataStore) => store.alterTopic(change) };
  }

  #list() {
    const after = parseTopicName(this.#random.pick(['A', 'a.b', 'b', 'orders']));
    const page = { ...this.#random.pick([{}, { after }]), limit: this.#random.integer(1, 3) };
    return { name: 'list', call: (store: MetadataStore) => store.listTopics(page) };
  }

  #pages(topic: TopicItem) {
    const offset = this.#random.integer(0, 300);
    const limit = this.#random.integer(1, 4);
    return { name: 'pages', call: (store: MetadataStore) => store.findPages(topic.topicId, 0, offset, limit) };
  }

  /** Mostly with the newest head, now and then with one that is behind. */
  #roll({ topicId }: TopicItem) {
    const heads = this.#heads.filter((head) => head.topicId === topicId);
    const seen = heads.at(-this.#random.pick([1, 1, 1, 2, 5])) ?? heads.at(-1);
    if (seen === undefined) return { name: 'heads', call: (store: MetadataStore) => store.getHeads(topicId, [0]) };
    return { name: `roll ${seen.tail.length}`, call: (store: MetadataStore) => store.rollTail(seen) };
  }

  #commit({ topicId }: TopicItem) {
    const random = this.#random;
    const partition = random.pick([0, 0, 0, 0, 0, 0, 1, 7]);
    this.#lane = `${topicId} ${partition}`;
    const count = random.pick([1, 1, 1, 1, 1, 2, 3, 5, 12, 90]);
    const gapBytes = random.pick([0, 0, 1]);
    const objectId = this.#id().replaceAll('-', '') as ObjectId;
    let byteStart = 0;
    const batches = Array.from({ length: count }, (): NewBatch => {
      const recordCount = random.integer(1, 3);
      const timestamp = random.integer(-1, 2000);
      const byteLength = random.integer(1, 200);
      byteStart += gapBytes;
      const maxTimestamp = timestamp + random.pick([0, 0, 5]);
      const coordinates = { objectId, byteStart, byteLength, offsetCount: recordCount, maxTimestamp };
      byteStart += byteLength;
      const again = random.integer(0, 9) === 0 ? this.#sent.at(-random.integer(1, 12)) : undefined;
      if (again !== undefined) return { ...again, coordinates: { ...coordinates, offsetCount: again.recordCount } };
      const batch = { coordinates, recordCount, timestamp, producer: this.#producer(topicId, partition, recordCount) };
      this.#sent.push(batch);
      return batch;
    });
    return {
      name: `commit ${count} to ${partition}`,
      call: (store: MetadataStore) => store.commitBatches({ topicId, partition, batches }),
    };
  }

  #producer(topicId: TopicId, partition: number, recordCount: number): NewBatch['producer'] {
    const random = this.#random;
    if (random.integer(0, 3) === 0) return undefined;
    const producerId = random.pick([1, 2, 3, random.integer(0, 40)]);
    const newest = this.#epochs.get(producerId) ?? 0;
    const producerEpoch = random.integer(0, 49) === 0 ? newest + random.pick([1, -1]) : newest;
    if (producerEpoch < 0) return undefined;
    this.#epochs.set(producerId, Math.max(newest, producerEpoch));
    if (producerEpoch !== newest) this.#next.clear();
    const name = `${topicId} ${partition} ${producerId}`;
    const next = this.#next.get(name) ?? 0;
    const baseSequence = Math.max(0, next + random.pick([0, 0, 0, 0, 0, 0, 0, 0, 1, -1]));
    this.#next.set(name, baseSequence + recordCount);
    return { producerId, producerEpoch, baseSequence };
  }

  #id(): string {
    this.#made += 1;
    const digits = Array.from({ length: 24 }, () => this.#random.integer(0, 15).toString(16)).join('');
    const hex = this.#made.toString(16).padStart(8, '0') + digits;
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  }
}
