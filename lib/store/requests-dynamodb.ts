/**
 * How requests to DynamoDB are sent: each attempt counted and bounded, tried again only where that does no harm.
 *
 * The SDK's own retries are off (`maxAttempts: 1`): it would send an append again whose reply was lost, and append twice.
 */

import {
  BatchGetItemCommand,
  type BatchGetItemCommandInput,
  type BatchGetItemCommandOutput,
  BatchWriteItemCommand,
  type BatchWriteItemCommandInput,
  type BatchWriteItemCommandOutput,
  type ConsumedCapacity,
  DynamoDBClient,
  GetItemCommand,
  type GetItemCommandInput,
  type GetItemCommandOutput,
  PutItemCommand,
  type PutItemCommandInput,
  type PutItemCommandOutput,
  QueryCommand,
  type QueryCommandInput,
  type QueryCommandOutput,
  TransactWriteItemsCommand,
  type TransactWriteItemsCommandInput,
  type TransactWriteItemsCommandOutput,
  UpdateItemCommand,
  type UpdateItemCommandInput,
  type UpdateItemCommandOutput,
} from '@aws-sdk/client-dynamodb';
import type { Clock, RandomBytes } from '../clock.ts';
import type { Timestamp } from '../ids.ts';
import { Connections } from './connections.ts';
import {
  delayAfter,
  dynamoDbErrorKind,
  dynamoDbFailure,
  LostCondition,
  Unprocessed,
  unitsOfLost,
} from './errors-dynamodb.ts';
import { itemBytes } from './items-dynamodb.ts';
import { RetryError, retry } from './retry.ts';
import { Slots } from './slots.ts';
import { deadlineOf, type StoreBounds } from './store-request.ts';

export interface DynamoDbOptions extends StoreBounds {
  readonly table: string;
  /** Made with `maxAttempts: 1`, since retries are the store's; the caller's to destroy. @default one of the store's own */
  readonly client?: DynamoDBClient | undefined;
  /** @default what the SDK finds in the environment */
  readonly region?: string | undefined;
  /** Of a DynamoDB that is not AWS's. */
  readonly endpoint?: string | undefined;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
}

/** Each operation with what goes in and what comes out. */
export interface Operations {
  GetItem: [GetItemCommandInput, GetItemCommandOutput];
  BatchGetItem: [BatchGetItemCommandInput, BatchGetItemCommandOutput];
  Query: [QueryCommandInput, QueryCommandOutput];
  PutItem: [PutItemCommandInput, PutItemCommandOutput];
  UpdateItem: [UpdateItemCommandInput, UpdateItemCommandOutput];
  BatchWriteItem: [BatchWriteItemCommandInput, BatchWriteItemCommandOutput];
  TransactWriteItems: [TransactWriteItemsCommandInput, TransactWriteItemsCommandOutput];
}
export type Operation = keyof Operations;

const commands = {
  GetItem: GetItemCommand,
  BatchGetItem: BatchGetItemCommand,
  Query: QueryCommand,
  PutItem: PutItemCommand,
  UpdateItem: UpdateItemCommand,
  BatchWriteItem: BatchWriteItemCommand,
  TransactWriteItems: TransactWriteItemsCommand,
} as const;

const reads: ReadonlySet<Operation> = new Set(['GetItem', 'BatchGetItem', 'Query']);

/**
 * A server commits to many partitions at once; a function may have 1,024 files open. Calls that find no socket wait where
 * no attempt's time runs: of 10,000 at once not one was sent before its attempt was given up.
 */
const socketsMax = 64;
/** An attempt that can be repeated is lost after this; DynamoDB answers in a few milliseconds. */
const attemptMsMax = 2_000;

interface Sent<O extends Operation> {
  readonly operation: O;
  readonly input: Operations[O][0];
  /** Carried out twice it does what it does once, so that an attempt without an answer may be sent again. */
  readonly isRepeatable: boolean;
  readonly deadline: Timestamp;
}

export class DynamoDbRequests {
  readonly table: string;
  readonly randomBytes: RandomBytes;
  readonly #options: DynamoDbOptions;
  readonly #client: DynamoDBClient;
  readonly #slots: Slots;
  readonly #connections = new Connections(socketsMax);

  constructor(options: DynamoDbOptions) {
    this.table = options.table;
    this.randomBytes = options.randomBytes;
    this.#options = options;
    this.#slots = new Slots(options.clock, socketsMax);
    this.#client = options.client ?? createClient(options, this.#connections);
  }

  /** By which a store call that begins now must end. */
  deadline(): Timestamp {
    return deadlineOf(this.#options, this.#options.clock);
  }

  /**
   * Throws KAFKA_STORAGE_ERROR, or `LostCondition`.
   *
   * `rest` gives what an answer left undone, as the input of the next attempt; undefined when all is done.
   */
  async send<O extends Operation>(
    { operation, input, isRepeatable, deadline }: Sent<O>,
    rest: (output: Operations[O][1]) => Operations[O][0] | undefined = () => undefined,
  ): Promise<Operations[O][1]> {
    const { clock, randomBytes } = this.#options;
    const options = {
      clock,
      randomBytes,
      deadline,
      // Where no second attempt may follow, the first has all the time there is.
      attemptMsMax: isRepeatable ? attemptMsMax : Number.POSITIVE_INFINITY,
      delayAfter: (error: unknown) => {
        this.#connections.failed(error);
        return delayAfter(error, isRepeatable);
      },
    };
    let next = input;
    // Without one the deadline has passed, which `retry` says.
    const hasSlot = await this.#slots.take(deadline);
    try {
      return await retry(options, async (signal) => {
        const output = await this.#attempt(operation, next, signal);
        const left = rest(output);
        if (left === undefined) return output;
        next = left;
        throw new Unprocessed(`${operation} was done in part`);
      });
    } catch (error) {
      if (error instanceof RetryError && dynamoDbErrorKind(error.cause) === 'condition') throw new LostCondition(error);
      const { table } = this;
      const region = await this.#client.config.region().catch(() => undefined);
      const isWrite = !reads.has(operation);
      throw dynamoDbFailure(error, { operation, actions: actionsOf(operation, input), table, region, isWrite });
    } finally {
      if (hasSlot) this.#slots.give();
    }
  }

  close(): void {
    if (this.#options.client === undefined) this.#client.destroy();
  }

  async #attempt<O extends Operation>(
    operation: O,
    input: Operations[O][0],
    abortSignal: AbortSignal,
  ): Promise<Operations[O][1]> {
    const startedAt = this.#options.clock.nowMs();
    let output: Operations[O][1] | undefined;
    let lostUnits: number | undefined;
    try {
      // The table above pairs each command with its input and output, which TypeScript cannot follow through a lookup.
      const Command = commands[operation] as unknown as new (input: object) => GetItemCommand;
      const command = new Command({ ...input, ReturnConsumedCapacity: 'TOTAL' });
      output = (await this.#client.send(command, { abortSignal })) as Operations[O][1];
      return output;
    } catch (error) {
      if (dynamoDbErrorKind(error) === 'condition') lostUnits = unitsOfLost(error);
      throw error;
    } finally {
      const isRead = reads.has(operation);
      const units = lostUnits ?? unitsOf(output?.ConsumedCapacity);
      this.#options.onRequest?.({
        service: 'dynamodb',
        operation,
        readUnits: isRead ? units : 0,
        writeUnits: isRead ? 0 : units,
        bytes: isRead ? bytesRead(output) : bytesWritten(input),
        durationMs: this.#options.clock.nowMs() - startedAt,
        failed: output === undefined && lostUnits === undefined,
      });
    }
  }
}

function createClient({ region, endpoint }: DynamoDbOptions, { requestHandler }: Connections): DynamoDBClient {
  return new DynamoDBClient({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    maxAttempts: 1,
    requestHandler,
  });
}

function unitsOf(consumed: ConsumedCapacity | readonly ConsumedCapacity[] | undefined): number {
  return [consumed ?? []].flat().reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0);
}

/** Of the items in the answer. */
function bytesRead(output: object = {}): number {
  const {
    Item: item,
    Items: items = [],
    Responses: responses = {},
  } = output as Partial<GetItemCommandOutput & QueryCommandOutput & BatchGetItemCommandOutput>;
  return [item ?? {}, ...items, ...Object.values(responses).flat()].reduce((sum, one) => sum + itemBytes(one), 0);
}

/** Of the values in the request. */
function bytesWritten(input: object): number {
  const { TransactItems: actions = [] } = input as Partial<TransactWriteItemsCommandInput>;
  const writes: Partial<PutItemCommandInput>[] = [input, ...actions.flatMap((action) => Object.values(action))];
  return writes.reduce(
    (sum, { Item: item = {}, ExpressionAttributeValues: values = {} }) => sum + itemBytes(item) + itemBytes(values),
    0,
  );
}

/** A transaction needs the permission for each thing that it does. */
function actionsOf(operation: Operation, input: object): string[] {
  const { TransactItems: actions } = input as Partial<TransactWriteItemsCommandInput>;
  if (actions === undefined) return [`dynamodb:${operation}`];
  return [...new Set(actions.flatMap((action) => Object.keys(action).map((name) => `dynamodb:${name}Item`)))];
}
