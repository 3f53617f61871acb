import { InvalidArgumentError } from 'commander';
import { describe, expect, test } from 'vitest';
import {
  parseConfigEntry,
  parseEndpoint,
  parseHeader,
  parseOffsetsAt,
  parsePartitionList,
  parsePlace,
  parseResetPlace,
  parseSeparator,
  parseTime,
  parseWhole,
  unescapeText,
} from '../../lib/cli/parse.ts';

const nowMs = Date.UTC(2026, 0, 31, 12);

describe('places', () => {
  test('are names, offsets, a count from the end, or a time', () => {
    expect(parsePlace('earliest', nowMs)).toEqual({ kind: 'earliest' });
    expect(parsePlace('latest', nowMs)).toEqual({ kind: 'latest' });
    expect(parsePlace('0', nowMs)).toEqual({ kind: 'offset', offset: 0 });
    expect(parsePlace('9007199254740991', nowMs)).toEqual({ kind: 'offset', offset: Number.MAX_SAFE_INTEGER });
    expect(parsePlace('-10', nowMs)).toEqual({ kind: 'last', recordCount: 10 });
    expect(parsePlace('-1h', nowMs)).toEqual({ kind: 'time', timestamp: nowMs - 3_600_000 });
  });

  test.each(['', 'tomorrow', '1.5', '-', '@', '-1y', '9007199254740992', 'May 5', '2026-13-01'])(
    'refuse %j',
    (text) => {
      expect(() => parsePlace(text, nowMs)).toThrow(InvalidArgumentError);
    },
  );

  test('to list offsets at take max, and no offset', () => {
    expect(parseOffsetsAt('max', nowMs)).toEqual({ kind: 'max' });
    expect(parseOffsetsAt('@5', nowMs)).toEqual({ kind: 'time', timestamp: 5 });
    expect(() => parseOffsetsAt('41', nowMs)).toThrow(InvalidArgumentError);
    expect(() => parseOffsetsAt('-10', nowMs)).toThrow(InvalidArgumentError);
  });
});

test.each([
  ['2026-01-31', Date.UTC(2026, 0, 31)],
  ['2026-01-31T08:00Z', Date.UTC(2026, 0, 31, 8)],
  ['2026-01-31 08:00:01.5+01:00', Date.UTC(2026, 0, 31, 7, 0, 1, 500)],
  ['@1700000000000', 1_700_000_000_000],
  ['-500ms', nowMs - 500],
  ['-90s', nowMs - 90_000],
  ['-1.5h', nowMs - 5_400_000],
  ['-2w', nowMs - 1_209_600_000],
  ['-9999999w', 0],
  ['1960-01-01', 0],
  ['@8640000000000000', 8_640_000_000_000_000],
])('the time %s is read', (text, timestamp) => {
  expect(parseTime(text, nowMs)).toBe(timestamp);
});

// It became a Date that is none, and the log was asked for the timestamp "NaN".
test('milliseconds that no Date can be are refused', () => {
  for (const parse of [parsePlace, parseResetPlace, parseOffsetsAt]) {
    expect(() => parse('@8640000000000001', nowMs)).toThrow('use milliseconds up to @8640000000000000');
  }
});

test('partitions are a list of numbers and ranges, and add up', () => {
  expect(parsePartitionList('3')).toEqual([3]);
  expect(parsePartitionList('4-6, 0', [5, 9])).toEqual([0, 4, 5, 6, 9]);
  for (const text of ['', 'a', '-1', '3-1', '10000', '1,,2']) {
    expect(() => parsePartitionList(text), text).toThrow(InvalidArgumentError);
  }
});

test('whole numbers stay within their bounds', () => {
  expect(parseWhole(0, 65_535)('8092')).toBe(8092);
  for (const text of ['', ' ', '-1', '1e3', '65536', '0x10']) {
    expect(() => parseWhole(0, 65_535)(text), text).toThrow('use a whole number from 0 to 65535');
  }
});

test('a header is split at its first equals sign, and is null without one', () => {
  expect(parseHeader('a=b=c')).toEqual([['a', 'b=c']]);
  expect(parseHeader('a', [['a', '']])).toEqual([
    ['a', ''],
    ['a', null],
  ]);
  expect(() => parseHeader('=b')).toThrow(InvalidArgumentError);
});

test('config entries add up', () => {
  expect(parseConfigEntry('max.message.bytes=5', { 'compression.type': 'zstd' })).toEqual({
    'compression.type': 'zstd',
    'max.message.bytes': '5',
  });
  expect(() => parseConfigEntry('max.message.bytes')).toThrow(InvalidArgumentError);
});

test('escapes become bytes, and a backslash that escapes nothing stays', () => {
  expect(unescapeText('a\\tb\\n\\r\\0\\\\')).toEqual(Buffer.from('a\tb\n\r\0\\'));
  expect(unescapeText('\\xff\\x00é\\q\\x1')).toEqual(Buffer.concat([Buffer.from([0xff, 0]), Buffer.from('é\\q\\x1')]));
  expect(() => parseSeparator('')).toThrow(InvalidArgumentError);
});

test('an endpoint is an address of HTTP', () => {
  expect(parseEndpoint('http://127.0.0.1:8092/')).toBe('http://127.0.0.1:8092');
  for (const text of ['', 'localhost:8092', 'ftp://host', 'http://host?x=1', 'http://host/#x', 'http://me:pw@host']) {
    expect(() => parseEndpoint(text), text).toThrow(InvalidArgumentError);
  }
});
