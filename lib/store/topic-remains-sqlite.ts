/**
 * What deleted topics have left in the tables of the SQLite metadata store. A topic is gone with its heads, at once. Its pages
 * can be millions: in one transaction they would hold up the whole process for minutes, and make the log file as large.
 */

import type { DatabaseSync } from 'node:sqlite';
import { turnOfTheLoop } from '../clock.ts';
import type { TopicId } from '../ids.ts';

/** Rows of a table that one transaction removes: some 10 ms. */
const removedAtOnceMax = 1000;

const keys = {
  pages: 'topic_id, partition, last_offset',
  producers: 'topic_id, partition, producer_id',
} as const;

export interface TopicRemains {
  /** Within a transaction, and of a topic without heads, which gets no more rows. True when nothing is left. */
  removeSome(topicId: TopicId): boolean;
  /** Beside everything else, step by step. A step that fails is the last one, until the next open. */
  removeRest(topicId: TopicId): void;
  /** Topics with something left, when a process ended in the midst of it. */
  topicIds(): TopicId[];
}

export function openTopicRemains(deps: {
  readonly database: DatabaseSync;
  readonly write: <T>(run: () => T) => Promise<T>;
}): TopicRemains {
  const { database, write } = deps;
  const tables = Object.entries(keys).map(([table, key]) => ({
    removeSome: database.prepare(
      `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} WHERE topic_id = ? LIMIT ${removedAtOnceMax})`,
    ),
    // From one topic's rows to the next one's, and not over all of them.
    findLeft: database.prepare(
      `WITH RECURSIVE present(topic_id) AS (
         SELECT min(topic_id) FROM ${table}
         UNION ALL
         SELECT (SELECT min(topic_id) FROM ${table} WHERE topic_id > present.topic_id) FROM present WHERE topic_id IS NOT NULL
       )
       SELECT topic_id FROM present WHERE topic_id IS NOT NULL AND topic_id NOT IN (SELECT topic_id FROM topics)`,
    ),
  }));

  const removeSome = (topicId: TopicId) =>
    tables.every((table) => table.removeSome.run(topicId).changes < removedAtOnceMax);

  async function removeAll(topicId: TopicId): Promise<void> {
    for (let isDone = false; !isDone; ) {
      await turnOfTheLoop();
      isDone = await write(() => removeSome(topicId));
    }
  }

  return {
    removeSome,
    removeRest: (topicId) => void removeAll(topicId).catch(() => {}),
    topicIds: () => {
      const rows = tables.flatMap((table) => table.findLeft.all() as unknown as { readonly topic_id: TopicId }[]);
      return [...new Set(rows.map((row) => row.topic_id))];
    },
  };
}
