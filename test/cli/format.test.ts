import { InvalidArgumentError } from 'commander';
import { describe, expect, test } from 'vitest';
import { compileFormat, type Formatter, formatTokens, formatValueLine } from '../../lib/cli/format.ts';
import { formatJsonLine, parseJsonLine } from '../../lib/cli/json-lines.ts';
import { textLineParser, withOptions } from '../../lib/cli/line-record.ts';
import { formatTable } from '../../lib/cli/output.ts';
import {
  formatBytes,
  formatDuration,
  formatRate,
  ProgressLine,
  progressText,
  timeLeftMs,
} from '../../lib/cli/progress.ts';
import { ConsumedRecord } from '../../lib/client/index.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

const record = new ConsumedRecord({
  topic: 'orders',
  partition: 3,
  offset: 41,
  timestamp: 1_700_000_000_000,
  key: bytes('k'),
  value: bytes('välue'),
  headers: [
    ['a', bytes('1')],
    ['b', null],
  ],
});
const empty = new ConsumedRecord({ ...record, key: null, value: null, headers: [] });

function render(format: Formatter, one: ConsumedRecord): Buffer {
  const parts: Uint8Array[] = [];
  format(one, {
    bytes: (part) => void (part !== null && parts.push(part)),
    text: (text) => void parts.push(bytes(text)),
  });
  return Buffer.concat(parts);
}

describe("kcat's format", () => {
  test('has a token for each part of a record', () => {
    const format = compileFormat('%t[%p]@%o %T %k(%K)=%s(%S) %h 100%%\\n');
    expect(render(format, record).toString()).toBe('orders[3]@41 1700000000000 k(1)=välue(6) a=1,b=NULL 100%\n');
    expect(render(format, empty).toString()).toBe('orders[3]@41 1700000000000 (-1)=(-1)  100%\n');
  });

  test('writes the length as four bytes', () => {
    expect(render(compileFormat('%R%s'), record)).toEqual(Buffer.from('\0\0\0\x06välue'));
    expect(render(compileFormat('%R'), empty)).toEqual(Buffer.from([255, 255, 255, 255]));
  });

  test('writes bytes of any value for \\xNN', () => {
    expect(render(compileFormat('\\xff%p\\x00'), record)).toEqual(Buffer.from([0xff, 0x33, 0]));
  });

  test('refuses a token it does not know, and a percent sign at the end', () => {
    expect(() => compileFormat('%s %y')).toThrow(InvalidArgumentError);
    expect(() => compileFormat('%s %')).toThrow(InvalidArgumentError);
  });

  test('knows every token its help names', () => {
    expect(() => compileFormat(Object.keys(formatTokens).join(''))).not.toThrow();
  });
});

test('a value line ends in a line break, also when the value is null', () => {
  expect(render(formatValueLine, record).toString()).toBe('välue\n');
  expect(render(formatValueLine, empty).toString()).toBe('\n');
});

describe('JSON lines', () => {
  test('that were read can be produced again', () => {
    const binary = new ConsumedRecord({ ...record, key: Uint8Array.of(0xff), value: null });
    const timeless = new ConsumedRecord({ ...record, timestamp: -1 });
    for (const one of [record, empty, binary, timeless]) {
      const { key, value, headers, partition, timestamp } = one;
      const parsed = parseJsonLine(render(formatJsonLine, one), 0);
      expect(parsed.partition).toBe(partition);
      expect(parsed.timestamp).toBe(timestamp);
      expect(parsed.key && Buffer.from(parsed.key)).toEqual(key && Buffer.from(key));
      expect(parsed.value && Buffer.from(parsed.value)).toEqual(value && Buffer.from(value));
      expect(parsed.headers?.map(([name, bytes]) => [name, bytes && Buffer.from(bytes)])).toEqual(
        headers.map(([name, bytes]) => [name, bytes && Buffer.from(bytes)]),
      );
    }
  });

  test('keep numbers that a double cannot hold, as the HTTP door does', () => {
    // They were rounded in silence, and what is beyond all doubles became null.
    const value = '{"id":12345678901234567890,"price":0.1000000000000000055,"most":1e400}';
    expect(parseJsonLine(Buffer.from(`{"value":${value}}`), 0).value?.toString()).toBe(value);
  });

  test('refuse what is not UTF-8, and do not replace it', () => {
    const line = Buffer.concat([Buffer.from('{"value":"a'), Buffer.of(0xff), Buffer.from('b"}')]);
    expect(() => parseJsonLine(line, 0)).toThrow('it is not UTF-8');
  });

  test.each(['', '{', '[]', '1', '"text"', 'null', '{"vlaue":1}', '{"partition":-1}', '{"valueBase64":"?"}'])(
    'refuse %j',
    (line) => {
      expect(() => parseJsonLine(Buffer.from(line), 0)).toThrow();
    },
  );
});

describe('a line as a record', () => {
  const line = (text: string) => Buffer.from(text);

  test('is its value, whole', () => {
    expect(textLineParser({})(line('a:b\r'))).toEqual({ value: line('a:b\r') });
  });

  test('has the key before the first separator, and no key without one', () => {
    const parse = textLineParser({ keySeparator: line('::') });
    expect(parse(line('a::b::c'))).toEqual({ key: line('a'), value: line('b::c') });
    expect(parse(line('a:b'))).toEqual({ value: line('a:b') });
    expect(parse(line('::b'))).toEqual({ key: line(''), value: line('b') });
  });

  test('is null where it is empty, when asked', () => {
    const parse = textLineParser({ keySeparator: line(':'), nullEmpty: true });
    expect(parse(line('a:'))).toEqual({ key: line('a'), value: null });
    expect(parse(line(':b'))).toEqual({ key: null, value: line('b') });
    expect(textLineParser({})(line(''))).toEqual({ value: line('') });
  });

  test('takes the headers behind its own, and the partition where it names none', () => {
    const options = { header: [['b', '2']], partition: 1 } as const;
    expect(withOptions({ headers: [['a', '1']], partition: 0 }, options)).toEqual({
      headers: [
        ['a', '1'],
        ['b', '2'],
      ],
      partition: 0,
    });
    expect(withOptions({}, options)).toEqual({ headers: [['b', '2']], partition: 1 });
  });
});

describe('progress', () => {
  test('shows sizes in decimal units', () => {
    expect([0, 999, 1000, 999_949, 999_950, 1e9, 1e15].map(formatBytes)).toEqual([
      '0 B',
      '999 B',
      '1.0 kB',
      '999.9 kB',
      '1.0 MB',
      '1.0 GB',
      '1000.0 TB',
    ]);
    expect(formatRate(3_000_000, 2000)).toBe('1.5 MB/s');
    expect(formatRate(5, 0)).toBe('0 B/s');
  });

  test('shows times as people say them', () => {
    expect([40, 4000, 65_000, 3_599_000, 7_380_000].map(formatDuration)).toEqual([
      '40 ms',
      '4s',
      '1m 05s',
      '59m 59s',
      '2h 03m',
    ]);
  });

  test('guesses the time left from the rate so far', () => {
    expect(timeLeftMs(0, 100, 1000)).toBeUndefined();
    expect(timeLeftMs(25, 100, 1000)).toBe(3000);
    expect(timeLeftMs(120, 100, 1000)).toBe(0);
  });

  test('is one line, with the time left where the total is known', () => {
    const progress = { label: 'stored', recordCount: 1200, bytes: 500_000, elapsedMs: 1000 };
    expect(progressText({ ...progress, total: undefined })).toBe('stored 1,200 records, 500.0 kB, 500.0 kB/s');
    expect(progressText({ ...progress, total: { unit: 'bytes', count: 2_000_000 } })).toBe(
      'stored 1,200 records, 500.0 kB, 500.0 kB/s, 25%, 3s left',
    );
  });

  test('rewrites its line on a terminal, and writes nothing when it is not shown', () => {
    let nowMs = 0;
    const clock = { nowMs: () => nowMs, sleep: async () => {} };
    const written: string[] = [];
    const stream = { isTTY: true, write: (text: string) => written.push(text) };
    const options = { label: 'stored', total: undefined, clock, stream };
    const shown = new ProgressLine({ ...options, isShown: true });
    const hidden = new ProgressLine({ ...options, isShown: false });
    for (const line of [shown, hidden]) line.add(1, 100);
    nowMs = 1000;
    for (const line of [shown, hidden]) line.add(1, 100);
    for (const line of [shown, hidden]) line.clear();
    expect(written).toEqual(['\rstored 2 records, 200 B, 200 B/s\x1b[K', '\r\x1b[K']);
    expect(hidden.summary()).toBe('200 B in 1s, 200 B/s');
  });
});

test('a table pads text to the left and numbers to the right', () => {
  expect(
    formatTable(
      ['NAME', 'COUNT'],
      [
        ['a', 5],
        ['orders', 12345],
      ],
    ),
  ).toBe('NAME    COUNT\na           5\norders  12345');
});
