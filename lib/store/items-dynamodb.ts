/**
 * The items of `items.ts` as DynamoDB has them, in one table and found by their keys alone.
 *
 * | item     | pk                      | sk                      | attributes                                                  |
 * |----------|-------------------------|-------------------------|-------------------------------------------------------------|
 * | topic    | `topics`                | name                    | topicId, partitionCount, config, createdAt, version         |
 * | name     | `name/{collision name}` | `name`                  | topic, topicId; goes and comes with the topic               |
 * | deletion | `deletions`             | topic id                | partitionCount; from the deletion of a topic until all that |
 * |          |                         |                         | was in it is gone                                           |
 * | head     | `{topicId}/{partition}` | `head`                  | s, e, b, y, t, m, p, tail: see below                        |
 * | page     | as the head             | `page/{last offset}`    | b base offset, t highest timestamp so far, entries          |
 * | producer | as the head             | `producer/{producerId}` | o last base offset, w state                                 |
 * | counter  | `counter`               | `producerId`            | value: ids given so far                                     |
 *
 * All topics share one pk, so that a list is one query in the order of names; a process asks for a topic once in a while.
 * Each partition has a pk of its own, since DynamoDB takes 1,000 writes a second for one pk.
 *
 * A head's attributes have short names, since they are billed with every append:
 *
 * | name | type   | is                                                                                                |
 * |------|--------|---------------------------------------------------------------------------------------------------|
 * | s    | N      | logStartOffset                                                                                    |
 * | e    | N      | logEndOffset                                                                                      |
 * | b    | N      | tailBase                                                                                          |
 * | y    | N      | logBytes                                                                                          |
 * | t    | N      | rolledMaxTimestamp; absent before the first roll                                                  |
 * | m    | N      | movedProducerIdMax; -1 before the first producer moves                                            |
 * | tail | list   | of B, one entry each (`tail-entries.ts`), with what producers are to be remembered by             |
 * | p    | map    | by producer id: n (N) what the next batch must be, w (B) the state as of tailBase; w may be absent |
 *
 * So an append sets one number per producer, and the remembered batches of a state are those of `w` and those of the
 * tail behind it. A roll, which writes both anyway, carries them over.
 */

import type { AttributeValue, CreateTableCommandInput } from '@aws-sdk/client-dynamodb';
import { assert } from '../errors.ts';
import type { Offset, Partition, ProducerEpoch, ProducerId, TopicId, TopicName } from '../ids.ts';
import { lastBaseOffset } from './head.ts';
import type { Head, Page, ProducerState, TopicItem } from './items.ts';
import { addToSequence, advanceProducer } from './producer-state.ts';
import { decodeEntries, decodeState, encodeEntry, encodeState } from './tail-entries.ts';

/** How the table is made, apart from its name. */
export const tableDefinition = {
  KeySchema: [
    { AttributeName: 'pk', KeyType: 'HASH' },
    { AttributeName: 'sk', KeyType: 'RANGE' },
  ],
  AttributeDefinitions: [
    { AttributeName: 'pk', AttributeType: 'S' },
    { AttributeName: 'sk', AttributeType: 'S' },
  ],
  BillingMode: 'PAY_PER_REQUEST',
} as const satisfies Omit<CreateTableCommandInput, 'TableName'>;

/**
 * Seconds since 1970 after which DynamoDB may take an item away, at no charge; some days later it has. Where the table has
 * no such attribute the item stays.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
 */
export const timeToLiveAttribute = 'expiresAt';

export type Item = Record<string, AttributeValue>;
export type Key = { readonly pk: { readonly S: string }; readonly sk: { readonly S: string } };

// ---- keys

const key = (pk: string, sk: string): Key => ({ pk: { S: pk }, sk: { S: sk } });
/** Digits of the largest safe integer, so that text sorts as numbers do. */
const padded = (value: number) => String(value).padStart(16, '0');

export const topicsPk = 'topics';
export const deletionsPk = 'deletions';
export const topicKey = (topic: TopicName) => key(topicsPk, topic);
export const nameKey = (topic: TopicName) => key(`name/${topic.replaceAll('.', '_')}`, 'name');
export const deletionKey = (topicId: TopicId) => key(deletionsPk, topicId);
export const partitionPk = (topicId: TopicId, partition: Partition) => `${topicId}/${partition}`;
export const headKey = (topicId: TopicId, partition: Partition) => key(partitionPk(topicId, partition), 'head');
export const pageKey = (topicId: TopicId, partition: Partition, lastOffset: Offset) =>
  key(partitionPk(topicId, partition), `page/${padded(lastOffset)}`);
/** Behind every page of a partition. */
export const pageSkEnd = 'page/~';
export const producerKey = (topicId: TopicId, partition: Partition, producerId: ProducerId) =>
  key(partitionPk(topicId, partition), `producer/${padded(producerId)}`);
export const counterKey = key('counter', 'producerId');

// ---- values

export const numberValue = (value: number) => ({ N: String(value) });
export const binaryValue = (value: Uint8Array) => ({ B: value });

export function numberOf(item: Item, name: string): number {
  const value = Number(item[name]?.N);
  assert(Number.isSafeInteger(value), `attribute ${name} of item ${keyText(item)} is a safe integer, not ${value}`);
  return value;
}

export function textOf(item: Item, name: string): string {
  const value = item[name]?.S;
  assert(value !== undefined, `attribute ${name} of item ${keyText(item)} is there`);
  return value;
}

function binaryOf(item: Item, name: string): Uint8Array {
  const value = item[name]?.B;
  assert(value !== undefined, `attribute ${name} of item ${keyText(item)} is there`);
  return value;
}

function mapOf(item: Item, name: string): Item {
  const value = item[name]?.M;
  assert(value !== undefined, `attribute ${name} of item ${keyText(item)} is there`);
  return value;
}

export function listOf(item: Item, name: string): readonly AttributeValue[] {
  const value = item[name]?.L;
  assert(value !== undefined, `attribute ${name} of item ${keyText(item)} is there`);
  return value;
}

const keyText = (item: Item) => `${item.pk?.S} ${item.sk?.S}`;

// ---- topics

export function encodeTopic(topic: TopicItem): Item {
  return {
    ...topicKey(topic.topic),
    topicId: { S: topic.topicId },
    partitionCount: numberValue(topic.partitionCount),
    config: encodeConfig(topic.config),
    createdAt: numberValue(topic.createdAt),
    version: numberValue(topic.version),
  };
}

export function encodeConfig(config: TopicItem['config']): AttributeValue {
  return { M: Object.fromEntries(Object.entries(config).map(([name, value]) => [name, { S: value }])) };
}

export function decodeTopic(item: Item): TopicItem {
  const config = mapOf(item, 'config');
  return {
    topic: textOf(item, 'sk') as TopicName,
    topicId: textOf(item, 'topicId') as TopicId,
    partitionCount: numberOf(item, 'partitionCount'),
    config: Object.fromEntries(Object.keys(config).map((name) => [name, textOf(config, name)])),
    createdAt: numberOf(item, 'createdAt'),
    version: numberOf(item, 'version'),
  };
}

// ---- heads

/** What the next batch of a producer must be, in one number that a condition can compare: a newer epoch is a higher one. */
export function expectedOf(producerEpoch: ProducerEpoch, nextSequence: number): number {
  return producerEpoch * 2 ** 31 + nextSequence;
}

/** The number for the batch that follows `state`. */
export function expectedAfter(state: ProducerState): number {
  const last = state.batches.at(-1);
  assert(last !== undefined, `producer ${state.producerId} remembers a batch`);
  return expectedOf(state.producerEpoch, addToSequence(last.baseSequence, last.recordCount));
}

export const noMovedProducer = -1;

/** What a head is made with; every attribute that an append or a roll refers to is there. */
export const emptyHead = {
  s: numberValue(0),
  e: numberValue(0),
  b: numberValue(0),
  y: numberValue(0),
  m: numberValue(noMovedProducer),
  tail: { L: [] },
  p: { M: {} },
} as const satisfies Item;

export function decodeHead(topicId: TopicId, partition: Partition, item: Item): Head {
  const tailBase = numberOf(item, 'b');
  const logEndOffset = numberOf(item, 'e');
  const known = Object.entries(mapOf(item, 'p'));
  const states = new Map<ProducerId, ProducerState>();
  for (const [name, { M: producer = {} }] of known) {
    if (producer.w?.B !== undefined) states.set(Number(name), decodeState(Number(name), producer.w.B));
  }
  const tail = listOf(item, 'tail').flatMap(({ B: bytes }) => {
    assert(bytes !== undefined, `the tail of item ${keyText(item)} is a list of bytes`);
    return decodeEntries(bytes);
  });
  let baseOffset = tailBase;
  for (const { coordinates, batches } of tail) {
    for (const { producerId, producerEpoch, offsetDelta, baseSequence, recordCount, timestamp } of batches) {
      const batch = { baseSequence, recordCount, baseOffset: baseOffset + offsetDelta, timestamp };
      const state = states.get(producerId);
      // A state that moved out while batches of it stayed in the tail, and was taken back, has them already.
      if (state !== undefined && lastBaseOffset(state) >= batch.baseOffset) continue;
      states.set(producerId, advanceProducer(state, { producerId, producerEpoch, baseSequence }, batch));
    }
    baseOffset += coordinates.offsetCount;
  }
  assert(baseOffset === logEndOffset, `tail of ${keyText(item)} ends at ${baseOffset}, the log at ${logEndOffset}`);
  const producers = known.map(([name, { M: producer = {} }]) => {
    const state = states.get(Number(name));
    const expected = Number(producer.n?.N);
    assert(state !== undefined && expectedAfter(state) === expected, `producer ${name} is known by ${expected}`);
    return state;
  });
  const movedProducerIdMax = numberOf(item, 'm');
  return {
    topicId,
    partition,
    logStartOffset: numberOf(item, 's'),
    logEndOffset,
    tailBase,
    tail: tail.map(({ coordinates }) => coordinates),
    rolledMaxTimestamp: item.t === undefined ? undefined : numberOf(item, 't'),
    logBytes: numberOf(item, 'y'),
    producers: producers.toSorted((a, b) => lastBaseOffset(a) - lastBaseOffset(b)),
    movedProducerIdMax: movedProducerIdMax === noMovedProducer ? undefined : movedProducerIdMax,
  };
}

// ---- pages and producers

export function encodePage(topicId: TopicId, partition: Partition, page: Page): Item {
  const entries = page.entries.map((coordinates) => encodeEntry({ coordinates, batches: [] }));
  return {
    ...pageKey(topicId, partition, page.lastOffset),
    b: numberValue(page.baseOffset),
    t: numberValue(page.maxTimestampSoFar),
    entries: binaryValue(Buffer.concat(entries)),
  };
}

export function decodePage(item: Item): Page {
  const baseOffset = numberOf(item, 'b');
  const entries = decodeEntries(binaryOf(item, 'entries')).map(({ coordinates }) => coordinates);
  const lastOffset = Number(textOf(item, 'sk').slice('page/'.length));
  const offsetCount = entries.reduce((sum, entry) => sum + entry.offsetCount, 0);
  assert(lastOffset === baseOffset + offsetCount - 1, `page ${keyText(item)} begins at ${baseOffset}`);
  return { baseOffset, lastOffset, maxTimestampSoFar: numberOf(item, 't'), entries };
}

export function encodeProducer(topicId: TopicId, partition: Partition, state: ProducerState): Item {
  return {
    ...producerKey(topicId, partition, state.producerId),
    o: numberValue(lastBaseOffset(state)),
    w: binaryValue(encodeState(state)),
  };
}

export function decodeProducer(item: Item): ProducerState {
  const producerId = Number(textOf(item, 'sk').slice('producer/'.length));
  return decodeState(producerId, binaryOf(item, 'w'));
}

// ---- sizes

/**
 * What DynamoDB counts an item as: names and values in UTF-8 bytes, numbers by their digits, 3 bytes for a list or map and
 * 1 for each element. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
 */
export function itemBytes(item: Item): number {
  return Object.entries(item).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + valueBytes(value), 0);
}

function valueBytes(value: AttributeValue): number {
  if (value.S !== undefined) return Buffer.byteLength(value.S);
  if (value.B !== undefined) return value.B.length;
  if (value.L !== undefined) return value.L.reduce((sum, one) => sum + 1 + valueBytes(one), 3);
  if (value.M !== undefined) return 3 + Object.keys(value.M).length + itemBytes(value.M);
  if (value.N === undefined) return 1;
  const digits = value.N.replace('-', '').replace(/^0+|0+$/g, '').length;
  return Math.ceil(digits / 2) + 1 + (value.N.startsWith('-') ? 1 : 0);
}
