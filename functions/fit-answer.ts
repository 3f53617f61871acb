/**
 * Lambda's limit on what a function returns: 6 MB of JSON, in which a body is a string with its escapes, or Base64.
 *
 * Record batches are cut before they become an answer (`measured-log.ts`). JSON is cut here, where its size is known:
 * a record's text grows by what it holds, so no estimate before it would be right.
 * https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html; the exact number is the error's of Lambda.
 */

import type { JsonRecordRead } from '../lib/api/json-records.ts';
import { type Effect, LogError } from '../lib/errors.ts';
import { errorToProblem, problemContentType } from '../lib/wire.ts';
import { type Answer, type EventForm, encodeAnswer, isText } from './events.ts';

export const responseBytesMax = 6_291_556;
export const requestBytesMax = 6_291_456;

/** For status, headers (the watermarks of 256 partitions take 32 KiB) and whatever else is no frame. */
const envelopeBytes = 64 * 1024;
/** Text, with its escapes, that fits whatever the headers are. */
export const textBytesMax = responseBytesMax - envelopeBytes;
/** Frames that fit an answer in Base64. */
export const fetchBytesMax = Math.floor(textBytesMax / 4) * 3;

/** `plain`: the body itself is what the function returns. */
export type AnswerForm = EventForm | 'plain';

/**
 * API Gateway lets the headers of an answer have so much in all. Its own answer to more is a 502 without a reason.
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
 */
const headerBytesMax = 10_240;

/** The answer, or as many of its records as fit, or MESSAGE_TOO_LARGE. Pure. */
export function fitAnswer(form: AnswerForm, whole: Answer, effect: Effect): Answer {
  const answer = fitHeaders(form, whole, effect);
  // No character takes more than six bytes when it is escaped (\u0000).
  if (answer.body.byteLength * 6 + envelopeBytes < responseBytesMax) return answer;
  const bytes = returnedBytes(form, answer);
  if (bytes <= responseBytesMax) return answer;
  return cutRecords(form, answer) ?? tooLarge(bytes, effect);
}

/** The watermarks of a fetch of record batches stand in a header: those of a hundred partitions are too many. */
export function fitHeaders(form: AnswerForm, answer: Answer, effect: Effect): Answer {
  if (form === 'plain' || form === 'request') return answer;
  let bytes = 0;
  for (const [name, value] of answer.headers) bytes += name.length + value.length;
  if (bytes <= headerBytesMax) return answer;
  const message = `the headers of the answer take ${bytes} bytes, API Gateway allows ${headerBytesMax}; fetch fewer partitions at once`;
  return problemAnswer(
    new LogError('MESSAGE_TOO_LARGE', message, { details: { bytes, bytesMax: headerBytesMax }, effect }),
  );
}

/** The payload of the function's answer, to the byte. */
export function returnedBytes(form: AnswerForm, answer: Answer): number {
  const { body } = answer;
  if (form === 'plain') return body.byteLength;
  const empty = Buffer.byteLength(JSON.stringify(encodeAnswer(form, { ...answer, body: new Uint8Array() })));
  if (isText(answer)) return empty + escapedBytes(form, Buffer.from(body).toString());
  // `true` is a byte shorter than the `false` of an empty body.
  return empty - 1 + Math.ceil(body.byteLength / 3) * 4;
}

/** What JSON text adds to a payload. */
export function escapedBytes(form: AnswerForm, text: string): number {
  return form === 'plain' ? Buffer.byteLength(text) : Buffer.byteLength(JSON.stringify(text)) - 2;
}

interface FetchedJson {
  readonly records: readonly JsonRecordRead[];
  readonly nextOffset: number | string;
}

/** Undefined when this is no fetch, or not even the first record fits. */
function cutRecords(form: AnswerForm, answer: Answer): Answer | undefined {
  if (answer.headers.get('content-type') !== 'application/json') return undefined;
  const json = JSON.parse(Buffer.from(answer.body).toString());
  const entries: readonly (FetchedJson | { readonly records?: undefined })[] = json.partitions ?? [json];
  const withEntries = (cut: readonly unknown[]): Answer => {
    const body = Buffer.from(JSON.stringify(json.partitions === undefined ? cut[0] : { ...json, partitions: cut }));
    return { ...answer, body };
  };

  const emptied = entries.map((entry) => (entry.records === undefined ? entry : { ...entry, records: [] }));
  let bytesLeft = responseBytesMax - returnedBytes(form, withEntries(emptied));
  let isFull = false;
  let count = 0;
  const cut = entries.map((entry) => {
    if (entry.records === undefined) return entry;
    const kept: JsonRecordRead[] = [];
    for (const record of entry.records) {
      // The comma before a record counts for the first one too: a byte too careful.
      const recordBytes = escapedBytes(form, `${JSON.stringify(record)},`);
      isFull ||= recordBytes > bytesLeft;
      // Where to go on is never a longer number than where the whole answer would have.
      if (isFull) return { ...entry, records: kept, nextOffset: record.offset };
      bytesLeft -= recordBytes;
      kept.push(record);
      count += 1;
    }
    return entry;
  });
  return count === 0 ? undefined : withEntries(cut);
}

function tooLarge(bytes: number, effect: Effect): Answer {
  const message = `the answer takes ${bytes} bytes, a function may return ${responseBytesMax}; ask for less at once`;
  const details = { bytes, bytesMax: responseBytesMax };
  return problemAnswer(new LogError('MESSAGE_TOO_LARGE', message, { details, effect }));
}

function problemAnswer(error: LogError): Answer {
  const problem = errorToProblem(error);
  const headers = new Headers({ 'content-type': problemContentType });
  return { status: problem.status, headers, body: Buffer.from(JSON.stringify(problem)) };
}
