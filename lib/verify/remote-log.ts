/** A log at the other end of a transport, with the interface of the log itself. One call is one request: no retries. */

import { Admin } from '../client/admin.ts';
import { callJson, errorOf, requestTimeoutMs, topicPath } from '../client/api-calls.ts';
import { failuresOf } from '../client/fetch-batches.ts';
import { sendBatches } from '../client/send-batches.ts';
import type { Transport } from '../client/transport.ts';
import { isLogError, LogError } from '../errors.ts';
import type { FetchRequest, FetchResult, ProduceRequest, ProduceResult } from '../log.ts';
import { readBatchHeader } from '../record/record-batch.ts';
import {
  batchesContentType,
  decodeFrames,
  jsonContentType,
  parsePartitions,
  partitionsHeader,
  problemContentType,
} from '../wire.ts';
import type { CalledLog } from './recorder.ts';
import { openRemoteGroups } from './remote-groups.ts';

export function openRemoteLog(transport: Transport): CalledLog {
  const admin = new Admin(transport);
  return {
    topics: {
      create: ({ topic, partitionCount = 1 }) => admin.createTopic(topic, { partitions: partitionCount }),
      describe: (topic) => admin.describeTopic(topic),
      alter: ({ topic, partitionCount }) =>
        admin.alterTopic(topic, partitionCount === undefined ? {} : { partitions: partitionCount }),
      delete: (topic) => admin.deleteTopic(topic),
      list: async ({ after, limit }) => {
        const query = { limit: String(limit), ...(after === undefined ? {} : { after }) };
        const page = await callJson<{ topics: Awaited<ReturnType<CalledLog['topics']['list']>> }>(
          transport,
          'GET',
          '/v1/topics',
          { query, has: 'topics' },
        );
        return page.topics;
      },
    },
    groups: openRemoteGroups(transport),
    produce: (request) => produce(transport, request),
    fetch: (request) => fetch(transport, request),
    listOffsets: ({ topic, partition, timestamp }) => admin.listOffsets(topic, partition, timestamp),
    nextProducer: () => callJson(transport, 'POST', '/v1/producers', { role: 'producer' }),
  };
}

async function produce(transport: Transport, { topic, batches }: ProduceRequest): Promise<ProduceResult[]> {
  const results = await sendBatches(transport, topic, batches);
  return batches.map(({ partition, batch }, index) => {
    const result = results[index];
    if (result === undefined || isLogError(result)) {
      return { partition, error: result ?? new LogError('UNKNOWN_SERVER_ERROR', 'a batch has no result') };
    }
    // The protocol does not tell a duplicate apart.
    return { partition, ...result, recordCount: readBatchHeader(batch).recordCount, isDuplicate: false };
  });
}

async function fetch(transport: Transport, request: FetchRequest): Promise<FetchResult[]> {
  const { topic, partitions, maxBytes, minBytes, maxWaitMs } = request;
  const response = await transport({
    method: 'POST',
    path: topicPath(topic, '/fetch'),
    headers: { 'content-type': jsonContentType, accept: `${batchesContentType}, ${problemContentType}` },
    body: [Buffer.from(JSON.stringify({ partitions, maxBytes, minBytes, maxWaitMs }))],
    role: 'consumer',
    timeoutMs: requestTimeoutMs + maxWaitMs,
  });
  const watermarks = response.header(partitionsHeader);
  if (watermarks === undefined) {
    const failures = response.status < 300 ? undefined : failuresOf(response);
    if (failures === undefined) throw errorOf(response);
    return failures;
  }
  const frames = response.status < 300 ? decodeFrames(response.body) : [];
  const batchesOf = Map.groupBy(frames, ({ partition }) => partition);
  return parsePartitions(watermarks).map(({ partition, nextOffset, highWatermark, logStartOffset, code }) => {
    if (code !== undefined)
      return { partition, error: new LogError(code, `partition ${partition} of ${topic}: ${code}`) };
    const batches = (batchesOf.get(partition) ?? []).map(({ batch }) => batch);
    const [first] = batches;
    const asked = partitions.find((one) => one.partition === partition)?.offset;
    const resolved = first === undefined ? nextOffset : Number(readBatchHeader(first).baseOffset);
    const offset = typeof asked === 'number' ? asked : resolved;
    return { partition, offset, batches, nextOffset, highWatermark, logStartOffset };
  });
}
