import { setTimeout as realSleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createVirtualClock } from './virtual-clock.ts';

test('sleepers wake in order, at their times, and take no real time', async () => {
  const clock = createVirtualClock(1_000);
  const woken: string[] = [];
  const sleeper = async (name: string, ms: number) => {
    await clock.sleep(ms);
    woken.push(`${name} at ${clock.nowMs()}`);
  };
  const startMs = Date.now();
  await clock.run(Promise.all([sleeper('late', 3_600_000), sleeper('first', 10), sleeper('second', 10)]));
  expect(woken).toEqual(['first at 1010', 'second at 1010', 'late at 3601000']);
  expect(Date.now() - startMs).toBeLessThan(1_000);
});

test('a sleeper that is called off wakes at once', async () => {
  const clock = createVirtualClock();
  const call = new AbortController();
  const sleeping = clock.sleep(1_000, call.signal);
  call.abort();
  await clock.run(sleeping);
  await clock.run(clock.sleep(1_000, call.signal));
  expect(clock.nowMs()).toBe(0);
});

test('what Node puts off for some turns comes before time', async () => {
  const clock = createVirtualClock();
  const work = async () => {
    await clock.standStill(realSleep(20));
    await new Promise((resolve) => setImmediate(() => process.nextTick(() => setImmediate(resolve))));
    return clock.nowMs();
  };
  void clock.sleep(1_000);
  expect(await clock.run(work())).toBe(0);
});

test('the clock tells whole milliseconds, and the exact time beside', async () => {
  const clock = createVirtualClock();
  await clock.run(clock.sleep(1.75));
  expect([clock.nowMs(), clock.exactMs()]).toEqual([1, 1.75]);
});

test('work that waits for something else is told so', async () => {
  const clock = createVirtualClock();
  await expect(clock.run(new Promise(() => {}))).rejects.toThrow('something that is not the clock');
});
