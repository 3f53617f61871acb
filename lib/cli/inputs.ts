/** The files of `millrace produce`, and standard input. */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { MiB } from '../limits.ts';
import { CommandError, messageOf, systemCodeOf } from './failure.ts';
import { note } from './output.ts';

export interface Input {
  /** As it stands in messages. */
  readonly name: string;
  /** Undefined for a pipe, a device or a terminal. */
  readonly bytes: number | undefined;
  open(): Readable;
}

const readBytes = MiB / 4;

/** Checks that every file is there before anything is sent. Without files, and for `-`, it is standard input. */
export async function openInputs(files: readonly string[]): Promise<readonly Input[]> {
  return Promise.all((files.length === 0 ? ['-'] : files).map(openInput));
}

async function openInput(path: string): Promise<Input> {
  if (path === '-') return { name: 'standard input', bytes: undefined, open: openStandardInput };
  const stats = await stat(path).catch((error: unknown) => {
    throw cannotRead(path, error);
  });
  if (stats.isDirectory()) throw new CommandError(`cannot read ${path}: it is a folder`);
  return {
    name: path,
    bytes: stats.isFile() ? stats.size : undefined,
    open: () => createReadStream(path, { highWaterMark: readBytes }),
  };
}

export function cannotRead(name: string, error: unknown): CommandError {
  const reason = systemCodeOf(error) === 'ENOENT' ? 'there is no such file' : messageOf(error);
  return new CommandError(`cannot read ${name}: ${reason}`, { cause: error });
}

function openStandardInput(): Readable {
  if (process.stdin.isTTY) note('reading lines from the terminal; Ctrl-D ends');
  return process.stdin;
}
