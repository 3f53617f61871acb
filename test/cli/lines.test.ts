import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LineTooLongError, splitLines } from '../../lib/cli/lines.ts';

async function split(chunks: readonly string[], delimiter = '\n', lineBytesMax = 100): Promise<string[]> {
  const source = async function* () {
    for (const chunk of chunks) yield Buffer.from(chunk);
  };
  const lines: string[] = [];
  for await (const group of splitLines(source(), Buffer.from(delimiter), lineBytesMax)) {
    for (const { bytes, lineNumber } of group) {
      lines.push(bytes.toString());
      expect(lineNumber).toBe(lines.length);
    }
  }
  return lines;
}

test('a last line counts without its delimiter, and nothing behind the last delimiter does', async () => {
  expect(await split(['a\nb'])).toEqual(['a', 'b']);
  expect(await split(['a\nb\n'])).toEqual(['a', 'b']);
  expect(await split(['\n\n'])).toEqual(['', '']);
  expect(await split([])).toEqual([]);
});

test('only the line break is cut off', async () => {
  expect(await split(['a\r\nb\r', '\n'])).toEqual(['a\r', 'b\r']);
});

test('however the bytes come in pieces, the lines are the same', async () => {
  const text = fc.string({ unit: fc.constantFrom('a', '|', '-', '\n'), maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(
      text,
      fc.integer({ min: 1, max: 7 }),
      fc.constantFrom('\n', '|-', '--|'),
      async (all, size, by) => {
        const chunks = all.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
        const expected = all.split(by);
        if (expected.at(-1) === '') expected.pop();
        expect(await split(chunks, by)).toEqual(expected);
      },
    ),
    { numRuns: 300 },
  );
});

test('a line that is too long is told by its number, after the lines before it', async () => {
  const seen: number[] = [];
  const source = async function* () {
    yield Buffer.from('one\ntwo\n');
    yield Buffer.from('x'.repeat(8));
    yield Buffer.from('y'.repeat(8));
  };
  const reading = (async () => {
    for await (const group of splitLines(source(), Buffer.from('\n'), 10)) {
      for (const { lineNumber } of group) seen.push(lineNumber);
    }
  })();
  await expect(reading).rejects.toThrow(LineTooLongError);
  await expect(reading).rejects.toMatchObject({ lineNumber: 3 });
  expect(seen).toEqual([1, 2]);
  expect(await split(['x'.repeat(10)], '\n', 10)).toHaveLength(1);
});
