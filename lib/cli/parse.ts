/** Parsers for what people type behind options. Each throws commander's `InvalidArgumentError`, which means exit code 2. */

import { InvalidArgumentError } from 'commander';
import {
  type GroupId,
  type InstanceId,
  parseGroupId,
  parseInstanceId,
  parseTopicName,
  type TopicName,
} from '../ids.ts';
import { partitionCountMax } from '../limits.ts';

/** A place in every partition that is read. `last` counts records back from the high watermark, as kcat's `-o -10`. */
export type Place =
  | { readonly kind: 'earliest' | 'latest' | 'max' }
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'last'; readonly recordCount: number }
  | { readonly kind: 'time'; readonly timestamp: number };

const unitsMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/**
 * `earliest`, `latest`, an offset (`41`), the last records of each partition (`-10`), or a time: ISO 8601
 * (`2026-01-31`, `2026-01-31T08:00Z`; without a zone it is local time, a bare date is UTC), milliseconds since the
 * Unix epoch (`@1700000000000`), or back from now (`-90s`, `-15m`, `-1h`, `-7d`).
 */
export function parsePlace(text: string, nowMs: number): Place {
  if (text === 'earliest' || text === 'beginning') return { kind: 'earliest' };
  if (text === 'latest' || text === 'end') return { kind: 'latest' };
  if (/^\d+$/.test(text)) return { kind: 'offset', offset: safeInteger(text) };
  if (/^-\d+$/.test(text)) return { kind: 'last', recordCount: safeInteger(text.slice(1)) };
  const timestamp = parseTime(text, nowMs);
  if (timestamp === undefined) {
    throw new InvalidArgumentError(
      'use earliest, latest, an offset (41), the last records (-10), or a time (2026-01-31T08:00Z, @1700000000000, -1h)',
    );
  }
  return { kind: 'time', timestamp };
}

/** The last moment that a Date can be. */
const dateMsMax = 8_640_000_000_000_000;

/** Milliseconds since the Unix epoch, what was before it as 0; undefined when `text` is no time. */
export function parseTime(text: string, nowMs: number): number | undefined {
  const unix = /^@(\d+)$/.exec(text);
  if (unix?.[1] !== undefined) {
    const timestamp = Number(unix[1]);
    if (timestamp > dateMsMax) throw new InvalidArgumentError(`use milliseconds up to @${dateMsMax}`);
    return timestamp;
  }
  const relative = /^-(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/.exec(text);
  if (relative?.[1] !== undefined) {
    const unitMs = unitsMs[relative[2] as keyof typeof unitsMs];
    return Math.max(0, Math.round(nowMs - Number(relative[1]) * unitMs));
  }
  // Date.parse also takes prose such as "May 5" or "1"; only what begins as ISO 8601 does is let through.
  if (!/^\d{4}-\d{2}(-\d{2})?([T ]\d{2}:\d{2}.*)?$/.test(text)) return undefined;
  const timestamp = Date.parse(text.replace(' ', 'T'));
  return Number.isNaN(timestamp) ? undefined : Math.max(0, timestamp);
}

/** As `parsePlace`, plus `max` (the record with the highest timestamp); offsets make no sense here. */
export function parseOffsetsAt(text: string, nowMs: number): Place {
  if (text === 'max') return { kind: 'max' };
  const place = parsePlace(text, nowMs);
  if (place.kind === 'offset' || place.kind === 'last') {
    throw new InvalidArgumentError('use earliest, latest, max, or a time (2026-01-31T08:00Z, @1700000000000, -1h)');
  }
  return place;
}

/** `0`, `0,2`, `4-7`; adds to `before`, so that the option can be repeated. Sorted, each partition once. */
export function parsePartitionList(text: string, before: readonly number[] = []): number[] {
  const partitions = new Set(before);
  for (const part of text.split(',')) {
    const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    const first = Number(range?.[1]);
    const last = range?.[2] === undefined ? first : Number(range[2]);
    if (range === null || last < first || last >= partitionCountMax) {
      throw new InvalidArgumentError(`use numbers from 0 to ${partitionCountMax - 1}: 0 or 0,2 or 4-7`);
    }
    for (let partition = first; partition <= last; partition += 1) partitions.add(partition);
  }
  return [...partitions].sort((a, b) => a - b);
}

/** A whole number from `min` to `max`, both inclusive. */
export function parseWhole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`use a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

/** `name=value`; only `name` is a header without a value (null), as in kcat. */
export function parseHeader(
  text: string,
  before: readonly (readonly [string, string | null])[] = [],
): (readonly [string, string | null])[] {
  const at = text.indexOf('=');
  if (at === 0 || text === '') throw new InvalidArgumentError('use name=value');
  return [...before, at === -1 ? [text, null] : [text.slice(0, at), text.slice(at + 1)]];
}

/** `key=value` of a config, such as `max.message.bytes=2000000`; repeated options add up. */
export function parseConfigEntry(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('use key=value, for example max.message.bytes=2000000');
  return { ...before, [text.slice(0, at).trim()]: text.slice(at + 1).trim() };
}

/** What is empty comes of a variable that is not set, and would be taken for another folder or address than was meant. */
export function parseNotEmpty(text: string): string {
  if (text === '') throw new InvalidArgumentError('it is empty');
  return text;
}

/** Collects the values of a repeatable option. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

/** Bytes that part one thing from the next; not empty, and with the escapes of `unescapeText`. */
export function parseSeparator(text: string): Buffer {
  const bytes = unescapeText(text);
  if (bytes.length === 0)
    throw new InvalidArgumentError('use one character or more; \\t, \\n, \\0 and \\xNN are understood');
  return bytes;
}

const escapes: Readonly<Record<string, number>> = { n: 0x0a, r: 0x0d, t: 0x09, '0': 0x00, '\\': 0x5c };

/** UTF-8 bytes of `text` with `\n`, `\r`, `\t`, `\0`, `\\` and `\xNN` (one byte) replaced; other backslashes stay. */
export function unescapeText(text: string): Buffer {
  const parts: Buffer[] = [];
  let end = 0;
  for (const match of text.matchAll(/\\(?:x([0-9a-fA-F]{2})|([nrt0\\]))/g)) {
    parts.push(Buffer.from(text.slice(end, match.index)));
    const byte = match[1] === undefined ? escapes[match[2] ?? ''] : Number.parseInt(match[1], 16);
    parts.push(Buffer.from([byte ?? 0]));
    end = match.index + match[0].length;
  }
  parts.push(Buffer.from(text.slice(end)));
  return Buffer.concat(parts);
}

export const parseTopicArgument: (text: string) => TopicName = parsedBy(parseTopicName);
export const parseGroupArgument: (text: string) => GroupId = parsedBy(parseGroupId);
export const parseInstanceArgument: (text: string) => InstanceId = parsedBy(parseInstanceId);

function parsedBy<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
    }
  };
}

/** Where committed offsets are set to: `earliest`, `latest`, a time, or `+10` and `-10` from what is committed. */
export function parseResetPlace(
  text: string,
  nowMs: number,
): 'earliest' | 'latest' | Date | { readonly shift: number } {
  if (text === 'earliest' || text === 'latest') return text;
  if (/^[+-]\d+$/.test(text)) {
    const count = safeInteger(text.slice(1));
    return { shift: text.startsWith('-') ? -count : count };
  }
  const timestamp = parseTime(text, nowMs);
  if (timestamp !== undefined) return new Date(timestamp);
  throw new InvalidArgumentError('use earliest, latest, +10, -10, or a time (2026-01-31T08:00Z, @1700000000000, -1h)');
}

export function parseEndpoint(text: string): string {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new InvalidArgumentError('use a URL such as http://127.0.0.1:8092');
  }
  if (url.href !== url.origin + url.pathname) {
    throw new InvalidArgumentError('use a URL without query, fragment and password, which no request would carry');
  }
  return text.replace(/\/+$/, '');
}

export function parseRegion(text: string): string {
  if (!/^[a-z]{2,}(-[a-z]+)+-\d+$/.test(text))
    throw new InvalidArgumentError('use the name of an AWS region such as eu-central-1');
  return text;
}

function safeInteger(digits: string): number {
  const value = Number(digits);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError(`use a number up to ${Number.MAX_SAFE_INTEGER}`);
  return value;
}
