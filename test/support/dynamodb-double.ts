/** A metadata store on a DynamoDB in memory, where a test stands between the two. */

import type { AttributeValue, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { systemClock, systemRandomBytes } from '../../lib/clock.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import type { Operation } from '../../lib/store/requests-dynamodb.ts';
import type { DynamoDbDouble } from '../simulation/aws/dynamodb.ts';

type Addressed = { readonly Key?: { readonly sk?: { readonly S?: string } } };
/** What tests look at of a request. */
export type Input = Addressed & {
  readonly UpdateExpression?: string;
  readonly ExpressionAttributeValues?: Readonly<Record<string, AttributeValue>>;
  readonly TransactItems?: readonly { readonly Delete?: Addressed }[];
};
/** `request` carries it out. */
export type Send = (operation: Operation, input: Input, request: () => object) => object | Promise<object>;

export function openStore(double: DynamoDbDouble, send: Send = (_operation, _input, request) => request()) {
  const client = {
    send: async (command: { readonly constructor: { readonly name: string }; readonly input: Input }) => {
      const operation = command.constructor.name.slice(0, -'Command'.length) as Operation;
      return await send(operation, command.input, () => double.request(operation, command.input as never));
    },
    config: { region: async () => 'us-east-1' },
  } as unknown as DynamoDBClient;
  return openDynamoDbMetadataStore({ table: 'table', client, clock: systemClock, randomBytes: systemRandomBytes });
}

export const isOfOffset = (operation: Operation, { Key }: Input) =>
  operation === 'UpdateItem' && Key?.sk?.S?.startsWith('offset/') === true;
export const connectionLost = () => Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
export const denied = () =>
  Object.assign(new Error('no'), { name: 'AccessDeniedException', $metadata: { httpStatusCode: 400 } });
