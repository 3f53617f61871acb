import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { runCommand } from '../support/command.ts';

const program = fileURLToPath(new URL('flights.ts', import.meta.url));

test('the demo publishes and reads real events within a minute, kills a reader midway, and proves that none was lost', {
  timeout: 70_000,
}, async () => {
  const { exitCode, output, errors } = await runCommand(process.execPath, [program]);
  expect(errors).toBe('');
  const lines = output.trimEnd().split('\n');
  expect(lines.at(-1)).toMatch(/^proved, in \d+\.\d s$/);
  expect(lines.slice(-13, -2)).toEqual([
    'proof for flights',
    '  holds: every one of 20,000 records was counted, once',
    '  holds: offsets of each partition rise from 0 without a gap',
    '  holds: the order of the file was kept for each of 220 keys',
    '  holds: count and sum of each key equal those of the file',
    '',
    'proof for earthquakes',
    '  holds: every one of 1,707 records was counted, once',
    '  holds: offsets of each partition rise from 0 without a gap',
    '  holds: the order of the file was kept for each of 12 keys',
    '  holds: count and sum of each key equal those of the file',
  ]);
  // The busiest airports, as a computation over the file gives them; piped, the table comes once.
  expect(output).toMatch(/DFW +1,103 +9\.5\n +ORD +1,095 +7\.5\n/);
  expect(output).toMatch(/one of the three was killed at 1\d,\d{3} flights; the others took over its partitions/);
  expect(output).toMatch(/published, each one durable: [\d,]+ records\/s/);
  expect(output).toMatch(/p50 [\d.]+ ms, p99 [\d.]+ ms/);
  expect(exitCode).toBe(0);

  const dir = /^a log in (.+), served on/.exec(output)?.[1];
  expect(dir).toBeDefined();
  expect(existsSync(dir ?? '')).toBe(false);
});
