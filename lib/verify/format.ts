/** Operations as lines for people. */

import type { Operation, Outcome, ReadRecord } from './history.ts';

/** `#12 [40-52] plain0 produce orders/0 a, b -> {"baseOffset":17}`: number, start and end, who, what, and what came of it. */
export function formatOperation(operation: Operation): string {
  const { id, start, end, client } = operation;
  return `#${id} [${start}-${end ?? ''}] ${client} ${asked(operation)} -> ${answered(operation)}`;
}

function asked(operation: Operation): string {
  const { type, topic } = operation;
  switch (operation.type) {
    case 'join':
    case 'heartbeat':
    case 'leave': {
      const { group, memberId, memberEpoch, owned, isStray } = operation;
      const says = owned === undefined ? '' : ` holding ${owned.join(', ') || 'nothing'}`;
      return `${isStray ? 'stray ' : ''}${type} ${group} as ${memberId} at epoch ${memberEpoch}${says}`;
    }
    case 'commitOffset': {
      const { group, partition, offset, metadata, member } = operation;
      const by = member === undefined ? 'from outside' : `as ${member.memberId} at epoch ${member.memberEpoch}`;
      return `${type} ${group} ${topic}/${partition} ${offset} (${metadata}) ${by}`;
    }
    case 'listGroups':
    case 'describeGroup':
    case 'fetchOffsets':
    case 'resetOffsets':
    case 'deleteGroup':
      return `${type} ${operation.group} ${topic}`;
  }
  if (type === 'nextProducer' || type === 'list') return type;
  if (!('partition' in operation)) return `${type} ${topic}`;
  const place = `${type} ${topic}/${operation.partition}`;
  switch (operation.type) {
    case 'produce': {
      const { values, producer } = operation;
      const by = producer && ` (producer ${producer.producerId}/${producer.producerEpoch}/${producer.baseSequence})`;
      return `${place} ${few(values)}${by ?? ''}`;
    }
    case 'fetch':
      return `${place} from ${operation.asked}`;
    case 'listOffsets':
      return `${place} at ${operation.timestamp}`;
    case 'poll':
      return `${place} in ${operation.session}`;
  }
}

function answered({ outcome }: Operation): string {
  if (outcome.kind !== 'ok') return failure(outcome);
  const { kind, ...answer } = outcome;
  return JSON.stringify(answer, (name, value) =>
    name === 'records' ? few((value as ReadRecord[]).map(({ offset, value: shown }) => `${offset}: ${shown}`)) : value,
  );
}

/** Of what should have succeeded; undefined: it was not done at all. */
export function formatFailure(outcome: Outcome<object> | undefined): string {
  return outcome === undefined || outcome.kind === 'ok' ? 'it was not done' : failure(outcome);
}

function failure(outcome: Exclude<Outcome<object>, { kind: 'ok' }>): string {
  return outcome.kind === 'bug' ? outcome.detail : `${outcome.kind} ${outcome.code}`;
}

function few(values: readonly string[]): string {
  const shown = values.slice(0, 6).join(', ');
  return values.length > 6 ? `${shown} ... (${values.length})` : shown;
}
