/** The DynamoDB of the simulation answers as DynamoDB does: the contract suite, and request by request beside an emulator. */

import {
  BatchGetItemCommand,
  BatchWriteItemCommand,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { describe, expect, test } from 'vitest';
import type { Operation } from '../../../lib/store/requests-dynamodb.ts';
import { testMetadataStore } from '../../contract/metadata-store.ts';
import { openStore } from '../../support/dynamodb-double.ts';
import { createTable, dynamoDbMissing, startDynoxide } from '../../support/dynoxide.ts';
import { simulate } from '../simulation.ts';
import { DynamoDbDouble } from './dynamodb.ts';

testMetadataStore('DynamoDB as the simulation has it', async () => openStore(new DynamoDbDouble({ nowMs: Date.now })));

const commands = {
  BatchGetItem: BatchGetItemCommand,
  BatchWriteItem: BatchWriteItemCommand,
  GetItem: GetItemCommand,
  PutItem: PutItemCommand,
  Query: QueryCommand,
  TransactWriteItems: TransactWriteItemsCommand,
  UpdateItem: UpdateItemCommand,
} as const satisfies Record<Operation, unknown>;

/** What an answer says, whoever gives it. */
function told({ output, error }: { readonly output?: object; readonly error?: unknown }): unknown {
  if (error !== undefined) {
    const { name, Item, CancellationReasons } = error as {
      name: string;
      Item?: unknown;
      CancellationReasons?: { Code?: string; Item?: unknown }[];
    };
    return { name, Item, reasons: CancellationReasons?.map(({ Code, Item: item }) => ({ Code, Item: item })) };
  }
  const { Item, Items, Attributes, LastEvaluatedKey, Responses } = output as Record<string, never>;
  const responses = Object.values(Responses ?? {}).flat() as { pk: { S: string } }[];
  return { Item, Items, Attributes, LastEvaluatedKey, responses: responses.sort((a, b) => (a.pk.S < b.pk.S ? -1 : 1)) };
}

describe.skipIf(dynamoDbMissing !== undefined)(`beside DynamoDB${dynamoDbMissing ?? ''}`, () => {
  test('every request of some simulated runs is answered alike', async () => {
    const dynamoDb = await startDynoxide();
    const operations = new Set<string>();
    try {
      // As many seeds as it takes for every operation to be there.
      for (let seed = 1; seed <= 4 || operations.size < Object.keys(commands).length; seed++) {
        const requests: { operation: Operation; input: object; answer: unknown }[] = [];
        await simulate({
          seed,
          profile: 'aws',
          onDynamoDbRequest: (operation, input, answer) => requests.push({ operation, input, answer: told(answer) }),
        });
        const table = await createTable(dynamoDb.client);
        for (const [index, { operation, input, answer }] of requests.entries()) {
          operations.add(operation);
          const Command = commands[operation] as unknown as new (input: object) => GetItemCommand;
          // The table's name stands in many places of a request, and nothing else is called so.
          const named = renamed(input, table) as object;
          const there = await dynamoDb.client.send(new Command(named)).then(
            (output) => told({ output }),
            (error: unknown) => told({ error }),
          );
          expect(plain(there), `request ${index} of seed ${seed}: ${operation} ${JSON.stringify(input)}`).toEqual(
            plain(answer),
          );
        }
      }
    } finally {
      await dynamoDb.close();
    }
  }, 120_000);
});

function renamed(value: unknown, table: string): unknown {
  if (value === 'table') return table;
  if (Array.isArray(value)) return value.map((one) => renamed(one, table));
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const entries = Object.entries(value).map(([name, one]) => [name === 'table' ? table : name, renamed(one, table)]);
  return Object.fromEntries(entries);
}

/** Bytes as text, and no trace of what is undefined. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(entries.map(([name, one]) => [name, plain(one)]));
}
