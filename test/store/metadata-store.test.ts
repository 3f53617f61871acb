import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { turnOfTheLoop } from '../../lib/clock.ts';
import { isLogError } from '../../lib/errors.ts';
import type { MetadataStore } from '../../lib/store/metadata-store.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { newBatch, testMetadataStore, topicItem } from '../contract/metadata-store.ts';
import { reopened } from '../support/reopened-store.ts';

let folder: string;
let fileCount = 0;
const newPath = () => join(folder, `${fileCount++}.sqlite`);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-metadata-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

testMetadataStore('SQLite in memory', async () => openSqliteMetadataStore(':memory:'));
testMetadataStore('SQLite in a file, reopened before each call', async () => reopened(newPath()));

describe('a metadata file', () => {
  test('is synced down to the medium, on macOS too', async () => {
    const exec = vi.spyOn(DatabaseSync.prototype, 'exec');
    onTestFinished(() => exec.mockRestore());
    const store = openSqliteMetadataStore(newPath());
    const database = exec.mock.contexts[0] as unknown as DatabaseSync;
    expect(database.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: 2 });
    expect(database.prepare('PRAGMA fullfsync').get()).toEqual({ fullfsync: 1 });
    await store.close();
  });

  test('of a newer version is refused, and says what to do', () => {
    const path = newPath();
    const database = new DatabaseSync(path);
    database.exec('PRAGMA user_version = 99');
    database.close();
    expect(() => openSqliteMetadataStore(path)).toThrow(/format 99.*reads up to 1; upgrade/);
  });

  test('that another process holds, that is no database, or whose folder is not there, is refused', async () => {
    const path = newPath();
    const store = openSqliteMetadataStore(path);
    await store.nextProducerId();
    for (const bad of [path, import.meta.filename, join(folder, 'missing', 'file.sqlite')]) {
      try {
        openSqliteMetadataStore(bad);
        expect.unreachable(`${bad} was opened`);
      } catch (error) {
        expect(isLogError(error, 'KAFKA_STORAGE_ERROR'), String(error)).toBe(true);
      }
    }
    await store.close();
  });
});

test('a start that was killed while it grew the log file is not in the way of the next', async () => {
  const path = newPath();
  const store = openSqliteMetadataStore(path);
  const { topic } = await created(store);
  await store.close();
  const database = new DatabaseSync(path);
  database.exec('CREATE TABLE filler (bytes BLOB)');
  database.close();
  const next = openSqliteMetadataStore(path);
  expect(await next.getTopic(topic)).toMatchObject({ topic });
  await next.close();
});

test('a topic with many pages is gone at once, and they go step by step, also over a restart', async () => {
  const path = newPath();
  const store = openSqliteMetadataStore(path);
  const { topic, topicId } = await created(store);
  const kept = topicItem('kept');
  await store.createTopic(kept);
  await store.close();
  const inFile = <T>(use: (database: DatabaseSync) => T): T => {
    const database = new DatabaseSync(path);
    try {
      return use(database);
    } finally {
      database.close();
    }
  };
  const rowsOf = (table: string, id: string) =>
    inFile((database) => database.prepare(`SELECT count(*) AS n FROM ${table} WHERE topic_id = ?`).get(id)?.n);
  inFile((database) => {
    const rows = 'WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < 3499)';
    const pages = database.prepare(`${rows} INSERT INTO pages SELECT ?, i % 4, i, i, 0, x'' FROM n`);
    const producers = database.prepare(`${rows} INSERT INTO producers SELECT ?, 0, i, x'' FROM n`);
    for (const id of [topicId, kept.topicId]) for (const insert of [pages, producers]) insert.run(id);
  });

  const deleting = openSqliteMetadataStore(path);
  expect(await deleting.deleteTopic(topic, topicId)).toBe(true);
  expect(await deleting.getTopic(topic)).toBeUndefined();
  await deleting.close();
  expect([rowsOf('pages', topicId), rowsOf('producers', topicId)]).toEqual([2500, 3500]);

  const next = openSqliteMetadataStore(path);
  for (let turn = 0; turn < 20; turn++) await turnOfTheLoop();
  await next.close();
  expect([rowsOf('pages', topicId), rowsOf('producers', topicId)]).toEqual([0, 0]);
  expect([rowsOf('pages', kept.topicId), rowsOf('producers', kept.topicId)]).toEqual([3500, 3500]);
});

test('a start on a full disk does without a larger log file, and reads', async () => {
  const path = newPath();
  const store = openSqliteMetadataStore(path);
  const { topic } = await created(store);
  await store.close();
  const { exec } = DatabaseSync.prototype;
  const spy = vi.spyOn(DatabaseSync.prototype, 'exec').mockImplementation(function (this: DatabaseSync, sql) {
    if (!sql.includes('filler')) return exec.call(this, sql);
    exec.call(this, 'BEGIN');
    throw Object.assign(new Error('database or disk is full'), { errcode: 13 });
  });
  onTestFinished(() => spy.mockRestore());
  const next = openSqliteMetadataStore(path);
  expect(await next.getTopic(topic)).toMatchObject({ topic });
  expect(await next.nextProducerId()).toBe(0);
  await next.close();
});

test('a transaction that is taken back takes the heads with it that it changed', async () => {
  const store = openSqliteMetadataStore(newPath());
  const { topicId } = await created(store);
  const broken = {
    ...topicItem('broken'),
    get config(): never {
      throw new TypeError('a bug');
    },
  };
  const [committed, failed] = await Promise.allSettled([
    store.commitBatches({ topicId, partition: 0, batches: [newBatch({ recordCount: 3 })] }),
    store.createTopic(broken),
  ]);
  expect(failed).toMatchObject({ status: 'rejected', reason: { message: 'a bug' } });
  expect(committed).toMatchObject({ value: { batches: [{ baseOffset: 0 }], head: { logEndOffset: 3 } } });
  expect(await store.getHeads(topicId, [0])).toMatchObject([{ logEndOffset: 3 }]);
  await store.close();
});

async function created(store: MetadataStore) {
  const topic = topicItem('events');
  await store.createTopic(topic);
  return topic;
}
