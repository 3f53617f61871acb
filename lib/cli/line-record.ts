/** A line as a record: the whole line is the value, unless options say more. */

import type { ProducerRecord } from '../client/index.ts';

export interface LineOptions {
  /** What stands before the first one is the key; a line without it has no key, as in kcat. */
  readonly keySeparator?: Buffer;
  readonly header?: readonly (readonly [string, string | null])[];
  readonly partition?: number;
  /** An empty value becomes null, and so does an empty key. */
  readonly nullEmpty?: boolean;
}

export type LineParser = (line: Buffer) => ProducerRecord;

export function textLineParser(options: LineOptions): LineParser {
  const { keySeparator } = options;
  const orNull = (bytes: Buffer) => (options.nullEmpty && bytes.length === 0 ? null : bytes);
  return (line) => {
    const at = keySeparator === undefined ? -1 : line.indexOf(keySeparator);
    if (keySeparator === undefined || at === -1) return withOptions({ value: orNull(line) }, options);
    const key = orNull(line.subarray(0, at));
    return withOptions({ key, value: orNull(line.subarray(at + keySeparator.length)) }, options);
  };
}

/** `--header` comes behind the record's own headers; `--partition` is for records that name none. */
export function withOptions(record: ProducerRecord, { header, partition }: LineOptions): ProducerRecord {
  if (header === undefined && partition === undefined) return record;
  return {
    ...record,
    ...(header !== undefined && { headers: [...(record.headers ?? []), ...header] }),
    ...(partition !== undefined && record.partition === undefined && { partition }),
  };
}
