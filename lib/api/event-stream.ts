/**
 * Server-sent events (HTML standard, section 9.2): one event per record, `id:` the offset, so that a reader that comes
 * back with `Last-Event-ID` goes on behind it.
 *
 * The stream is pulled: nothing is fetched or encoded before the reader has taken what there was. It ends after
 * `eventStreamMsMax`, when the process stops, when the reader goes, or with an `error` event.
 */

import { LogError } from '../errors.ts';
import type { Offset, Partition, TopicName } from '../ids.ts';
import { fetchBytesDefault, fetchWaitMsMax } from '../limits.ts';
import type { DecodedRecord } from '../record/record.ts';
import { eventStreamContentType } from '../wire.ts';
import type { Answer } from './answer.ts';
import type { ApiDeps, Call } from './http.ts';
import { recordToJson } from './json-records.ts';
import { problemOf } from './problem.ts';
import { type FetchedPartition, wantedRecords } from './read-records.ts';

interface From {
  readonly topic: TopicName;
  readonly partition: Partition;
  readonly offset: Offset | 'earliest' | 'latest';
}

/** Events are handed on in pieces of about this size. */
const pieceCharsMax = 64 * 1024;
/** The first piece: how long a reader waits before it comes back (ms), and something to open the connection with. */
const greeting = 'retry: 1000\n';
const keepAlive = ': keep-alive\n\n';

/** The first fetch happens before the answer begins, so what is wrong from the start has a status of its own. */
export async function streamRecords(deps: ApiDeps, call: Call, from: From): Promise<Answer> {
  const { log, clock, stopping } = deps;
  const { topic, partition } = from;
  const reader = new AbortController();
  const signals = [reader.signal, call.request.signal, ...(stopping === undefined ? [] : [stopping])];
  const signal = AbortSignal.any(signals);
  const endsAtMs = clock.nowMs() + deps.eventStreamMsMax;

  const fetchFrom = async (offset: From['offset'], maxWaitMs: number): Promise<FetchedPartition> => {
    const partitions = [{ partition, offset }];
    const [result] = await log.fetch({
      topic,
      partitions,
      maxBytes: fetchBytesDefault,
      minBytes: 1,
      maxWaitMs,
      signal,
    });
    if (result === undefined) throw new Error('a fetch of one partition gave no result');
    if ('error' in result) throw result.error;
    return result;
  };

  const resumedFrom = lastEventOffset(call);
  let fetched = await fetchFrom(resumedFrom ?? from.offset, 0);
  // An id without data is remembered and no event: who is given no record comes back to where it began, and not to what is
  // the latest by then.
  const isLatest = resumedFrom === undefined && from.offset === 'latest';
  const start = isLatest ? `${greeting}id: ${fetched.offset - 1}\n\n` : `${greeting}\n`;
  let records = wantedRecords(fetched);

  /** The next piece, or undefined at the end. */
  const nextPiece = async (): Promise<string | undefined> => {
    for (;;) {
      const piece = takePiece(records);
      if (piece !== '') return piece;
      const leftMs = endsAtMs - clock.nowMs();
      if (leftMs <= 0 || signal.aborted) return undefined;
      const { nextOffset } = fetched;
      fetched = await fetchFrom(nextOffset, Math.min(leftMs, deps.eventStreamKeepAliveMs, fetchWaitMsMax));
      records = wantedRecords(fetched);
      if (fetched.nextOffset === nextOffset) return signal.aborted ? undefined : keepAlive;
    }
  };

  const encoder = new TextEncoder();
  const stream = new ReadableStream<Uint8Array>(
    {
      start: (controller) => controller.enqueue(encoder.encode(start)),
      async pull(controller) {
        let piece: string | undefined;
        try {
          piece = await nextPiece();
        } catch (error) {
          const problem = JSON.stringify(problemOf(error, deps.onError));
          if (!reader.signal.aborted) controller.enqueue(encoder.encode(`event: error\ndata: ${problem}\n\n`));
        }
        // A reader that has gone has closed the stream already.
        if (reader.signal.aborted) return;
        if (piece === undefined) controller.close();
        else controller.enqueue(encoder.encode(piece));
      },
      cancel: () => reader.abort(),
    },
    { highWaterMark: 0 },
  );
  const headers = { 'content-type': eventStreamContentType, 'cache-control': 'no-cache', 'x-accel-buffering': 'no' };
  return { status: 200, headers, body: stream };
}

/** Empty when there are no more records. JSON has no line breaks of its own, so an event's data is one line. */
function takePiece(records: Iterator<DecodedRecord>): string {
  let piece = '';
  while (piece.length < pieceCharsMax) {
    const { value: record, done } = records.next();
    if (done === true) break;
    piece += `id: ${record.offset}\ndata: ${JSON.stringify(recordToJson(record))}\n\n`;
  }
  return piece;
}

/**
 * The offset behind `Last-Event-ID`, which counts more than the query: the query is from when the reader first came. -1 was
 * told to one that began at offset 0.
 */
function lastEventOffset({ request }: Call): Offset | undefined {
  const lastEventId = request.headers.get('last-event-id');
  if (lastEventId === null || lastEventId === '') return undefined;
  const offset = Number(lastEventId);
  if (/^(-1|\d{1,16})$/.test(lastEventId) && Number.isSafeInteger(offset + 1)) return offset + 1;
  throw new LogError('INVALID_REQUEST', `Last-Event-ID ${JSON.stringify(lastEventId.slice(0, 40))} is not an offset`);
}
