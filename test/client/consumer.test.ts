import { describe, expect, test } from 'vitest';
import { type GroupConsumerOptions, LogError, type Millrace } from '../../lib/client/index.ts';
import { logLimits, type Transport, wrapTransport } from '../../lib/client/transport.ts';
import { systemClock } from '../../lib/clock.ts';
import { errorToProblem, partitionsHeader } from '../../lib/wire.ts';
import { seededRandom } from '../support/random.ts';
import { fillDensely } from './dense-records.ts';
import { doors, hurriedClock, openClient, readAll } from './doors.ts';

/** A topic with the values 0, 1, 2 and so on, spread over its partitions in turn; timestamps are 1000 apart. */
async function fill(client: Millrace, { partitions, count }: { partitions: number; count: number }): Promise<void> {
  await client.admin.createTopic('orders', { partitions });
  const producer = client.producer('orders', { batchBytesMax: 200 });
  await Promise.all(
    Array.from({ length: count }, (_, index) =>
      producer.send({ partition: index % partitions, value: `${index}`, timestamp: 1000 * (index + 1) }),
    ),
  );
  await producer.close();
}

function aroundFetch(meddle: (send: Transport, ...request: Parameters<Transport>) => ReturnType<Transport>) {
  return (inner: Transport): Transport =>
    wrapTransport(inner, (request) => (request.path.endsWith('/fetch') ? meddle(inner, request) : inner(request)));
}

/** Damages the last batch of every answer. */
const damage = aroundFetch(async (send, request) => {
  const answer = await send(request);
  const body = Uint8Array.from(answer.body);
  const last = body.length - 1;
  body[last] = (body[last] ?? 0) ^ 1;
  return { ...answer, body };
});

/** A way to the log whose fetches name few partitions, and what they asked for. */
function narrowFetches(fetchPartitionsMax: number) {
  const requests: { readonly maxWaitMs: number }[] = [];
  const wrap = (inner: Transport): Transport => {
    const send: Transport = aroundFetch((log, request) => {
      requests.push(JSON.parse(String(Buffer.concat(request.body ?? []))));
      return log(request);
    })(inner);
    return wrapTransport(inner, send, { ...logLimits, fetchPartitionsMax });
  };
  return { requests, wrap };
}

describe.each(doors)('a consumer over %s', (door) => {
  test('reads every partition in order, in answers of a few bytes, and ends at the high watermark', async () => {
    const client = await openClient(door);
    await fill(client, { partitions: 3, count: 300 });
    const consumer = client.consumer('orders', { follow: false, maxBytes: 1 });
    const seen: number[][] = [[], [], []];
    for await (const { partition, offset } of consumer) seen[partition]?.push(offset);
    const all = Array.from({ length: 100 }, (_, index) => index);
    expect(seen).toEqual([all, all, all]);
    expect([...consumer.positions]).toEqual(
      expect.arrayContaining([
        [0, 100],
        [1, 100],
        [2, 100],
      ]),
    );
  });

  test('lets no partition starve behind a longer one', async () => {
    const client = await openClient(door);
    await client.admin.createTopic('orders', { partitions: 2 });
    const producer = client.producer('orders', { batchBytesMax: 100 });
    await Promise.all(Array.from({ length: 100 }, () => producer.send({ partition: 0, value: 'long' })));
    await producer.send({ partition: 1, value: 'short' });
    let readBefore = 0;
    for await (const { valueText } of client.consumer('orders', { follow: false, maxBytes: 1 })) {
      if (valueText === 'short') break;
      readBefore += 1;
    }
    expect(readBefore).toBeLessThan(10);
  });

  test('begins at an offset, in the middle of a batch too, at a time, or behind the last record', async () => {
    const client = await openClient(door);
    await fill(client, { partitions: 1, count: 50 });
    const firstFrom = async (from: Date | { offsets: Record<number, number> }) => {
      for await (const { offset } of client.consumer('orders', { from, follow: false })) return offset;
      return undefined;
    };
    expect(await firstFrom({ offsets: { 0: 17 } })).toBe(17);
    expect(await firstFrom(new Date(20_500))).toBe(20);
    expect(await firstFrom(new Date(10_000_000))).toBeUndefined();

    const latest = client.consumer('orders', { from: 'latest' });
    const next = latest[Symbol.asyncIterator]().next();
    await new Promise((resolve) => setTimeout(resolve, 100));
    await client.producer('orders').send({ value: 'new' });
    expect((await next).value).toMatchObject({ offset: 50, valueText: 'new' });
    await latest.close();
  });

  test('follows, and ends quietly when it is aborted while it waits', async () => {
    const client = await openClient(door);
    await fill(client, { partitions: 2, count: 10 });
    const ending = new AbortController();
    const seen: (string | null)[] = [];
    const reading = (async () => {
      for await (const { valueText } of client.consumer('orders', { signal: ending.signal })) {
        seen.push(valueText);
        if (seen.length === 10) void client.producer('orders').send({ value: 'later' });
        if (valueText === 'later') setTimeout(() => ending.abort(), 30);
      }
    })();
    await reading;
    expect(seen).toHaveLength(11);
  });

  test('goes on in another consumer from the positions of the first', async () => {
    const client = await openClient(door);
    await fill(client, { partitions: 2, count: 100 });
    const first = client.consumer('orders', { follow: false });
    const seen: (string | null)[] = [];
    for await (const { valueText } of first) {
      seen.push(valueText);
      if (seen.length === 33) break;
    }
    const offsets = Object.fromEntries(first.positions);
    for await (const { valueText } of client.consumer('orders', { from: { offsets }, follow: false }))
      seen.push(valueText);
    expect(seen.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, index) => index));
  });

  test('meets an offset that is not there with the error, or goes on where it was told to', async () => {
    const client = await openClient(door);
    await fill(client, { partitions: 1, count: 5 });
    const from = { offsets: { 0: 99 } };
    const failure = client.consumer('orders', { from })[Symbol.asyncIterator]().next();
    await expect(failure).rejects.toMatchObject({
      code: 'OFFSET_OUT_OF_RANGE',
      details: { partition: 0, offset: 99, logStartOffset: 0, highWatermark: 5 },
    });
    const consumer = client.consumer('orders', { from, offsetReset: 'earliest' });
    for await (const { offset } of consumer) {
      expect(offset).toBe(0);
      break;
    }
  });

  test('goes where it is sent in the midst of an iteration', async () => {
    const client = await openClient(door);
    await fill(client, { partitions: 1, count: 20 });
    const consumer = client.consumer('orders', { follow: false });
    const seen: number[] = [];
    for await (const { offset } of consumer) {
      seen.push(offset);
      if (seen.length === 3) consumer.seek(0, 15);
    }
    expect(seen).toEqual([0, 1, 2, 15, 16, 17, 18, 19]);
  });

  test('hands out together what came together, partition by partition', async () => {
    const client = await openClient(door);
    await fill(client, { partitions: 2, count: 100 });
    const consumer = client.consumer('orders', { follow: false, maxBytes: 2_000 });
    const seen: number[][] = [[], []];
    let batchCount = 0;
    for await (const { topic, partition, records, nextOffset } of consumer.batches()) {
      batchCount += 1;
      expect(topic).toBe('orders');
      expect(consumer.position(partition)).toBe(nextOffset);
      expect(records.at(-1)?.offset).toBe(nextOffset - 1);
      seen[partition]?.push(...records.map(({ offset }) => offset));
    }
    const all = Array.from({ length: 50 }, (_, index) => index);
    expect(seen).toEqual([all, all]);
    expect(batchCount).toBeGreaterThan(2);
    expect(batchCount).toBeLessThan(100);
  });

  test('goes where it is sent between two batches', async () => {
    const client = await openClient(door);
    await fill(client, { partitions: 1, count: 20 });
    const consumer = client.consumer('orders', { follow: false, maxBytes: 1 });
    const seen: number[] = [];
    let isSent = false;
    for await (const { records, partition } of consumer.batches()) {
      seen.push(...records.map(({ offset }) => offset));
      if (!isSent) consumer.seek(partition, 18);
      isSent = true;
    }
    expect(seen.at(-1)).toBe(19);
    expect(seen.filter((offset) => offset >= 18)).toEqual([18, 19]);
    expect(seen.length).toBeLessThan(20);
  });

  test('reads the partitions that its topic gets, and asks for the offsets of all only then', async () => {
    const looks: string[] = [];
    const noting = (inner: Transport): Transport =>
      wrapTransport(inner, (request) => {
        if (request.path === '/v1/topics/orders' && request.method === 'GET')
          looks.push(request.query?.offsets ?? 'all');
        return inner(request);
      });
    // Every look at it is a minute later.
    let nowMs = 0;
    const client = await openClient(door, noting, { ...systemClock, nowMs: () => (nowMs += 61_000) });
    await fill(client, { partitions: 2, count: 2 });
    looks.splice(0);
    const seen: number[] = [];
    for await (const { partition } of client.consumer('orders', { maxWaitMs: 10 })) {
      if (seen.push(partition) === 2) {
        await client.admin.alterTopic('orders', { partitions: 4 });
        await client.producer('orders').send({ partition: 3, value: 'new' });
        looks.splice(1);
      }
      if (partition === 3) break;
    }
    expect(seen.toSorted()).toEqual([0, 1, 3]);
    expect(looks.filter((offsets) => offsets === 'all')).toHaveLength(2);
    expect(looks).toContain('false');
  });

  test('says that a topic or a partition does not exist', async () => {
    const client = await openClient(door);
    await fill(client, { partitions: 1, count: 1 });
    const unknown = { code: 'UNKNOWN_TOPIC_OR_PARTITION' };
    await expect(readAll(client, 'nothing')).rejects.toMatchObject(unknown);
    const consumer = client.consumer('orders', { partitions: [7] });
    await expect(consumer[Symbol.asyncIterator]().next()).rejects.toMatchObject(unknown);
  });
});

describe('a consumer', () => {
  test('reads on through lost requests and lost answers, every record once', async () => {
    const random = seededRandom(7);
    const lossy = aroundFetch(async (send, request) => {
      if (random.integer(1, 4) === 1) throw new LogError('KAFKA_STORAGE_ERROR', 'request lost', { effect: 'none' });
      const answer = await send(request);
      if (random.integer(1, 4) === 1) throw new LogError('REQUEST_TIMED_OUT', 'answer lost');
      return answer;
    });
    const client = await openClient('direct', lossy, hurriedClock);
    await fill(client, { partitions: 2, count: 60 });
    const seen: number[] = [];
    for await (const { valueText } of client.consumer('orders', { follow: false, maxBytes: 400 })) {
      seen.push(Number(valueText));
    }
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, index) => index));
  });

  test('reads a topic with more partitions than one fetch may name', async () => {
    const client = await openClient('direct');
    await client.admin.createTopic('wide', { partitions: 300 });
    const producer = client.producer('wide');
    await Promise.all(Array.from({ length: 300 }, (_, partition) => producer.send({ partition, value: 'x' })));
    expect(new Set((await readAll(client, 'wide')).map(({ partition }) => partition)).size).toBe(300);

    const seen = new Set<number>();
    for await (const { partition } of client.consumer('wide', { maxWaitMs: 10 })) {
      seen.add(partition);
      if (seen.size === 300) break;
    }
    expect(seen.size).toBe(300);
  });

  // Each of so many requests waited for five seconds, and what came meanwhile for the others' partitions lay there.
  test('that one fetch cannot ask for all of waits for a round of two seconds at most, and not while it is behind', async () => {
    const { requests, wrap } = narrowFetches(2);
    const client = await openClient('direct', wrap, hurriedClock);
    await client.admin.createTopic('wide', { partitions: 6 });
    const producer = client.producer('wide', { batchBytesMax: 100 });
    await Promise.all(Array.from({ length: 30 }, () => producer.send({ partition: 1, value: 'old' })));
    await producer.send({ partition: 5, value: 'old' });
    let readCount = 0;
    for await (const { valueText } of client.consumer('wide', { maxBytes: 1, maxWaitMs: 30_000 })) {
      readCount += 1;
      // The next fetch is under way.
      if (readCount < 30) expect(requests.map(({ maxWaitMs }) => maxWaitMs).filter((ms) => ms > 0)).toEqual([]);
      if (readCount === 31) setTimeout(() => producer.send({ partition: 4, value: 'new' }), 200);
      if (valueText === 'new') break;
    }
    expect(readCount).toBe(32);
    expect(Math.max(...requests.map(({ maxWaitMs }) => maxWaitMs))).toBe(666);
  });

  // Of those that are asked for together the first filled each answer, until it was read to its end.
  test('that one fetch cannot ask for all of lets no partition starve behind a longer one', async () => {
    const client = await openClient('direct', narrowFetches(2).wrap);
    await client.admin.createTopic('wide', { partitions: 4 });
    const producer = client.producer('wide', { batchBytesMax: 100 });
    await Promise.all(Array.from({ length: 50 }, () => producer.send({ partition: 0, value: 'long' })));
    await producer.send({ partition: 1, value: 'short' });
    let readBefore = 0;
    for await (const { valueText } of client.consumer('wide', { maxBytes: 1, maxWaitMs: 10 })) {
      if (valueText === 'short') break;
      readBefore += 1;
    }
    expect(readBefore).toBeLessThan(10);
  });

  // An answer of 4 MiB can hold more than a thousand batches of 64 MiB each, and all of them were decoded at once.
  test('hands out what is large decoded in parts, in order and with the positions of each', async () => {
    const client = await openClient('direct');
    await fillDensely(client);
    const consumer = client.consumer('orders', { follow: false });
    const seen: (number | undefined)[][] = [];
    for await (const { partition, records, nextOffset } of consumer.batches()) {
      seen.push(records.map(({ offset, value }) => (value?.[0] === offset ? offset : undefined)));
      expect(consumer.position(partition)).toBe(nextOffset);
      expect(records.at(-1)?.offset).toBe(nextOffset - 1);
    }
    const offsets = Array.from({ length: 30 }, (_, index) => index);
    expect(seen).toEqual([offsets.slice(0, 22), offsets.slice(22)]);

    const sought = client.consumer('orders', { follow: false });
    const read: number[] = [];
    for await (const { partition, records } of sought.batches()) {
      if (read.length === 0) sought.seek(partition, 28);
      read.push(...records.map(({ offset }) => offset));
    }
    expect(read).toEqual([...offsets.slice(0, 22), 28, 29]);
  });

  test('does not decode what it has not come to', async () => {
    const client = await openClient('direct', damage);
    await fillDensely(client);
    const reading = client.consumer('orders').batches();
    expect((await reading.next()).value?.nextOffset).toBe(22);
    await expect(reading.next()).rejects.toMatchObject({ code: 'CORRUPT_MESSAGE' });
  });

  // The rest of what was at hand was read on, and what came behind it was taken for an answer from before the seek.
  test('reads on when it is sent to where it is', async () => {
    const client = await openClient('direct');
    await fill(client, { partitions: 1, count: 5 });
    const consumer = client.consumer('orders', { maxWaitMs: 50 });
    const seen: number[] = [];
    for await (const { offset } of consumer) {
      seen.push(offset);
      if (offset === 1) {
        consumer.seek(0, 2);
        await client.producer('orders').send({ value: 'new' });
      }
      if (offset === 4) setTimeout(() => client.producer('orders').send({ value: 'newer' }), 100);
      if (offset === 6) break;
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  // It fetched again what was at hand, and when that came behind other records than before, nothing was read any more.
  test('reads on when it is sent away and back to where it is', async () => {
    const client = await openClient('direct');
    await fill(client, { partitions: 1, count: 5 });
    const consumer = client.consumer('orders', { maxWaitMs: 50 });
    const seen: number[] = [];
    for await (const { offset } of consumer) {
      seen.push(offset);
      if (offset === 1) for (const sought of [4, 2]) consumer.seek(0, sought);
      if (offset === 4) await client.producer('orders').send({ value: 'new' });
      if (offset === 5) break;
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5]);
  });

  // It asked partition after partition: before the first record of many lay as many round trips.
  test('finds a time in sixteen partitions at once, and asks again where the log has too much to do', async () => {
    let underWay = 0;
    let underWayMax = 0;
    let count = 0;
    const slow = (inner: Transport) =>
      wrapTransport(inner, async (request) => {
        if (!request.path.endsWith('/offsets')) return inner(request);
        underWay += 1;
        underWayMax = Math.max(underWayMax, underWay);
        count += 1;
        const isRefused = count === 20;
        await new Promise((resolve) => setTimeout(resolve, 10));
        underWay -= 1;
        if (isRefused) throw new LogError('THROTTLING_QUOTA_EXCEEDED', 'too many requests');
        return inner(request);
      });
    const client = await openClient('direct', slow, hurriedClock);
    await fill(client, { partitions: 40, count: 80 });
    const begins: number[] = [];
    for await (const { partition, offset } of client.consumer('orders', { from: new Date(30_500), follow: false })) {
      begins[partition] ??= offset;
    }
    expect(begins).toEqual(Array.from({ length: 40 }, (_, partition) => (partition < 30 ? 1 : 0)));
    expect(underWayMax).toBe(16);
    expect(count).toBe(41);
  });

  // It went by the header, which has but a code: it tried again for as long as that of another failure might pass, and
  // ended with watermarks of -1 in place of the reason.
  test.each([{}, { group: 'billing' }])('tells the reason that the log gives, at once: %j', async (options) => {
    let fetchCount = 0;
    const refuse = aroundFetch(async () => {
      fetchCount += 1;
      const reason = new LogError('KAFKA_STORAGE_ERROR', 'stored batch at offset 0 is damaged', {
        retriable: false,
        effect: 'none',
      });
      const problem = errorToProblem(reason);
      const body = Buffer.from(JSON.stringify({ ...problem, partitions: [{ partition: 0, ...problem }] }));
      const header = (name: string) => (name === partitionsHeader ? '0:-1:-1:-1:KAFKA_STORAGE_ERROR' : undefined);
      return { status: 503, header, body };
    });
    const client = await openClient('direct', refuse);
    await fill(client, { partitions: 1, count: 3 });
    const reading = client
      .consumer('orders', { ...options, follow: false } as GroupConsumerOptions)
      [Symbol.asyncIterator]();
    await expect(reading.next()).rejects.toMatchObject({
      code: 'KAFKA_STORAGE_ERROR',
      message: 'stored batch at offset 0 is damaged',
      retriable: false,
      effect: 'none',
    });
    expect(fetchCount).toBe(1);
  });

  test('refuses a batch that was damaged on the way', async () => {
    const client = await openClient('direct', damage);
    await fill(client, { partitions: 1, count: 1 });
    await expect(readAll(client, 'orders')).rejects.toMatchObject({ code: 'CORRUPT_MESSAGE' });
  });
});
