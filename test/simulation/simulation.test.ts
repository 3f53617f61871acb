import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Operation } from '../../lib/verify/history.ts';
import { MutatedSource } from './mutated-source.ts';
import { applyMutation, mutations } from './mutations.ts';
import type { Profile } from './plan.ts';
import { simulate } from './simulation.ts';

const root = new URL('../../', import.meta.url).pathname;
const seedCount = 200;
/** Seeds that found something when they were run first. Changes of the simulation make others of them; they cost little. */
const foundBefore: Readonly<Record<Profile, readonly number[]>> = {
  local: [1433, 9965],
  aws: [1429, 2331, 4371, 4870, 5657, 8022, 8319, 9945],
};

describe.each<Profile>(['local', 'aws'])('the log, simulated on the %s stores', (profile) => {
  test(`keeps its promises for ${seedCount} seeds, and those that found something before`, async () => {
    const seeds = Array.from({ length: seedCount }, (_, index) => index + 1);
    for (const seed of [...foundBefore[profile], ...seeds]) {
      const { violations } = await simulate({ seed, profile });
      const told = violations.map(({ invariant, text }) => `${invariant}: ${text}`);
      expect(told, `node test/simulation/simulate.ts --from ${seed} --seeds 1 --profile ${profile}`).toEqual([]);
    }
  }, 300_000);

  test('has the same history, byte for byte, when a seed is run again, and another one for another seed', async () => {
    const historyOf = async (seed: number) => JSON.stringify((await simulate({ seed, profile })).history);
    const histories = new Set<string>();
    for (let seed = 1; seed <= 10; seed++) {
      const history = await historyOf(seed);
      expect(await historyOf(seed)).toBe(history);
      histories.add(history);
    }
    expect(histories.size).toBe(10);
  });

  test('has the same beginning when it is cut short', async () => {
    const begun = (operations: readonly Operation[]) =>
      operations.slice(0, 30).map(({ start, client, type, topic }) => `${start} ${client} ${type} ${topic}`);
    const whole = await simulate({ seed: 1, profile });
    const cut = await simulate({ seed: 1, profile, operationsMax: Math.floor(whole.plan.operationsMax / 2) });
    expect(begun(cut.history.operations)).toEqual(begun(whole.history.operations));
    expect(cut.history.operations.length).toBeLessThan(whole.history.operations.length);
  });
});

test('every deliberate bug can still be put into the source', () => {
  for (const mutation of mutations) {
    const changed = applyMutation(mutation, (file) => readFileSync(`${root}${file}`, 'utf8'));
    expect(changed.size, mutation.name).toBeGreaterThan(0);
  }
  expect(new Set(mutations.map(({ name }) => name)).size).toBe(mutations.length);
  expect(mutations.length).toBeGreaterThanOrEqual(12);
});

test('a deliberate bug is found, shrunk to little, and found again by the command that is printed', () => {
  const mutation = mutations.find(({ name }) => name.startsWith('stamp the offset'));
  expect(mutation).toBeDefined();
  if (mutation === undefined) return;
  const source = new MutatedSource();
  try {
    const { exitCode, stdout } = source.simulate(mutation, ['--seeds', '50', '--first']);
    expect(exitCode).toBe(1);
    const [, needed] = /needs (\d+) operations/.exec(stdout) ?? [];
    expect(Number(needed)).toBeLessThan(50);
    expect(stdout).toMatch(/history around it:\n {2}#\d+ \[/);
    const [, command = ''] = /repeat it with\n {2}node test\/simulation\/simulate\.ts (.*)/.exec(stdout) ?? [];
    const again = source.simulate(mutation, command.split(' '));
    expect(again.exitCode).toBe(1);
    expect(again.stdout).toContain('1 of 1 seeds, 1 failed');
  } finally {
    source.remove();
  }
}, 60_000);

test.each([
  ['let a flush of the client fail', 'lib/client/producer.ts'],
  ['leave a promise behind that is rejected', 'lib/produce/produce.ts'],
])(
  'a run that ends in an error is told with its seed and its stack: %s',
  (name, file) => {
    const mutation = mutations.find((one) => one.name === name);
    expect(mutation).toBeDefined();
    if (mutation === undefined) return;
    const source = new MutatedSource();
    try {
      const { failures } = JSON.parse(source.simulate(mutation, ['--seeds', '50', '--first', '--json']).stdout);
      expect(failures).toMatchObject([{ invariant: 'nothingIsABug', text: expect.stringContaining(file) }]);
    } finally {
      source.remove();
    }
  },
  60_000,
);
