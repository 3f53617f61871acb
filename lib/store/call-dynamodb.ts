/** What the store asks of DynamoDB, as one call with one deadline: a lost condition is an answer here, and no exception. */

import type {
  CancellationReason,
  PutItemCommandInput,
  QueryCommandInput,
  TransactWriteItem,
  UpdateItemCommandInput,
} from '@aws-sdk/client-dynamodb';
import type { Timestamp } from '../ids.ts';
import { LostCondition } from './errors-dynamodb.ts';
import type { Item, Key } from './items-dynamodb.ts';
import type { DynamoDbRequests, Operation, Operations } from './requests-dynamodb.ts';

/** What DynamoDB takes in one request. */
const keysPerGetMax = 100;
const keysPerDeleteMax = 25;
export const actionsPerTransactionMax = 100;
/** Requests of one call that are under way at once. */
const requestsAtOnceMax = 16;

/** The write was done and left this item, or its condition did not hold for this item; undefined when there was none. */
export interface Written {
  readonly outcome: 'done' | 'lost';
  readonly item: Item | undefined;
  /** Lost, perhaps to an attempt of its own that got no answer. */
  readonly mayBeDone: boolean;
}

export class DynamoDbCall {
  readonly table: string;
  readonly #requests: DynamoDbRequests;
  readonly #deadline: Timestamp;

  constructor(requests: DynamoDbRequests) {
    this.table = requests.table;
    this.#requests = requests;
    this.#deadline = requests.deadline();
  }

  /** Strongly consistent. */
  async get(key: Key): Promise<Item | undefined> {
    const input = { TableName: this.table, Key: key, ConsistentRead: true };
    const { Item: item } = await this.#repeatable('GetItem', input);
    return item;
  }

  /** Those that are there, strongly consistent, in any order; each key may be asked for once. */
  async getItems(keys: readonly Key[]): Promise<Item[]> {
    const [only, ...others] = keys;
    if (only === undefined) return [];
    if (others.length === 0) return [(await this.get(only)) ?? []].flat();
    const found: Item[] = [];
    await inParallel(chunks(keys, keysPerGetMax), async (chunk) => {
      const input = { RequestItems: { [this.table]: { Keys: [...chunk], ConsistentRead: true } } };
      await this.#repeatable('BatchGetItem', input, ({ Responses: responses, UnprocessedKeys: left = {} }) => {
        found.push(...(responses?.[this.table] ?? []));
        return left[this.table] === undefined ? undefined : { RequestItems: left };
      });
    });
    return found;
  }

  /** One page, strongly consistent; `isEnd` when nothing follows. */
  async query(input: Omit<QueryCommandInput, 'TableName'>): Promise<{ items: readonly Item[]; isEnd: boolean }> {
    const { Items: items = [], LastEvaluatedKey: last } = await this.#repeatable('Query', {
      TableName: this.table,
      ConsistentRead: true,
      ...input,
    });
    return { items, isEnd: last === undefined };
  }

  /** `isRepeatable`: carried out twice it does what it does once. */
  async update(input: Omit<UpdateItemCommandInput, 'TableName'>, isRepeatable: boolean): Promise<Written> {
    return await written(async () => {
      const { Attributes: item } = await this.#send('UpdateItem', { TableName: this.table, ...input }, isRepeatable);
      return item;
    });
  }

  /** A put with a condition that holds again after it. */
  async put(input: Omit<PutItemCommandInput, 'TableName'>): Promise<Written> {
    return await written(async () => {
      await this.#repeatable('PutItem', { TableName: this.table, ...input });
      return input.Item;
    });
  }

  /** Deletes what is there. */
  async delete(keys: readonly Key[]): Promise<void> {
    await inParallel(chunks(keys, keysPerDeleteMax), async (chunk) => {
      const requests = chunk.map((key) => ({ DeleteRequest: { Key: key } }));
      const input = { RequestItems: { [this.table]: requests } };
      await this.#repeatable('BatchWriteItem', input, ({ UnprocessedItems: left = {} }) =>
        left[this.table] === undefined ? undefined : { RequestItems: left },
      );
    });
  }

  /**
   * Undefined when all of it was done; when a condition did not hold, a reason for each action. The token makes an attempt
   * whose answer was lost one with those that follow it: DynamoDB remembers it for ten minutes.
   */
  async transact(actions: readonly TransactWriteItem[]): Promise<readonly CancellationReason[] | undefined> {
    const token = Buffer.from(this.#requests.randomBytes(new Uint8Array(16))).toString('hex');
    try {
      await this.#repeatable('TransactWriteItems', { TransactItems: [...actions], ClientRequestToken: token });
      return undefined;
    } catch (error) {
      if (error instanceof LostCondition) return error.reasons;
      throw error;
    }
  }

  #repeatable<O extends Operation>(
    operation: O,
    input: Operations[O][0],
    rest?: (output: Operations[O][1]) => Operations[O][0] | undefined,
  ): Promise<Operations[O][1]> {
    return this.#requests.send({ operation, input, isRepeatable: true, deadline: this.#deadline }, rest);
  }

  #send<O extends Operation>(operation: O, input: Operations[O][0], isRepeatable: boolean): Promise<Operations[O][1]> {
    return this.#requests.send({ operation, input, isRepeatable, deadline: this.#deadline });
  }
}

async function written(write: () => Promise<Item | undefined>): Promise<Written> {
  try {
    return { outcome: 'done', item: await write(), mayBeDone: false };
  } catch (error) {
    if (!(error instanceof LostCondition)) throw error;
    return { outcome: 'lost', item: error.item, mayBeDone: error.isAfterSilence };
  }
}

export function chunks<T>(all: readonly T[], countMax: number): T[][] {
  const count = Math.ceil(all.length / countMax);
  return Array.from({ length: count }, (_, index) => all.slice(index * countMax, (index + 1) * countMax));
}

/** Runs `work` for each, a bounded number of them at once. Rejects with the first error, when all that began has ended. */
export async function inParallel<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const left = all[Symbol.iterator]();
  let isFailed = false;
  const worker = async () => {
    // The workers share one iterator: each takes the next that nobody has.
    for (const one of left) {
      if (isFailed) return;
      try {
        await work(one);
      } catch (error) {
        isFailed = true;
        throw error;
      }
    }
  };
  const workers = Array.from({ length: Math.min(requestsAtOnceMax, all.length) }, worker);
  for (const { status, reason } of (await Promise.allSettled(workers)) as { status: string; reason?: unknown }[]) {
    if (status === 'rejected') throw reason;
  }
}
