/**
 * The whole way out: find, wait, plan, read, cut, answer.
 *
 * A fetch sees a prefix of the log: what is below the high watermark it read, which never changes. At the tail it costs one
 * read of the head and one read for each object touched; far behind, one read of pages more.
 */

import type { Clock } from '../clock.ts';
import { isLogError, LogError } from '../errors.ts';
import type { Offset, Partition } from '../ids.ts';
import { fetchBytesMax, fetchPartitionsMax, fetchWaitMsMax } from '../limits.ts';
import type { FetchRequest, FetchResult, Log } from '../log.ts';
import type { Head } from '../store/items.ts';
import type { MetadataStore } from '../store/metadata-store.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { isPartitionOf, type Topic, type TopicCache, unknownPartition, unknownTopic } from '../topic/topics.ts';
import { findRuns, type LocatedRun } from './find-batches.ts';
import { createRunReader, stampedBatches } from './read-runs.ts';

export interface FetchDeps {
  readonly objectStore: ObjectStore;
  readonly metadataStore: MetadataStore;
  readonly topics: TopicCache;
  readonly clock: Clock;
  /** Aborted when the log closes: whoever waits answers with what is there. */
  readonly closing: AbortSignal;
}

/** A partition as far as it is known before anything is read. */
type Found =
  | { readonly partition: Partition; readonly error: LogError }
  | {
      readonly partition: Partition;
      readonly offset: Offset;
      readonly head: Head;
      readonly runs: readonly LocatedRun[];
    };

/** Partitions that are looked for at once at first. */
const looksAtOnceMin = 8;
/** Where commits of other processes cannot wake us: the wait between two looks, doubled up to the maximum. */
const pollMsMin = 20;
const pollMsMax = 500;

export function createFetch(deps: FetchDeps): Log['fetch'] {
  const { metadataStore, clock } = deps;
  const readRuns = createRunReader(deps.objectStore);

  return async function fetch(request: FetchRequest): Promise<readonly FetchResult[]> {
    checkLimits(request);
    const topic = await deps.topics.get(request.topic);
    const found = await findOrWait(topic, request);

    const runs = runsWithin(found, request.maxBytes);
    const bytesOf = await readRuns(runs.flat());

    let index = 0;
    const bytesOfRuns = runs.map((own) => own.map(() => bytesOf[index++] as Uint8Array | LogError));
    const results = cut(found, runs, bytesOfRuns, request.maxBytes);
    // What is lost fails its own partition; with nothing to give beside it, the whole fetch.
    const failure = bytesOf.find((one) => isLogError(one));
    if (failure !== undefined && !results.some((one) => 'batches' in one && one.batches.length > 0)) throw failure;
    return results;
  };

  /** Looks until `minBytes` are there, something is wrong, the time is up, or the caller or the log goes away. */
  async function findOrWait(topic: Topic, request: FetchRequest): Promise<Found[]> {
    const { maxWaitMs } = request;
    const minBytes = Math.min(request.minBytes, request.maxBytes);
    let partitions = request.partitions;
    let remainingMs = maxWaitMs;
    let lookedAtMs = clock.nowMs();
    for (let pollMs = pollMsMin; ; pollMs = Math.min(pollMs * 2, pollMsMax)) {
      // Counted down look by look: a clock that is set back meanwhile makes one wait longer, and not the whole.
      const nowMs = clock.nowMs();
      remainingMs -= Math.max(0, nowMs - lookedAtMs);
      lookedAtMs = nowMs;
      const isEnding = deps.closing.aborted || request.signal?.aborted === true;
      if (minBytes <= 0 || remainingMs <= 0 || isEnding) return await find(topic, partitions, request.maxBytes);

      const waiting = new AbortController();
      const stopWaiting = () => waiting.abort();
      const ends = [deps.closing, request.signal].filter((signal) => signal !== undefined);
      for (const signal of ends) signal.addEventListener('abort', stopWaiting);
      try {
        // Asked for before the heads are read, so that no commit slips between the look and the wait.
        const worthALook = nextLook(topic, request, pollMs, remainingMs, waiting.signal);
        const found = await find(topic, partitions, request.maxBytes);
        if (bytesFound(found) >= minBytes || found.some(isWorthAnAnswer)) return found;
        // `latest` means the end at the first look: what comes while waiting is wanted.
        partitions = found.map((one) => ({
          partition: one.partition,
          offset: 'offset' in one ? one.offset : 'latest',
        }));
        await worthALook;
      } finally {
        stopWaiting();
        for (const signal of ends) signal.removeEventListener('abort', stopWaiting);
      }
    }
  }

  /** Resolves at the next commit, where this process sees them all, or after a while; or when `signal` is aborted. */
  async function nextLook(
    topic: Topic,
    request: FetchRequest,
    pollMs: number,
    remainingMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    if (metadataStore.nextCommit === undefined) return await clock.sleep(Math.min(pollMs, remainingMs), signal);
    const partitions = request.partitions.map(({ partition }) => partition);
    const commit = metadataStore.nextCommit(topic.topicId, partitions, signal);
    await Promise.race([commit, clock.sleep(remainingMs, signal)]);
  }

  /** In order, a few at first and then more at once: what lies behind `maxBytes` is not looked for. */
  async function find(topic: Topic, partitions: FetchRequest['partitions'], maxBytes: number): Promise<Found[]> {
    const known = partitions.filter(({ partition }) => isPartitionOf(topic, partition));
    const heads = await metadataStore.getHeads(
      topic.topicId,
      known.map(({ partition }) => partition),
    );
    const headOf = new Map(known.map(({ partition }, index) => [partition, heads[index]]));
    const found: Found[] = [];
    for (let count = looksAtOnceMin; found.length < partitions.length; count *= 2) {
      const bytes = bytesFound(found);
      const isEnough = bytes > 0 && bytes >= maxBytes;
      const next = partitions.slice(found.length, found.length + count);
      found.push(...(await Promise.all(next.map((one) => findOne(one, isEnough)))));
    }
    return found;

    async function findOne(
      { partition, offset: asked }: FetchRequest['partitions'][number],
      isEnough: boolean,
    ): Promise<Found> {
      if (!isPartitionOf(topic, partition)) return { partition, error: unknownPartition(topic, partition) };
      const gone = () => {
        deps.topics.forget(topic.topic);
        return { partition, error: unknownTopic(topic.topic) };
      };
      const head = headOf.get(partition);
      if (head === undefined) return gone();
      const offset = asked === 'earliest' ? head.logStartOffset : asked === 'latest' ? head.logEndOffset : asked;
      if (offset < head.logStartOffset || offset > head.logEndOffset)
        return { partition, error: outOfRange(offset, head) };
      const runs = isEnough ? [] : await findRuns(metadataStore, head, offset);
      return runs === 'gone' ? gone() : { partition, offset, head, runs };
    }
  }
}

/** An error; or so far behind that one look does not show all that is there, and waiting would not show more. */
function isWorthAnAnswer(one: Found): boolean {
  if ('error' in one) return true;
  const last = one.runs.at(-1);
  return last !== undefined && last.baseOffset + last.offsetCount < one.head.logEndOffset;
}

function bytesFound(found: readonly Found[]): number {
  let bytes = 0;
  for (const one of found) if ('runs' in one) for (const run of one.runs) bytes += run.byteLength;
  return bytes;
}

/** Per partition the runs worth reading: in the order asked for, until `maxBytes` are there; the first run always is. */
function runsWithin(found: readonly Found[], maxBytes: number): LocatedRun[][] {
  let bytes = 0;
  return found.map((one) => {
    const wanted: LocatedRun[] = [];
    for (const run of 'runs' in one ? one.runs : []) {
      if (bytes > 0 && bytes >= maxBytes) break;
      wanted.push(run);
      bytes += run.byteLength;
    }
    return wanted;
  });
}

/** Whole batches up to `maxBytes` over all partitions, in the order asked for; the very first batch always (KIP-74). */
function cut(
  found: readonly Found[],
  runs: readonly LocatedRun[][],
  bytesOfRuns: readonly (Uint8Array | LogError)[][],
  maxBytes: number,
): FetchResult[] {
  let bytes = 0;
  return found.map((one, index): FetchResult => {
    if ('error' in one) return one;
    const { partition, offset, head } = one;
    const batches: Uint8Array[] = [];
    let nextOffset = offset;
    const answer = () => ({
      partition,
      offset,
      batches,
      nextOffset,
      highWatermark: head.logEndOffset,
      logStartOffset: head.logStartOffset,
    });
    try {
      for (const [at, run] of (runs[index] ?? []).entries()) {
        const bytesOfRun = bytesOfRuns[index]?.[at] as Uint8Array | LogError;
        if (isLogError(bytesOfRun)) throw bytesOfRun;
        for (const stamped of stampedBatches(run, bytesOfRun, offset)) {
          if (bytes > 0 && bytes + stamped.batch.length > maxBytes) return answer();
          bytes += stamped.batch.length;
          batches.push(stamped.batch);
          nextOffset = stamped.nextOffset;
        }
      }
    } catch (error) {
      // Damage and loss are told when the reader gets to them; what lies before is good.
      if (!isLogError(error)) throw error;
      if (batches.length === 0) return { partition, error };
    }
    return answer();
  });
}

function outOfRange(offset: Offset, head: Head): LogError {
  const { partition, logStartOffset, logEndOffset: highWatermark } = head;
  return new LogError(
    'OFFSET_OUT_OF_RANGE',
    `offset ${offset} of partition ${partition} is out of range, it has ${logStartOffset} to ${highWatermark}`,
    { details: { partition, offset, logStartOffset, highWatermark } },
  );
}

function checkLimits({ partitions, maxBytes, maxWaitMs }: FetchRequest): void {
  const refuse = (what: string, seen: number, max: number) => {
    throw new LogError('INVALID_REQUEST', `${what} is ${seen}, at most ${max} is allowed`);
  };
  if (partitions.length > fetchPartitionsMax) refuse('partition count', partitions.length, fetchPartitionsMax);
  if (maxBytes > fetchBytesMax) refuse('maxBytes', maxBytes, fetchBytesMax);
  if (maxWaitMs > fetchWaitMsMax) refuse('maxWaitMs', maxWaitMs, fetchWaitMsMax);
}
