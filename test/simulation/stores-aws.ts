/** The family of AWS: the adapters for S3 and DynamoDB, over an S3 and a DynamoDB in memory behind the SDK's `send`. */

import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { S3Client } from '@aws-sdk/client-s3';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { openS3ObjectStore } from '../../lib/store/object-store-s3.ts';
import type { Operation } from '../../lib/store/requests-dynamodb.ts';
import type { OnStoreRequest } from '../../lib/store/store-request.ts';
import type { Chance } from '../../lib/verify/chance.ts';
import type { Instants } from '../../lib/verify/instants.ts';
import { DynamoDbDouble, type OnRequest } from './aws/dynamodb.ts';
import type { Item } from './aws/expressions.ts';
import { bodyOf, S3Double, s3Error } from './aws/s3.ts';
import type { Environment } from './environment.ts';
import type { Scheduler } from './scheduler.ts';
import { damaged, type StoreCall, type StoreNetwork } from './store-network.ts';
import { type SharedStores, TopicLives } from './stores.ts';

export function openAwsStores(deps: {
  readonly scheduler: Scheduler;
  readonly network: StoreNetwork;
  readonly chance: Chance;
  readonly instants: Instants;
  readonly onDynamoDbRequest?: OnRequest | undefined;
}): SharedStores {
  const { scheduler, network, chance, instants, onDynamoDbRequest: onRequest } = deps;
  const lives = new TopicLives(instants);
  const bucket = new S3Double(() => scheduler.nowMs);
  const table = new DynamoDbDouble({
    nowMs: () => scheduler.nowMs,
    onWrite: (...write) => noteTopic(lives, ...write),
    isStale: () => !network.isCalm && chance.happens(0.5),
    ...(onRequest === undefined ? {} : { onRequest }),
  });

  const open = (environment: Environment) => {
    const { clock } = environment;
    const { bytes: randomBytes } = environment.chance;
    const onStoreRequest: OnStoreRequest = ({ service, operation }) => network.count(`${service} ${operation}`);
    const deadline = () => environment.deadlineMs;
    const common = { clock, randomBytes, deadline, onRequest: onStoreRequest };
    const s3 = clientOf<S3Client>(scheduler, network, environment, (operation, input) => ({
      step: operation === 'PutObject' ? 'put' : 'read',
      apply: async () => bucket.request(operation, input),
      ...(operation === 'PutObject' ? { applyHalf: async () => undefined } : {}),
      ...(operation === 'GetObject'
        ? { applyDamaged: async () => damagedAnswer(bucket, input, environment.chance) }
        : {}),
      throttled: () => {
        if (environment.chance.happens(0.1)) return unreachable();
        return operation === 'PutObject' && environment.chance.happens(0.5)
          ? s3Error('ConditionalRequestConflict', 409)
          : s3Error('SlowDown', 503);
      },
      denied: () => {
        const [name, status] = environment.chance.pick<readonly [string, number]>(s3Denials);
        const headers = status === 301 ? { 'x-amz-bucket-region': 'eu-west-1' } : {};
        return Object.assign(s3Error(name, status), { $response: { headers } });
      },
    }));
    const dynamoDb = clientOf<DynamoDBClient>(scheduler, network, environment, (operation, input) => ({
      step: stepOf(operation, input),
      apply: async () => {
        const part = network.isCalm || !environment.chance.happens(0.05) ? undefined : halved(input);
        const { asked, left } = part ?? { asked: input, left: {} };
        return { ...table.request(operation as Operation, asked as never), ...left };
      },
      throttled: () => turnedDown(operation, environment.chance),
      denied: () => {
        const name = environment.chance.pick(dynamoDbDenials);
        if (operation !== 'TransactWriteItems' || name !== 'ValidationException') return s3Error(name, 400);
        return cancelled('ItemCollectionSizeLimitExceeded');
      },
    }));
    return {
      objectStore: openS3ObjectStore({ bucket: 'bucket', client: s3, ...common }),
      metadataStore: openDynamoDbMetadataStore({ table: 'table', client: dynamoDb, ...common }),
    };
  };
  return { open, lives, close: async () => {} };
}

/** A client of the SDK, of which the stores use `send` and the region. */
function clientOf<Client>(
  scheduler: Scheduler,
  network: StoreNetwork,
  environment: Environment,
  callOf: (operation: string, input: Record<string, unknown>) => Omit<StoreCall<object>, 'environment' | 'noAnswer'>,
): Client {
  const send = (
    command: { readonly constructor: { readonly name: string }; readonly input: Record<string, unknown> },
    { abortSignal }: { readonly abortSignal?: AbortSignal } = {},
  ): Promise<object> => {
    const operation = command.constructor.name.slice(0, -'Command'.length);
    // What is on its way is out of the caller's hands: bytes that it changes later are not those that arrive.
    const { Body } = command.input;
    const input = Body instanceof Uint8Array ? { ...command.input, Body: Body.slice() } : command.input;
    const call = { environment, ...callOf(operation, input), noAnswer: () => brokenOff(environment.chance) };
    const answer = network.request(call);
    if (abortSignal === undefined) return answer;
    return new Promise((resolve, reject) => {
      const aborted = () => reject(Object.assign(new Error('aborted'), { name: 'AbortError' }));
      if (abortSignal.aborted) return aborted();
      const forget = scheduler.onAbort(abortSignal, aborted);
      void answer.then(resolve, reject).finally(forget);
    });
  };
  return { send, config: { region: async () => 'us-east-1' }, destroy: () => {} } as unknown as Client;
}

const s3Denials = [
  ['AccessDenied', 403],
  ['ExpiredToken', 400],
  ['NoSuchBucket', 404],
  ['PermanentRedirect', 301],
  ['CredentialsProviderError', 400],
  ['InvalidArgument', 400],
] as const;
const dynamoDbDenials = [
  'AccessDeniedException',
  'ExpiredTokenException',
  'ResourceNotFoundException',
  'UnrecognizedClientException',
  'ValidationException',
] as const;

/** Other bytes, or fewer of them, or more; another range; or the end of an object that was longer. */
async function damagedAnswer(bucket: S3Double, input: Record<string, unknown>, chance: Chance): Promise<object> {
  const answer = bucket.request('GetObject', input) as {
    readonly Body: ReturnType<typeof bodyOf>;
    readonly ContentRange: string;
  };
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.Body) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const { ContentRange } = answer;
  const [, first = 0, last = 0] = (/^bytes (\d+)-(\d+)/.exec(ContentRange) ?? []).map(Number);
  return chance.pick([
    { ...answer, Body: bodyOf(damaged(bytes, chance)) },
    { ...answer, Body: bodyOf(damaged(bytes, chance)) },
    { ...answer, Body: bodyOf(bytes.subarray(1)) },
    { ...answer, Body: bodyOf(Buffer.concat([bytes, bytes.subarray(0, 1)])) },
    { ...answer, ContentRange: ContentRange.replace(`${first}-`, `${first + 1}-`) },
    { ...answer, ContentRange: `bytes ${first}-${last - 1}/${last}` },
  ]);
}

/** Undefined: nothing comes back at all. */
function brokenOff(chance: Chance): Error | undefined {
  return chance.pick([
    undefined,
    undefined,
    Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }),
    Object.assign(new Error('timeout'), { name: 'TimeoutError' }),
    s3Error('InternalServerError', 500),
  ]);
}

function turnedDown(operation: string, chance: Chance): Error {
  const isWrite = operation === 'UpdateItem' || operation === 'PutItem';
  if (operation === 'TransactWriteItems' && chance.happens(0.7)) return cancelled('TransactionConflict');
  if (chance.happens(0.1)) return unreachable();
  return s3Error(isWrite && chance.happens(0.3) ? 'TransactionConflictException' : 'ThrottlingException', 400);
}

function cancelled(Code: string): Error {
  const CancellationReasons = [{ Code }, { Code: 'None' }];
  return Object.assign(s3Error('TransactionCanceledException', 400), { CancellationReasons });
}

/** Nothing was sent. */
function unreachable(): Error {
  return Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
}

interface Addressed {
  readonly pk?: { readonly S?: string };
  readonly sk?: { readonly S?: string };
}

/** The step of the log that a request is, so that one can be made to fail whichever the family. */
function stepOf(operation: string, input: { readonly [name: string]: unknown }): string {
  const { pk, sk } = addressOf(operation, input);
  const isGroup = pk.startsWith('group/');
  if (operation === 'UpdateItem') {
    if (isGroup) return sk.startsWith('offset/') ? 'commitOffsets' : sk === 'head' ? 'scheduleCheck' : 'renewSession';
    return sk === 'head' ? 'commitBatches' : 'nextProducerId';
  }
  if (operation === 'GetItem') return isGroup ? 'getGroup' : sk === 'head' ? 'getHeads' : 'getTopic';
  if (operation === 'BatchGetItem') return isGroup ? 'getOffsets' : 'getHeads';
  if (operation === 'Query') return isGroup ? 'getGroup' : 'findPages';
  if (operation === 'BatchWriteItem') return 'deleteContents';
  if (operation !== 'TransactWriteItems') return operation;
  if (isGroup) return sk.startsWith('member/') ? 'handOver' : 'changeGroup';
  return sk.startsWith('page/') ? 'rollTail' : 'changeTopic';
}

/** The keys of the first item that a request is about. */
function addressOf(operation: string, input: { readonly [name: string]: unknown }): { pk: string; sk: string } {
  const { Key, TransactItems, RequestItems, ExpressionAttributeValues } = input as {
    readonly Key?: Addressed;
    readonly TransactItems?: readonly Readonly<
      Record<string, { readonly Item?: Addressed; readonly Key?: Addressed }>
    >[];
    readonly RequestItems?: Readonly<Record<string, { readonly Keys?: readonly Addressed[] }>>;
    readonly ExpressionAttributeValues?: Readonly<Record<string, { readonly S?: string }>>;
  };
  const [action] = Object.values(TransactItems?.[0] ?? {});
  const [batch] = Object.values(RequestItems ?? {});
  const found = Key ?? action?.Item ?? action?.Key ?? batch?.Keys?.[0] ?? {};
  const pk = operation === 'Query' ? ExpressionAttributeValues?.[':pk']?.S : found.pk?.S;
  return { pk: pk ?? '', sk: found.sk?.S ?? '' };
}

/** A batch of which the second half is left undone; undefined for other requests. */
function halved({ RequestItems }: { readonly [name: string]: unknown }) {
  const [entry] = Object.entries((RequestItems ?? {}) as Record<string, unknown>);
  if (entry === undefined) return undefined;
  const [table, wanted] = entry;
  const keys = (Array.isArray(wanted) ? wanted : (wanted as { Keys: unknown[] }).Keys) as unknown[];
  const [first, second] = [keys.slice(0, keys.length >> 1), keys.slice(keys.length >> 1)];
  if (first.length === 0) return undefined;
  const of = (part: unknown[]) => ({ [table]: Array.isArray(wanted) ? part : { ...(wanted as object), Keys: part } });
  const left = Array.isArray(wanted) ? { UnprocessedItems: of(second) } : { UnprocessedKeys: of(second) };
  return { asked: { RequestItems: of(first) }, left };
}

function noteTopic(lives: TopicLives, pk: string, sk: string, before: Item | undefined, after: Item | undefined): void {
  if (pk.startsWith('group')) return;
  if (sk === 'head') {
    const topicId = pk.slice(0, pk.lastIndexOf('/'));
    if (before === undefined && after !== undefined) lives.headMade(topicId);
    if (before !== undefined && after === undefined) lives.headGone(topicId);
  }
  if (pk !== 'topics') return;
  const topicId = String((after ?? before)?.topicId?.S);
  const partitionCount = Number(after?.partitionCount?.N);
  if (after === undefined) lives.unlisted(topicId);
  else if (before === undefined) lives.created({ topic: sk, topicId, partitionCount });
  else lives.altered(topicId, partitionCount);
}
