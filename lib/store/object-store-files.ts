/**
 * Objects in a folder of this machine.
 *
 * | path                        | holds                                                                       |
 * |-----------------------------|-----------------------------------------------------------------------------|
 * | `volumes/0000000001.vol`    | objects under 1 MiB, see `volume.ts`                                        |
 * | `objects/{last 2 digits}/`  | one file per object of 1 MiB and more, named by its id, nothing but its body |
 * | `objects/tmp/`              | files being made                                                            |
 *
 * The id says where an object lies, so there is no index and memory does not grow with the number of objects. One process
 * at a time: whoever opens the folder holds its lock (`data-folder.ts`).
 *
 * A write into a sector that holds older records is trusted not to harm them when the power fails ("powersafe overwrite",
 * as SQLite trusts it).
 */

import { join } from 'node:path';
import type { Clock, RandomBytes } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { ObjectId } from '../ids.ts';
import {
  freeBytesOf,
  makeFile,
  makeFolder,
  readInto,
  removeTemporaryFiles,
  storageError,
  syncFolder,
  type WritePieces,
  writePieces,
} from './file-io.ts';
import { createObjectIds, isObjectId, type ObjectIds, type ObjectPlace, placeOf } from './object-id.ts';
import type { ObjectStore } from './object-store.ts';
import { type ReadFile, ReadFiles } from './read-files.ts';
import { decodeRecordHeader, recordHeaderBytes, volumeBodyBytesMax, volumeBytesOf } from './volume.ts';
import { findVolumes, volumePath } from './volume-files.ts';
import { VolumeWriter } from './volume-writer.ts';

export interface FileObjectStoreOptions {
  /** The data folder; made when it is not there. */
  readonly dir: string;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  /** @default `volumeBytesOf` */
  readonly volumeBytesOf?: (volumeNumber: number) => number;
  /** How bytes reach the disk. @default `writePieces` */
  readonly write?: WritePieces;
  /** Room on the disk of a folder. @default `freeBytesOf` */
  readonly freeBytesOf?: (folder: string) => Promise<number>;
}

const openFilesMax = 64;
/** Objects whose length is remembered, so that a read of one just put or read checks its range without reading it. */
const knownLengthsMax = 4096;

/** Resolves when what a crash left behind is tidied up and the place to write is known. KAFKA_STORAGE_ERROR. */
export async function openFileObjectStore(options: FileObjectStoreOptions): Promise<ObjectStore> {
  const { dir, clock, randomBytes, write = writePieces } = options;
  const objects = join(dir, 'objects');
  const folders: Folders = { volumes: join(dir, 'volumes'), objects, temporary: join(objects, 'tmp') };
  try {
    for (const folder of [folders.volumes, folders.temporary]) await makeFolder(folder);
    await removeTemporaryFiles(folders.temporary);
    // A process killed between renaming a new volume and syncing the folder left a name that may yet be lost.
    for (const folder of [folders.volumes, folders.objects]) await syncFolder(folder);
    const found = await findVolumes(folders.volumes);
    const objectIds = createObjectIds(clock, randomBytes, found.timestamp);
    const writer = new VolumeWriter({
      folders,
      objectIds,
      write,
      freeBytesOf: options.freeBytesOf ?? freeBytesOf,
      volumeBytesOf: options.volumeBytesOf ?? volumeBytesOf,
      found,
    });
    await writer.open();
    return new FileObjectStore(folders, objectIds, writer, write);
  } catch (error) {
    throw storageError('open the object store in', dir, error);
  }
}

interface Folders {
  readonly volumes: string;
  readonly objects: string;
  readonly temporary: string;
}

class FileObjectStore implements ObjectStore {
  readonly #folders: Folders;
  readonly #objectIds: ObjectIds;
  readonly #writer: VolumeWriter;
  readonly #write: WritePieces;
  readonly #readFiles = new ReadFiles(openFilesMax);
  readonly #knownLengths = new Map<ObjectId, number>();
  /** Folders of own files that are sure to be found again after a crash. */
  readonly #shards = new Set<string>();
  readonly #underWay = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(folders: Folders, objectIds: ObjectIds, writer: VolumeWriter, write: WritePieces) {
    this.#folders = folders;
    this.#objectIds = objectIds;
    this.#writer = writer;
    this.#write = write;
  }

  put(body: readonly Uint8Array[]): Promise<ObjectId> {
    let byteLength = 0;
    for (const part of body) byteLength += part.length;
    return this.#track(() => this.#put(body, byteLength));
  }

  read(objectId: ObjectId, byteStart: number, byteLength: number): Promise<Uint8Array> {
    return this.#track(() => this.#read(objectId, byteStart, byteLength));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#underWay);
    await this.#writer.close();
    this.#readFiles.close();
  }

  async #put(body: readonly Uint8Array[], byteLength: number): Promise<ObjectId> {
    const objectId =
      byteLength < volumeBodyBytesMax ? await this.#writer.put(body, byteLength) : await this.#putOwnFile(body);
    this.#learnLength(objectId, byteLength);
    return objectId;
  }

  async #putOwnFile(body: readonly Uint8Array[]): Promise<ObjectId> {
    const objectId = this.#objectIds.unplaced();
    const path = this.#ownPath(objectId);
    try {
      await this.#makeShard(join(path, '..'));
      // Put if absent: ids of this process only ascend, and no other process puts here.
      await makeFile(join(this.#folders.temporary, `${objectId}.tmp`), async (fd) => {
        await this.#write(fd, body, 0);
        return path;
      });
    } catch (error) {
      throw storageError('write', path, error);
    }
    return objectId;
  }

  /** Whoever made the folder may not have synced it yet, so everyone does who has not seen it synced. */
  async #makeShard(folder: string): Promise<void> {
    if (this.#shards.has(folder)) return;
    await makeFolder(folder);
    await syncFolder(this.#folders.objects);
    this.#shards.add(folder);
  }

  async #read(objectId: ObjectId, byteStart: number, byteLength: number): Promise<Uint8Array> {
    const known = this.#knownLengths.get(objectId);
    if (known !== undefined) checkRange(objectId, byteStart, byteLength, known);
    const place = placeOf(objectId);
    const path = place === undefined ? this.#ownPath(objectId) : volumePath(this.#folders.volumes, place.volumeNumber);
    try {
      return await this.#readFiles.with(path, async (file) => {
        if (place === undefined) {
          checkRange(objectId, byteStart, byteLength, file.byteLength);
          return await readRange(file, byteStart, byteLength);
        }
        const bodyStart = place.byteStart + recordHeaderBytes;
        if (known !== undefined) return await readRange(file, bodyStart + byteStart, byteLength);
        return await this.#readUnknown(file, objectId, place, byteStart, byteLength);
      });
    } catch (error) {
      // A file that is not there stays away; the rest (a failing disk, too many open files) may pass.
      const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      throw storageError(`read object ${objectId} in`, path, error, !isMissing);
    }
  }

  /** Reads the header too: in one go when it lies right in front of what is wanted. */
  async #readUnknown(
    file: ReadFile,
    objectId: ObjectId,
    place: ObjectPlace,
    byteStart: number,
    byteLength: number,
  ): Promise<Uint8Array> {
    const bodyStart = place.byteStart + recordHeaderBytes;
    let header: Buffer;
    let bytes: Uint8Array;
    if (byteStart === 0) {
      const both = await readRange(file, place.byteStart, recordHeaderBytes + byteLength);
      [header, bytes] = [both, both.subarray(recordHeaderBytes)];
    } else {
      [header, bytes] = await Promise.all([
        readRange(file, place.byteStart, recordHeaderBytes),
        readRange(file, bodyStart + byteStart, byteLength),
      ]);
    }
    const found = decodeRecordHeader(header);
    if (found?.objectId !== objectId) throw refusal(`object ${objectId} is not there`);
    this.#learnLength(objectId, found.byteLength);
    checkRange(objectId, byteStart, byteLength, found.byteLength);
    return bytes;
  }

  #ownPath(objectId: ObjectId): string {
    if (!isObjectId(objectId)) throw refusal(`object ${JSON.stringify(objectId)} is not there; that is no object id`);
    return join(this.#folders.objects, objectId.slice(-2), objectId);
  }

  #learnLength(objectId: ObjectId, byteLength: number): void {
    // All at once: to find the oldest of a map, what was deleted before it is walked over again.
    if (this.#knownLengths.size >= knownLengthsMax) this.#knownLengths.clear();
    this.#knownLengths.set(objectId, byteLength);
  }

  async #track<T>(start: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw refusal('the object store is closed');
    const call = start();
    this.#underWay.add(call);
    try {
      return await call;
    } finally {
      this.#underWay.delete(call);
    }
  }
}

async function readRange(file: ReadFile, byteStart: number, byteLength: number): Promise<Buffer> {
  // Not from Node's pool: the caller may keep the bytes for long, or change them.
  const bytes = Buffer.allocUnsafeSlow(byteLength);
  const bytesRead = await readInto(file.fd, bytes, byteStart);
  if (bytesRead < byteLength) {
    throw refusal(`the file ends at ${byteStart + bytesRead}; ${byteLength} bytes from ${byteStart} were asked for`);
  }
  return bytes;
}

function checkRange(objectId: ObjectId, byteStart: number, byteLength: number, objectBytes: number): void {
  if (byteStart >= 0 && byteLength >= 0 && byteStart + byteLength <= objectBytes) return;
  const wanted = `${byteLength} bytes from ${byteStart}`;
  throw refusal(`object ${objectId} has ${objectBytes} bytes; ${wanted} were asked for`);
}

const refusal = (message: string) => new LogError('KAFKA_STORAGE_ERROR', message, { retriable: false, effect: 'none' });
