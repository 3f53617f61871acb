/** Files kept open for reading, a bounded number of them. */

import { fstat } from 'node:fs';
import { promisify } from 'node:util';
import { closeFile, openFile } from './file-io.ts';

export interface ReadFile {
  readonly fd: number;
  /** When it was opened. */
  readonly byteLength: number;
}

interface Entry {
  readonly file: Promise<ReadFile>;
  users: number;
  isDropped: boolean;
}

/** Least recently used first out. Files in use are never closed, so the bound is passed by at most the reads under way. */
export class ReadFiles {
  readonly #openMax: number;
  readonly #entries = new Map<string, Entry>();

  constructor(openMax: number) {
    this.#openMax = openMax;
  }

  /** Opens `path`, or finds it open, and keeps it so until `use` has ended. */
  async with<T>(path: string, use: (file: ReadFile) => Promise<T>): Promise<T> {
    const entry = this.#entries.get(path) ?? { file: openForReading(path), users: 0, isDropped: false };
    this.#entries.delete(path);
    this.#entries.set(path, entry);
    entry.users += 1;
    try {
      return await use(await entry.file);
    } catch (error) {
      // After a failure the next reader opens the file anew.
      this.#drop(path, entry);
      throw error;
    } finally {
      entry.users -= 1;
      if (entry.isDropped) this.#closeIfIdle(entry);
      else this.#evict();
    }
  }

  /** Closes what is idle now, and the rest as soon as it is. */
  close(): void {
    for (const [path, entry] of this.#entries) this.#drop(path, entry);
  }

  #evict(): void {
    if (this.#entries.size <= this.#openMax) return;
    for (const [path, entry] of this.#entries) {
      if (entry.users > 0) continue;
      this.#drop(path, entry);
      if (this.#entries.size <= this.#openMax) return;
    }
  }

  #drop(path: string, entry: Entry): void {
    if (this.#entries.get(path) === entry) this.#entries.delete(path);
    entry.isDropped = true;
    this.#closeIfIdle(entry);
  }

  #closeIfIdle(entry: Entry): void {
    if (entry.users > 0) return;
    entry.file.then(
      ({ fd }) => closeFile(fd).catch(() => {}),
      () => {},
    );
  }
}

async function openForReading(path: string): Promise<ReadFile> {
  const fd = await openFile(path, 'r');
  try {
    const { size } = await promisify(fstat)(fd);
    return { fd, byteLength: size };
  } catch (error) {
    await closeFile(fd);
    throw error;
  }
}
