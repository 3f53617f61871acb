/** Records that tell who they are: everything in one follows from its name, so that whatever is altered is noticed. */

import type { Record } from '../record/record.ts';
import type { Chance } from './chance.ts';

/** Mostly little, now and then a kilobyte or two. */
export const fillerBytes = [0, 3, 3, 20, 20, 200, 1_500] as const;

/** `name` ends with the length of its filler, after a `+`. */
export function drawName(
  chance: Chance,
  client: string,
  number: number,
  fillerBytes: readonly [number, ...number[]],
): string {
  return `${client}.${number}+${chance.pick(fillerBytes)}`;
}

export function recordOf(name: string, timestamp: number): Record {
  const fillerLength = Number(name.slice(name.indexOf('+') + 1));
  const letter = name.codePointAt(name.indexOf('+') - 1) ?? 0;
  return {
    key: letter % 2 === 0 ? null : Buffer.from(name.slice(0, name.indexOf('.'))),
    value: Buffer.from(name.padEnd(name.length + fillerLength, name)),
    headers: letter % 3 === 0 ? [['name', Buffer.from(name)]] : [],
    timestamp,
  };
}

/** The name of a record that was read, or a text that no record has as its name. */
export function nameOf(record: Record): string {
  const text = Buffer.from(record.value ?? []).toString();
  const name = /^[a-z0-9]+\.\d+\+(\d+)/.exec(text);
  if (name === null) return `damaged: ${text.slice(0, 40)}`;
  // The filler begins with the name, so its first letter is never a digit and ends the length.
  const expected = recordOf(name[0], 0);
  const isWhole =
    isSame(expected.key, record.key) &&
    isSame(expected.value, record.value) &&
    expected.headers.length === record.headers.length &&
    expected.headers.every(([key, value], at) => {
      const [readKey, readValue] = record.headers[at] ?? [];
      return key === readKey && isSame(value, readValue ?? null);
    });
  return isWhole ? name[0] : `damaged: ${name[0]}`;
}

function isSame(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === null || b === null ? a === b : Buffer.compare(a, b) === 0;
}
