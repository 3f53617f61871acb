/**
 * Many writes, one durable transaction: what is asked for while a transaction is being written goes into the next one.
 *
 * No timer: a group starts when the promises that brought its first write have run out, with all that they bring, so a lone write waits for nothing and a busy log shares each sync among all who came meanwhile.
 */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { LogError } from '../errors.ts';

interface Waiting {
  readonly write: () => void;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export class GroupCommit {
  readonly #database: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #onRollback: () => void;
  #waiting: Waiting[] = [];

  /** `onRollback` runs when what was written meanwhile is taken back, or may be. */
  constructor(database: DatabaseSync, onRollback: () => void) {
    this.#database = database;
    this.#begin = database.prepare('BEGIN IMMEDIATE');
    this.#commit = database.prepare('COMMIT');
    this.#onRollback = onRollback;
  }

  /** Runs `write` inside a transaction and resolves with its value once that is durable. */
  run<T>(write: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      let value: T;
      const run = () => {
        value = write();
      };
      if (this.#waiting.push({ write: run, done: () => resolve(value), failed: reject }) === 1) {
        process.nextTick(() => this.flush());
      }
    });
  }

  /** Writes what waits, now. */
  flush(): void {
    const group = this.#waiting;
    this.#waiting = [];
    if (group.length === 0) return;
    try {
      this.#transaction(group);
    } catch (error) {
      if (group.length === 1 || error instanceof FailedCommit) {
        for (const { failed } of group) failed(storageError(error));
        return;
      }
      // One write of the group may be at fault, and must not fail its neighbours: each gets a transaction of its own.
      for (const one of group) {
        try {
          this.#transaction([one]);
        } catch (own) {
          one.failed(storageError(own));
          continue;
        }
        one.done();
      }
      return;
    }
    for (const { done } of group) done();
  }

  #transaction(group: readonly Waiting[]): void {
    this.#begin.run();
    try {
      for (const { write } of group) write();
      try {
        this.#commit.run();
      } catch (error) {
        // Whether it is on disk cannot be known, so nothing of it may be written once more.
        throw new FailedCommit(error);
      }
    } catch (error) {
      this.#onRollback();
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }
}

class FailedCommit extends Error {
  constructor(cause: unknown) {
    super('commit failed', { cause });
  }
}

/** SQLite's errors become ours; bugs and our own errors stay what they are. A failed COMMIT may have been written. */
export function storageError(error: unknown): unknown {
  if (error instanceof FailedCommit) return storageError(error.cause);
  if (!(error instanceof Error) || !('errcode' in error)) return error;
  return new LogError('KAFKA_STORAGE_ERROR', `metadata store: ${error.message}`, { cause: error });
}
