/** What a durable write costs on this disk, with nothing around it: the measure of every other number. */

import {
  closeSync,
  constants,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Measured, measureSync } from './measure.ts';

export interface MachineWrites {
  /** Overwriting inside a file that was filled before: no journal commit. */
  readonly inPlace: Measured;
  /** Appending to a file that grows: its new length goes through the file system's journal. */
  readonly append: Measured;
  /** A new file each: write, fsync, rename, fsync of the folder. */
  readonly newFile: Measured;
}

const fileBytes = 64 * 1024 * 1024;

/** One writer, one write of `byteLength` after another, each durable before the next. */
export function measureWrites(dir: string, byteLength: number, durationMs: number): MachineWrites {
  const bytes = Buffer.alloc(byteLength, 'millrace');
  const times = { durationMs, warmUpMs: durationMs / 5 };
  const folder = join(dir, `writes-${byteLength}`);
  mkdirSync(folder);
  try {
    return {
      inPlace: measureInPlace(join(folder, 'filled'), bytes, times),
      append: measureAppend(join(folder, 'growing'), bytes, times),
      newFile: measureNewFiles(folder, bytes, times),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

type Times = Parameters<typeof measureSync>[0];

function measureInPlace(path: string, bytes: Buffer, times: Times): Measured {
  const zeros = Buffer.alloc(1024 * 1024);
  const filling = openSync(path, 'w');
  for (let at = 0; at < fileBytes; at += zeros.length) writeSync(filling, zeros, 0, zeros.length, at);
  fsyncSync(filling);
  closeSync(filling);

  // O_DSYNC is one call where pwrite and fdatasync are two, and so the harder measure.
  const fd = openSync(path, constants.O_RDWR | constants.O_DSYNC);
  let at = 0;
  const measured = measureSync(times, () => {
    if (at + bytes.length > fileBytes) at = 0;
    writeSync(fd, bytes, 0, bytes.length, at);
    at += bytes.length;
  });
  closeSync(fd);
  return measured;
}

function measureAppend(path: string, bytes: Buffer, times: Times): Measured {
  const fd = openSync(path, 'w');
  let at = 0;
  const measured = measureSync(times, () => {
    writeSync(fd, bytes, 0, bytes.length, at);
    fdatasyncSync(fd);
    at += bytes.length;
  });
  ftruncateSync(fd, 0);
  closeSync(fd);
  return measured;
}

function measureNewFiles(folder: string, bytes: Buffer, times: Times): Measured {
  const folderFd = openSync(folder, 'r');
  let count = 0;
  const measured = measureSync(times, () => {
    const path = join(folder, String(count++));
    const fd = openSync(`${path}.tmp`, 'wx');
    writeSync(fd, bytes, 0, bytes.length, 0);
    fsyncSync(fd);
    closeSync(fd);
    renameSync(`${path}.tmp`, path);
    fsyncSync(folderFd);
  });
  closeSync(folderFd);
  return measured;
}
