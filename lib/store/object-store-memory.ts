/** Objects in memory, for tests and for logs that need not outlive their process. */

import type { Clock, RandomBytes } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { ObjectId } from '../ids.ts';
import { createObjectIds } from './object-id.ts';
import type { ObjectStore } from './object-store.ts';

export interface MemoryObjectStoreOptions {
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
}

export function createMemoryObjectStore({ clock, randomBytes }: MemoryObjectStoreOptions): ObjectStore {
  const objectIds = createObjectIds(clock, randomBytes);
  const objects = new Map<ObjectId, Uint8Array>();
  let isClosed = false;

  const refuse = (reason: string) => new LogError('KAFKA_STORAGE_ERROR', reason, { retriable: false, effect: 'none' });

  return {
    async put(body) {
      if (isClosed) throw refuse('the object store is closed');
      const objectId = objectIds.unplaced();
      objects.set(objectId, Buffer.concat(body));
      return objectId;
    },

    async read(objectId, byteStart, byteLength) {
      if (isClosed) throw refuse('the object store is closed');
      const object = objects.get(objectId);
      if (object === undefined) throw refuse(`object ${objectId} is not there`);
      if (byteStart < 0 || byteLength < 0 || byteStart + byteLength > object.length) {
        const wanted = `${byteLength} bytes from ${byteStart}`;
        throw refuse(`object ${objectId} has ${object.length} bytes; ${wanted} were asked for`);
      }
      return new Uint8Array(object.subarray(byteStart, byteStart + byteLength));
    },

    async close() {
      isClosed = true;
      objects.clear();
    },
  };
}
