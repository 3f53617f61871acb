/**
 * An event stream as one whole answer, for functions that do not stream: the records there are, after a wait for the
 * first one. The reader comes back behind the last of them, as event sources do.
 */

import type { Clock } from '../lib/clock.ts';
import { LogError } from '../lib/errors.ts';
import { errorToProblem } from '../lib/wire.ts';
import { type AnswerForm, escapedBytes, textBytesMax } from './fit-answer.ts';

/** How long a whole event stream waits for its first record: API Gateway gives up after 29 seconds. */
export const wholeEventStreamMsMax = 20_000;
/** When records are there, the stream ends with a pause of this length. */
const quietMs = 100;

export async function collectEvents(form: AnswerForm, { body }: Response, clock: Clock): Promise<Uint8Array> {
  const reader: ReadableStreamDefaultReader<Uint8Array> = (body ?? new ReadableStream<Uint8Array>()).getReader();
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  let hasRecords = false;
  for (;;) {
    const next = reader.read();
    const piece = hasRecords ? await Promise.race([next, clock.sleep(quietMs)]) : await next;
    if (typeof piece !== 'object' || piece.done) break;
    const text: string = Buffer.from(piece.value).toString();
    const pieceBytes = escapedBytes(form, text);
    if (bytes + pieceBytes > textBytesMax) {
      // An event on its own that never fits would have the reader come back for ever.
      if (!hasRecords) pieces.push(tooLarge(pieceBytes));
      break;
    }
    pieces.push(piece.value);
    bytes += pieceBytes;
    hasRecords ||= text.startsWith('id:');
  }
  // Ends the wait for more; the read that is under way ends with it.
  await reader.cancel();
  return Buffer.concat(pieces);
}

function tooLarge(bytes: number): Uint8Array {
  const message = `the next events take ${bytes} bytes, an answer of a function carries ${textBytesMax}`;
  const error = new LogError('MESSAGE_TOO_LARGE', message, { details: { bytes, bytesMax: textBytesMax } });
  return Buffer.from(`event: error\ndata: ${JSON.stringify(errorToProblem(error))}\n\n`);
}
