/**
 * The metadata store on SQLite, in a file or in memory: one process owns it, all its writes go through one queue.
 *
 * WAL with `synchronous = FULL`: a COMMIT that returned is on disk. https://www.sqlite.org/wal.html
 */

import { DatabaseSync } from 'node:sqlite';
import { assert, LogError } from '../errors.ts';
import type { Partition, ProducerId, TopicId, TopicName } from '../ids.ts';
import { CommitWaiters } from './commit-waiters.ts';
import { coordinatesBytes, decodeCoordinates, encodeCoordinates } from './coordinates.ts';
import { GroupCommit, storageError } from './group-commit.ts';
import { groupTables, openSqliteGroupStore } from './group-store-sqlite.ts';
import { appendToHead, isFull, rollHead } from './head.ts';
import type { Head, Page, ProducerState, StoredTopicConfig, TopicItem } from './items.ts';
import type { MetadataStore } from './metadata-store.ts';
import { decodeProducers, encodeProducers } from './producer-bytes.ts';
import { openTopicRemains } from './topic-remains-sqlite.ts';

/** About 2 KiB each. */
const headsKeptMax = 10_000;

/** Raised with every change of the tables below; a newer file is refused. */
const schemaVersion = 1;

const schema = `
  CREATE TABLE topics (
    collision_name TEXT PRIMARY KEY, topic TEXT NOT NULL UNIQUE, topic_id TEXT NOT NULL, partition_count INTEGER NOT NULL,
    config TEXT NOT NULL, created_at INTEGER NOT NULL, version INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE heads (
    topic_id TEXT NOT NULL, partition INTEGER NOT NULL, log_start_offset INTEGER NOT NULL, log_end_offset INTEGER NOT NULL,
    tail_base INTEGER NOT NULL, tail BLOB NOT NULL, rolled_max_timestamp INTEGER, log_bytes INTEGER NOT NULL,
    producers BLOB NOT NULL, moved_producer_id_max INTEGER, PRIMARY KEY (topic_id, partition)
  ) STRICT;
  CREATE TABLE pages (
    topic_id TEXT NOT NULL, partition INTEGER NOT NULL, last_offset INTEGER NOT NULL, base_offset INTEGER NOT NULL,
    max_timestamp_so_far INTEGER NOT NULL, entries BLOB NOT NULL, PRIMARY KEY (topic_id, partition, last_offset)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE producers (
    topic_id TEXT NOT NULL, partition INTEGER NOT NULL, producer_id INTEGER NOT NULL, state BLOB NOT NULL,
    PRIMARY KEY (topic_id, partition, producer_id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO counters VALUES ('producerId', 0);
  PRAGMA user_version = ${schemaVersion};
`;

/** `path` is a file's, or `:memory:`. Throws KAFKA_STORAGE_ERROR, also for a file of a newer version. */
export function openSqliteMetadataStore(path: string): MetadataStore {
  const database = openDatabase(path);
  /** Heads as they are stored: this process owns the file, so nobody else changes them. */
  const heads = new Map<string, StoredHead>();
  const commits = new GroupCommit(database, () => heads.clear());
  const waiters = new CommitWaiters();
  const sql = prepareStatements(database);
  let isClosed = false;

  const readStored = (topicId: TopicId, partition: Partition): StoredHead | undefined => {
    const known = heads.get(keyOf(topicId, partition));
    if (known !== undefined) return known;
    const row = sql.readHead.get(topicId, partition) as HeadRow | undefined;
    return row === undefined ? undefined : keep({ head: toHead(topicId, partition, row), tailBytes: row.tail });
  };
  const readHead = (topicId: TopicId, partition: Partition) => readStored(topicId, partition)?.head;
  const keep = (stored: StoredHead): StoredHead => {
    if (heads.size >= headsKeptMax) heads.clear();
    heads.set(keyOf(stored.head.topicId, stored.head.partition), stored);
    return stored;
  };
  const writeHead = (head: Head, tailBytes: Uint8Array): void => {
    assert(tailBytes.length === head.tail.length * coordinatesBytes, 'the bytes are those of the tail');
    keep({ head, tailBytes });
    sql.updateHead.run(
      head.logStartOffset,
      head.logEndOffset,
      head.tailBase,
      tailBytes,
      head.rolledMaxTimestamp ?? null,
      head.logBytes,
      encodeProducers(head.producers),
      head.movedProducerIdMax ?? null,
      head.topicId,
      head.partition,
    );
  };
  const insertHeads = (topicId: TopicId, from: number, to: number): void => {
    for (let partition = from; partition < to; partition++) {
      sql.insertHead.run(topicId, partition);
    }
  };
  const takeProducer = (topicId: TopicId, partition: Partition, producerId: ProducerId): ProducerState | undefined => {
    const row = sql.readProducer.get(topicId, partition, producerId) as { state: Uint8Array } | undefined;
    return row === undefined ? undefined : decodeProducers(row.state)[0];
  };

  /** A write in the next group, or a read at once; either answers with a rejected promise and never throws. */
  const write = <T>(run: () => T): Promise<T> => (isClosed ? Promise.reject(closedError()) : commits.run(run));
  const read = async <T>(run: () => T): Promise<T> => {
    if (isClosed) throw closedError();
    try {
      return run();
    } catch (error) {
      throw storageError(error);
    }
  };
  const remains = openTopicRemains({ database, write });
  for (const topicId of remains.topicIds()) remains.removeRest(topicId);

  return {
    createTopic: (item) =>
      write(() => {
        const collisionName = item.topic.replaceAll('.', '_');
        const there = sql.readCollision.get(collisionName) as { topic: string } | undefined;
        if (there !== undefined) return { outcome: 'exists', topic: there.topic as TopicName };
        const config = JSON.stringify(item.config);
        sql.insertTopic.run(
          collisionName,
          item.topic,
          item.topicId,
          item.partitionCount,
          config,
          item.createdAt,
          item.version,
        );
        insertHeads(item.topicId, 0, item.partitionCount);
        return { outcome: 'created' };
      }),

    getTopic: (topic) =>
      read(() => {
        const row = sql.readTopic.get(topic) as TopicRow | undefined;
        return row === undefined ? undefined : toTopic(row);
      }),

    listTopics: ({ after, limit }) =>
      read(() => (sql.listTopics.all(after ?? '', limit) as unknown as TopicRow[]).map(toTopic)),

    alterTopic: (change) =>
      write(() => {
        const row = sql.readTopic.get(change.topic) as TopicRow | undefined;
        if (row?.topic_id !== change.topicId || row.version !== change.version) return 'conflict';
        sql.updateTopic.run(JSON.stringify(change.config), change.partitionCount, change.version + 1, change.topic);
        insertHeads(change.topicId, row.partition_count, change.partitionCount);
        return 'altered';
      }),

    deleteTopic: async (topic, topicId) => {
      const deleted = await write(() => {
        const row = sql.readTopic.get(topic) as TopicRow | undefined;
        if (row?.topic_id !== topicId) return undefined;
        sql.deleteTopic.run(topic);
        sql.deleteHeads.run(topicId);
        heads.clear();
        return { partitionCount: row.partition_count, isAll: remains.removeSome(topicId) };
      });
      if (deleted === undefined) return false;
      if (!deleted.isAll) remains.removeRest(topicId);
      for (let partition = 0; partition < deleted.partitionCount; partition++) waiters.wake(topicId, partition);
      return true;
    },

    commitBatches: async ({ topicId, partition, batches }) => {
      const outcome = await write(() => {
        const stored = readStored(topicId, partition);
        if (stored === undefined) return { outcome: 'missing' } as const;
        const { head, tailBytes } = stored;
        if (isFull(head)) return { outcome: 'tail full', head } as const;
        const appended = appendToHead(head, batches, (producerId) => takeProducer(topicId, partition, producerId));
        if (appended.outcomes.some(({ outcome }) => outcome === 'committed')) {
          for (const producerId of appended.takenBack) sql.deleteProducer.run(topicId, partition, producerId);
          // An append leaves the tail that was there as it is.
          const added = encodeCoordinates(appended.head.tail.slice(head.tail.length));
          writeHead(appended.head, Buffer.concat([tailBytes, added]));
        }
        return { outcome: 'committed', batches: appended.outcomes, head: appended.head } as const;
      });
      if (outcome.outcome === 'committed') waiters.wake(topicId, partition);
      return outcome;
    },

    getHeads: (topicId, partitions) => read(() => partitions.map((partition) => readHead(topicId, partition))),

    rollTail: (seen) =>
      write(() => {
        const stored = readHead(seen.topicId, seen.partition);
        if (stored === undefined || stored.tailBase !== seen.tailBase || seen.tail.length === 0) return 'lost';
        const { head, page, movedProducers } = rollHead(stored, seen);
        sql.insertPage.run(
          seen.topicId,
          seen.partition,
          page.lastOffset,
          page.baseOffset,
          page.maxTimestampSoFar,
          encodeCoordinates(page.entries),
        );
        for (const state of movedProducers) {
          sql.insertProducer.run(seen.topicId, seen.partition, state.producerId, encodeProducers([state]));
        }
        writeHead(head, encodeCoordinates(head.tail));
        return 'rolled';
      }),

    findPages: (topicId, partition, offset, limit) =>
      read(() => (sql.findPages.all(topicId, partition, offset, limit) as unknown as PageRow[]).map(toPage)),

    nextProducerId: () => write(() => (sql.nextProducerId.get() as { value: number }).value - 1),

    nextCommit: (topicId, partitions, signal) => waiters.wait(topicId, partitions, signal),

    groupStore: openSqliteGroupStore({ database, write, read }),

    close: async () => {
      if (isClosed) return;
      isClosed = true;
      commits.flush();
      database.close();
    },
  };
}

/**
 * A commit that overwrites a log file which has grown already takes half the time of one that makes it grow, and SQLite
 * goes back to the file's beginning at every checkpoint. So it grows here, by as many pages as SQLite writes between two
 * checkpoints (https://www.sqlite.org/pragma.html#pragma_wal_autocheckpoint); those of the table are free again after.
 */
const growLog = `
  DROP TABLE IF EXISTS filler;
  BEGIN; CREATE TABLE filler (bytes BLOB); INSERT INTO filler VALUES (zeroblob(1000 * 4096)); COMMIT;
  DROP TABLE filler;
`;

/** On a full disk it stays as it is: commits fail, each by itself, until there is room, and readers need none. */
function growLogFile(database: DatabaseSync): void {
  try {
    database.exec(growLog);
  } catch (error) {
    if (!(error instanceof Error && 'errcode' in error && error.errcode === sqliteFull)) throw error;
    if (database.isTransaction) database.exec('ROLLBACK');
  }
}

const sqliteFull = 13;

const keyOf = (topicId: TopicId, partition: Partition) => `${topicId}/${partition}`;

function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    // EXCLUSIVE: no other process opens the file meanwhile, and the WAL index stays in memory.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    // On macOS a sync reaches the medium only so, as those of `file-io.ts` do; nowhere else it has a meaning.
    database.exec('PRAGMA fullfsync = ON');
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
    if (version > schemaVersion) {
      throw new LogError(
        'KAFKA_STORAGE_ERROR',
        `metadata file ${path} has format ${version}, this version of millrace reads up to ${schemaVersion}; upgrade millrace`,
        { retriable: false, effect: 'none' },
      );
    }
    if (version === 0) database.exec(`BEGIN; ${schema} COMMIT;`);
    database.exec(groupTables);
    if (path !== ':memory:') growLogFile(database);
    // A killed process may have left commits that were written and not synced. A checkpoint syncs them, and it has to,
    // before readers see them and resends are answered from them.
    database.exec('PRAGMA wal_checkpoint(RESTART)');
    return database;
  } catch (error) {
    database?.close();
    throw storageError(error);
  }
}

function prepareStatements(database: DatabaseSync) {
  const ofPartition = 'topic_id = ? AND partition = ?';
  return {
    readCollision: database.prepare('SELECT topic FROM topics WHERE collision_name = ?'),
    readTopic: database.prepare('SELECT * FROM topics WHERE topic = ?'),
    insertTopic: database.prepare('INSERT INTO topics VALUES (?, ?, ?, ?, ?, ?, ?)'),
    updateTopic: database.prepare('UPDATE topics SET config = ?, partition_count = ?, version = ? WHERE topic = ?'),
    listTopics: database.prepare('SELECT * FROM topics WHERE topic > ? ORDER BY topic LIMIT ?'),
    deleteTopic: database.prepare('DELETE FROM topics WHERE topic = ?'),
    deleteHeads: database.prepare('DELETE FROM heads WHERE topic_id = ?'),
    readHead: database.prepare(`SELECT * FROM heads WHERE ${ofPartition}`),
    insertHead: database.prepare("INSERT INTO heads VALUES (?, ?, 0, 0, 0, x'', NULL, 0, x'', NULL)"),
    updateHead: database.prepare(
      `UPDATE heads SET log_start_offset = ?, log_end_offset = ?, tail_base = ?, tail = ?, rolled_max_timestamp = ?,
         log_bytes = ?, producers = ?, moved_producer_id_max = ? WHERE ${ofPartition}`,
    ),
    insertPage: database.prepare('INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?)'),
    findPages: database.prepare(
      `SELECT * FROM pages WHERE ${ofPartition} AND last_offset >= ? ORDER BY last_offset LIMIT ?`,
    ),
    readProducer: database.prepare(`SELECT state FROM producers WHERE ${ofPartition} AND producer_id = ?`),
    insertProducer: database.prepare('INSERT OR REPLACE INTO producers VALUES (?, ?, ?, ?)'),
    deleteProducer: database.prepare(`DELETE FROM producers WHERE ${ofPartition} AND producer_id = ?`),
    nextProducerId: database.prepare("UPDATE counters SET value = value + 1 WHERE name = 'producerId' RETURNING value"),
  };
}

/** With its tail as it lies in the table, so that an append encodes what it adds and not the whole tail. */
interface StoredHead {
  readonly head: Head;
  readonly tailBytes: Uint8Array;
}
interface TopicRow {
  readonly topic: string;
  readonly topic_id: string;
  readonly partition_count: number;
  readonly config: string;
  readonly created_at: number;
  readonly version: number;
}
interface HeadRow {
  readonly log_start_offset: number;
  readonly log_end_offset: number;
  readonly tail_base: number;
  readonly tail: Uint8Array;
  readonly rolled_max_timestamp: number | null;
  readonly log_bytes: number;
  readonly producers: Uint8Array;
  readonly moved_producer_id_max: number | null;
}
interface PageRow {
  readonly base_offset: number;
  readonly last_offset: number;
  readonly max_timestamp_so_far: number;
  readonly entries: Uint8Array;
}

function toTopic(row: TopicRow): TopicItem {
  return {
    topic: row.topic as TopicName,
    topicId: row.topic_id as TopicId,
    partitionCount: row.partition_count,
    config: JSON.parse(row.config) as StoredTopicConfig,
    createdAt: row.created_at,
    version: row.version,
  };
}

function toHead(topicId: TopicId, partition: Partition, row: HeadRow): Head {
  return {
    topicId,
    partition,
    logStartOffset: row.log_start_offset,
    logEndOffset: row.log_end_offset,
    tailBase: row.tail_base,
    tail: decodeCoordinates(row.tail),
    rolledMaxTimestamp: row.rolled_max_timestamp ?? undefined,
    logBytes: row.log_bytes,
    producers: decodeProducers(row.producers),
    movedProducerIdMax: row.moved_producer_id_max ?? undefined,
  };
}

function toPage(row: PageRow): Page {
  return {
    baseOffset: row.base_offset,
    lastOffset: row.last_offset,
    maxTimestampSoFar: row.max_timestamp_so_far,
    entries: decodeCoordinates(row.entries),
  };
}

function closedError(): LogError {
  return new LogError('KAFKA_STORAGE_ERROR', 'the metadata store is closed', { retriable: false, effect: 'none' });
}
