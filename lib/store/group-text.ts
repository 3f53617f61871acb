/**
 * The members of a group and its topics as text, as both stores keep them. Each name and each topic id stands there once, and
 * each subscription that several members share: with 1,000 topics they would take 16 KB and more for every member.
 */

import { assert } from '../errors.ts';
import type { TopicName } from '../ids.ts';
import { decodeAssignment, encodeAssignment, type TopicIdBytes } from './assignment.ts';
import type { Group, GroupMember, GroupTopic } from './items.ts';

type Plan = Pick<Group, 'members' | 'topics'>;

interface PlanText {
  /** Of all topics that someone subscribes to. */
  readonly names: readonly TopicName[];
  /** Places in `names`. */
  readonly subscriptions: readonly (readonly number[])[];
  readonly members: readonly (Omit<GroupMember, 'topics' | 'targetAssignment'> & {
    /** Place in `subscriptions`. */
    readonly subscription: number;
    /** Base64; a topic is its place in `topics`. */
    readonly target: string;
  })[];
  /** `topic` is a place in `names`. */
  readonly topics: readonly (Omit<GroupTopic, 'topic'> & { readonly topic: number })[];
}

export function encodePlan({ members, topics }: Plan): string {
  const ids = placesIn(topics);
  const names = new Places<TopicName>();
  const subscriptions = new Places<string>();
  const encoded = members.map(({ topics: subscribed, targetAssignment, ...member }) => {
    const subscription = subscriptions.of(JSON.stringify(subscribed.map((name) => names.of(name))));
    return { ...member, subscription, target: encodeAssignment(targetAssignment, ids).toString('base64') };
  });
  const text: PlanText = {
    topics: topics.map((one) => ({ ...one, topic: names.of(one.topic) })),
    names: names.all,
    subscriptions: subscriptions.all.map((one) => JSON.parse(one) as number[]),
    members: encoded,
  };
  return JSON.stringify(text);
}

export function decodePlan(text: string): Plan {
  const { names, subscriptions, members, ...plan } = JSON.parse(text) as PlanText;
  const topics = plan.topics.map((one): GroupTopic => ({ ...one, topic: at(names, one.topic) }));
  const ids = placesIn(topics);
  const subscribed = subscriptions.map((places) => places.map((place) => at(names, place)));
  const decoded = members.map(({ subscription, target, ...member }): GroupMember => {
    // JSON leaves out what is undefined.
    return {
      ...member,
      instanceId: member.instanceId,
      topics: at(subscribed, subscription),
      targetAssignment: decodeAssignment(Buffer.from(target, 'base64'), ids),
    };
  });
  return { members: decoded, topics };
}

/** Numbers what it is asked for, from 0 on. */
class Places<T> {
  readonly #places = new Map<T, number>();

  of(one: T): number {
    const place = this.#places.get(one) ?? this.#places.size;
    this.#places.set(one, place);
    return place;
  }

  get all(): T[] {
    return [...this.#places.keys()];
  }
}

function placesIn(topics: readonly GroupTopic[]): TopicIdBytes {
  const places = new Map(topics.map(({ topicId }, place) => [topicId, place]));
  return {
    size: 4,
    write: (topicId, bytes) => {
      const place = places.get(topicId);
      assert(place !== undefined, `topic ${topicId} of a target is one of the group`);
      bytes.writeUInt32BE(place);
    },
    read: (bytes, start) => at(topics, bytes.readUInt32BE(start)).topicId,
  };
}

function at<T>(all: readonly T[], place: number): T {
  const one = all[place];
  assert(one !== undefined, `place ${place} of ${all.length} is there`);
  return one;
}
