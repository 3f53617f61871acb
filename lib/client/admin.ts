/** Topics: make, list, look at, change and delete them; offsets by time. Groups: list, look at, reset and delete them. */

import type { Int64 } from '../ids.ts';
import type {
  GroupDescription,
  GroupOffset,
  GroupSummary,
  ListOffsetsResult,
  TopicDescription,
  TopicSummary,
} from '../log.ts';
import { callJson, topicPath } from './api-calls.ts';
import { groupPath } from './group-member.ts';
import type { Transport } from './transport.ts';

/** Config by Kafka's names; null sets a key back to its default. */
export type ConfigChanges = Readonly<Record<string, string | number | null>>;

export interface CallSignal {
  readonly signal?: AbortSignal;
}

/** A time: the first record as young as that, else the latest. `shift`: from what is committed, within what can be read. */
export interface OffsetReset {
  readonly topic: string;
  /** @default all */
  readonly partitions?: readonly number[];
  readonly to: 'earliest' | 'latest' | Date | { readonly shift: number };
}

/** As JSON has it. */
type Nullable<T> = { readonly [Key in keyof T]: undefined extends T[Key] ? Exclude<T[Key], undefined> | null : T[Key] };
type PlainGroup = Omit<GroupDescription, 'members' | 'partitions'> & {
  readonly members: readonly Nullable<GroupDescription['members'][number]>[];
  readonly partitions: readonly Nullable<GroupDescription['partitions'][number]>[];
};

export class Admin {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Throws TOPIC_ALREADY_EXISTS, INVALID_PARTITIONS, INVALID_CONFIG, INVALID_TOPIC_EXCEPTION. */
  createTopic(
    topic: string,
    options: { readonly partitions?: number; readonly config?: ConfigChanges } & CallSignal = {},
  ): Promise<TopicDescription> {
    const { signal, ...rest } = options;
    return callJson(this.#transport, 'POST', '/v1/topics', {
      json: { topic, ...rest },
      has: 'partitions',
      ...(signal && { signal }),
    });
  }

  /** All topics by name, asked for page by page. */
  async *listTopics(options: CallSignal = {}): AsyncGenerator<TopicSummary, void, undefined> {
    for (let after: string | undefined; ; ) {
      const query: Record<string, string> = after === undefined ? {} : { after };
      const page: { topics: TopicSummary[]; next?: string | null } = await callJson(
        this.#transport,
        'GET',
        '/v1/topics',
        { query, has: 'topics', ...options },
      );
      yield* page.topics;
      if (page.next === undefined || page.next === null) return;
      after = page.next;
    }
  }

  describeTopic(topic: string, options: CallSignal = {}): Promise<TopicDescription> {
    return callJson(this.#transport, 'GET', topicPath(topic), { has: 'partitions', ...options });
  }

  /** Partitions only grow. */
  alterTopic(
    topic: string,
    { signal, ...json }: { readonly partitions?: number; readonly config?: ConfigChanges } & CallSignal,
  ): Promise<TopicDescription> {
    return callJson(this.#transport, 'PATCH', topicPath(topic), { json, has: 'partitions', ...(signal && { signal }) });
  }

  /** The topic and its records, at once and for good. */
  deleteTopic(topic: string, options: CallSignal = {}): Promise<void> {
    return callJson(this.#transport, 'DELETE', topicPath(topic), options);
  }

  /**
   * The first record in offset order that is not older than a time (ms since the Unix epoch), the earliest or latest offset,
   * or the first record with the highest timestamp (`max`). `offset` is undefined when there is no such record.
   */
  async listOffsets(
    topic: string,
    partition: number,
    timestamp: number | 'earliest' | 'latest' | 'max',
    options: CallSignal = {},
  ): Promise<ListOffsetsResult> {
    const path = topicPath(topic, `/partitions/${partition}/offsets`);
    const query = { timestamp: String(timestamp) };
    const found = await callJson<{ offset: number | null; timestamp: number | string | null }>(
      this.#transport,
      'GET',
      path,
      { query, has: 'offset', ...options },
    );
    return {
      offset: found.offset ?? undefined,
      timestamp: found.timestamp === null ? undefined : toInt64(found.timestamp),
    };
  }

  /** All groups by id, asked for page by page. */
  async *listGroups(options: CallSignal = {}): AsyncGenerator<GroupSummary, void, undefined> {
    for (let after: string | undefined; ; ) {
      const query: Record<string, string> = after === undefined ? {} : { after };
      const page: { groups: GroupSummary[]; next?: string | null } = await callJson(
        this.#transport,
        'GET',
        '/v1/groups',
        { query, has: 'groups', ...options },
      );
      yield* page.groups;
      if (page.next === undefined || page.next === null) return;
      after = page.next;
    }
  }

  /** Members, and by partition what is committed, the lag and who has it. Throws GROUP_ID_NOT_FOUND. */
  async describeGroup(group: string, options: CallSignal = {}): Promise<GroupDescription> {
    const plain = await callJson<PlainGroup>(this.#transport, 'GET', groupPath(group), {
      has: 'partitions',
      ...options,
    });
    return {
      ...plain,
      members: plain.members.map((member) => ({ ...member, instanceId: member.instanceId ?? undefined })),
      partitions: plain.partitions.map((one) => ({
        ...one,
        committedOffset: one.committedOffset ?? undefined,
        metadata: one.metadata ?? undefined,
        lag: one.lag ?? undefined,
        memberId: one.memberId ?? undefined,
      })),
    };
  }

  /** Gives what was set. Throws NON_EMPTY_GROUP while the group has members. */
  async resetGroupOffsets(
    group: string,
    reset: OffsetReset,
    options: CallSignal = {},
  ): Promise<readonly GroupOffset[]> {
    const json = { ...reset, to: reset.to instanceof Date ? reset.to.getTime() : reset.to };
    const path = groupPath(group, '/offsets/reset');
    const { offsets } = await callJson<{ offsets: GroupOffset[] }>(this.#transport, 'POST', path, {
      json,
      has: 'offsets',
      ...options,
    });
    return offsets;
  }

  /** With what it has committed. Throws NON_EMPTY_GROUP while it has members, GROUP_ID_NOT_FOUND. */
  deleteGroup(group: string, options: CallSignal = {}): Promise<void> {
    return callJson(this.#transport, 'DELETE', groupPath(group), options);
  }
}

/** JSON carries what is no safe integer as text. */
function toInt64(value: number | string): Int64 {
  return typeof value === 'number' ? value : BigInt(value);
}
