/**
 * The volumes of a folder: `volumes/0000000001.vol` and on. They are filled ahead of need; when writes outrun the filling,
 * or the disk has no room for two more, the next volume grows as it is written.
 */

import { constants, fstat } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Timestamp } from '../ids.ts';
import { KiB } from '../limits.ts';
import {
  closeFile,
  durableWriteFlags,
  makeFile,
  makeWriteDurable,
  openFile,
  syncFolder,
  type WritePieces,
} from './file-io.ts';
import { recordBytes, scanVolume, volumeBodyBytesMax } from './volume.ts';

/** A volume open for writing. */
export interface Volume {
  readonly volumeNumber: number;
  readonly path: string;
  readonly fd: number;
  /** It takes records up to here. */
  readonly volumeBytes: number;
  readonly isGrowing: boolean;
  /** Where the next record goes. */
  end: number;
}

const volumePattern = /^(\d{10})\.vol$/;
/** Synced one by one: in larger ones the disk keeps puts beside it waiting (1 MiB: twice as long), smaller ones take long. */
const zeros = new Uint8Array(256 * KiB);

export function volumePath(volumesFolder: string, volumeNumber: number): string {
  return join(volumesFolder, `${String(volumeNumber).padStart(10, '0')}.vol`);
}

/** Ascending. */
async function listVolumes(volumesFolder: string): Promise<number[]> {
  const names = await readdir(volumesFolder);
  return names
    .flatMap((name) => volumePattern.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** Fills a new volume with zeros, durably. `nameVolume` is asked for its number when that is done. */
export async function makeVolume(
  folders: { readonly volumes: string; readonly temporary: string },
  volumeBytes: number,
  nameVolume: () => number,
  write: WritePieces,
): Promise<void> {
  const fill = async (fd: number) => {
    for (let at = 0; at < volumeBytes; at += zeros.length) {
      await write(fd, [zeros.subarray(0, Math.min(zeros.length, volumeBytes - at))], at);
      await makeWriteDurable(fd);
    }
    return volumePath(folders.volumes, nameVolume());
  };
  await makeFile(join(folders.temporary, 'spare.vol.tmp'), fill, durableWriteFlags);
}

/** A volume that was not filled and grows with every write, up to `volumeBytes`. */
export async function makeGrowingVolume(folder: string, volumeNumber: number, volumeBytes: number): Promise<Volume> {
  const path = volumePath(folder, volumeNumber);
  const fd = await openFile(path, durableWriteFlags | constants.O_CREAT | constants.O_EXCL);
  try {
    await syncFolder(folder);
  } catch (error) {
    await closeFile(fd);
    // Each put that follows tries again: without room for another open file there would be one more for each.
    await rm(path, { force: true }).catch(() => {});
    throw error;
  }
  return { volumeNumber, path, fd, volumeBytes, isGrowing: true, end: 0 };
}

export async function openVolume(volumesFolder: string, volumeNumber: number): Promise<Volume> {
  const path = volumePath(volumesFolder, volumeNumber);
  const fd = await openFile(path, durableWriteFlags);
  try {
    const { size } = await promisify(fstat)(fd);
    return { volumeNumber, path, fd, volumeBytes: size, isGrowing: false, end: 0 };
  } catch (error) {
    await closeFile(fd);
    throw error;
  }
}

/** What a restart finds. */
export interface FoundVolumes {
  /** The volume to go on in, if there is one. */
  readonly current: Volume | undefined;
  /** Empty ones behind it, ascending. */
  readonly spares: readonly number[];
  readonly lastVolumeNumber: number;
  /** Of the last object in a volume. */
  readonly timestamp: Timestamp;
}

/**
 * Finds the place to go on: behind the last record of the last volume that has any.
 *
 * A volume with anything but zeros behind its last whole record is left alone for ever and writing goes on in the next
 * one. What lies there is almost certainly a torn group that nobody was answered for, but should it be a damaged record
 * with good ones behind it, they stay readable. The price is the rest of a volume for a crash in the middle of a write.
 */
export async function findVolumes(volumesFolder: string): Promise<FoundVolumes> {
  const volumeNumbers = await listVolumes(volumesFolder);
  const lastVolumeNumber = volumeNumbers.at(-1) ?? 0;
  const spares: number[] = [];
  for (const volumeNumber of volumeNumbers.reverse()) {
    const volume = await openVolume(volumesFolder, volumeNumber);
    const scan = scanVolume(volume.fd, volumeNumber, volume.volumeBytes);
    scan.catch(() => closeFile(volume.fd).catch(() => {}));
    const { end, isClean, timestamp = 0 } = await scan;
    const isEmpty = end === 0 && isClean;
    if (!isEmpty && isClean) {
      volume.end = end;
      return { current: volume, spares, lastVolumeNumber, timestamp };
    }
    await closeFile(volume.fd);
    if (!isEmpty) return { current: undefined, spares, lastVolumeNumber, timestamp };
    // A growing one that was made and never written to has no bytes: no use as a spare.
    if (volume.volumeBytes >= recordBytes(volumeBodyBytesMax)) spares.unshift(volumeNumber);
  }
  return { current: undefined, spares, lastVolumeNumber, timestamp: 0 };
}
