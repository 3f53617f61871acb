/**
 * A DynamoDB table in memory, for the operations and expressions of the log's store: one item collection per `pk`, items
 * ordered by `sk`, conditions, transactions with their tokens, and reads that may be stale unless they ask not to be.
 *
 * That it answers as DynamoDB does is shown by the contract suite, and request by request against an emulator.
 */

import {
  type AttributeValue,
  ConditionalCheckFailedException,
  TransactionCanceledException,
  type TransactWriteItem,
} from '@aws-sdk/client-dynamodb';
import type { Operation, Operations } from '../../../lib/store/requests-dynamodb.ts';
import {
  InvalidExpression,
  type Item,
  isTrue,
  projected,
  refuseUnused,
  type Substitutes,
  updated,
} from './expressions.ts';

type Key = Readonly<Record<string, AttributeValue>>;
type Input<O extends Operation> = Operations[O][0];

/** Told of each write at the moment it is done; undefined is an item that is not there. */
export type OnWrite = (pk: string, sk: string, before: Item | undefined, after: Item | undefined) => void;

/** DynamoDB remembers the token of a transaction for this long. */
const tokenMsMax = 10 * 60_000;
/** A read that is not strongly consistent may be this far behind. */
const staleMsMax = 1_000;

interface Stored {
  readonly item: Item | undefined;
  /** What an eventually consistent read may still show. */
  readonly before: Item | undefined;
  readonly writtenAtMs: number;
}

export interface DynamoDbDoubleOptions {
  readonly nowMs: () => number;
  readonly onWrite?: OnWrite;
  /** Whether an eventually consistent read shows what was there before. */
  readonly isStale?: () => boolean;
  /** Told of every request and what it was answered. */
  readonly onRequest?: OnRequest;
}

export type OnRequest = (
  operation: Operation,
  input: object,
  answer: { readonly output?: object; readonly error?: unknown },
) => void;

export class DynamoDbDouble {
  readonly #options: DynamoDbDoubleOptions;
  /** By pk and then by sk, in the order of sk. */
  readonly #collections = new Map<string, Map<string, Stored>>();
  readonly #sorted = new Map<string, string[]>();
  readonly #tokens = new Map<string, { readonly atMs: number; readonly actions: string }>();

  constructor(options: DynamoDbDoubleOptions) {
    this.#options = options;
  }

  /** Carries a request out at once. Throws what the SDK throws. */
  request<O extends Operation>(operation: O, input: Input<O>): Operations[O][1] {
    const { onRequest } = this.#options;
    try {
      const output = (this[operation] as (input: Input<O>) => object).call(this, input);
      onRequest?.(operation, input, { output });
      return { ...output, $metadata: {} } as Operations[O][1];
    } catch (thrown) {
      const error = thrown instanceof InvalidExpression ? awsError('ValidationException', thrown.message) : thrown;
      onRequest?.(operation, input, { error });
      throw error;
    }
  }

  GetItem({ Key = {}, ConsistentRead }: Input<'GetItem'>) {
    const item = this.#read(...placeOf(Key), ConsistentRead);
    return item === undefined ? {} : { Item: item };
  }

  BatchGetItem({ RequestItems = {} }: Input<'BatchGetItem'>) {
    const responses = Object.entries(RequestItems).map(([table, { Keys = [], ConsistentRead }]) => {
      const found = Keys.map((key) => this.#read(...placeOf(key), ConsistentRead));
      return [table, found.filter((item) => item !== undefined)] as const;
    });
    return { Responses: Object.fromEntries(responses), UnprocessedKeys: {} };
  }

  Query(input: Input<'Query'>) {
    const { KeyConditionExpression, ProjectionExpression, Limit = Number.POSITIVE_INFINITY, ConsistentRead } = input;
    const substitutes = substitutesOf(input);
    refuseUnused([KeyConditionExpression, ProjectionExpression], substitutes);
    const pk = /^pk = (:\w+)/.exec(KeyConditionExpression ?? '')?.[1] ?? '';
    const collection = substitutes.values[pk]?.S ?? '';
    const found: Item[] = [];
    for (const sk of this.#skOf(collection)) {
      const item = this.#read(collection, sk, ConsistentRead);
      if (item === undefined || !isTrue(KeyConditionExpression, item, substitutes)) continue;
      found.push(projected(ProjectionExpression, item, substitutes));
      // The key of the last one is told even when nothing follows.
      if (found.length === Limit) return { Items: found, LastEvaluatedKey: keyOf(collection, sk) };
    }
    return { Items: found };
  }

  PutItem(input: Input<'PutItem'>) {
    const { Item = {}, ConditionExpression } = input;
    const substitutes = substitutesOf(input);
    refuseUnused([ConditionExpression], substitutes);
    const [pk, sk] = placeOf(Item);
    this.#require(ConditionExpression, pk, sk, substitutes, input.ReturnValuesOnConditionCheckFailure);
    this.#write(pk, sk, Item);
    return {};
  }

  UpdateItem(input: Input<'UpdateItem'>) {
    const { Key = {}, UpdateExpression = '', ConditionExpression, ReturnValues } = input;
    const substitutes = substitutesOf(input);
    refuseUnused([UpdateExpression, ConditionExpression], substitutes);
    const [pk, sk] = placeOf(Key);
    this.#require(ConditionExpression, pk, sk, substitutes, input.ReturnValuesOnConditionCheckFailure);
    const item = updated(UpdateExpression, this.#there(pk, sk) ?? Key, substitutes);
    this.#write(pk, sk, item);
    return ReturnValues === 'ALL_NEW' ? { Attributes: item } : {};
  }

  BatchWriteItem({ RequestItems = {} }: Input<'BatchWriteItem'>) {
    for (const requests of Object.values(RequestItems)) {
      for (const { DeleteRequest, PutRequest } of requests) {
        if (DeleteRequest?.Key === undefined || PutRequest !== undefined) throw new InvalidExpression('only deletes');
        this.#write(...placeOf(DeleteRequest.Key), undefined);
      }
    }
    return { UnprocessedItems: {} };
  }

  TransactWriteItems({ TransactItems = [], ClientRequestToken }: Input<'TransactWriteItems'>) {
    if (this.#isRepeated(ClientRequestToken, TransactItems)) return {};
    const actions = TransactItems.map((action) => this.#prepare(action));
    if (new Set(actions.map(({ pk, sk }) => `${pk} ${sk}`)).size < actions.length) {
      throw new InvalidExpression('a transaction cannot do two things to one item');
    }
    if (actions.some(({ lost }) => lost !== undefined)) {
      const CancellationReasons = actions.map(({ lost }) => lost ?? { Code: 'None' });
      const message = `Transaction cancelled [${CancellationReasons.map(({ Code }) => Code).join(', ')}]`;
      throw new TransactionCanceledException({ message, CancellationReasons, $metadata: { httpStatusCode: 400 } });
    }
    for (const { pk, sk, after } of actions) this.#write(pk, sk, after);
    if (ClientRequestToken !== undefined) {
      this.#tokens.set(ClientRequestToken, { atMs: this.#options.nowMs(), actions: JSON.stringify(TransactItems) });
    }
    return {};
  }

  #prepare({ Put, Update, Delete }: TransactWriteItem) {
    const action = Put ?? Update ?? Delete;
    if (action === undefined) throw new InvalidExpression('only Put, Update and Delete');
    const substitutes = substitutesOf(action);
    refuseUnused([action.ConditionExpression, Update?.UpdateExpression], substitutes);
    const [pk, sk] = placeOf(Put?.Item ?? Update?.Key ?? Delete?.Key ?? {});
    const there = this.#there(pk, sk);
    if (!isTrue(action.ConditionExpression, there, substitutes)) {
      const isTold = action.ReturnValuesOnConditionCheckFailure === 'ALL_OLD' && there !== undefined;
      const reason = { Code: 'ConditionalCheckFailed', Message: 'The conditional request failed' };
      return { pk, sk, after: undefined, lost: { ...reason, ...(isTold ? { Item: { ...there } } : {}) } };
    }
    const update = Update?.UpdateExpression;
    const after = update === undefined ? Put?.Item : updated(update, there ?? Update?.Key ?? {}, substitutes);
    return { pk, sk, after, lost: undefined };
  }

  #isRepeated(token: string | undefined, actions: readonly TransactWriteItem[]): boolean {
    const known = this.#tokens.get(token ?? '');
    if (known === undefined || this.#options.nowMs() - known.atMs > tokenMsMax) return false;
    if (known.actions === JSON.stringify(actions)) return true;
    throw awsError('IdempotentParameterMismatchException', 'the token was used for another transaction');
  }

  #require(
    condition: string | undefined,
    pk: string,
    sk: string,
    substitutes: Substitutes,
    returned: string | undefined,
  ): void {
    const there = this.#there(pk, sk);
    if (isTrue(condition, there, substitutes)) return;
    const item = returned === 'ALL_OLD' && there !== undefined ? { Item: { ...there } } : {};
    const message = 'The conditional request failed';
    throw new ConditionalCheckFailedException({ message, ...item, $metadata: { httpStatusCode: 400 } });
  }

  #there(pk: string, sk: string): Item | undefined {
    return this.#collections.get(pk)?.get(sk)?.item;
  }

  #read(pk: string, sk: string, isConsistent = false): Item | undefined {
    const stored = this.#collections.get(pk)?.get(sk);
    if (stored === undefined || isConsistent) return stored?.item;
    const { nowMs, isStale = () => false } = this.#options;
    return nowMs() - stored.writtenAtMs < staleMsMax && isStale() ? stored.before : stored.item;
  }

  #skOf(pk: string): readonly string[] {
    const known = this.#sorted.get(pk);
    if (known !== undefined) return known;
    const sorted = [...(this.#collections.get(pk)?.keys() ?? [])].sort();
    this.#sorted.set(pk, sorted);
    return sorted;
  }

  #write(pk: string, sk: string, item: Item | undefined): void {
    const { nowMs, onWrite } = this.#options;
    const collection = this.#collections.get(pk) ?? new Map<string, Stored>();
    this.#collections.set(pk, collection);
    if (!collection.has(sk)) this.#sorted.delete(pk);
    const before = collection.get(sk)?.item;
    collection.set(sk, { item, before, writtenAtMs: nowMs() });
    onWrite?.(pk, sk, before, item);
  }
}

function awsError(name: string, message: string): Error {
  return Object.assign(new Error(message), { name, $metadata: { httpStatusCode: 400 } });
}

function placeOf(item: Key): [pk: string, sk: string] {
  const { pk, sk } = item;
  if (pk?.S === undefined || sk?.S === undefined) throw new InvalidExpression('the key is pk and sk, both text');
  return [pk.S, sk.S];
}

function keyOf(pk: string, sk: string): Record<string, AttributeValue> {
  return { pk: { S: pk }, sk: { S: sk } };
}

function substitutesOf(input: {
  readonly ExpressionAttributeNames?: Record<string, string> | undefined;
  readonly ExpressionAttributeValues?: Record<string, AttributeValue> | undefined;
}): Substitutes {
  return { names: input.ExpressionAttributeNames ?? {}, values: input.ExpressionAttributeValues ?? {} };
}
