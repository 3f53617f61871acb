/** One input's lines, cut, parsed and sent, until it ends or something stops it. */

import type { ProducerRecord } from '../client/index.ts';
import { cannotRead, type Input } from './inputs.ts';
import type { LineParser } from './line-record.ts';
import { LineTooLongError, splitLines } from './lines.ts';
import type { SendWindow } from './send-window.ts';

/** Why reading ended before the end. `where` names the input and the line. */
export type Stop =
  | { readonly kind: 'interrupted'; readonly where: string }
  /** The line itself cannot be sent. */
  | { readonly kind: 'badLine'; readonly where: string; readonly error: unknown }
  | { readonly kind: 'unreadable'; readonly where: string; readonly error: unknown }
  /** A record sent earlier has failed; the window has the failure. */
  | { readonly kind: 'failed' };

export interface SendLinesInput {
  readonly input: Input;
  readonly delimiter: Buffer;
  readonly lineBytesMax: number;
  readonly parseLine: LineParser;
  readonly window: SendWindow;
  readonly signal: AbortSignal;
}

/** Resolves when every line was handed to the window, with why it was not every line. Does not wait for answers. */
export async function sendLines(options: SendLinesInput): Promise<Stop | undefined> {
  const { input, delimiter, lineBytesMax, parseLine, window, signal } = options;
  const { name } = input;
  const stream = input.open();
  const interrupted = () => stream.destroy();
  signal.addEventListener('abort', interrupted, { once: true });
  let lineNumber = 0;
  const where = () => `${name} line ${lineNumber}`;
  try {
    for await (const lines of splitLines(stream, delimiter, lineBytesMax)) {
      for (const line of lines) {
        if (window.failure !== undefined) return { kind: 'failed' };
        if (signal.aborted) return { kind: 'interrupted', where: `${name} after line ${lineNumber}` };
        lineNumber = line.lineNumber;
        let record: ProducerRecord;
        try {
          record = parseLine(line.bytes);
        } catch (error) {
          return { kind: 'badLine', where: where(), error };
        }
        window.send(record, line.bytes.length + delimiter.length, { name, lineNumber });
        const isReady = window.ready();
        if (isReady !== undefined) await isReady;
      }
    }
    return signal.aborted ? { kind: 'interrupted', where: `${name} after line ${lineNumber}` } : undefined;
  } catch (error) {
    if (error instanceof LineTooLongError) return { kind: 'badLine', where: `${name} line ${error.lineNumber}`, error };
    // Destroyed above: the stream says that it was cut off.
    if (signal.aborted) return { kind: 'interrupted', where: `${name} after line ${lineNumber}` };
    return { kind: 'unreadable', where: `${name} after line ${lineNumber}`, error: cannotRead(name, error) };
  } finally {
    signal.removeEventListener('abort', interrupted);
  }
}
