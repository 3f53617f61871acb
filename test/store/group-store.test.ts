import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { GroupId } from '../../lib/ids.ts';
import { deletedGroupRetentionMs } from '../../lib/limits.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import { groupOf, testGroupStore } from '../contract/group-store.ts';
import { reopened } from '../support/reopened-store.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-groups-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

let fileCount = 0;
testGroupStore('SQLite in memory', async () => openSqliteMetadataStore(':memory:'));
testGroupStore('SQLite in a file, reopened before each call', async () => reopened(join(folder, `${fileCount++}.db`)));

test('groups are there when their file is opened again, also in a file from before there were groups', async () => {
  const path = join(folder, 'metadata.db');
  await openSqliteMetadataStore(path).close();
  const database = new DatabaseSync(path);
  for (const table of ['groups', 'group_sessions', 'group_offsets', 'deleted_groups'])
    database.exec(`DROP TABLE ${table}`);
  database.close();

  const group = groupOf();
  const first = openSqliteMetadataStore(path);
  await first.groupStore?.changeGroup({ group, seenVersion: undefined, puts: [], removes: [] });
  await first.close();
  const second = openSqliteMetadataStore(path);
  expect(await second.groupStore?.getGroup(group.groupId)).toEqual({ group, sessions: [] });
  await second.close();
});

test('the epoch of a deleted group is forgotten when another is deleted so much later', async () => {
  const store = openSqliteMetadataStore(':memory:');
  const { groupStore } = store;
  if (groupStore === undefined) throw new Error('the store keeps groups');
  const remove = async (groupId: string, deletedAt: number) => {
    const group = groupOf({ groupId: groupId as GroupId, groupEpoch: 3 });
    await groupStore.changeGroup({ group, seenVersion: undefined, puts: [], removes: [] });
    const { members: _, topics: __, ...head } = group;
    expect(await groupStore.deleteGroup(head, deletedAt)).toBe('deleted');
    return await groupStore.getDeletedEpoch('first' as GroupId);
  };
  expect(await remove('first', 1_000)).toBe(3);
  expect(await remove('second', 1_000 + deletedGroupRetentionMs)).toBe(3);
  expect(await remove('third', 1_001 + deletedGroupRetentionMs)).toBeUndefined();
  await store.close();
});
