/** Standard output for data, standard error for people. */

import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { KiB } from '../limits.ts';
import { CommandError } from './failure.ts';

/** Written to the stream when this many bytes have been gathered; a write per record would be a system call each. */
const gatherBytesMax = 64 * KiB;

/** What formatters write to; null writes nothing. */
export interface ByteSink {
  bytes(bytes: Uint8Array | null): void;
  text(text: string): void;
}

/**
 * Gathers small pieces and writes them in large ones, at the latest when the event loop comes round. Who writes much calls
 * `ready` between records: it waits while the reader is slow, so that memory stays bounded. When the reader goes away
 * (`| head`), or cannot take more, `isClosed` turns true, `onClosed` is called, and what is written from then on goes nowhere.
 */
export class Output implements ByteSink {
  isClosed = false;
  private readonly stream: Writable;
  private gathered = Buffer.allocUnsafe(gatherBytesMax);
  private gatheredBytes = 0;
  private isWriteDue = false;
  private failure: Error | undefined;

  constructor(stream: Writable, onClosed: () => void = () => {}) {
    this.stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') this.failure ??= error;
      this.isClosed = true;
      onClosed();
    });
  }

  bytes(bytes: Uint8Array | null): void {
    if (bytes === null || this.isClosed) return;
    if (bytes.byteLength > gatherBytesMax - this.gatheredBytes) this.write();
    if (bytes.byteLength > gatherBytesMax) {
      this.stream.write(bytes);
      return;
    }
    this.gathered.set(bytes, this.gatheredBytes);
    this.gatheredBytes += bytes.byteLength;
    this.writeSoon();
  }

  text(text: string): void {
    // UTF-8 takes at most three bytes a UTF-16 unit.
    if (text.length * 3 > gatherBytesMax - this.gatheredBytes) {
      this.bytes(Buffer.from(text));
    } else {
      this.gatheredBytes += this.gathered.write(text, this.gatheredBytes);
      this.writeSoon();
    }
  }

  line(text: string): void {
    this.text(`${text}\n`);
  }

  json(value: unknown): void {
    this.line(JSON.stringify(value));
  }

  /** Undefined when more can be written at once, else a promise to wait for. */
  ready(): Promise<void> | undefined {
    return this.stream.writableNeedDrain && !this.isClosed ? this.drained() : undefined;
  }

  /** Writes what was gathered and waits until it is through. Throws when it could not be written; a reader gone is fine. */
  async flush(): Promise<void> {
    this.write();
    if (!this.isClosed) await new Promise<void>((resolve) => this.stream.write('', () => resolve()));
    if (this.failure !== undefined) {
      throw new CommandError(`cannot write to standard output: ${this.failure.message}`, { cause: this.failure });
    }
  }

  private write(): void {
    if (this.gatheredBytes === 0) return;
    const bytes = this.gathered.subarray(0, this.gatheredBytes);
    this.gathered = Buffer.allocUnsafe(gatherBytesMax);
    this.gatheredBytes = 0;
    if (!this.isClosed) this.stream.write(bytes);
  }

  /** A follower is shown each record when it comes; records that come together are still written together. */
  private writeSoon(): void {
    if (this.isWriteDue) return;
    this.isWriteDue = true;
    setImmediate(() => {
      this.isWriteDue = false;
      this.write();
    });
  }

  private async drained(): Promise<void> {
    // An error is told through `isClosed`; here it only ends the wait.
    await once(this.stream, 'drain').catch(() => {});
  }
}

/** One sentence to standard error. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Columns padded to their widest cell, numbers to the right; lines without trailing spaces. */
export function formatTable(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [heads, ...rows.map((row) => row.map(String))];
  const widths = heads.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const isNumeric = heads.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'));
  return cells
    .map((row) =>
      row
        .map((cell, column) =>
          isNumeric[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
