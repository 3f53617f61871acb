/**
 * The folder a log lives in on this machine: its format, and that one process at a time uses it.
 *
 * | path                                    | holds                                                        |
 * |-----------------------------------------|--------------------------------------------------------------|
 * | `format.json`                           | the version of everything below; written once                |
 * | `lock.db`                               | an empty database, whose exclusive lock the owner holds      |
 * | `lock.pid`                              | process id of the owner, for people and for the refusal       |
 * | `metadata.db`, `volumes/`, `objects/`   | the stores                                                   |
 */

import { access, constants, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { LogError } from '../errors.ts';
import { makeFile, makeFolder, removeTemporaryFiles, storageError, writePieces } from './file-io.ts';

export interface DataFolder {
  /** Absolute. */
  readonly dir: string;
  readonly metadataPath: string;
  /** Lets go of the lock. Close the stores first. */
  close(): Promise<void>;
}

/** Rises when an older release could no longer read, or would damage, what is written. */
const formatVersion = 1;

/**
 * Opens `folder`, which is made when it is not there, for this process alone. KAFKA_STORAGE_ERROR when it cannot be used,
 * is in use, or was written by a newer release; nothing was changed then.
 */
export async function openDataFolder(folder: string): Promise<DataFolder> {
  const dir = resolve(folder);
  await makeUsable(dir);
  await checkFormat(dir);
  const lock = await takeLock(dir);
  try {
    await removeTemporaryFiles(dir);
    await writeFormat(dir);
    await writeFile(join(dir, 'lock.pid'), `${process.pid}\n`);
  } catch (error) {
    lock.close();
    throw storageError('open data folder', dir, error, false);
  }
  let isClosed = false;
  return {
    dir,
    metadataPath: join(dir, 'metadata.db'),
    async close() {
      if (isClosed) return;
      isClosed = true;
      await rm(join(dir, 'lock.pid'), { force: true }).catch(() => {});
      lock.close();
    },
  };
}

function refuse(message: string, details: Readonly<Record<string, unknown>>, cause?: unknown): LogError {
  return new LogError('KAFKA_STORAGE_ERROR', message, { retriable: false, effect: 'none', details, cause });
}

const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : undefined);

async function makeUsable(dir: string): Promise<void> {
  try {
    await makeFolder(dir);
    await access(dir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'EEXIST' || code === 'ENOTDIR') {
      throw refuse(`data folder ${dir} cannot be made: there is a file in its place`, { path: dir }, error);
    }
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
      throw refuse(`data folder ${dir} cannot be written (${code}); choose another with --data`, { path: dir }, error);
    }
    throw storageError('make data folder', dir, error, false);
  }
}

/** Before the lock, so that nothing at all is written into a folder that is not ours to understand. */
async function checkFormat(dir: string): Promise<'there' | 'missing'> {
  const path = join(dir, 'format.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'missing';
    throw storageError('read', path, error, false);
  }
  const seen = parseFormatVersion(text);
  if (seen === undefined) throw refuse(`${path} is damaged: it does not say a format version`, { path });
  if (seen <= formatVersion) return 'there';
  throw refuse(
    `data folder ${dir} has format version ${seen}; this release reads up to ${formatVersion}; use a newer release`,
    { path: dir, formatVersion: seen, formatVersionMax: formatVersion },
  );
}

function parseFormatVersion(text: string): number | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('formatVersion' in value)) return undefined;
    const { formatVersion: seen } = value;
    return typeof seen === 'number' && Number.isSafeInteger(seen) && seen > 0 ? seen : undefined;
  } catch {
    return undefined;
  }
}

async function writeFormat(dir: string): Promise<void> {
  if ((await checkFormat(dir)) === 'there') return;
  const text = Buffer.from(`${JSON.stringify({ formatVersion })}\n`);
  const path = join(dir, 'format.json');
  await makeFile(`${path}.tmp`, async (fd) => {
    await writePieces(fd, [text], 0);
    return path;
  });
}

/**
 * Node has no flock, but SQLite locks its files with the system's own locks, which go when their process dies, however it
 * dies. It also sees to a second open within one process. Nothing is ever written to this database.
 */
async function takeLock(dir: string): Promise<DatabaseSync> {
  const path = join(dir, 'lock.db');
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database?.close();
    const isBusy = error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy;
    if (!isBusy) throw storageError('lock', path, error, false);
    const pid = await readFile(join(dir, 'lock.pid'), 'utf8').then(Number, () => undefined);
    const owner = pid === process.pid ? 'this process' : pid ? `process ${pid}` : 'another process';
    const message = `data folder ${dir} is in use by ${owner} (stop it, or choose another folder with --data)`;
    throw refuse(message, { path: dir, ...(pid ? { pid } : {}) }, error);
  }
}

const sqliteBusy = 5;
