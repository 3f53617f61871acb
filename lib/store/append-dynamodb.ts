/**
 * Commits batches to a head with one UpdateItem, which reads nothing first.
 *
 * Its condition says what must hold for every batch to be the next one of its producer. When it does not hold, DynamoDB
 * answers with the head as it is; the pure rules of `head.ts` then say what each batch is, and what remains to be appended is
 * sent with a condition on exactly what was seen. Offsets come from the value that UpdateItem returned and from nothing else.
 */

import { isLogError, LogError, withUnknownEffect } from '../errors.ts';
import type { Offset, ProducerId } from '../ids.ts';
import { appendProducersMax, producerBatchesMax } from '../limits.ts';
import { appendUpdate, isOneRun, type SeenHead } from './append-update-dynamodb.ts';
import { DynamoDbCall } from './call-dynamodb.ts';
import { appendToHead, isFull } from './head.ts';
import type { Head } from './items.ts';
import { decodeHead, decodeProducer, headKey, type Item, noMovedProducer, producerKey } from './items-dynamodb.ts';
import type { BatchCommit, BatchOutcome, CommitOutcome, NewBatch } from './metadata-store.ts';
import type { DynamoDbRequests } from './requests-dynamodb.ts';
import { rollTail } from './roll-dynamodb.ts';

/** Each further attempt means that another writer of the same producer, or a roll, came in between. */
const appendAttemptsMax = 8;

export async function commitBatches(requests: DynamoDbRequests, commit: BatchCommit): Promise<CommitOutcome> {
  const [first = [], ...others] = partsOf(commit.batches);
  const call = new DynamoDbCall(requests);
  let outcome = await commitPart(call, { ...commit, batches: first });
  for (const batches of others) {
    if (outcome.outcome !== 'committed') return outcome;
    outcome = await continueCommit(outcome, batches, async () => {
      const next = await commitPart(call, { ...commit, batches });
      if (next.outcome !== 'tail full') return next;
      // The parts before have filled it with their producers.
      await rollTail(requests, next.head);
      return await commitPart(call, { ...commit, batches });
    });
  }
  return outcome;
}

/** Almost always one part; the next one begins with the first producer that would be too many for one condition. */
function partsOf(batches: readonly NewBatch[]): NewBatch[][] {
  const parts: NewBatch[][] = [];
  let producerIds = new Set<ProducerId>();
  for (const batch of batches) {
    const id = batch.producer?.producerId;
    const isTooMany = id !== undefined && !producerIds.has(id) && producerIds.size === appendProducersMax;
    if (isTooMany || parts.length === 0) {
      parts.push([]);
      producerIds = new Set();
    }
    if (id !== undefined) producerIds.add(id);
    parts.at(-1)?.push(batch);
  }
  return parts;
}

/** What is behind a part that was committed is refused, batch by batch, when it cannot be committed as well. */
async function continueCommit(
  before: CommitOutcome & { readonly outcome: 'committed' },
  batches: readonly NewBatch[],
  commitNext: () => Promise<CommitOutcome>,
): Promise<CommitOutcome> {
  const refuse = (error: LogError): CommitOutcome => ({
    ...before,
    batches: [...before.batches, ...batches.map(() => ({ outcome: 'refused', error }) as const)],
  });
  try {
    const next = await commitNext();
    if (next.outcome === 'committed') return { ...next, batches: [...before.batches, ...next.batches] };
    const message = `the commit could not go on: ${next.outcome === 'missing' ? 'the topic was deleted' : 'the head is full'}`;
    return refuse(new LogError('KAFKA_STORAGE_ERROR', message, { effect: 'none' }));
  } catch (error) {
    if (!isLogError(error)) throw error;
    return refuse(error);
  }
}

/**
 * An attempt without an answer may have appended what a later one finds out of place, fenced, or without a topic: whatever
 * comes of the call then, but that the batches are there, has an unknown effect.
 */
async function commitPart(call: DynamoDbCall, commit: BatchCommit): Promise<CommitOutcome> {
  let wasSilent = false;
  const onSilence = () => {
    wasSilent = true;
  };
  try {
    const outcome = await append(call, commit, onSilence);
    if (!wasSilent) return outcome;
    if (outcome.outcome === 'committed') {
      const batches = outcome.batches.map((one) =>
        one.outcome === 'refused' ? { ...one, error: withUnknownEffect(one.error, noAnswer) } : one,
      );
      return { ...outcome, batches };
    }
    const found = outcome.outcome === 'missing' ? 'no head: the topic was deleted' : 'the head full';
    throw new LogError('KAFKA_STORAGE_ERROR', `append to partition ${commit.partition} found ${found}`);
  } catch (error) {
    throw wasSilent ? withUnknownEffect(error, noAnswer) : error;
  }
}

const noAnswer = 'an earlier attempt had no answer';

async function append(call: DynamoDbCall, commit: BatchCommit, onSilence: () => void): Promise<CommitOutcome> {
  const { topicId, partition, batches } = commit;
  const key = headKey(topicId, partition);
  let seen: SeenHead | undefined;
  let stored: Item | undefined;
  if (batches.length === 0 || !isOneRun(batches)) {
    // Whether these follow one another cannot be said in a condition.
    stored = await call.get(key);
    if (stored === undefined) return { outcome: 'missing' };
  }
  for (let attempt = 1; attempt <= appendAttemptsMax; attempt++) {
    if (stored !== undefined) {
      const head = decodeHead(topicId, partition, stored);
      if (isFull(head)) return { outcome: 'tail full', head };
      seen = { head, moved: await getMoved(call, head, batches) };
    }
    const outcomes = seen && judge(seen, batches);
    const sent = batches.filter((_, index) => (outcomes?.[index]?.outcome ?? 'committed') === 'committed');
    if (seen !== undefined && outcomes !== undefined && sent.length === 0) {
      return { outcome: 'committed', batches: outcomes, head: seen.head };
    }
    const update = { Key: key, ReturnValues: 'ALL_NEW', ...appendUpdate(sent, seen) } as const;
    const written = await call.update(update, isRepeatable(sent));
    if (written.mayBeDone) onSilence();
    if (written.item === undefined) return { outcome: 'missing' };
    if (written.outcome === 'done') {
      const head = decodeHead(topicId, partition, written.item);
      return { outcome: 'committed', batches: withOffsets(batches, outcomes, seen, head.logEndOffset), head };
    }
    stored = written.item;
  }
  throw new LogError(
    'KAFKA_STORAGE_ERROR',
    `append to partition ${partition} was overtaken by other writers of its producers ${appendAttemptsMax} times`,
    { effect: 'none' },
  );
}

function judge({ head, moved }: SeenHead, batches: readonly NewBatch[]): readonly BatchOutcome[] {
  return appendToHead(head, batches, (producerId) => moved.get(producerId)).outcomes;
}

/** Those that may have moved out of `head`: no other read is needed to know that a producer is new. */
async function getMoved(call: DynamoDbCall, head: Head, batches: readonly NewBatch[]): Promise<SeenHead['moved']> {
  const there = new Set(head.producers.map(({ producerId }) => producerId));
  const asked = new Set(batches.flatMap(({ producer }) => producer?.producerId ?? []));
  const ids = [...asked].filter((id) => !there.has(id) && id <= (head.movedProducerIdMax ?? noMovedProducer));
  const items = await call.getItems(ids.map((id) => producerKey(head.topicId, head.partition, id)));
  return new Map(items.map(decodeProducer).map((state) => [state.producerId, state]));
}

/**
 * Carried out once only, however often it is sent: the producers' sequences see to that. Beyond the batches that a state
 * remembers, the second attempt could not tell its own batches from ones that are out of order.
 */
function isRepeatable(batches: readonly NewBatch[]): boolean {
  const counts = Map.groupBy(batches, ({ producer }) => producer?.producerId);
  return !counts.has(undefined) && [...counts.values()].every(({ length }) => length <= producerBatchesMax);
}

/**
 * `logEndOffset` is the one behind the batches that were committed. `outcomes` go by the end of the log as it was `seen`, and
 * others may have appended since: whatever lies behind that end lies further on, what a batch of this very commit repeats too.
 */
function withOffsets(
  batches: readonly NewBatch[],
  outcomes: readonly BatchOutcome[] | undefined,
  seen: SeenHead | undefined,
  logEndOffset: Offset,
): BatchOutcome[] {
  const isCommitted = (index: number) => (outcomes?.[index]?.outcome ?? 'committed') === 'committed';
  const offsetCount = batches.reduce(
    (sum, { coordinates }, at) => sum + (isCommitted(at) ? coordinates.offsetCount : 0),
    0,
  );
  let next = logEndOffset - offsetCount;
  const seenEnd = seen?.head.logEndOffset ?? next;
  const movedBy = next - seenEnd;
  return batches.map(({ coordinates, timestamp }, index): BatchOutcome => {
    const judged = outcomes?.[index];
    if (judged?.outcome === 'refused') return judged;
    if (judged?.outcome === 'duplicate') {
      return judged.baseOffset < seenEnd ? judged : { ...judged, baseOffset: judged.baseOffset + movedBy };
    }
    const baseOffset = next;
    next += coordinates.offsetCount;
    return { outcome: 'committed', baseOffset, timestamp };
  });
}
