import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { branchesLeftOut, filesLeftOut, partsLeftOut } from './left-out.ts';

function run(command: string, ...options: string[]) {
  const path = new URL(`${command}.ts`, import.meta.url).pathname;
  const { status, stdout, stderr } = spawnSync(process.execPath, [path, ...options], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

describe.each(['simulate', 'mutate', 'coverage'])('%s', (command) => {
  test('says how it is used, with an example', () => {
    const { status, stdout } = run(command, '--help');
    expect(status).toBe(0);
    expect(stdout).toContain(`node test/simulation/${command}.ts --`);
  });

  test.each([
    [['--seeds', 'abc'], '--seeds is "abc", allowed is a whole number from 1 on\nsee --help\n'],
    [['--seeds', '0'], '--seeds is "0", allowed is a whole number from 1 on\nsee --help\n'],
    [['--nonsense'], "Unknown option '--nonsense'\nsee --help\n"],
  ])('refuses %j in one line, with exit code 2', (options, told) => {
    expect(run(command, ...options)).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining(told) });
  });
});

test.each([
  ['simulate', ['--profile', 'gcp'], '--profile is "gcp", allowed are local, aws'],
  ['simulate', ['--operations', '-1'], '--operations'],
  ['simulate', ['--without', 'crash,tea'], '--without has "tea", allowed are sick, lostRequest'],
  ['mutate', ['--only', 'no such bug'], '--only is "no such bug", which is in no bug\'s name'],
  ['coverage', ['--profile', 'gcp'], '--profile is "gcp", allowed are local, aws'],
])('%s refuses %j', (command, options, told) => {
  expect(run(command, ...options)).toMatchObject({ status: 2, stderr: expect.stringContaining(told) });
});

test('whatever is said not to be reached is in the source, once', () => {
  for (const { file, source } of [...branchesLeftOut, ...partsLeftOut]) {
    const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
    expect(text.split(source).length - 1, `${file}: ${source}`).toBe(1);
  }
  for (const file of Object.keys(filesLeftOut))
    expect(existsSync(new URL(`../../${file}`, import.meta.url))).toBe(true);
});

test('seeds that pass are told with their rate', () => {
  expect(run('simulate', '--seeds', '3')).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^local: 3 of 3 seeds, 0 failed, \d+ seeds\/s, [\d.]+ ms each; \d+ operations/),
  });
});
