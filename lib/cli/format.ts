/** `--format`: the little language of kcat's `-f`, compiled once and run for each record. */

import { InvalidArgumentError } from 'commander';
import type { ConsumedRecord } from '../client/index.ts';
import type { ByteSink } from './output.ts';
import { unescapeText } from './parse.ts';

/** Writes one record; what stands between records is its own business. */
export type Formatter = (record: ConsumedRecord, sink: ByteSink) => void;

/** The tokens, in the order the help shows them. */
export const formatTokens = {
  '%s': 'value (nothing when it is null)',
  '%S': 'length of the value in bytes, -1 when it is null',
  '%R': 'length of the value as 4 bytes, big-endian',
  '%k': 'key',
  '%K': 'length of the key in bytes, -1 when it is null',
  '%h': 'headers as name=value,name=value',
  '%T': 'timestamp in milliseconds since the Unix epoch',
  '%t': 'topic',
  '%p': 'partition',
  '%o': 'offset',
  '%%': 'a percent sign',
} as const;

const writers: Readonly<Record<string, Formatter>> = {
  s: (record, sink) => sink.bytes(record.value),
  S: (record, sink) => sink.text(String(lengthOf(record.value))),
  R: (record, sink) => sink.bytes(lengthBytes(lengthOf(record.value))),
  k: (record, sink) => sink.bytes(record.key),
  K: (record, sink) => sink.text(String(lengthOf(record.key))),
  h: writeHeaders,
  T: (record, sink) => sink.text(String(record.timestamp)),
  t: (record, sink) => sink.text(record.topic),
  p: (record, sink) => sink.text(String(record.partition)),
  o: (record, sink) => sink.text(String(record.offset)),
  '%': (_record, sink) => sink.text('%'),
};

/**
 * `%` tokens as in `formatTokens`, `\n`, `\r`, `\t`, `\0`, `\\` and `\xNN`; all else stands for itself. As in kcat nothing
 * is added between records: a format usually ends in `\n`. Throws `InvalidArgumentError` for a token it does not know.
 */
export function compileFormat(format: string): Formatter {
  const steps: Formatter[] = [];
  let end = 0;
  for (const match of format.matchAll(/%(.?)/gsu)) {
    const literal = unescapeText(format.slice(end, match.index));
    if (literal.length > 0) steps.push((_record, sink) => sink.bytes(literal));
    const writer = Object.hasOwn(writers, match[1] ?? '') ? writers[match[1] ?? ''] : undefined;
    if (writer === undefined) {
      throw new InvalidArgumentError(`%${match[1]} is not known; use ${Object.keys(formatTokens).join(' ')}`);
    }
    steps.push(writer);
    end = match.index + match[0].length;
  }
  const rest = unescapeText(format.slice(end));
  if (rest.length > 0) steps.push((_record, sink) => sink.bytes(rest));
  return (record, sink) => {
    for (const step of steps) step(record, sink);
  };
}

/** The format without `--format`: values, one a line. */
export const formatValueLine: Formatter = (record, sink) => {
  sink.bytes(record.value);
  sink.text('\n');
};

function writeHeaders(record: ConsumedRecord, sink: ByteSink): void {
  record.headers.forEach(([name, value], index) => {
    sink.text(`${index === 0 ? '' : ','}${name}=`);
    if (value === null) sink.text('NULL');
    else sink.bytes(value);
  });
}

function lengthOf(bytes: Uint8Array | null): number {
  return bytes === null ? -1 : bytes.byteLength;
}

function lengthBytes(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(length);
  return bytes;
}
