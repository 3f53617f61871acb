/**
 * The few file calls of the stores: callbacks of node:fs as promises (a `FileHandle` costs 0.05 ms more a write), and
 * their failures as KAFKA_STORAGE_ERROR.
 */

import { close, constants, fdatasync, fsync, open, read, writev, writevSync } from 'node:fs';
import { mkdir, readdir, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { InvariantError, isLogError, LogError } from '../errors.ts';
import { KiB } from '../limits.ts';

export const openFile = promisify(open);
export const closeFile = promisify(close);
export const syncFile = promisify(fsync);
export const syncData = promisify(fdatasync);

/** Writes all pieces one after another from `byteStart` on, all or not known how many. */
export type WritePieces = (fd: number, pieces: readonly Uint8Array[], byteStart: number) => Promise<void>;

/**
 * With O_DSYNC a write is durable when it returns: one call instead of two, 0.14 instead of 0.17 ms for 1 KiB. Only
 * Linux keeps that promise down to the medium; elsewhere it takes fdatasync (on macOS F_FULLFSYNC) behind each write.
 */
const writesAreDurable = process.platform === 'linux';
export const durableWriteFlags = constants.O_RDWR | (writesAreDurable ? constants.O_DSYNC : 0);

/** Completes a write to a file opened with `durableWriteFlags`. */
export const makeWriteDurable = (fd: number) => (writesAreDurable ? undefined : syncData(fd));

export const writePieces: WritePieces = async (fd, pieces, byteStart) => {
  const byteLength = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const bytesWritten =
    byteLength <= syncWriteBytesMax ? writevSync(fd, pieces, byteStart) : await writeAsync(fd, pieces, byteStart);
  if (bytesWritten === byteLength) return;
  if (bytesWritten === 0) throw new Error(`none of ${byteLength} bytes were written`);
  // A disk takes what fits, and says that it is full when the rest comes.
  await writePieces(fd, [Buffer.concat(pieces).subarray(bytesWritten)], byteStart + bytesWritten);
};

/**
 * So few bytes are a caller alone in an idle log. The way to another thread and back takes as long as the disk does
 * (0.1 ms), and the commit behind it holds this thread just as long.
 */
const syncWriteBytesMax = 4 * KiB;

const writeAsync = (fd: number, pieces: readonly Uint8Array[], byteStart: number): Promise<number> =>
  new Promise((resolve, reject) => {
    writev(fd, pieces, byteStart, (error, bytesWritten) => (error ? reject(error) : resolve(bytesWritten)));
  });

/** What this user may still write to the disk of `folder`. */
export async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** Fills `into` from `byteStart` of the file on; returns how many bytes there were. */
export function readInto(fd: number, into: Uint8Array, byteStart: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, into, 0, into.length, byteStart, (error, bytesRead) => (error ? reject(error) : resolve(bytesRead)));
  });
}

/** A new or renamed file is only sure to be found again after a crash when its folder has been synced too. */
export async function syncFolder(folder: string): Promise<void> {
  const fd = await openFile(folder, 'r');
  try {
    await syncFile(fd);
  } finally {
    await closeFile(fd);
  }
}

/** Makes `folder` and what is missing above it, durably. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  // Each new folder is an entry of the one above it.
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
}

/**
 * Makes a file that is there whole or not at all: `fill` writes it under a name ending in `.tmp` and says what it is to be
 * called then. A crash leaves a `.tmp` at worst; those go at the next open.
 */
export async function makeFile(
  temporary: string,
  fill: (fd: number) => Promise<string>,
  flags: number = constants.O_WRONLY,
): Promise<void> {
  const fd = await openFile(temporary, flags | constants.O_CREAT | constants.O_EXCL);
  let path: string;
  try {
    try {
      path = await fill(fd);
      await syncFile(fd);
    } finally {
      await closeFile(fd);
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
  await syncFolder(join(path, '..'));
}

/** Removes what makers of files left behind when they died. */
export async function removeTemporaryFiles(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.endsWith('.tmp')) await rm(join(folder, name), { force: true });
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EMFILE: 'this process has too many files open',
  ENFILE: 'this machine has too many files open',
  EACCES: 'permission is missing',
  EPERM: 'permission is missing',
  EROFS: 'the file system is read-only',
  EIO: 'the disk failed',
  ENOENT: 'it is not there',
};

/** `failed to <what> <path>: <reason>`, with no effect: nothing refers to bytes whose write was not answered. */
export function storageError(what: string, path: string, error: unknown, retriable = true): LogError {
  if (error instanceof InvariantError) throw error;
  if (isLogError(error)) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const text = error instanceof Error ? error.message : String(error);
  const reason = reasons[code] === undefined ? text : `${reasons[code]} (${code})`;
  const details = { path, reason: code || text };
  return new LogError('KAFKA_STORAGE_ERROR', `failed to ${what} ${path}: ${reason}`, {
    retriable,
    effect: 'none',
    details,
    cause: error,
  });
}
