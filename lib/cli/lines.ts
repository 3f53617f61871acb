/** Cuts bytes into lines without ever holding more than one line and one chunk. */

export interface Line {
  /** Without the delimiter; a view into a chunk where the line lies in one. */
  readonly bytes: Buffer;
  /** From 1. */
  readonly lineNumber: number;
}

export class LineTooLongError extends Error {
  override readonly name = 'LineTooLongError';
  readonly lineNumber: number;

  constructor(lineNumber: number, lineBytesMax: number) {
    super(`line is longer than ${lineBytesMax} bytes`);
    this.lineNumber = lineNumber;
  }
}

/**
 * The lines of `chunks`, a group for each chunk. Only the delimiter is cut off: with `\n` a `\r` before it stays, as in
 * kcat. A last line without a delimiter counts; an empty piece behind the last delimiter does not.
 * Throws `LineTooLongError`, after the lines before it.
 */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  delimiter: Uint8Array,
  lineBytesMax: number,
): AsyncGenerator<readonly Line[]> {
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let lineNumber = 1;
  for await (const piece of chunks) {
    let chunk = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    const lines: Line[] = [];
    let tooLong = false;
    // A delimiter of several bytes may lie across two chunks: join what is open, which then is searched again.
    if (delimiter.byteLength > 1 && pendingBytes > 0) {
      chunk = Buffer.concat([...pending, chunk]);
      pending = [];
      pendingBytes = 0;
    }
    let start = 0;
    while (!tooLong) {
      const end = chunk.indexOf(delimiter, start);
      const open = chunk.subarray(start, end === -1 ? chunk.length : end);
      tooLong = pendingBytes + open.length > lineBytesMax;
      if (tooLong) break;
      if (end === -1) {
        if (open.length > 0) pending.push(open);
        pendingBytes += open.length;
        break;
      }
      const bytes = pending.length === 0 ? open : Buffer.concat([...pending, open]);
      lines.push({ bytes, lineNumber });
      lineNumber += 1;
      pending = [];
      pendingBytes = 0;
      start = end + delimiter.byteLength;
    }
    if (lines.length > 0) yield lines;
    if (tooLong) throw new LineTooLongError(lineNumber, lineBytesMax);
  }
  if (pendingBytes > 0) yield [{ bytes: Buffer.concat(pending), lineNumber }];
}
