/**
 * A metadata store in a file of SQLite that is closed and opened again before each call, as long as no other is under way:
 * what it knows is in the file.
 */

import type { GroupStore } from '../../lib/store/group-store.ts';
import type { MetadataStore } from '../../lib/store/metadata-store.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';

export function reopened(path: string): MetadataStore {
  let store = openSqliteMetadataStore(path);
  let underWay = 0;
  let isClosed = false;

  /** Calls go to what `find` finds in the store as it is by then. */
  const callsTo = <Part extends object>(find: () => Part, own: Partial<Part>): Part =>
    new Proxy(find(), {
      get: (_, name) => {
        if (name in own) return Reflect.get(own, name);
        if (!(name in find())) return undefined;
        return async (...args: unknown[]) => {
          if (underWay++ === 0 && !isClosed) {
            void store.close();
            store = openSqliteMetadataStore(path);
          }
          try {
            return await (Reflect.get(find(), name) as (...given: unknown[]) => Promise<unknown>)(...args);
          } finally {
            underWay -= 1;
          }
        };
      },
    });

  const groupStore = callsTo(() => store.groupStore as GroupStore, {});
  const close = async () => {
    isClosed = true;
    await store.close();
  };
  return callsTo(() => store, { groupStore, close });
}
