import { beforeEach, describe, expect, test } from 'vitest';
import { Hedge, hedgeShareMax } from '../../lib/store/hedge.ts';
import { createVirtualClock, type VirtualClock } from '../support/virtual-clock.ts';

let clock: VirtualClock;
let hedge: Hedge;
beforeEach(() => {
  clock = createVirtualClock();
  hedge = new Hedge(clock);
});

const never = new AbortController().signal;

interface Send {
  readonly ms: number;
  readonly error?: string;
}

/** Runs one call whose requests take these times; tells who won, when, and when each was sent. */
async function call(first: Send, second: Send = first, signal = never) {
  const startMs = clock.nowMs();
  const sentAt: number[] = [];
  const signals: AbortSignal[] = [];
  const send = async (stop: AbortSignal) => {
    const { ms, error } = sentAt.length === 0 ? first : second;
    const number = sentAt.push(clock.nowMs() - startMs);
    signals.push(stop);
    await clock.sleep(ms, stop);
    stop.throwIfAborted();
    if (error !== undefined) throw new Error(error);
    return number;
  };
  const end = hedge.run(send, signal).then(
    (winner) => `request ${winner}`,
    (error: Error) => error.message,
  );
  const ended = await clock.run(end);
  return { ended, ms: clock.nowMs() - startMs, sentAt, signals };
}

/** Quick calls, as many as asked for: saves up for second requests. */
async function quick(count: number, ms = 100): Promise<void> {
  for (let index = 0; index < count; index++) await call({ ms });
}

describe('a hedge', () => {
  test('sends one request where the answer is quick', async () => {
    const { ended, ms, sentAt, signals } = await call({ ms: 249 });
    expect({ ended, ms, sentAt }).toEqual({ ended: 'request 1', ms: 249, sentAt: [0] });
    expect(signals[0]?.aborted).toBe(true);
  });

  test('sends a second one after the longest delay while it knows nothing, and takes the quicker', async () => {
    const { ended, ms, sentAt } = await call({ ms: 9_000 }, { ms: 20 });
    expect({ ended, ms, sentAt }).toEqual({ ended: 'request 2', ms: 270, sentAt: [0, 250] });
    await quick(40);
    expect((await call({ ms: 300 }, { ms: 300 })).ended).toBe('request 1');
  });

  test('waits as long as nineteen of twenty calls take, of those not long ago', async () => {
    for (let index = 0; index < 128; index++) await call({ ms: index < 7 ? 70 : 20 });
    expect((await call({ ms: 9_000 }, { ms: 5 })).sentAt).toEqual([0, 70]);
    await quick(40, 20);
    expect((await call({ ms: 9_000 }, { ms: 5 })).sentAt).toEqual([0, 20]);
  });

  test('ends both requests when one has won', async () => {
    const { signals } = await call({ ms: 9_000 }, { ms: 5 });
    expect(signals.map((signal) => signal.aborted)).toEqual([true, true]);
  });

  test('spends no more than its share, however slow the day', async () => {
    await quick(100);
    let requests = 0;
    for (let index = 0; index < 1_000; index++) requests += (await call({ ms: 5_000 })).sentAt.length;
    expect(requests).toBeGreaterThan(1_000 + 1_000 * hedgeShareMax * 0.9);
    expect(requests).toBeLessThanOrEqual(1_000 + 1_000 * hedgeShareMax + 4);
  });

  test('a first request that fails early is not repeated here', async () => {
    const { ended, ms, sentAt } = await call({ ms: 10, error: 'refused' });
    expect({ ended, ms, sentAt }).toEqual({ ended: 'refused', ms: 10, sentAt: [0] });
  });

  test('one request may fail while the other is under way', async () => {
    expect((await call({ ms: 300, error: 'first' }, { ms: 100 })).ended).toBe('request 2');
    await quick(40);
    expect((await call({ ms: 300 }, { ms: 10, error: 'second' })).ended).toBe('request 1');
  });

  test('when both fail, the error is that of the second', async () => {
    expect((await call({ ms: 300, error: 'first' }, { ms: 10, error: 'second' })).ended).toBe('second');
    await quick(40);
    expect((await call({ ms: 300, error: 'first' }, { ms: 900, error: 'second' })).ended).toBe('second');
  });

  test('ends with its caller, and sends nothing after that', async () => {
    const caller = new AbortController();
    void clock.sleep(100).then(() => caller.abort(new Error('enough')));
    const { ended, ms, sentAt } = await call({ ms: 9_000 }, { ms: 10 }, caller.signal);
    expect({ ended, ms, sentAt }).toEqual({ ended: 'enough', ms: 100, sentAt: [0] });
  });
});
