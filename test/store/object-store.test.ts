import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFileObjectStore } from '../../lib/store/object-store-files.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';
import { objectStoreContract } from '../contract/object-store.ts';

objectStoreContract('memory', async (deps) => ({ store: createMemoryObjectStore(deps), remove: async () => {} }));

objectStoreContract('files', async (deps) => {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-objects-'));
  return { store: await openFileObjectStore({ dir, ...deps }), remove: () => rm(dir, { recursive: true }) };
});
