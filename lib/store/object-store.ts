/** The door to object storage: immutable objects, stored once, read by range. */

import type { ObjectId } from '../ids.ts';

export interface ObjectStore {
  /**
   * Stores `body`, the parts one after another, as one new object and returns its name once it is durable.
   *
   * The store names the object, since its id also says where it lies. Ids are UUIDv7, so they sort by age. An object is
   * put if absent and never changed; a retry of a put whose answer was lost is the store's own business. Objects put at
   * the same time may be made durable together. Nothing refers to an object until its batches are committed, so a put
   * that fails leaves garbage at worst: errors are KAFKA_STORAGE_ERROR with `effect: none`. The parts must not change
   * until the call ends.
   */
  put(body: readonly Uint8Array[]): Promise<ObjectId>;

  /**
   * Reads the half-open range of `byteLength` bytes from `byteStart`, whole or not at all. The bytes are the caller's own
   * and may be changed. A missing object or a range beyond its end is KAFKA_STORAGE_ERROR, not retriable: something
   * that was committed is gone.
   */
  read(objectId: ObjectId, byteStart: number, byteLength: number): Promise<Uint8Array>;

  /** Ends what is under way and lets go of files and sockets. */
  close(): Promise<void>;
}
