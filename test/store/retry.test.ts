import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type RandomBytes, systemClock } from '../../lib/clock.ts';
import {
  AttemptTimeout,
  attemptsMax,
  delayMsMax,
  RetryError,
  type RetryOptions,
  randomFraction,
  retry,
} from '../../lib/store/retry.ts';
import { deadlineOf, storeCallMsDefault } from '../../lib/store/store-request.ts';

/** Jitter at its longest, all but a billionth. */
const longest: RandomBytes = (bytes) => bytes.fill(0xff);
const shortest: RandomBytes = (bytes) => bytes.fill(0);

const base: RetryOptions = {
  clock: systemClock,
  randomBytes: longest,
  deadline: 60_000,
  attemptMsMax: 1_000,
  delayAfter: () => 20,
};

/** Runs `retry` in virtual time and tells how it ended, and when each attempt began. */
async function run<T>(options: Partial<RetryOptions>, attempt: (number: number, signal: AbortSignal) => Promise<T>) {
  const beganAt: number[] = [];
  const end = retry({ ...base, ...options }, (signal, number) => {
    beganAt.push(Date.now());
    return attempt(number, signal);
  }).then(
    (value) => ({ value, error: undefined, endedAt: Date.now() }),
    (error: unknown) => ({ value: undefined, error: error as RetryError, endedAt: Date.now() }),
  );
  await vi.runAllTimersAsync();
  return { beganAt, ...(await end) };
}

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('retry', () => {
  test('answers with the first attempt that succeeds, and leaves no timer behind', async () => {
    const { value, beganAt } = await run({}, async (number) => {
      if (number < 3) throw new Error('not yet');
      return `attempt ${number}`;
    });
    expect(value).toBe('attempt 3');
    expect(beganAt).toHaveLength(3);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('delays double up to their limit, and the attempts end', async () => {
    const { beganAt, error } = await run({ delayAfter: () => 100 }, () => Promise.reject(new Error('no')));
    const delays = beganAt.slice(1).map((at, index) => Math.round((at - (beganAt[index] ?? 0)) / 100));
    expect(delays).toEqual([1, 2, 4, 8, 16, 20, 20, 20, 20]);
    expect(delayMsMax).toBe(2_000);
    expect(error).toBeInstanceOf(RetryError);
    expect(error).toMatchObject({ reason: 'attempts' });
    expect(error?.errors).toHaveLength(attemptsMax);
  });

  test('jitter may take a delay down to nothing', async () => {
    const { beganAt } = await run({ randomBytes: shortest }, () => Promise.reject(new Error('no')));
    expect(beganAt).toEqual(new Array(attemptsMax).fill(0));
  });

  test('an error that no retry helps ends the call at once, with the errors before it', async () => {
    const errors = [new Error('lost'), new Error('denied')];
    const { error } = await run({ delayAfter: (reason) => (reason === errors[1] ? undefined : 20) }, (number) =>
      Promise.reject(errors[number - 1]),
    );
    expect(error).toMatchObject({ reason: 'refused', errors, cause: errors[1] });
    expect(Object.keys(error ?? {}), 'a log line has the cause alone').not.toContain('errors');
  });

  test('an attempt without an answer is aborted and left behind, even if it does not listen', async () => {
    const signals: AbortSignal[] = [];
    const { value, beganAt } = await run({ randomBytes: shortest }, (number, signal) => {
      signals.push(signal);
      return number === 1 ? new Promise<number>(() => {}) : Promise.resolve(number);
    });
    expect(value).toBe(2);
    expect(beganAt).toEqual([0, 1_000]);
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false]);
    expect(signals[0]?.reason).toBeInstanceOf(AttemptTimeout);
  });

  test('a timeout is told to delayAfter, which may forbid another attempt', async () => {
    const { error, beganAt } = await run(
      { delayAfter: (reason) => (reason instanceof AttemptTimeout ? undefined : 20) },
      () => new Promise(() => {}),
    );
    expect(beganAt).toHaveLength(1);
    expect(error?.errors).toEqual([expect.any(AttemptTimeout)]);
  });

  test('nothing is sent when the deadline has passed', async () => {
    const { error, beganAt } = await run({ deadline: 0 }, () => Promise.resolve('too late'));
    expect(beganAt).toEqual([]);
    expect(error).toMatchObject({ reason: 'deadline', errors: [] });
  });

  test('the last attempt is cut at the deadline', async () => {
    const { error, beganAt, endedAt } = await run(
      { deadline: 2_500, randomBytes: shortest },
      () => new Promise(() => {}),
    );
    expect(beganAt).toEqual([0, 1_000, 2_000]);
    expect(endedAt).toBe(2_500);
    expect(error).toMatchObject({ reason: 'deadline' });
  });

  test('a delay that would end behind the deadline is not waited for', async () => {
    const { error, endedAt } = await run({ deadline: 50, delayAfter: () => 100 }, () =>
      Promise.reject(new Error('busy')),
    );
    expect(endedAt).toBe(0);
    expect(error).toMatchObject({ reason: 'deadline', errors: [{ message: 'busy' }] });
  });

  test('an answer that comes after its attempt was given up is dropped without noise', async () => {
    const { value } = await run({ randomBytes: shortest }, async (number) => {
      if (number > 1) return number;
      await systemClock.sleep(1_500);
      throw new Error('late');
    });
    expect(value).toBe(2);
  });
});

test('a random fraction lies from 0 up to but not including 1', () => {
  expect(randomFraction(shortest)).toBe(0);
  expect(randomFraction(longest)).toBeLessThan(1);
  expect(randomFraction((bytes) => bytes.fill(0x80))).toBeCloseTo(0.5, 2);
});

test('a store call without a deadline of its own gets the default', () => {
  expect(deadlineOf({}, systemClock)).toBe(storeCallMsDefault);
  expect(deadlineOf({ deadline: () => undefined }, systemClock)).toBe(storeCallMsDefault);
  expect(deadlineOf({ deadline: () => 123 }, systemClock)).toBe(123);
});
