import { expect, test } from 'vitest';
import { type FlushLimits, FlushQueue } from '../../lib/produce/flush-queue.ts';
import { turns } from '../log-fixture.ts';

interface Item {
  readonly name: string;
  readonly lane: string;
  readonly bytes: number;
  readonly heldBytes: number;
}

/** A queue whose stores and commits end when the test says so. */
function openQueue(limits: Partial<FlushLimits> = {}) {
  const stores: { names: string; done: () => void; fail: (error: unknown) => void }[] = [];
  const commits: string[] = [];
  const commitGate = { failing: '' };
  const queue = new FlushQueue<Item, string, string>(
    {
      store: async (items) => {
        const names = items.map(({ name }) => name).join('');
        const stored = Promise.withResolvers<void>();
        stores.push({ names, done: stored.resolve, fail: stored.reject });
        await stored.promise;
        return names;
      },
      commit: async (items) => {
        const names = items.map(({ name }) => name).join('');
        if (names === commitGate.failing) throw new Error(`commit of ${names} failed`);
        commits.push(names);
        return items.map(({ name }) => `committed ${name}`);
      },
    },
    { flushBytesMax: 100, flushesInFlightMax: 2, bytesWaitingMax: 1000, ...limits },
  );
  const add = (name: string, lane = 'lane', bytes = 10) => {
    const added = queue.add({ name, lane, bytes, heldBytes: bytes });
    added.catch(() => undefined);
    return added;
  };
  return { stores, commits, commitGate, add, names: () => stores.map(({ names }) => names) };
}

test('a lone item is flushed at once; what comes in one turn shares a flush, what comes meanwhile the next', async () => {
  const { stores, add, names } = openQueue();
  const first = [add('a'), add('b', 'other')];
  await turns();
  const later = [add('c')];
  await turns();
  later.push(add('d'));
  await turns();
  expect(names()).toEqual(['ab']);
  stores[0]?.done();
  expect(await Promise.all(first)).toEqual(['committed a', 'committed b']);
  await turns();
  expect(names()).toEqual(['ab', 'cd']);
  stores[1]?.done();
  expect(await Promise.all(later)).toEqual(['committed c', 'committed d']);
});

test('enough bytes start a flush while others are being stored, up to a number of flushes and of bytes in each', async () => {
  const { stores, add, names } = openQueue();
  add('a');
  await turns();
  for (const name of 'bcd') add(name, 'lane', 60);
  await turns();
  expect(names()).toEqual(['a', 'b']);
  stores[1]?.done();
  await turns();
  expect(names()).toEqual(['a', 'b', 'c']);
});

test('an item larger than a flush goes alone', async () => {
  const { add, names } = openQueue();
  add('a', 'lane', 500);
  add('b', 'lane', 10);
  await turns();
  expect(names()).toEqual(['a']);
});

test('commits of one lane stay in order when a later object is stored first; another lane does not wait', async () => {
  const { stores, commits, add } = openQueue();
  const first = add('a', 'lane', 100);
  await turns();
  const second = add('b', 'lane', 100);
  const other = add('c', 'other', 0);
  await turns();
  stores[1]?.done();
  expect(await other).toBe('committed c');
  await turns();
  expect(commits).toEqual(['c']);
  stores[0]?.done();
  await Promise.all([first, second]);
  expect(commits).toEqual(['c', 'a', 'b']);
});

test('a failed store fails its own items alone, and keeps the order of those behind it', async () => {
  const { stores, commits, add } = openQueue();
  const first = add('a', 'lane', 100);
  await turns();
  const second = add('b', 'lane', 100);
  await turns();
  const third = add('c', 'lane', 100);
  await turns();
  stores[1]?.fail(new Error('no space'));
  await expect(second).rejects.toThrow('no space');
  await turns();
  expect(commits).toEqual([]);
  stores[2]?.done();
  await turns();
  expect(commits).toEqual([]);
  stores[0]?.done();
  expect(await Promise.all([first, third])).toEqual(['committed a', 'committed c']);
  expect(commits).toEqual(['a', 'c']);
});

test('a failed commit fails the items of its lane alone, and later ones go on', async () => {
  const { stores, commitGate, add } = openQueue();
  commitGate.failing = 'a';
  const first = add('a');
  const other = add('b', 'other');
  await turns();
  stores[0]?.done();
  await expect(first).rejects.toThrow('commit of a failed');
  expect(await other).toBe('committed b');
  const later = add('c');
  await turns();
  stores[1]?.done();
  expect(await later).toBe('committed c');
});

test('beyond the bytes that may wait an item is refused without effect, until others are answered; one alone never is', async () => {
  const { stores, add } = openQueue({ bytesWaitingMax: 100, flushBytesMax: 1000 });
  const large = add('a', 'lane', 500);
  await turns();
  await expect(add('b')).rejects.toMatchObject({
    code: 'THROTTLING_QUOTA_EXCEEDED',
    retriable: true,
    effect: 'none',
    details: { retryAfterMs: 100 },
  });
  // A burst of refusals is one error and not one each.
  const refusals = await Promise.allSettled([add('b'), add('c')]);
  expect(new Set(refusals.map((one) => one.status === 'rejected' && one.reason)).size).toBe(1);
  stores[0]?.done();
  await large;
  const exact = [add('c', 'lane', 60), add('d', 'lane', 40)];
  await expect(add('e', 'lane', 1)).rejects.toMatchObject({ code: 'THROTTLING_QUOTA_EXCEEDED' });
  await turns();
  stores[1]?.done();
  expect(await Promise.all(exact)).toHaveLength(2);
});
