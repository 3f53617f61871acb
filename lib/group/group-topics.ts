/** The topics that a group's members subscribe to, as they are now; those that do not exist are left out. */

import { isDeepStrictEqual } from 'node:util';
import { isLogError } from '../errors.ts';
import type { Partition, TopicId, TopicName } from '../ids.ts';
import type { HeartbeatRequest, TopicPartitions } from '../log.ts';
import { type Assignment, assignmentOf } from '../store/assignment.ts';
import type { Group, GroupMember, GroupTopic } from '../store/items.ts';
import type { TopicCache } from '../topic/topics.ts';

/** Topics looked up at once. */
const lookUpsAtOnceMax = 32;

/** `isFresh`: as they are now, and not as they were up to some seconds ago. */
export async function lookUpTopics(
  topics: TopicCache,
  names: Iterable<TopicName>,
  { isFresh = false } = {},
): Promise<GroupTopic[]> {
  const found: GroupTopic[] = [];
  const left = [...new Set(names)];
  if (isFresh) for (const name of left) topics.forget(name);
  while (left.length > 0) {
    const looked = await Promise.all(left.splice(0, lookUpsAtOnceMax).map((name) => lookUpTopic(topics, name)));
    found.push(...looked.flatMap((topic) => topic ?? []));
  }
  return found;
}

/** Those that do not fit are looked up anew: they may be as they were some seconds ago. */
export async function lookUpFitting(
  topics: TopicCache,
  names: Iterable<TopicName>,
  fits: (name: TopicName, found: GroupTopic | undefined) => boolean,
): Promise<Map<TopicName, GroupTopic>> {
  const asked = new Set(names);
  const found = byName(await lookUpTopics(topics, asked));
  const misfits = [...asked].filter((name) => !fits(name, found.get(name)));
  const anew = byName(await lookUpTopics(topics, misfits, { isFresh: true }));
  for (const name of misfits) found.delete(name);
  return new Map([...found, ...anew]);
}

/**
 * The topics of a group's members, to make its targets of. What is not as the group has it is looked up anew: of two
 * processes, one of which remembers a topic from before it grew, each would change back what the other has changed.
 */
export async function topicsOfMembers(
  topics: TopicCache,
  group: Group,
  members: readonly GroupMember[],
): Promise<readonly GroupTopic[]> {
  const known = byName(group.topics);
  const names = members.flatMap((one) => one.topics);
  const found = await lookUpFitting(topics, names, (name, topic) => isDeepStrictEqual(topic, known.get(name)));
  return [...found.values()];
}

const byName = (topics: readonly GroupTopic[]) => new Map(topics.map((topic) => [topic.topic, topic]));

/** Undefined when there is no such topic. */
export async function lookUpTopic(topics: TopicCache, name: TopicName): Promise<GroupTopic | undefined> {
  try {
    const { topic, topicId, partitionCount } = await topics.get(name);
    return { topic, topicId, partitionCount };
  } catch (error) {
    if (isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION')) return undefined;
    throw error;
  }
}

/** Partitions of topics that the group knows no longer are left out: their topic was deleted. */
export function namedPartitions(assignment: Assignment, topics: readonly GroupTopic[]): TopicPartitions {
  return topics.flatMap(({ topic, topicId }) => {
    const partitions = assignment.get(topicId);
    return partitions === undefined ? [] : [{ topic, topicId, partitions }];
  });
}

/**
 * What a member says that it holds. Of a topic that it names without an id, and that is none of `topics`, it can hold
 * nothing: that topic was deleted. Undefined when `topics` is, and an id is missing.
 */
export function ownedBy(
  owned: NonNullable<HeartbeatRequest['owned']>,
  topics: readonly GroupTopic[] | undefined,
): Assignment | undefined {
  const ids = new Map(topics?.map(({ topic, topicId }) => [topic, topicId]));
  const entries: [TopicId, readonly Partition[]][] = [];
  for (const { topic, topicId = ids.get(topic), partitions } of owned) {
    if (topicId !== undefined) entries.push([topicId, partitions]);
    else if (topics === undefined) return undefined;
  }
  return assignmentOf(entries);
}
