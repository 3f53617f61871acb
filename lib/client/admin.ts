/** Topics: make, list, look at, change and delete them; offsets by time. */

import type { Int64 } from '../ids.ts';
import type { ListOffsetsResult, TopicDescription, TopicSummary } from '../log.ts';
import { callJson, topicPath } from './api-calls.ts';
import type { Transport } from './transport.ts';

/** Config by Kafka's names; null sets a key back to its default. */
export type ConfigChanges = Readonly<Record<string, string | number | null>>;

export interface CallSignal {
  readonly signal?: AbortSignal;
}

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
    return callJson(this.#transport, 'POST', '/v1/topics', { json: { topic, ...rest }, ...(signal && { signal }) });
  }

  /** All topics by name, asked for page by page. */
  async *listTopics(options: CallSignal = {}): AsyncGenerator<TopicSummary, void, undefined> {
    for (let after: string | undefined; ; ) {
      const query: Record<string, string> = after === undefined ? {} : { after };
      const page: { topics: TopicSummary[]; next?: string | null } = await callJson(
        this.#transport,
        'GET',
        '/v1/topics',
        { query, ...options },
      );
      yield* page.topics;
      if (page.next === undefined || page.next === null) return;
      after = page.next;
    }
  }

  describeTopic(topic: string, options: CallSignal = {}): Promise<TopicDescription> {
    return callJson(this.#transport, 'GET', topicPath(topic), options);
  }

  /** Partitions only grow. */
  alterTopic(
    topic: string,
    { signal, ...json }: { readonly partitions?: number; readonly config?: ConfigChanges } & CallSignal,
  ): Promise<TopicDescription> {
    return callJson(this.#transport, 'PATCH', topicPath(topic), { json, ...(signal && { signal }) });
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
      { query, ...options },
    );
    return {
      offset: found.offset ?? undefined,
      timestamp: found.timestamp === null ? undefined : toInt64(found.timestamp),
    };
  }
}

/** JSON carries what is no safe integer as text. */
function toInt64(value: number | string): Int64 {
  return typeof value === 'number' ? value : BigInt(value);
}
