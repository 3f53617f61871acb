/**
 * The way in for small objects: puts that arrive while a write is under way form the next group, which is written with
 * one call and answered as one. No timer: a put into an idle store is written at once.
 */

import { crc32 } from 'node:zlib';
import { assert } from '../errors.ts';
import type { ObjectId } from '../ids.ts';
import { MiB } from '../limits.ts';
import { closeFile, makeWriteDurable, storageError, type WritePieces } from './file-io.ts';
import { type ObjectIds, placeUnitBytes, volumeNumberMax } from './object-id.ts';
import { encodeRecordHeader, recordBytes, recordHeaderBytes } from './volume.ts';
import { makeGrowingVolume, makeVolume, openVolume, type Volume } from './volume-files.ts';

/** A group is written with one call; more than this would keep its first put waiting for its last. */
const groupBytesMax = 4 * MiB;
/** A spare is made when this much of the current volume is used, so that the folder of a small log stays small. */
const spareAfterBytes = 4 * MiB;
/** Linux takes at most 1024 pieces (IOV_MAX) in one call. */
const groupPiecesMax = 1024;
/** Up to this size, copying a body is cheaper than another piece. */
const copyBytesMax = 16 * 1024;
/** A body in more parts than this is joined first. */
const partsMax = 64;

interface WaitingPut {
  /** Header, body, padding; joined when small. */
  readonly pieces: readonly Uint8Array[];
  readonly header: Buffer;
  readonly byteLength: number;
  readonly bodyCrc: number;
  readonly resolve: (objectId: ObjectId) => void;
  readonly reject: (error: unknown) => void;
}

export interface VolumeWriterOptions {
  readonly folders: { readonly volumes: string; readonly temporary: string };
  readonly objectIds: ObjectIds;
  readonly write: WritePieces;
  readonly freeBytesOf: (folder: string) => Promise<number>;
  readonly volumeBytesOf: (volumeNumber: number) => number;
  readonly found: {
    readonly current: Volume | undefined;
    readonly spares: readonly number[];
    readonly lastVolumeNumber: number;
  };
}

export class VolumeWriter {
  readonly #options: VolumeWriterOptions;
  /** Not bounded here: whoever accepts bytes bounds what may wait (`produceBytesWaitingMax`). */
  #queue: WaitingPut[] = [];
  #running: Promise<void> | undefined;
  #current: Volume | undefined;
  /** Volumes that are filled with zeros, ascending. */
  readonly #spares: number[];
  #making: Promise<void> | undefined;
  /** The spare that is being made is filled and has its number; its folder is yet to be synced. */
  #isSpareNamed = false;
  #lastVolumeNumber: number;
  #sparesTriedIn: number | undefined;

  constructor(options: VolumeWriterOptions) {
    this.#options = options;
    this.#current = options.found.current;
    this.#spares = [...options.found.spares];
    this.#lastVolumeNumber = options.found.lastVolumeNumber;
  }

  /** Has a volume ready, so that the first put needs not wait for one. */
  async open(): Promise<void> {
    if (this.#current !== undefined) return;
    // A disk that is nearly full is no reason to keep what it holds from readers: then the volume grows.
    await this.#makeSpare().catch(() => {});
    await this.#nextVolume();
  }

  put(body: readonly Uint8Array[], byteLength: number): Promise<ObjectId> {
    return new Promise((resolve, reject) => {
      // The checksum is taken here, while another group is being written, and not between two writes.
      this.#queue.push({ ...toRecord(body, byteLength), byteLength, resolve, reject });
      // In a microtask, so that puts of one tick share a group.
      this.#running ??= Promise.resolve().then(() => this.#writeGroups());
    });
  }

  /** Ends when all that was put is answered. */
  async close(): Promise<void> {
    await this.#running;
    await this.#making?.catch(() => {});
    if (this.#current !== undefined) await closeFile(this.#current.fd);
    this.#current = undefined;
  }

  /** One group at a time: that no group starts before the one ahead is durable is what makes a restart safe (`scanVolume`). */
  async #writeGroups(): Promise<void> {
    try {
      for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
        const bytes = recordBytes(first.byteLength);
        const volume = this.#currentFor(bytes) ?? (await this.#nextVolume());
        assert(volume.end + bytes <= volume.volumeBytes, `an object of ${bytes} bytes fits an empty volume`);
        this.#makeSpareWhenDue(volume);
        await this.#writeGroup(volume);
      }
    } catch (error) {
      // There is no volume to write to. The next put tries to make one again.
      for (const { reject } of this.#queue.splice(0)) reject(error);
    }
    this.#running = undefined;
  }

  async #writeGroup(volume: Volume): Promise<void> {
    const group: { readonly put: WaitingPut; readonly objectId: ObjectId }[] = [];
    const pieces: Uint8Array[] = [];
    let end = volume.end;
    for (const put of this.#queue) {
      const bytes = recordBytes(put.byteLength);
      const isOver = end + bytes - volume.end > groupBytesMax || pieces.length + put.pieces.length > groupPiecesMax;
      if (end + bytes > volume.volumeBytes || (isOver && group.length > 0)) break;
      const objectId = this.#options.objectIds.placed({ volumeNumber: volume.volumeNumber, byteStart: end });
      encodeRecordHeader(put.header, objectId, put.byteLength, put.bodyCrc);
      pieces.push(...put.pieces);
      group.push({ put, objectId });
      end += bytes;
    }
    this.#queue.splice(0, group.length);

    try {
      await this.#options.write(volume.fd, pieces, volume.end);
      await makeWriteDurable(volume.fd);
    } catch (error) {
      await this.#leaveAfterFailure(volume);
      const failure = storageError('write to', volume.path, error);
      for (const { put } of group) put.reject(failure);
      return;
    }
    volume.end = end;
    for (const { put, objectId } of group) put.resolve(objectId);
  }

  /** The current volume, unless it has too little room left, or has grown while a filled one was made. */
  #currentFor(bytes: number): Volume | undefined {
    const volume = this.#current;
    if (volume === undefined || volume.end + bytes > volume.volumeBytes) return undefined;
    return volume.isGrowing && volume.end > 0 && this.#spares.length > 0 ? undefined : volume;
  }

  /**
   * Has a spare filled early. When there is none in time, a growing volume is taken for as long as that lasts: slower writes,
   * but nobody waits for 64 MiB of zeros.
   */
  #makeSpareWhenDue(volume: Volume): void {
    const isSpareDue = volume.isGrowing || volume.end >= Math.min(volume.volumeBytes / 2, spareAfterBytes);
    // Once per volume: on a disk that is getting full, not every put is to try and fail.
    if (!isSpareDue || this.#sparesTriedIn === volume.volumeNumber) return;
    this.#sparesTriedIn = volume.volumeNumber;
    this.#makeSpare().catch(() => {});
  }

  /**
   * What a failed write left on the disk is unknown, and the kernel may have dropped the pages it shared with records
   * before it; so nothing is written to this volume again. In a volume without any record there is nothing to lose: it
   * is tried again, so that a disk that keeps failing does not cost a volume each time.
   */
  async #leaveAfterFailure(volume: Volume): Promise<void> {
    if (volume.end === 0) return;
    this.#current = undefined;
    await closeFile(volume.fd).catch(() => {});
  }

  async #nextVolume(): Promise<Volume> {
    const left = this.#current;
    const { folders, volumeBytesOf } = this.#options;
    // A volume made now would have a higher number and be written before it.
    if (this.#isSpareNamed) await this.#making?.catch(() => {});
    const [spare] = this.#spares;
    try {
      if (spare !== undefined) {
        this.#current = await openVolume(folders.volumes, spare);
        this.#spares.shift();
      } else {
        const volumeNumber = this.#nameVolume();
        this.#current = await makeGrowingVolume(folders.volumes, volumeNumber, volumeBytesOf(volumeNumber));
      }
    } catch (error) {
      throw storageError('make a volume in', folders.volumes, error);
    }
    if (left !== undefined) await closeFile(left.fd);
    return this.#current;
  }

  #makeSpare(): Promise<void> {
    if (this.#spares.length > 0) return Promise.resolve();
    const { folders, volumeBytesOf, write, freeBytesOf } = this.#options;
    this.#making ??= (async () => {
      let volumeNumber = this.#lastVolumeNumber + 1;
      const name = () => {
        volumeNumber = this.#nameVolume();
        this.#isSpareNamed = true;
        return volumeNumber;
      };
      try {
        const volumeBytes = volumeBytesOf(volumeNumber);
        // Zeros for later must not take the last room from puts beside them, which would then be refused.
        if ((await freeBytesOf(folders.volumes)) < 2 * volumeBytes) throw new Error('the disk is nearly full');
        await makeVolume(folders, volumeBytes, name, write);
        this.#spares.push(volumeNumber);
      } finally {
        this.#making = undefined;
        this.#isSpareNamed = false;
      }
    })();
    return this.#making;
  }

  /** Numbers rise in the order in which volumes are written to. */
  #nameVolume(): number {
    assert(this.#lastVolumeNumber < volumeNumberMax, `volume numbers end at ${volumeNumberMax}`);
    this.#lastVolumeNumber += 1;
    return this.#lastVolumeNumber;
  }
}

const padding = new Uint8Array(placeUnitBytes);

function toRecord(body: readonly Uint8Array[], byteLength: number): Pick<WaitingPut, 'pieces' | 'header' | 'bodyCrc'> {
  const bytes = recordBytes(byteLength);
  if (byteLength <= copyBytesMax || body.length > partsMax) {
    const record = Buffer.allocUnsafe(bytes).fill(0, recordHeaderBytes + byteLength);
    let at = recordHeaderBytes;
    for (const part of body) {
      record.set(part, at);
      at += part.length;
    }
    return { pieces: [record], header: record, bodyCrc: crc32(record.subarray(recordHeaderBytes, at)) };
  }
  const header = Buffer.allocUnsafe(recordHeaderBytes);
  const pad = padding.subarray(0, bytes - recordHeaderBytes - byteLength);
  return { pieces: [header, ...body, pad], header, bodyCrc: body.reduce((crc, part) => crc32(part, crc), 0) };
}
