import { expect, test } from 'vitest';
import { Slots } from '../../lib/store/slots.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';

const callMs = 10;

/** `count` calls that come at once for two slots: when each began to run, or that it gave up. */
async function runCalls(count: number, deadline: number) {
  const clock = createVirtualClock();
  const slots = new Slots(clock, 2);
  const call = async () => {
    if (!(await slots.take(deadline))) return `gave up at ${clock.nowMs()}`;
    const startMs = clock.nowMs();
    await clock.sleep(callMs);
    slots.give();
    return `ran at ${startMs}`;
  };
  const all = () => Promise.all(Array.from({ length: count }, call));
  const first = await clock.run(all());
  return { first, all, clock };
}

test('so many calls run at once, and the others in order as these end', async () => {
  const { first } = await runCalls(5, 1_000);
  expect(first).toEqual(['ran at 0', 'ran at 0', 'ran at 10', 'ran at 10', 'ran at 20']);
});

test('a call whose turn does not come before its deadline gives up, and takes no turn later', async () => {
  const { first, all, clock } = await runCalls(5, 15);
  expect(first).toEqual(['ran at 0', 'ran at 0', 'ran at 10', 'ran at 10', 'gave up at 15']);
  expect(clock.nowMs()).toBe(20);
  // Both slots are free again.
  expect(await clock.run(all())).toEqual(['ran at 20', 'ran at 20', ...new Array(3).fill('gave up at 20')]);
});
