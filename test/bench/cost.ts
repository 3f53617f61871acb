/**
 * What 1,000 records cost in requests and units of S3 and DynamoDB: `npm run cost`.
 *
 * Counted on the log over an S3 in memory and the DynamoDB emulator, by what the stores report of each request; priced by
 * `prices.json`. Storage, functions and API Gateway come on top.
 */

import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { systemClock } from '../../lib/clock.ts';
import { createLog, type OpenLog } from '../../lib/create-log.ts';
import { parseTopicName } from '../../lib/ids.ts';
import { KiB, MiB } from '../../lib/limits.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { openS3ObjectStore } from '../../lib/store/object-store-s3.ts';
import type { StoreRequest } from '../../lib/store/store-request.ts';
import { createTable, startDynoxide } from '../support/dynoxide.ts';
import { createS3Door } from '../support/s3-door.ts';
import { table } from './report.ts';

export interface Prices {
  readonly date: string;
  readonly region: string;
  readonly usdPerMillion: Readonly<
    Record<'s3Put' | 's3Get' | 'writeUnit' | 'readUnit' | 'apiRequest' | 'invocation', number>
  >;
}

/** Of the work on 1,000 records of 1 KiB. */
export interface Cost {
  readonly work: 'produce' | 'fetch at the tail' | 'fetch later';
  readonly recordsPerBatch: number;
  readonly s3Puts: number;
  readonly s3Gets: number;
  readonly dynamoDbRequests: number;
  readonly writeUnits: number;
  readonly readUnits: number;
  /** Of a million such records. */
  readonly usdPerMillionRecords: number;
}

export const prices: Prices = JSON.parse(readFileSync(new URL('prices.json', import.meta.url), 'utf8'));
const recordBytes = 1 * KiB;
/** Batches produced and fetched for each row: enough for the rolls of the index to show their share. */
export const batchCountOf: ReadonlyMap<number, number> = new Map([
  [1, 1000],
  [10, 500],
  [100, 250],
  [1000, 100],
]);

/**
 * One idempotent producer, one partition, one batch at a time, as a function does it. `batchCounts` by records per batch.
 */
export async function countCosts(batchCounts = batchCountOf): Promise<readonly Cost[]> {
  const dynamoDb = await startDynoxide();
  try {
    const costs: Cost[] = [];
    for (const [recordsPerBatch, batchCount] of batchCounts) {
      let requests: StoreRequest[] = [];
      const log = await openCountedLog(await createTable(dynamoDb.client), dynamoDb.client, (request) =>
        requests.push(request),
      );
      const take = (work: Cost['work']): Cost => {
        const cost = costOf(work, requests, recordsPerBatch, batchCount);
        requests = [];
        return cost;
      };
      requests = [];
      const tailReads: StoreRequest[] = [];
      for (let index = 0; index < batchCount; index++) {
        await produce(log, recordsPerBatch, index);
        const produced = requests;
        requests = [];
        await fetchAll(log, index * recordsPerBatch);
        tailReads.push(...requests);
        requests = produced;
      }
      costs.push(take('produce'));
      requests = tailReads;
      costs.push(take('fetch at the tail'));
      await fetchAll(log, 0);
      costs.push(take('fetch later'));
      await log.close();
    }
    return costs;
  } finally {
    await dynamoDb.close();
  }
}

type DynamoDbClient = Awaited<ReturnType<typeof startDynoxide>>['client'];
const topic = parseTopicName('cost');
const producer = { producerId: 0, producerEpoch: 0 };

async function openCountedLog(
  tableName: string,
  client: DynamoDbClient,
  onRequest: (request: StoreRequest) => void,
): Promise<OpenLog> {
  // Time stands still: a slow machine does not look the topic up again in between.
  const nowMs = systemClock.nowMs();
  const clock = { ...systemClock, nowMs: () => nowMs };
  const shared = { clock, randomBytes: (bytes: Uint8Array) => randomFillSync(bytes), onRequest };
  // Without hedging: how many requests are sent twice depends on latency, and is under 5 %.
  const s3 = { ...shared, bucket: 'cost', client: createS3Door({ bucket: 'cost' }).client, hedging: false };
  const log = createLog({
    ...shared,
    objectStore: openS3ObjectStore(s3),
    metadataStore: openDynamoDbMetadataStore({ ...shared, table: tableName, client }),
  });
  await log.topics.create({ topic, partitionCount: 1 });
  await log.nextProducer();
  // Fills the cache of topics, as the first invoke of an environment does.
  await log.topics.get(topic);
  return log;
}

async function produce(log: OpenLog, recordsPerBatch: number, index: number): Promise<void> {
  const value = randomFillSync(Buffer.alloc(recordBytes));
  const timestamp = Date.now();
  const records = Array.from({ length: recordsPerBatch }, () => ({ key: null, value, headers: [], timestamp }));
  const batch = encodeBatch({ records, producer: { ...producer, baseSequence: index * recordsPerBatch } });
  const [result] = await log.produce({ topic, batches: [{ partition: 0, batch }] });
  if (result === undefined || 'error' in result) throw result?.error;
  await log.settled();
}

async function fetchAll(log: OpenLog, from: number): Promise<void> {
  for (let offset = from; ; ) {
    const partitions = [{ partition: 0, offset }];
    const [result] = await log.fetch({ topic, partitions, maxBytes: 4 * MiB, minBytes: 0, maxWaitMs: 0 });
    if (result === undefined || 'error' in result) throw result?.error;
    offset = result.nextOffset;
    if (offset === result.highWatermark) return;
  }
}

function costOf(
  work: Cost['work'],
  requests: readonly StoreRequest[],
  recordsPerBatch: number,
  batchCount: number,
): Cost {
  const per1000 = 1000 / (recordsPerBatch * batchCount);
  const count = (which: (request: StoreRequest) => boolean) => requests.filter(which).length * per1000;
  const sum = (unit: 'readUnits' | 'writeUnits') =>
    requests.reduce((units, request) => units + request[unit], 0) * per1000;
  const s3Puts = count(({ operation }) => operation === 'PutObject');
  const s3Gets = count(({ operation }) => operation === 'GetObject');
  const [writeUnits, readUnits] = [sum('writeUnits'), sum('readUnits')];
  const { usdPerMillion } = prices;
  const usdPerMillionRecords =
    (s3Puts * usdPerMillion.s3Put +
      s3Gets * usdPerMillion.s3Get +
      writeUnits * usdPerMillion.writeUnit +
      readUnits * usdPerMillion.readUnit) /
    1000;
  return {
    work,
    recordsPerBatch,
    s3Puts,
    s3Gets,
    dynamoDbRequests: count(({ service }) => service === 'dynamodb'),
    writeUnits,
    readUnits,
    usdPerMillionRecords,
  };
}

export function costTable(costs: readonly Cost[]): string {
  const show = (value: number) => (value === 0 ? '' : value.toLocaleString('en', { maximumFractionDigits: 2 }));
  const rows = costs.map((cost) => [
    cost.work,
    String(cost.recordsPerBatch),
    show(cost.s3Puts),
    show(cost.s3Gets),
    show(cost.dynamoDbRequests),
    show(cost.writeUnits),
    show(cost.readUnits),
    `$${cost.usdPerMillionRecords.toFixed(cost.usdPerMillionRecords < 0.1 ? 4 : 2)}`,
  ]);
  return [
    `Per 1,000 records of 1 KiB, S3 and DynamoDB alone (prices of ${prices.region}, ${prices.date})`,
    '',
    table([
      [
        'work',
        'records per batch',
        'S3 PUT',
        'S3 GET',
        'DynamoDB requests',
        'write units',
        'read units',
        'a million records',
      ],
      ...rows,
    ]),
  ].join('\n');
}

if (import.meta.main) {
  const { json, help } = parseArgs({
    options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  }).values;
  if (help) {
    console.log(
      'Usage: npm run cost -- [--json]\n\nRequests and units of S3 and DynamoDB for 1,000 records, and their price.',
    );
  } else {
    const costs = await countCosts();
    console.log(json ? JSON.stringify({ prices, costs }, undefined, 2) : costTable(costs));
  }
}
