import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { metrics } from '../../lib/metrics.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import { decodeRecords } from '../../lib/record/record-batch.ts';
import { batchesContentType, decodeFrames, encodeFrames, parsePartitions } from '../../lib/wire.ts';
import { dynamoDbMissing } from '../support/dynoxide.ts';
import type { InvokeResult } from '../support/lambda-runtime.ts';
import { type AwsFunctions, startAwsFunctions } from './aws-functions.ts';
import { readEvent } from './memory-function.ts';

/** 6 MB of payload is AWS's; what a bundle may have and how fast it must be there is ours. */
const bundleBytesMax = 500 * 1024;
const loadMsMax = 150;

describe.skipIf(dynamoDbMissing)(`the bundled functions${dynamoDbMissing ?? ''}`, () => {
  let functions: AwsFunctions;
  let topicCount = 0;

  beforeAll(async () => {
    functions = await startAwsFunctions();
  }, 60_000);
  afterAll(async () => await functions?.close());
  afterEach(() => {
    functions.dynamoDb.replyDelayMs = undefined;
    functions.s3.replyDelayMs = undefined;
  });

  /** A topic of the test's own, and the event of a file about it. */
  async function newTopic(partitions = 1): Promise<string> {
    const topic = `orders-${topicCount++}`;
    const { payload, error } = await functions.invoke('topics', { action: 'create', topic, partitions });
    expect(error).toBeUndefined();
    expect(payload.partitionCount).toBe(partitions);
    return topic;
  }
  const eventOf = (name: string, topic: string) =>
    JSON.parse(JSON.stringify(readEvent(name)).replaceAll('orders', topic));

  function lineOf({ logLines }: InvokeResult) {
    const lines = logLines.filter((line) => line.includes('"message":"request"'));
    expect(lines).toHaveLength(1);
    return JSON.parse(lines[0] ?? '');
  }

  test('each is one module of less than 500 KiB, its codecs, and a source map', () => {
    expect(functions.bundleBytes.produce).toBeLessThan(bundleBytesMax);
    expect(functions.bundleBytes.fetch).toBeLessThan(bundleBytesMax);
    expect(functions.bundleBytes.group).toBeLessThan(bundleBytesMax);
    for (const name of ['produce', 'fetch', 'topics', 'group']) {
      const files = readdirSync(join(functions.folder, name)).sort();
      expect(files, name).toEqual(['index.mjs', 'index.mjs.map', 'native.wasm']);
    }
  });

  test('groups are in the group function alone, and nothing that appends is', () => {
    const has = (text: string) =>
      (['produce', 'fetch', 'topics', 'group'] as const).filter((name) =>
        readFileSync(join(functions.folder, name, 'index.mjs'), 'utf8').includes(text),
      );
    // The condition of a member's commit, and of a roll of a partition.
    expect(has('w = :w AND u <= :e')).toEqual(['group']);
    expect(has('b = :from')).toEqual(['produce', 'fetch', 'topics']);
  });

  test.each(['produce', 'fetch', 'topics', 'group'] as const)(
    '%s is loaded with less than 150 ms of work',
    async (name) => {
      const loads: number[] = [];
      // On a busy machine the same work takes more processor time, so some starts more tell.
      for (let start = 0; start < 8 && Math.min(...loads) >= loadMsMax; start++) {
        const fn = functions.start(name);
        const { logLines } = await fn.invoke({ method: 'GET', path: '/v1/health' });
        loads.push(Number(/([\d.]+) ms of processor time/.exec(logLines.join('\n'))?.[1]));
        await fn.close();
      }
      // The least of them, and not by the clock: that tells how busy this machine is.
      expect(Math.min(...loads)).toBeLessThan(loadMsMax);
    },
  );

  test('every form of event reaches the one log', async () => {
    const topic = await newTopic(2);
    let recordCount = 0;
    for (const name of ['rest-produce', 'rest-produce-base-path', 'http-produce', 'request-produce', 'plain-produce']) {
      const { payload, error } = await functions.invoke('produce', eventOf(name, topic));
      expect(error, name).toBeUndefined();
      const { results } = name.startsWith('plain') ? payload : JSON.parse(payload.body);
      expect(results, name).toMatchObject([{ partition: 0, baseOffset: recordCount }]);
      recordCount += results[0].recordCount;
    }
    for (const name of ['rest-fetch', 'http-fetch', 'plain-fetch']) {
      const { payload } = await functions.invoke('fetch', eventOf(name, topic));
      const { records, nextOffset } = name.startsWith('plain') ? payload : JSON.parse(payload.body);
      expect(records, name).toHaveLength(recordCount);
      expect(nextOffset).toBe(recordCount);
    }
    for (const name of ['rest-fetch-batches', 'function-url-fetch-batches', 'request-fetch']) {
      const { payload } = await functions.invoke('fetch', eventOf(name, topic));
      expect(payload.headers['millrace-partitions']).toBe(`0:${recordCount}:${recordCount}:0`);
      const batches = decodeFrames(Buffer.from(payload.body, 'base64'));
      expect(batches.flatMap(({ batch }) => [...decodeRecords(batch)])).toHaveLength(recordCount);
    }
    const { payload } = await functions.invoke('fetch', eventOf('plain-offsets', topic));
    expect(payload).toEqual({ offset: recordCount, timestamp: null });
    expect((await functions.invoke('topics', eventOf('plain-delete', topic))).payload).toBeNull();
  });

  test('a group is joined, committed in and reset to a time, over DynamoDB and S3', async () => {
    const topic = await newTopic(2);
    const group = (action: string, rest: object) =>
      functions.invoke('group', { action, group: `of-${topic}`, ...rest }).then((result) => {
        expect(result.error, action).toBeUndefined();
        return result;
      });
    const timestamp = 1_700_000_000_000;
    for (const at of [0, 1, 2]) {
      const records = [{ partition: 1, value: 'v', timestamp: timestamp + at }];
      await functions.invoke('produce', { topic, records });
    }
    const joined = await group('heartbeat', { memberId: 'first', memberEpoch: 0, topics: [topic] });
    expect(joined.payload).toMatchObject({ memberEpoch: 1, assignment: [{ topic, partitions: [0, 1] }] });
    expect(lineOf(joined)).toMatchObject({ api: 'heartbeat', groupId: `of-${topic}`, memberEpoch: 0, s3Requests: 0 });
    const quiet = await group('heartbeat', { memberId: 'first', memberEpoch: 1 });
    expect(lineOf(quiet)).toMatchObject({ dynamoDbRequests: 2, writeUnits: 1, readUnits: 1 });
    const offsets = [{ topic, partition: 1, offset: 3 }];
    await group('commit', { memberId: 'first', memberEpoch: 1, offsets });
    expect((await group('describe', {})).payload.partitions).toMatchObject([{ lag: null }, { lag: 0 }]);
    await group('heartbeat', { memberId: 'first', memberEpoch: -1 });
    const reset = await group('reset', { topic, partitions: [1], to: timestamp + 1 });
    expect(reset.payload).toMatchObject({ offsets: [{ partition: 1, offset: 1 }] });
    expect(lineOf(reset).s3Requests).toBe(1);
    expect((await group('delete', {})).payload).toBeNull();
  });

  test('only the topics function has the OpenAPI document', async () => {
    const { payload } = await functions.invoke('topics', readEvent('rest-openapi'));
    expect(JSON.parse(payload.body).paths).toHaveProperty('/v1/topics/{topic}/records');
    expect((await functions.invoke('produce', readEvent('rest-openapi'))).payload.statusCode).toBe(421);
  });

  test('a failure of the plain form is an error of the function, under the name of its code', async () => {
    const { error } = await functions.invoke('produce', eventOf('plain-produce', 'missing'));
    expect(error).toMatchObject({
      errorType: 'UNKNOWN_TOPIC_OR_PARTITION',
      errorMessage: 'topic missing does not exist (retriable: true, effect: none)',
    });
  });

  test('several environments at once append to one log without losing or repeating an offset', async () => {
    const partitionCount = 3;
    const topic = await newTopic(partitionCount);
    const writers = 4;
    const fn = functions.start('produce');
    const acknowledged: { partition: number; offset: number; value: string }[] = [];
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        for (let round = 0; round < 12; round++) {
          const values = Array.from(
            { length: 1 + ((writer + round) % 3) },
            (_, index) => `${writer}/${round}/${index}`,
          );
          const records = values.map((value) => ({ partition: (writer + round) % partitionCount, value }));
          const { payload, error } = await fn.invoke({ topic, records });
          expect(error).toBeUndefined();
          const [{ partition, baseOffset }] = payload.results;
          acknowledged.push(...values.map((value, index) => ({ partition, offset: baseOffset + index, value })));
        }
      }),
    );
    expect(fn.environmentCount).toBe(writers);

    const read: typeof acknowledged = [];
    for (let partition = 0; partition < partitionCount; partition++) {
      for (let offset = 0, end = 1; offset < end; ) {
        const { payload } = await functions.invoke('fetch', { topic, partition, offset });
        for (const record of payload.records) read.push({ partition, offset: record.offset, value: record.value });
        [offset, end] = [payload.nextOffset, payload.highWatermark];
      }
    }
    const inOrder = (a: (typeof read)[number], b: (typeof read)[number]) =>
      a.partition - b.partition || a.offset - b.offset;
    expect(read).toEqual(acknowledged.sort(inOrder));
    for (let partition = 0; partition < partitionCount; partition++) {
      const offsets = read.filter((record) => record.partition === partition).map(({ offset }) => offset);
      expect(offsets).toEqual(offsets.map((_, index) => index));
    }
  }, 60_000);

  test('a batch that is sent again, to another environment, has its first answer', async () => {
    const topic = await newTopic();
    const created = await functions.invoke('produce', readEvent('request-create-producer'));
    const { producerId, producerEpoch } = JSON.parse(created.payload.body);
    const batch = encodeBatch({
      records: [{ key: null, value: Buffer.from('once'), headers: [], timestamp: 1 }],
      producer: { producerId, producerEpoch, baseSequence: 0 },
    });
    const event = {
      method: 'POST',
      path: `/v1/topics/${topic}/batches`,
      headers: { 'content-type': batchesContentType },
      body: Buffer.concat(encodeFrames([{ partition: 0, batch }])).toString('base64'),
      isBase64Encoded: true,
    };
    const first = await functions.invoke('produce', event);
    const again = await functions.start('produce').invoke(event);
    expect(JSON.parse(first.payload.body).results).toMatchObject([{ partition: 0, baseOffset: 0, recordCount: 1 }]);
    expect(again.payload).toEqual(first.payload);
    expect((await functions.invoke('fetch', { topic, partition: 0 })).payload.nextOffset).toBe(1);
  });

  test('every codec works in the bundle', async () => {
    const topic = await newTopic();
    for (const codec of ['gzip', 'snappy', 'lz4', 'zstd']) {
      await functions.invoke('topics', { action: 'alter', topic, config: { 'compression.type': codec } });
      const { payload } = await functions.start('produce').invoke({ topic, records: [{ value: codec.repeat(100) }] });
      expect(payload.results[0].recordCount).toBe(1);
    }
    const { payload } = await functions.invoke('fetch', { topic, partition: 0 });
    const values = payload.records.map(({ value }: { value: string }) => value.slice(0, 6).replace(/(.+?)\1.*/, '$1'));
    expect(values).toHaveLength(4);
  });

  test('an invoke writes one line, with the metrics in it and what it has cost', async () => {
    const topic = await newTopic();
    const fn = functions.start('produce');
    const event = eventOf('request-produce', topic);
    const first = lineOf(await fn.invoke(event));
    expect(first).toMatchObject({ level: 'INFO', service: functions.environment.MILLRACE_TABLE, coldStart: true });
    const line = lineOf(await fn.invoke(event));
    expect(line).toMatchObject({
      api: 'produceRecords',
      method: 'POST',
      topic,
      status: 200,
      coldStart: false,
      recordsIn: 1,
      s3Requests: 1,
      dynamoDbRequests: 1,
      readUnits: 0,
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(line.writeUnits).toBeGreaterThanOrEqual(1);
    expect(line.bytesIn).toBeGreaterThan(0);
    expect(JSON.stringify(line)).not.toContain('request form');
    const [ofLog, ofTopic] = line._aws.CloudWatchMetrics;
    expect(ofLog).toMatchObject({ Namespace: 'Millrace', Dimensions: [['service']] });
    expect(ofTopic).toMatchObject({ Namespace: 'Millrace', Dimensions: [['service', 'topic']] });
    const names = ({ Metrics }: { Metrics: { Name: string }[] }) => Metrics.map(({ Name }) => Name);
    expect(names(ofTopic)).toEqual(['RecordsIn', 'BytesIn']);
    expect(names(ofLog)).toContain('ProduceLatency');
    for (const { Name, Unit } of ofLog.Metrics) {
      expect(metrics[Name as keyof typeof metrics].unit).toBe(Unit);
      expect(typeof line[Name]).toBe('number');
    }
    expect(JSON.stringify(line._aws)).not.toContain('artition');
  });

  test('a fetch tells what it found, and a name that nobody has makes no metric', async () => {
    const topic = await newTopic();
    const empty = lineOf(await functions.invoke('fetch', eventOf('plain-fetch', topic)));
    expect(empty).toMatchObject({ api: 'fetchRecords', partition: 0, EmptyFetches: 1, FetchBytes: 0, s3Requests: 0 });
    await functions.invoke('produce', eventOf('plain-produce', topic));
    const found = lineOf(await functions.invoke('fetch', eventOf('plain-fetch', topic)));
    expect(found).toMatchObject({ EmptyFetches: 0, RecordsOut: 2, recordsOut: 2, s3Requests: 1 });
    const missing = lineOf(await functions.invoke('fetch', eventOf('plain-fetch', 'made-up')));
    expect(missing).toMatchObject({ status: 404, code: 'UNKNOWN_TOPIC_OR_PARTITION', Errors: 0 });
    expect(missing._aws.CloudWatchMetrics).toHaveLength(1);
  });

  test('no metric stands for a topic where there shall be none', async () => {
    const topic = await newTopic();
    const environment = { ...functions.environment, MILLRACE_TOPIC_METRICS: '0' };
    const line = lineOf(await functions.start('produce', { environment }).invoke(eventOf('request-produce', topic)));
    expect(line).toMatchObject({ topic, recordsIn: 1, RecordsIn: 1 });
    expect(line._aws.CloudWatchMetrics).toMatchObject([{ Dimensions: [['service']] }]);
  });

  test('a long poll ends before the function does, and the environment lives on', async () => {
    const topic = await newTopic();
    const fn = functions.start('fetch', { timeoutMs: 3_000 });
    const path = `/v1/topics/${topic}/partitions/0/records`;
    const result = await fn.invoke({ method: 'GET', path, query: { maxWaitMs: '30000' } });
    expect(result.error).toBeUndefined();
    expect(result.payload.status).toBe(200);
    expect(result.durationMs).toBeGreaterThan(1_000);
    expect(result.durationMs).toBeLessThan(2_500);
    expect((await fn.invoke({ topic, partition: 0 })).payload.nextOffset).toBe(0);
    expect(fn.environmentCount).toBe(1);
  });

  test('a produce whose object is not stored in time has had no effect, and says so in time', async () => {
    const topic = await newTopic();
    const fn = functions.start('produce', { timeoutMs: 2_000 });
    functions.s3.replyDelayMs = () => Number.POSITIVE_INFINITY;
    const { payload, durationMs } = await fn.invoke(eventOf('request-produce', topic));
    expect(durationMs).toBeLessThan(2_000);
    expect(payload.status).toBe(504);
    expect(JSON.parse(payload.body)).toMatchObject({ code: 'REQUEST_TIMED_OUT', effect: 'none', retriable: true });
    functions.s3.replyDelayMs = undefined;
    expect((await fn.invoke(eventOf('plain-produce', topic))).payload.results[0].baseOffset).toBe(0);
    expect(fn.environmentCount).toBe(1);
  });

  test('a produce whose commit is not answered in time may have had its effect, and says so', async () => {
    const topic = await newTopic();
    const fn = functions.start('produce', { timeoutMs: 2_500 });
    functions.dynamoDb.replyDelayMs = ({ 'x-amz-target': target }) =>
      String(target).endsWith('.UpdateItem') ? Number.POSITIVE_INFINITY : 0;
    const { payload, durationMs } = await fn.invoke(eventOf('request-produce', topic));
    functions.dynamoDb.replyDelayMs = undefined;
    expect(durationMs).toBeLessThan(2_500);
    expect(payload.status).toBeGreaterThanOrEqual(503);
    expect(JSON.parse(payload.body)).toMatchObject({ effect: 'unknown', retriable: true });
    // And so it was: the commit was carried out, only its answer was lost.
    expect((await functions.invoke('fetch', { topic, partition: 0 })).payload.nextOffset).toBe(1);
  });

  test('connections that were closed while the environment was frozen are not used', async () => {
    const topic = await newTopic();
    const fn = functions.start('produce');
    for (let round = 0; round < 15; round++) {
      const { payload, error } = await fn.invoke(eventOf('plain-produce', topic));
      expect(error).toBeUndefined();
      expect(payload.results[0].baseOffset).toBe(2 * round);
      functions.dynamoDb.closeIdleConnections();
      functions.s3.closeIdleConnections();
    }
    expect(fn.environmentCount).toBe(1);
  });

  test('a roll that an append has started is done before the environment is frozen', async () => {
    const topic = await newTopic();
    const fn = functions.start('produce');
    // A roll is a transaction; what it takes is taken within the invoke, and its requests are counted there.
    const rollMs = 1_000;
    functions.dynamoDb.replyDelayMs = ({ 'x-amz-target': target }) =>
      String(target).includes('Transact') ? rollMs : 0;
    const rolls: unknown[] = [];
    for (let round = 0; round < 40; round++) {
      const result = await fn.invoke(eventOf('plain-produce', topic));
      if (result.durationMs >= rollMs) rolls.push(lineOf(result).dynamoDbRequests);
    }
    expect(rolls.length).toBeGreaterThanOrEqual(1);
    expect(new Set(rolls)).toEqual(new Set([2]));
    const { payload } = await functions.invoke('fetch', { topic, partition: 0, offset: 0 });
    expect(payload.nextOffset).toBe(80);
  });

  test('a fetch of more than a payload holds is cut, and Lambda takes every answer', async () => {
    const topic = await newTopic();
    const value = 'x'.repeat(900_000);
    for (let at = 0; at < 7; at++) {
      expect((await functions.invoke('produce', { topic, records: [{ value }] })).error).toBeUndefined();
    }
    const path = `/v1/topics/${topic}/partitions/0/records`;
    const headers = { accept: batchesContentType };
    let offset = 0;
    let batchCount = 0;
    for (let invokes = 0; invokes < 2; invokes++) {
      const query = { offset: String(offset), maxBytes: '32000000' };
      const { payload, error } = await functions.invoke('fetch', { method: 'GET', path, headers, query });
      expect(error).toBeUndefined();
      batchCount += decodeFrames(Buffer.from(payload.body, 'base64')).length;
      offset = parsePartitions(payload.headers['millrace-partitions'])[0]?.nextOffset ?? Number.NaN;
    }
    expect([offset, batchCount]).toEqual([7, 7]);
  });

  test('with response streaming events leave as they come, and a large fetch leaves whole', async () => {
    const topic = await newTopic();
    const environment = { ...functions.environment, MILLRACE_RESPONSE_STREAMING: '1' };
    const fn = functions.start('fetch', { environment, timeoutMs: 5_000 });
    for (let at = 0; at < 8; at++)
      await functions.invoke('produce', { topic, records: [{ value: 'x'.repeat(900_000) }] });
    const large = eventOf('rest-fetch-batches', topic);
    large.multiValueQueryStringParameters.maxBytes = ['32000000'];
    const { streamed } = await fn.invoke(large);
    expect(streamed?.contentType).toBe('application/vnd.awslambda.http-integration-response');
    const [head, body] = splitHead(Buffer.concat(streamed?.pieces.map(([, piece]) => piece) ?? []));
    expect(head).toMatchObject({ statusCode: 200, headers: { 'millrace-partitions': '0:8:8:0' } });
    expect(body.byteLength).toBeGreaterThan(7_000_000);

    const events = eventOf('rest-fetch', topic);
    events.multiValueHeaders.accept = ['text/event-stream'];
    events.multiValueQueryStringParameters = { offset: ['8'] };
    const stream = fn.invoke(events);
    await new Promise((resolve) => setTimeout(resolve, 700));
    await functions.invoke('produce', { topic, records: [{ value: 'later' }] });
    const { streamed: sent, durationMs } = await stream;
    expect(durationMs).toBeLessThan(5_000);
    const pieces = sent?.pieces ?? [];
    expect(Buffer.concat(pieces.map(([, piece]) => piece)).toString()).toMatch(/id: 8\ndata: \{.*"later"/);
    // The event came on its own, well before the stream ended.
    const startMs = pieces[0]?.[0] ?? Number.NaN;
    const eventMs = pieces.find(([, piece]) => piece.includes('later'))?.[0] ?? Number.NaN;
    expect(eventMs - startMs).toBeGreaterThan(300);
    expect(eventMs - startMs).toBeLessThan(2_500);

    const { streamed: plain } = await fn.invoke({ topic, partition: 0, offset: 8 });
    expect(JSON.parse(String(plain?.pieces.map(([, piece]) => piece).join('')))).toMatchObject({ nextOffset: 9 });
    expect((await fn.invoke({ topic: 'gone', partition: 0 })).error?.errorType).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  });

  test('CloudFormation is answered by the topics function', async () => {
    const told: Record<string, unknown>[] = [];
    const server = createServer(async (request, response) => {
      told.push(JSON.parse(Buffer.concat(await request.toArray()).toString()));
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const ResponseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      const { payload, error } = await functions.invoke('topics', {
        ...eventOf('cloudformation-create', 'by-stack'),
        ResponseURL,
      });
      expect([payload, error]).toEqual([null, undefined]);
      expect(told).toMatchObject([{ Status: 'SUCCESS', Data: { topic: 'by-stack', partitions: 3 } }]);
    } finally {
      server.close();
    }
  });

  test.each([
    [{ MILLRACE_TABLE: '' }, 'MILLRACE_TABLE is empty: the name of the DynamoDB table'],
    [{ MILLRACE_BUCKET: undefined }, 'MILLRACE_BUCKET is missing: the name of the S3 bucket'],
    [{ MILLRACE_RESPONSE_STREAMING: 'yes' }, 'MILLRACE_RESPONSE_STREAMING is "yes", allowed are 0 and 1'],
  ])('a function with %o does not start, and says why', async (wrong, reason) => {
    const environment = Object.fromEntries(
      Object.entries({ ...functions.environment, ...wrong }).filter(([, value]) => value !== undefined),
    ) as Record<string, string>;
    const fn = functions.start('fetch', { environment });
    const { error } = await fn.invoke(readEvent('plain-fetch'));
    expect(error?.errorMessage).toContain(reason);
    expect(fn.environmentCount).toBe(0);
  });

  test('a wrong table or bucket is an answer that names what to check', async () => {
    const topic = await newTopic();
    const wrongTable = { ...functions.environment, MILLRACE_TABLE: 'millrace-nothing' };
    const table = await functions
      .start('produce', { environment: wrongTable })
      .invoke(eventOf('request-produce', topic));
    expect(table.payload.status).toBe(503);
    expect(JSON.parse(table.payload.body)).toMatchObject({ code: 'KAFKA_STORAGE_ERROR', effect: 'none' });
    expect(JSON.parse(table.payload.body).detail).toContain('millrace-nothing');
    const wrongBucket = { ...functions.environment, MILLRACE_BUCKET: 'millrace-nowhere' };
    const bucket = await functions
      .start('produce', { environment: wrongBucket })
      .invoke(eventOf('request-produce', topic));
    expect(bucket.payload.status).toBe(503);
    expect(JSON.parse(bucket.payload.body).detail).toContain('millrace-nowhere');
    expect(existsSync(functions.folder)).toBe(true);
  });
});

/** The head of a streamed HTTP answer ends with eight zero bytes. */
function splitHead(bytes: Buffer): [head: unknown, body: Buffer] {
  const end = bytes.indexOf(Buffer.alloc(8));
  return [JSON.parse(bytes.toString('utf8', 0, end)), bytes.subarray(end + 8)];
}
