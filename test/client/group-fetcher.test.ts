/** Which topics a member of a group asks for, where so much was fetched that nothing more is. */

import { expect, test } from 'vitest';
import type { GroupConsumerDeps } from '../../lib/client/group-consumer-deps.ts';
import { GroupFetcher } from '../../lib/client/group-fetcher.ts';
import { HeldPartitions } from '../../lib/client/held-partitions.ts';
import { OwnedPartition } from '../../lib/client/owned-partition.ts';
import { makeTransport, type TransportRequest, type TransportResponse } from '../../lib/client/transport.ts';
import { systemClock } from '../../lib/clock.ts';
import { MiB } from '../../lib/limits.ts';
import { encodeFrames, formatPartitions, partitionsHeader } from '../../lib/wire.ts';
import { systemRandom, turns } from '../log-fixture.ts';

/** A fetcher of topics with one partition each, whose fetches the test answers. */
function openFetcher(...topics: string[]) {
  const open = new Map<string, (answer: TransportResponse) => void>();
  let fetchCount = 0;
  const send = async ({ method, path, signal }: TransportRequest): Promise<TransportResponse> => {
    if (method === 'GET') return { status: 200, header: () => undefined, body: Buffer.from('{"offset":7}') };
    fetchCount += 1;
    const { promise, resolve, reject } = Promise.withResolvers<TransportResponse>();
    open.set(path.split('/')[3] ?? '', resolve);
    signal?.addEventListener('abort', () => reject(signal.reason));
    return await promise;
  };
  const stopping = new AbortController();
  const held = new HeldPartitions((one) => fetcher.update(one));
  const fetcher = new GroupFetcher({
    transport: makeTransport('the test', send, async () => {}),
    clock: systemClock,
    randomBytes: systemRandom,
    options: { group: 'billing' },
    held,
    stopped: stopping.signal,
    fail: (error: unknown) => {
      throw error;
    },
  } as unknown as GroupConsumerDeps);
  const begin = () => {
    for (const topic of topics) {
      const one = new OwnedPartition(topic, topic, 0);
      one.begin(0, undefined);
      held.add(one);
    }
    held.changed();
  };
  begin();
  return {
    begin,
    held,
    fetchCount: () => fetchCount,
    asked: () => [...open.keys()].sort(),
    async answer(topic: string, { bytes = 0, nextOffset = 0, code }: Answer = {}) {
      const resolve = open.get(topic);
      open.delete(topic);
      const entry = { partition: 0, nextOffset, highWatermark: nextOffset, logStartOffset: 0 };
      const header = formatPartitions([code === undefined ? entry : { ...entry, code }]);
      const frames = bytes === 0 ? [] : encodeFrames([{ partition: 0, batch: new Uint8Array(bytes) }]);
      const body = Buffer.concat(frames);
      resolve?.({
        status: code === undefined ? 200 : 207,
        header: (name) => (name === partitionsHeader ? header : undefined),
        body,
      });
      await turns(5);
    },
  };
}

interface Answer {
  readonly bytes?: number;
  readonly nextOffset?: number;
  readonly code?: 'OFFSET_OUT_OF_RANGE';
}

// What made room there was a partition whose place in the log was gone: its own topic went on, and the others were not asked
// for any more, until partitions came or went.
test('where what was fetched is dropped, all topics are asked for again', async () => {
  const { asked, answer } = openFetcher('first', 'idle', 'second');
  await answer('first', { bytes: 20 * MiB, nextOffset: 1 });
  await answer('second', { bytes: 20 * MiB, nextOffset: 1 });
  await answer('idle');
  expect(asked()).toEqual(['first']);
  await answer('first', { code: 'OFFSET_OUT_OF_RANGE' });
  expect(asked()).toEqual(['first', 'idle', 'second']);
});

// The fetch that waited was asked for what it had been given before, and what was to be read again waited until that ended.
test('a partition that is lost and given again is asked for at once', async () => {
  const { begin, held, fetchCount } = openFetcher('orders');
  await turns();
  expect(fetchCount()).toBe(1);
  held.removeAll();
  held.changed();
  begin();
  await turns();
  expect(fetchCount()).toBe(2);
});
