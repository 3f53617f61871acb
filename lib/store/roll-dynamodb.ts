/** Moves the tail of a head into a page, in one transaction. */

import type { AttributeValue, Update } from '@aws-sdk/client-dynamodb';
import { LogError } from '../errors.ts';
import { rollProducersMax } from '../limits.ts';
import { DynamoDbCall, inParallel } from './call-dynamodb.ts';
import { lastBaseOffset, rollHead } from './head.ts';
import type { Head, Page, ProducerState } from './items.ts';
import {
  binaryValue,
  decodeHead,
  encodePage,
  encodeProducer,
  expectedAfter,
  headKey,
  type Item,
  listOf,
  numberValue,
} from './items-dynamodb.ts';
import type { DynamoDbRequests } from './requests-dynamodb.ts';
import { encodeState } from './tail-entries.ts';

/** Each further attempt means that an append came in between that mattered. */
const rollAttemptsMax = 8;
/** After these no producer is moved any more, and of appends none matters but to a very long tail. */
const movingAttemptsMax = 2;
/** Of one expression; and what an entry, a state that is kept and a producer that is moved take of it at most. */
const expressionBytesMax = 4_096;
const expressionBytesEach = { entry: 11, kept: 19, moved: 8, rest: 60 } as const;

/** What a roll is worked out from, and what it does. */
interface Roll {
  readonly seen: Head;
  /** The head as last answered; `seen` itself at first. */
  readonly stored: Head;
  /** Entries of `stored` behind those of `seen`. */
  readonly rest: readonly AttributeValue[];
  readonly page: Page;
  /** Undefined: none may be moved. */
  readonly moved: readonly ProducerState[] | undefined;
}

/**
 * Appends that come in between are no reason to lose: their entries stay in the tail, their producers in the head. Where one
 * makes a difference, the condition does not hold, and the roll is worked out again from the head that comes back.
 */
export async function rollTail(requests: DynamoDbRequests, seen: Head): Promise<'rolled' | 'lost'> {
  if (seen.tail.length === 0) return 'lost';
  const call = new DynamoDbCall(requests);
  const { topicId, partition } = seen;
  let stored = seen;
  let rest: readonly AttributeValue[] = [];
  for (let attempt = 1; attempt <= rollAttemptsMax; attempt++) {
    const { page, movedProducers } = rollHead(stored, seen);
    const moved = attempt > movingAttemptsMax ? undefined : movedProducers.slice(0, rollProducersMax);
    await putProducers(call, seen, moved ?? []);
    const item = encodePage(topicId, partition, page);
    const lost = await call.transact([
      { Put: { TableName: call.table, Item: item, ConditionExpression: 'attribute_not_exists(pk)' } },
      { Update: { TableName: call.table, ...headUpdate({ seen, stored, rest, page, moved }) } },
    ]);
    if (lost === undefined) return 'rolled';
    const [, head] = lost;
    // No head; or the page alone is there, since the roll that made it still holds the head.
    if (head?.Item === undefined) return 'lost';
    stored = decodeHead(topicId, partition, head.Item);
    if (stored.tailBase !== seen.tailBase) return 'lost';
    rest = listOf(head.Item, 'tail').slice(seen.tail.length);
  }
  throw new LogError(
    'KAFKA_STORAGE_ERROR',
    `roll of partition ${partition} was overtaken by appends ${rollAttemptsMax} times`,
    { effect: 'none' },
  );
}

/**
 * Written before they leave the head: nobody looks for them here as long as they are there, so a roll that is lost after
 * this has done no harm. A state never replaces a newer one.
 */
async function putProducers(call: DynamoDbCall, head: Head, states: readonly ProducerState[]): Promise<void> {
  await inParallel(states, async (state) => {
    await call.put({
      Item: encodeProducer(head.topicId, head.partition, state),
      ConditionExpression: 'attribute_not_exists(pk) OR o <= :o',
      ExpressionAttributeValues: { ':o': numberValue(lastBaseOffset(state)) },
    });
  });
}

function headUpdate({ seen, stored, rest, page, moved }: Roll): Omit<Update, 'TableName'> {
  const sets = ['b = :to', 't = :t'];
  const removes: string[] = [];
  const conditions = ['b = :from'];
  const names: Record<string, string> = {};
  const values: Item = {
    ':from': numberValue(seen.tailBase),
    ':to': numberValue(page.lastOffset + 1),
    ':t': numberValue(page.maxTimestampSoFar),
  };
  // What the entries tell of producers goes with them into the states of those that stay.
  const movedIds = new Set(moved?.map(({ producerId }) => producerId));
  const kept = seen.producers.filter(
    (state) => !movedIds.has(state.producerId) && lastBaseOffset(state) >= seen.tailBase,
  );

  const each = expressionBytesEach;
  const bytes = each.entry * seen.tail.length + each.kept * kept.length + each.moved * movedIds.size + each.rest;
  if (bytes <= expressionBytesMax) {
    // From the last to the first, since what emulators make of the other order differs.
    removes.push(...seen.tail.map((_, index) => `tail[${seen.tail.length - 1 - index}]`));
  } else {
    // There is no room to name each: all of the tail is replaced, if nothing came behind it.
    sets.push('tail = :rest');
    conditions.push('size(tail) = :count');
    values[':rest'] = { L: [...rest] };
    values[':count'] = numberValue(seen.tail.length + rest.length);
  }

  if (moved !== undefined) {
    // How many are moved depends on how many there are.
    conditions.push('size(p) = :known');
    values[':known'] = numberValue(stored.producers.length);
  }
  for (const [index, state] of (moved ?? []).entries()) {
    names[`#${index}`] = String(state.producerId);
    values[`:n${index}`] = numberValue(expectedAfter(state));
    // One that appended since is not to be moved.
    conditions.push(`p.#${index}.n = :n${index}`);
    removes.push(`p.#${index}`);
  }
  if (moved !== undefined && moved.length > 0) {
    const movedMax = Math.max(stored.movedProducerIdMax ?? 0, ...moved.map(({ producerId }) => producerId));
    sets.push('m = :m');
    values[':m'] = numberValue(movedMax);
  }
  for (const [index, state] of kept.entries()) {
    names[`#w${index}`] = String(state.producerId);
    values[`:w${index}`] = binaryValue(encodeState(state));
    sets.push(`p.#w${index}.w = :w${index}`);
  }
  return {
    Key: headKey(seen.topicId, seen.partition),
    UpdateExpression: `SET ${sets.join(', ')}${removes.length === 0 ? '' : ` REMOVE ${removes.join(', ')}`}`,
    ConditionExpression: conditions.join(' AND '),
    ...(Object.keys(names).length === 0 ? {} : { ExpressionAttributeNames: names }),
    ExpressionAttributeValues: values,
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
  };
}
