/**
 * JSON records at the HTTP door, both ways; the rules are in PROTOCOL.md, "JSON records".
 *
 * In: a string becomes its UTF-8 text without quotes, any other JSON value its compact text, null stays null.
 * Out: text that is valid UTF-8 becomes a string, all else Base64 under the `...Base64` name.
 */

import { isUtf8 } from 'node:buffer';
import { LogError } from '../errors.ts';
import type { Int64 } from '../ids.ts';
import type { DecodedRecord, Record as LogRecord, RecordHeader } from '../record/record.ts';
import type { JsonRecord } from './schemas.ts';

export type JsonHeaderValue = string | null | { readonly base64: string };

/** A record as it is read back: `key` or `keyBase64`, `value` or `valueBase64`, everything else always there. */
export interface JsonRecordRead {
  readonly offset: number | string;
  readonly timestamp: number | string;
  readonly key?: string | null;
  readonly keyBase64?: string;
  readonly value?: string | null;
  readonly valueBase64?: string;
  readonly headers: readonly (readonly [name: string, value: JsonHeaderValue])[];
}

/** `at` names the record in errors, for example `records[3]`. INVALID_REQUEST; `defaultTimestamp` where none is given. */
export function recordFromJson(json: JsonRecord, at: string, defaultTimestamp: number): LogRecord {
  return {
    key: bytesFromJson(json.key, json.keyBase64, `${at}.key`),
    value: bytesFromJson(json.value, json.valueBase64, `${at}.value`),
    headers:
      json.headers === undefined
        ? noHeaders
        : json.headers.map(([name, value], i) => header(name, value, `${at}.headers[${i}]`)),
    timestamp: json.timestamp ?? defaultTimestamp,
  };
}

export function recordToJson(record: DecodedRecord): JsonRecordRead {
  const { key, value } = record;
  const keyText = key === null ? null : textOf(key);
  const valueText = value === null ? null : textOf(value);
  return {
    offset: plainInt64(record.offset),
    timestamp: plainInt64(record.timestamp),
    ...(keyText === undefined ? { keyBase64: base64Of(key) } : { key: keyText }),
    ...(valueText === undefined ? { valueBase64: base64Of(value) } : { value: valueText }),
    headers: record.headers.map(([name, bytes]) => [name, headerValueToJson(bytes)] as const),
  };
}

/** JSON numbers beyond a safe integer would be rounded by most readers; those become decimal text. */
export function plainInt64(value: Int64): number | string {
  return typeof value === 'bigint' ? String(value) : value;
}

const noHeaders: readonly RecordHeader[] = [];

function bytesFromJson(value: unknown, base64: string | undefined, at: string): Uint8Array | null {
  if (base64 !== undefined) {
    if (value !== undefined) throw invalid(`${at} and ${at}Base64 are both given; give one`);
    return bytesFromBase64(base64, `${at}Base64`);
  }
  if (value === undefined || value === null) return null;
  return typeof value === 'string' ? bytesFromText(value, at) : Buffer.from(compactJson(value, at));
}

function header(name: string, value: JsonHeaderValue, at: string): RecordHeader {
  if (!name.isWellFormed()) throw loneSurrogate(`${at} name`);
  if (value === null) return [name, null];
  return [name, typeof value === 'string' ? bytesFromText(value, at) : bytesFromBase64(value.base64, `${at}.base64`)];
}

function bytesFromText(text: string, at: string): Uint8Array {
  if (!text.isWellFormed()) throw loneSurrogate(at);
  return Buffer.from(text);
}

/** JSON.stringify recurses, so a body of brackets can exhaust the stack: that is the sender's fault and no bug. */
function compactJson(value: unknown, at: string): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    if (cause instanceof RangeError) throw new LogError('INVALID_REQUEST', `${at} is nested too deep`, { cause });
    throw cause;
  }
}

const base64Pattern = /^[A-Za-z0-9+/]*={0,2}$/;

/** Strict RFC 4648, section 4: whole groups of four, padding, no other characters, no stray bits in the last group. */
function bytesFromBase64(text: string, at: string): Uint8Array {
  if (text.length % 4 === 0 && base64Pattern.test(text)) {
    const bytes = Buffer.from(text, 'base64');
    // Only the last group can hide bits, so only it is written again and compared.
    const lastGroup = bytes.subarray(bytes.length - (bytes.length % 3 || 3)).toString('base64');
    if (text.endsWith(lastGroup)) return bytes;
  }
  throw invalid(`${at} is not Base64 (RFC 4648, with padding): ${JSON.stringify(text.slice(0, 40))}`);
}

function headerValueToJson(bytes: Uint8Array | null): JsonHeaderValue {
  if (bytes === null) return null;
  return textOf(bytes) ?? { base64: base64Of(bytes) };
}

/** Undefined when the bytes are not UTF-8. A byte order mark is kept: it is part of the bytes. */
function textOf(bytes: Uint8Array): string | undefined {
  return isUtf8(bytes) ? view(bytes).toString('utf8') : undefined;
}

function base64Of(bytes: Uint8Array | null): string {
  return bytes === null ? '' : view(bytes).toString('base64');
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function loneSurrogate(at: string): LogError {
  return invalid(`${at} holds half of a surrogate pair, which has no UTF-8 form`);
}

function invalid(message: string): LogError {
  return new LogError('INVALID_REQUEST', message);
}
