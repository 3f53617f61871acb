/** A record, and the walk over the records of a batch. */

import { isUtf8 } from 'node:buffer';
import type { Int64 } from '../ids.ts';
import { recordHeadersMax } from '../limits.ts';
import { refusal } from './refusal.ts';
import { VarintReader } from './varint.ts';

/** Names may repeat; order is kept. A value may be null, a name may not. */
export type RecordHeader = readonly [name: string, value: Uint8Array | null];

export interface Record {
  readonly key: Uint8Array | null;
  /** Null makes a tombstone where there is a key. */
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
  readonly timestamp: Int64;
}

/** The bytes of a record, and so many for itself and for each header. */
export function bytesOf(
  { key, value, headers }: Pick<Record, 'key' | 'value' | 'headers'>,
  overhead: { readonly record: number; readonly header: number },
): number {
  let bytes = overhead.record + (key?.byteLength ?? 0) + (value?.byteLength ?? 0);
  for (const [name, header] of headers) bytes += overhead.header + name.length + (header?.byteLength ?? 0);
  return bytes;
}

/** Key, value and header values are views into the batch, or into its decompressed bytes. */
export interface DecodedRecord extends Record {
  readonly offset: Int64;
}

/**
 * Walks records that lie one after another, without a copy and without an object per record: `next` checks a whole
 * record and leaves what it found in the fields.
 *
 * | field          | type        |                                                        |
 * |----------------|-------------|--------------------------------------------------------|
 * | length         | varint      | bytes after this field; must be used up exactly        |
 * | attributes     | int8        | unused, 0; ignored as Kafka does                       |
 * | timestampDelta | varlong     | to the base timestamp of the batch                     |
 * | offsetDelta    | varint      | to the base offset of the batch                        |
 * | keyLength      | varint      | -1 is null                                             |
 * | key            | keyLength   |                                                        |
 * | valueLength    | varint      | -1 is null                                             |
 * | value          | valueLength |                                                        |
 * | headerCount    | varint      | at most 10,000                                         |
 * | headers        |             | nameLength varint, name (UTF-8), valueLength varint (-1 is null), value |
 *
 * Stricter than Kafka in two points: Kafka reads every negative length as null, here only -1 is; and it takes any number
 * of headers.
 */
export class RecordWalker {
  timestampDelta: Int64 = 0;
  offsetDelta = 0;
  keyStart = 0;
  /** -1 for a null key. */
  keyLength = -1;
  valueStart = 0;
  /** -1 for a null value. */
  valueLength = -1;
  headerCount = 0;

  private readonly reader: VarintReader;
  private readonly recordsEnd: number;
  private headersStart = 0;

  constructor(bytes: Uint8Array, byteStart: number, byteEnd: number) {
    this.reader = new VarintReader(bytes, byteStart, byteEnd);
    this.recordsEnd = byteEnd;
  }

  /** Bytes behind the last record walked. */
  get bytesLeft(): number {
    return this.recordsEnd - this.reader.at;
  }

  /** Walks one record. Throws INVALID_RECORD (`record`) when it is malformed or reaches beyond its bytes. */
  next(): void {
    const { reader } = this;
    reader.end = this.recordsEnd;
    const length = reader.readVarint();
    if (length < 0 || length > this.bytesLeft) {
      throw refusal('record', `record length ${length} is not within the ${this.bytesLeft} bytes left in the batch`);
    }
    // From here on nothing is read beyond this record, though the batch may have the bytes.
    reader.end = reader.at + length;
    if (length === 0) throw refusal('record', 'record length 0 leaves no room for the attributes');
    reader.at += 1;
    this.timestampDelta = reader.readVarlong();
    this.offsetDelta = reader.readVarint();
    this.keyLength = this.readLength('key');
    this.keyStart = this.skip(this.keyLength);
    this.valueLength = this.readLength('value');
    this.valueStart = this.skip(this.valueLength);
    this.headerCount = reader.readVarint();
    this.headersStart = reader.at;
    this.checkHeaders();
    if (reader.at !== reader.end) {
      throw refusal('record', `record length ${length} leaves ${reader.end - reader.at} bytes after the last field`);
    }
  }

  /** The headers of the record walked last; allocates. */
  readHeaders(): RecordHeader[] {
    const headers: RecordHeader[] = [];
    if (this.headerCount === 0) return headers;
    const { bytes } = this.reader;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const reader = new VarintReader(bytes, this.headersStart, this.reader.end);
    for (let index = 0; index < this.headerCount; index += 1) {
      const nameLength = reader.readVarint();
      const name = text.toString('utf8', reader.at, reader.at + nameLength);
      reader.at += nameLength;
      const valueLength = reader.readVarint();
      headers.push([name, viewOf(bytes, reader.at, valueLength)]);
      reader.at += Math.max(valueLength, 0);
    }
    return headers;
  }

  readKey(): Uint8Array | null {
    return viewOf(this.reader.bytes, this.keyStart, this.keyLength);
  }

  readValue(): Uint8Array | null {
    return viewOf(this.reader.bytes, this.valueStart, this.valueLength);
  }

  private checkHeaders(): void {
    const { reader, headerCount } = this;
    // A header takes two bytes at least, so this also bounds the loop by the bytes that are there.
    if (headerCount < 0 || headerCount * 2 > reader.end - reader.at) {
      throw refusal('record', `header count ${headerCount} is not within the ${reader.end - reader.at} bytes left`);
    }
    if (headerCount > recordHeadersMax) {
      throw refusal(
        'record',
        `record ${this.offsetDelta} of the batch has ${headerCount} headers; at most ${recordHeadersMax} are allowed`,
      );
    }
    for (let index = 0; index < headerCount; index += 1) {
      const nameLength = this.readLength('header name');
      if (nameLength < 0) throw refusal('record', 'header name is null; it may be empty but not null');
      this.checkName(this.skip(nameLength), reader.at);
      this.skip(this.readLength('header value'));
    }
  }

  /** Names are text: other bytes would come back as other bytes. */
  private checkName(byteStart: number, byteEnd: number): void {
    const { bytes } = this.reader;
    let at = byteStart;
    while (at < byteEnd && (bytes[at] as number) < 0x80) at += 1;
    if (at < byteEnd && !isUtf8(bytes.subarray(byteStart, byteEnd))) {
      throw refusal('record', `header name of ${byteEnd - byteStart} bytes is not UTF-8`);
    }
  }

  private readLength(field: string): number {
    const length = this.reader.readVarint();
    const left = this.reader.end - this.reader.at;
    if (length < -1 || length > left) {
      throw refusal(
        'record',
        `${field} length ${length} is not within -1 (null) to ${left}, the bytes left in the record`,
      );
    }
    return length;
  }

  /** Steps over `length` bytes (none for null) and returns where they began. */
  private skip(length: number): number {
    const start = this.reader.at;
    if (length > 0) this.reader.at += length;
    return start;
  }
}

/** Always a plain `Uint8Array`, also when `bytes` is a `Buffer`. */
function viewOf(bytes: Uint8Array, start: number, length: number): Uint8Array | null {
  return length < 0 ? null : new Uint8Array(bytes.buffer, bytes.byteOffset + start, length);
}
