/** What callers are told of topics, and that nothing ends in a bug. */

import { answerOf, endOf, type Operation, type TopicLife, type TopicOperation } from './history.ts';
import type { SortedHistory } from './partition-logs.ts';
import { named, type Violation } from './violation.ts';

/** An operation is answered only by a topic that was there at some moment of it; offsets of groups may outlive theirs. */
export function answersNeedATopic({ operations, livesOf }: SortedHistory): Violation[] {
  return operations
    .filter(({ topic, outcome }) => topic !== '' && outcome.kind === 'ok')
    .filter(({ type }) => type !== 'commitOffset' && type !== 'fetchOffsets')
    .filter((operation) => livesOf(operation).length === 0)
    .map((operation) => ({
      text: `${named(operation)} was answered while there was no topic ${operation.topic}`,
      operations: [operation],
    }));
}

/** A topic and a partition that were there all the time are found. */
export function whatIsThereIsFound({ operations, livesOf, topicStaleMsMax }: SortedHistory): Violation[] {
  const isThereFor = (operation: Operation, { leaving = Number.POSITIVE_INFINITY, partitionCounts }: TopicLife) => {
    const partition = 'partition' in operation ? operation.partition : 0;
    const since = partitionCounts.find(({ count }) => count > partition);
    return (
      since !== undefined &&
      since.from < operation.start &&
      since.fromMs + topicStaleMsMax < operation.startMs &&
      leaving > endOf(operation)
    );
  };
  return operations.flatMap((operation) => {
    const { outcome } = operation;
    const isUnknown = outcome.kind === 'failed' && outcome.code === 'UNKNOWN_TOPIC_OR_PARTITION';
    if (!isUnknown || !livesOf(operation).some((life) => isThereFor(operation, life))) return [];
    const text = `${named(operation)} was told that ${operation.topic} is not there, and it was all the time`;
    return [{ text, operations: [operation] }];
  });
}

/** Who creates a topic gets a new one, who is told of another met it, and who deletes one ends it. */
export function topicsComeAndGoOnce({ operations, topics, livesOf }: SortedHistory): Violation[] {
  return operations.flatMap((operation) => {
    const { type, topic, outcome, start } = operation;
    const during = (instant: number | undefined) =>
      instant !== undefined && instant >= start && instant <= endOf(operation);
    const wrong = (text: string) => [{ text: `${named(operation)} ${text}`, operations: [operation] }];
    if (type === 'create' && outcome.kind === 'ok') {
      const isMade = topics.some((life) => life.topicId === outcome.topicId && during(life.from));
      return isMade ? [] : wrong(`was told that it made topic ${topic} (${outcome.topicId}), which it did not`);
    }
    if (type === 'create' && outcome.kind === 'failed' && outcome.code === 'TOPIC_ALREADY_EXISTS') {
      return livesOf(operation).length > 0 ? [] : wrong(`was told that topic ${topic} exists, which it did not`);
    }
    if (type === 'delete' && outcome.kind === 'ok') {
      const isEnded = topics.some((life) => life.topic === topic && during(life.leaving));
      return isEnded ? [] : wrong(`was told that it deleted topic ${topic}, which it did not`);
    }
    return [];
  });
}

/** Nothing was done to a topic but by who was told so, or not told that it was not: effect none means none. */
export function topicsChangeByRequest({ operations, topics }: SortedHistory): Violation[] {
  const isBy = (type: Operation['type'], topic: string, instant: number) =>
    operations.some(
      (operation) =>
        operation.type === type &&
        operation.topic === topic &&
        operation.start <= instant &&
        (operation.outcome.kind === 'unknown' || (operation.outcome.kind === 'ok' && endOf(operation) >= instant)),
    );
  const wrong = (type: Operation['type'], topic: string, instant: number, what: string) => {
    if (isBy(type, topic, instant)) return [];
    const failed = operations.filter(
      (operation) =>
        operation.type === type &&
        operation.topic === topic &&
        operation.start <= instant &&
        endOf(operation) >= instant,
    );
    // Where nobody asked, it was done before or by somebody else.
    if (failed.length === 0) return [];
    return [
      { text: `topic ${topic} ${what}, and whoever asked for that was told it was not done`, operations: failed },
    ];
  };
  return topics.flatMap(({ topic, from, leaving, partitionCounts }) => [
    ...wrong('create', topic, from, 'was made'),
    ...(leaving === undefined ? [] : wrong('delete', topic, leaving, 'was deleted')),
    ...partitionCounts
      .slice(1)
      .flatMap((grown) => wrong('alter', topic, grown.from, `grew to ${grown.count} partitions`)),
  ]);
}

/** Whoever looks at a topic later sees no fewer partitions. */
export function topicsOnlyGrow({ operations }: SortedHistory): Violation[] {
  const looks = operations.filter((operation) => 'partitions' in operation.outcome) as TopicOperation[];
  return [...Map.groupBy(looks, (look) => answerOf(look)?.topicId).values()].flatMap((ofTopic) =>
    ofTopic.flatMap((look) => {
      const count = answerOf(look)?.partitions.length ?? 0;
      const before = ofTopic.find(
        (other) => endOf(other) < look.start && (answerOf(other)?.partitions.length ?? 0) > count,
      );
      if (before === undefined || look.type === 'delete') return [];
      const text = `${named(look)} saw ${count} partitions of ${look.topic}, and ${named(before)} more before it`;
      return [{ text, operations: [before, look] }];
    }),
  );
}

/** A list has every topic that was there all the time, and none that never was. */
export function listsAreWhole({ operations, topics }: SortedHistory): Violation[] {
  return operations.flatMap((operation) => {
    const listed = operation.type === 'list' ? answerOf(operation)?.topics : undefined;
    if (listed === undefined) return [];
    const { start } = operation;
    const end = endOf(operation);
    const wrong = (text: string) => ({ text: `${named(operation)} ${text}`, operations: [operation] });
    const missing = topics.filter(
      ({ topicId, from, leaving = Number.POSITIVE_INFINITY }) =>
        from < start && leaving > end && !listed.some((one) => one.topicId === topicId),
    );
    const extra = listed.filter(
      (one) =>
        !topics.some(
          ({ topicId, from, to = Number.POSITIVE_INFINITY }) => topicId === one.topicId && from < end && to > start,
        ),
    );
    return [
      ...missing.map(({ topic, topicId }) =>
        wrong(`does not have ${topic} (${topicId}), which was there all the time`),
      ),
      ...extra.map(({ topic, topicId }) => wrong(`has ${topic} (${topicId}), which was not there`)),
    ];
  });
}

/** No producer id is given twice. */
export function producerIdsAreGivenOnce({ operations }: SortedHistory): Violation[] {
  const given = new Map<number, Operation>();
  return operations.flatMap((operation) => {
    const producerId = operation.type === 'nextProducer' ? answerOf(operation)?.producerId : undefined;
    if (producerId === undefined) return [];
    const first = given.get(producerId);
    given.set(producerId, operation);
    if (first === undefined) return [];
    const text = `${named(operation)} got producer id ${producerId}, and so did ${named(first)}`;
    return [{ text, operations: [first, operation] }];
  });
}

/** Every failure is one that callers were promised. */
export function nothingIsABug({ operations }: SortedHistory): Violation[] {
  return operations.flatMap((operation) => {
    const { outcome } = operation;
    if (outcome.kind === 'bug') return [{ text: `${named(operation)}: ${outcome.detail}`, operations: [operation] }];
    const isServerError = outcome.kind !== 'ok' && outcome.code === 'UNKNOWN_SERVER_ERROR';
    return isServerError ? [{ text: `${named(operation)}: UNKNOWN_SERVER_ERROR`, operations: [operation] }] : [];
  });
}
