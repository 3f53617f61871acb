/** The log on one machine: files and SQLite in a data folder, or all in memory. */

import { systemClock, systemRandomBytes } from '../clock.ts';
import { createLog } from '../create-log.ts';
import { LogError } from '../errors.ts';
import type { Log } from '../log.ts';
import { openDataFolder } from '../store/data-folder.ts';
import { openSqliteMetadataStore } from '../store/metadata-store-sqlite.ts';
import { openFileObjectStore } from '../store/object-store-files.ts';
import { createMemoryObjectStore } from '../store/object-store-memory.ts';

export type EmbeddedLogOptions = { readonly dir: string } | { readonly memory: true };

/** Throws KAFKA_STORAGE_ERROR when another process has the folder, or it is of a newer format; INVALID_REQUEST without `dir`. */
export async function openEmbeddedLog(options: EmbeddedLogOptions): Promise<Log> {
  const clock = systemClock;
  const randomBytes = systemRandomBytes;
  if ('memory' in options) {
    const objectStore = createMemoryObjectStore({ clock, randomBytes });
    return createLog({ objectStore, metadataStore: openSqliteMetadataStore(':memory:'), clock, randomBytes });
  }
  if (typeof options.dir !== 'string' || options.dir === '') {
    // As of a variable that is not set; the empty text would be the current folder.
    throw new LogError('INVALID_REQUEST', 'dir names no folder; give one, or memory: true');
  }
  const opened: { close(): Promise<void> }[] = [];
  const closeAll = async () => {
    for (const one of opened.toReversed()) await one.close();
  };
  try {
    const folder = await openDataFolder(options.dir);
    opened.push(folder);
    const metadataStore = openSqliteMetadataStore(folder.metadataPath);
    opened.push(metadataStore);
    const objectStore = await openFileObjectStore({ dir: folder.dir, clock, randomBytes });
    const log = createLog({ objectStore, metadataStore, clock, randomBytes });
    // The log closes its stores itself, after what is under way in them.
    opened.splice(1, 1, log);
    // Once, however often it is asked for: the folder is let go of only when nothing writes to it any more.
    let closed: Promise<void> | undefined;
    const close = () => {
      closed ??= closeAll();
      return closed;
    };
    return { ...log, close };
  } catch (error) {
    await closeAll();
    throw error;
  }
}
