/**
 * `POST /v1/topics/{topic}/records`: JSON records become record batches here, as a client would build them.
 *
 * Records go to the partition they name, else to their key's, else all together to one chosen by chance. What one
 * partition gets is one batch, or several when `max.message.bytes` asks for it, and is answered as one entry.
 */

import { type RandomBytes, turnOfTheLoop } from '../clock.ts';
import { type ErrorCode, InvariantError, isLogError, LogError } from '../errors.ts';
import type { Partition, TopicName } from '../ids.ts';
import { MiB, producerBatchesMax, requestBytesMax } from '../limits.ts';
import type { ProduceResult, TopicSummary } from '../log.ts';
import { encodeBatch, recordBytesBound } from '../record/encode-batch.ts';
import type { Record as LogRecord } from '../record/record.ts';
import { batchHeaderBytes, type Codec } from '../record/record-batch.ts';
import { partitionForKey } from '../topic/partitioner.ts';
import { jsonContentType } from '../wire.ts';
import {
  type ApiDeps,
  type Call,
  checkJson,
  checkJsonAt,
  decodeJson,
  type Handler,
  negotiate,
  readBody,
  topicOf,
} from './http.ts';
import { recordFromJson } from './json-records.ts';
import { produceAnswer } from './produce-results.ts';
import { jsonRecord, type ProduceBodyOutline, produceBodyOutline } from './schemas.ts';

export const produceRecords: Handler = async (deps, call) => {
  const { log, onError } = deps;
  const topic = topicOf(call);
  negotiate(call, [jsonContentType]);
  const bytes = await readBody(call, jsonContentType, requestBytesMax);
  // In memory its records take twenty times the bytes, and with turns for others in between there could be many such.
  const isLarge = bytes.byteLength > largeBodyBytesMin;
  const encoded = await (isLarge
    ? deps.manyRecords.run(() => encodeRecords(deps, call, topic, bytes))
    : encodeRecords(deps, call, topic, bytes));
  const batches = encoded.flatMap((one) => ('error' in one ? [] : one.batches));
  const produced = batches.length === 0 ? [] : await log.produce({ topic, batches });

  // Results come one per batch and in order, so each partition takes as many of them as it sent batches.
  let at = 0;
  const results = encoded.map((one): ProduceResult => {
    if ('error' in one) return one;
    const own = produced.slice(at, at + one.batches.length);
    at += one.batches.length;
    return mergeResults(own);
  });
  return produceAnswer(results, onError);
};

/** To parse so many bytes takes some 20 ms, to check them as long, and to encode them again. */
const largeBodyBytesMin = 1 * MiB;
/** Records and headers of a large body that are worked on before others get a turn of the event loop: some 10 ms. */
const itemsPerTurn = 10_000;

async function encodeRecords(
  { log, clock, randomBytes }: ApiDeps,
  call: Call,
  topic: TopicName,
  bytes: Uint8Array,
): Promise<EncodedPartition[]> {
  const isLarge = bytes.byteLength > largeBodyBytesMin;
  const json = decodeJson(bytes);
  if (isLarge) await turnOfTheLoop();
  const body = checkJson(json, produceBodyOutline);
  const producer = parseProducer(body);
  const summary = await log.topics.get(topic);
  call.line.recordCount = body.records.length;

  const turns = newTurns(isLarge ? itemsPerTurn : Number.POSITIVE_INFINITY);
  const recordsByPartition = await groupByPartition(body, summary.partitionCount, clock.nowMs(), randomBytes, turns);
  const encoded: EncodedPartition[] = [];
  for (const [partition, records] of recordsByPartition) {
    encoded.push(await encodePartition(partition, records, summary, producer?.at(partition), turns));
  }
  return encoded;
}

/** Told how much was done, gives a promise to wait for when others should have a turn. */
type Turns = (itemCount: number) => Promise<void> | undefined;

function newTurns(itemsMax: number): Turns {
  let itemsLeft = itemsMax;
  return (itemCount) => {
    itemsLeft -= itemCount;
    if (itemsLeft > 0) return undefined;
    itemsLeft = itemsMax;
    return turnOfTheLoop();
  };
}

function itemsOf(record: LogRecord): number {
  return 1 + record.headers.length;
}

interface Sequence {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

/** INVALID_REQUEST unless the request names producer id, epoch and sequences, or none of them. */
function parseProducer(body: ProduceBodyOutline): { at(partition: Partition): Sequence } | undefined {
  const { producerId, producerEpoch, baseSequences } = body;
  if (producerId === undefined && producerEpoch === undefined && baseSequences === undefined) return undefined;
  if (producerId === undefined || producerEpoch === undefined || baseSequences === undefined) {
    throw invalid('producerId, producerEpoch and baseSequences belong together; some are missing');
  }
  return {
    at(partition) {
      const baseSequence = baseSequences[partition];
      if (baseSequence === undefined) throw invalid(`baseSequences has no entry for partition ${partition}`);
      return { producerId, producerEpoch, baseSequence };
    },
  };
}

/** In the order of partition; within one, in the order of the request. */
async function groupByPartition(
  body: ProduceBodyOutline,
  partitionCount: number,
  nowMs: number,
  randomBytes: RandomBytes,
  turns: Turns,
): Promise<Map<Partition, LogRecord[]>> {
  let sticky: Partition | undefined;
  const byPartition = new Map<Partition, LogRecord[]>();
  for (const [index, unchecked] of body.records.entries()) {
    const at = `records[${index}]`;
    const json = checkJsonAt(unchecked, jsonRecord, at);
    const record = recordFromJson(json, at, nowMs);
    let { partition } = json;
    if (partition === undefined && record.key !== null) partition = partitionForKey(record.key, partitionCount);
    if (partition === undefined) {
      // A retry would choose anew and land elsewhere, where its sequence means nothing.
      if (body.producerId !== undefined)
        throw invalid(`${at} has neither partition nor key; with producerId it needs one`);
      sticky ??= randomPartition(partitionCount, randomBytes);
      partition = sticky;
    }
    const records = byPartition.get(partition);
    if (records === undefined) byPartition.set(partition, [record]);
    else records.push(record);
    const turn = turns(itemsOf(record));
    if (turn !== undefined) await turn;
  }
  return byPartition.size < 2 ? byPartition : new Map([...byPartition].sort(([a], [b]) => a - b));
}

function randomPartition(partitionCount: number, randomBytes: RandomBytes): Partition {
  if (partitionCount === 1) return 0;
  const bytes = randomBytes(new Uint8Array(4));
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) % partitionCount;
}

type EncodedPartition =
  | { readonly batches: { partition: Partition; batch: Uint8Array }[] }
  | { readonly partition: Partition; readonly error: LogError };

/** Fills batches up to `max.message.bytes`. A partition with a record that fits none is refused as a whole. */
async function encodePartition(
  partition: Partition,
  records: readonly LogRecord[],
  { config }: TopicSummary,
  sequence: Sequence | undefined,
  turns: Turns,
): Promise<EncodedPartition> {
  const bytesMax = Number(config['max.message.bytes']?.value);
  const codec = codecOf(config['compression.type']?.value);
  const batches: { partition: Partition; batch: Uint8Array }[] = [];
  try {
    let start = 0;
    while (start < records.length) {
      const end = endOfBatch(records, start, bytesMax);
      const producer = sequence && { ...sequence, baseSequence: (sequence.baseSequence + start) % 2 ** 31 };
      const own = records.slice(start, end);
      const batch = encodeBatch({ records: own, codec, ...(producer && { producer }) });
      if (batch.byteLength > bytesMax) throw tooLarge(batch.byteLength, bytesMax);
      batches.push({ partition, batch });
      start = end;
      const turn = turns(own.reduce((sum, record) => sum + itemsOf(record), 0));
      if (turn !== undefined) await turn;
    }
    if (sequence !== undefined && batches.length > producerBatchesMax) {
      // The log remembers so many batches of a producer; a resend of more could not be told apart from something new.
      throw invalid(
        `records of partition ${partition} make ${batches.length} batches; with producerId at most ${producerBatchesMax} in one request`,
      );
    }
    return { batches };
  } catch (error) {
    if (isLogError(error)) return { partition, error };
    throw error;
  }
}

/** Exclusive; at least one record, whose size alone then decides. */
function endOfBatch(records: readonly LogRecord[], start: number, bytesMax: number): number {
  let bytes = batchHeaderBytes;
  let end = start;
  for (; end < records.length; end += 1) {
    bytes += recordBytesBound(records[end] as LogRecord);
    if (bytes > bytesMax && end > start) break;
  }
  return end;
}

function codecOf(compressionType: string | undefined): Codec {
  switch (compressionType) {
    case 'gzip':
    case 'snappy':
    case 'lz4':
    case 'zstd':
      return compressionType;
    default:
      return 'none';
  }
}

type FailedProduce = Extract<ProduceResult, { readonly error: LogError }>;

/** The batches of one partition as one result. When only some of them failed the effect is `unknown`: part is stored. */
function mergeResults(results: readonly ProduceResult[]): ProduceResult {
  const failed = results.find(isFailed);
  const stored = results.filter((result): result is Exclude<ProduceResult, FailedProduce> => !isFailed(result));
  const [first] = stored;
  if (first === undefined) return failed ?? assertNever();
  const recordCount = stored.reduce((sum, result) => sum + result.recordCount, 0);
  if (failed === undefined) {
    return { ...first, recordCount, timestamp: Math.max(...stored.map((result) => result.timestamp)) };
  }
  const { code, message, retriable } = failed.error;
  const details = { storedBaseOffset: first.baseOffset, storedRecordCount: recordCount };
  const error = new LogError<ErrorCode>(code, message, { details, retriable, effect: 'unknown', cause: failed.error });
  return { partition: first.partition, error };
}

function isFailed(result: ProduceResult): result is FailedProduce {
  return 'error' in result;
}

function assertNever(): never {
  throw new InvariantError('a partition was sent without a batch');
}

function tooLarge(bytes: number, bytesMax: number): LogError {
  const message = `a record makes a batch of ${bytes} bytes; max.message.bytes of the topic is ${bytesMax}`;
  return new LogError('MESSAGE_TOO_LARGE', message, { details: { bytes, bytesMax } });
}

function invalid(message: string): LogError {
  return new LogError('INVALID_REQUEST', message);
}
