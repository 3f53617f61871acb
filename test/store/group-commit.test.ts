import { DatabaseSync } from 'node:sqlite';
import { beforeEach, expect, test } from 'vitest';
import { GroupCommit } from '../../lib/store/group-commit.ts';

let database: DatabaseSync;
let commits: GroupCommit;
let rollbacks = 0;
beforeEach(() => {
  rollbacks = 0;
  database = new DatabaseSync(':memory:');
  database.exec('CREATE TABLE written (value INTEGER PRIMARY KEY) STRICT');
  commits = new GroupCommit(database, () => rollbacks++);
});

const write = (value: number) =>
  commits.run(() => {
    database.prepare('INSERT INTO written VALUES (?)').run(value);
    return value;
  });
const written = () =>
  database
    .prepare('SELECT value FROM written')
    .all()
    .map(({ value }) => value);

test('a failing write does not fail its neighbours', async () => {
  const results = await Promise.allSettled([write(1), write(2), write(1), write(3)]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  expect(results[2]).toMatchObject({ reason: { code: 'KAFKA_STORAGE_ERROR' } });
  expect(written()).toEqual([1, 2, 3]);
});

test('a bug in a write stays a bug, and its neighbours are written', async () => {
  const bug = new TypeError('a bug');
  const failing = commits.run(() => {
    throw bug;
  });
  const results = await Promise.allSettled([failing, write(1)]);
  expect(results[0]).toMatchObject({ reason: bug });
  expect(written()).toEqual([1]);
});

// A COMMIT failed after its group had perhaps reached the disk. The group was then run again, one by one, and callers
// were told it went well while the first attempt's effect was unknown.
test('a failing COMMIT rejects all of its group with unknown effect and is not tried again', async () => {
  let commitCount = 0;
  commits = watchedCommits((sql) => {
    if (sql === 'COMMIT' && commitCount++ === 0) throw Object.assign(new Error('disk I/O error'), { errcode: 10 });
  });
  const results = await Promise.allSettled([write(1), write(2)]);
  for (const result of results) {
    expect(result).toMatchObject({ status: 'rejected', reason: { code: 'KAFKA_STORAGE_ERROR', effect: 'unknown' } });
  }
  expect(commitCount).toBe(1);
  expect(rollbacks).toBe(1);
  expect(await write(3)).toBe(3);
  expect(written()).toEqual([3]);
});

test('all that comes in one turn shares one transaction', async () => {
  const seen: string[] = [];
  commits = watchedCommits((sql) => seen.push(sql));
  await Promise.all([write(1), write(2), write(3)]);
  expect(seen).toEqual(['BEGIN IMMEDIATE', 'COMMIT']);
});

/** Calls `before` with each statement of its own, right before it runs. */
function watchedCommits(before: (sql: string) => void): GroupCommit {
  const prepare = database.prepare.bind(database);
  database.prepare = (sql) => {
    const statement = prepare(sql);
    const run = statement.run.bind(statement);
    statement.run = () => {
      before(sql);
      return run();
    };
    return statement;
  };
  const watched = new GroupCommit(database, () => rollbacks++);
  database.prepare = prepare;
  return watched;
}
