import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { isLogError, LogError, type ProducerRecord } from '../../lib/client/index.ts';
import { Millrace } from '../../lib/client/millrace.ts';
import { type Transport, wrapTransport } from '../../lib/client/transport.ts';
import { httpTransport } from '../../lib/client/transport-http.ts';
import { systemClock } from '../../lib/clock.ts';
import { aroundProduce, badNetwork, doors, hurriedClock, openClient, readAll } from './doors.ts';

const lostAnswer = () => new LogError('KAFKA_STORAGE_ERROR', 'answer lost', { effect: 'unknown' });

describe.each(doors)('a producer over %s', (door) => {
  test('spreads records without a key over the partitions, also when they come faster than they go', async () => {
    const client = await openClient(door);
    await client.admin.createTopic('spread', { partitions: 4 });
    const producer = client.producer('spread', { batchBytesMax: 1_000 });
    const places = await Promise.all(Array.from({ length: 2_000 }, () => producer.send({ value: 'x'.repeat(90) })));
    const counts = Object.values(Object.groupBy(places, ({ partition }) => partition)).map((own) => own?.length ?? 0);
    expect(counts).toHaveLength(4);
    // 200 batches by chance: a quarter each, give or take six standard deviations.
    expect(Math.min(...counts)).toBeGreaterThan(100);
  });

  test('answers each record with the place it is read from', async () => {
    const client = await openClient(door);
    await client.admin.createTopic('orders', { partitions: 3 });
    const producer = client.producer('orders');
    const values = Array.from({ length: 500 }, (_, index) => `value-${index}`);
    const places = await Promise.all(values.map((value, index) => producer.send({ key: `key-${index % 20}`, value })));
    const read = new Map((await readAll(client, 'orders')).map((one) => [`${one.partition}:${one.offset}`, one.value]));
    expect(read.size).toBe(500);
    expect(places.map(({ partition, offset }) => read.get(`${partition}:${offset}`))).toEqual(values);
  });

  test('keeps keys, headers, timestamps, tombstones and bytes as they were', async () => {
    const client = await openClient(door);
    await client.admin.createTopic('orders', { partitions: 1 });
    const producer = client.producer('orders', { compression: 'zstd' });
    await producer.send({ key: 'k', value: null, timestamp: 1_700_000_000_000 });
    await producer.send({
      value: Uint8Array.of(0, 255),
      headers: [
        ['a', '1'],
        ['a', null],
      ],
    });
    const records = [];
    for await (const record of client.consumer('orders', { follow: false })) records.push(record);
    expect(records).toMatchObject([
      { keyText: 'k', value: null, timestamp: 1_700_000_000_000, headers: [] },
      { key: null, value: Uint8Array.of(0, 255) },
    ]);
    const [first, second] = records[1]?.headers ?? [];
    expect([first?.[0], Buffer.from(first?.[1] ?? []).toString(), second]).toEqual(['a', '1', ['a', null]]);
  });

  test.each([1, 2, 3])('appends every record once and in order over a bad network, seed %i', async (seed) => {
    const client = await openClient(door, badNetwork(seed), hurriedClock);
    await client.admin.createTopic('orders', { partitions: 2 });
    const producer = client.producer('orders', { batchBytesMax: 400 });
    const sent = Array.from({ length: 300 }, (_, index) => ({ partition: index % 2, value: `${index}` }));
    const places = await Promise.all(sent.map((record) => producer.send(record)));
    // What was doubled is still under way for a moment.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const read = await readAll(client, 'orders');
    for (const partition of [0, 1]) {
      const values = read.filter((one) => one.partition === partition).map(({ value }) => value);
      expect(values).toEqual(sent.filter((one) => one.partition === partition).map(({ value }) => value));
    }
    for (const [index, place] of places.entries()) {
      expect(place.offset).toBe(Math.floor(index / 2));
    }
  });

  test('flushes when it is closed, and then takes nothing more', async () => {
    const client = await openClient(door);
    await client.admin.createTopic('orders', { partitions: 1 });
    const producer = client.producer('orders', { lingerMs: 60_000 });
    const sending = Promise.all(['a', 'b'].map((value) => producer.send({ value })));
    await producer.close();
    expect(await sending).toMatchObject([{ offset: 0 }, { offset: 1 }]);
    await expect(producer.send({ value: 'c' })).rejects.toMatchObject({ code: 'INVALID_REQUEST', effect: 'none' });
  });

  test('refuses a record that is too large, and the ones around it arrive', async () => {
    const client = await openClient(door);
    await client.admin.createTopic('orders', { partitions: 1, config: { 'max.message.bytes': 1000 } });
    const producer = client.producer('orders');
    const outcomes = await Promise.allSettled(['a', 'b'.repeat(1000), 'c'].map((value) => producer.send({ value })));
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(outcomes[1]).toMatchObject({ reason: { code: 'MESSAGE_TOO_LARGE', effect: 'none' } });
    expect((await readAll(client, 'orders')).map(({ value }) => value)).toEqual(['a', 'c']);
  });

  test('says that a topic does not exist, at once', async () => {
    const client = await openClient(door);
    await expect(client.producer('nothing').send({ value: 'a' })).rejects.toMatchObject({
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
      effect: 'none',
    });
  });
});

describe('a producer', () => {
  // Without TypeScript an object met a riddle of Node's, and what is no Uint8Array lost bytes: a Uint16Array half of them.
  test.each([
    [{ value: { total: 12 } }, 'value is of type object'],
    [{ value: Uint16Array.of(300) }, 'value is of type object'],
    [{ key: 7, value: 'a' }, 'key is of type number'],
    [{ value: 'a', headers: [['source', true]] }, 'header source is of type boolean'],
  ])('refuses %j, which is neither text nor bytes', async (sent, message) => {
    const client = await openClient('direct');
    await client.admin.createTopic('orders', { partitions: 1 });
    await expect(client.producer('orders').send(sent as unknown as ProducerRecord)).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      effect: 'none',
      message: `${message}, allowed are text, bytes and null`,
    });
  });

  test('heals the sequences when the log refuses a batch in the middle for good', async () => {
    let produceCount = 0;
    const refuseThird = aroundProduce((send, request) => {
      produceCount += 1;
      if (produceCount !== 3) return send(request);
      return Promise.reject(new LogError('INVALID_TIMESTAMP', 'refused by the test'));
    });
    const client = await openClient('direct', refuseThird);
    await client.admin.createTopic('orders', { partitions: 1 });
    const producer = client.producer('orders', { batchBytesMax: 1 });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 12 }, (_, index) => producer.send({ value: `${index}` })),
    );
    expect(outcomes.flatMap(({ status }, index) => (status === 'rejected' ? [index] : []))).toEqual([2]);
    expect((await readAll(client, 'orders')).map(({ value }) => Number(value))).toEqual([
      0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    ]);
  });

  test('never gets so far ahead of a lost answer that the log forgets the batch', async () => {
    // The first answer comes long after the others: without a bound on the distance its resend was refused.
    let produceCount = 0;
    const loseFirst = aroundProduce(async (send, request) => {
      produceCount += 1;
      if (produceCount > 1) return send(request);
      await send(request);
      await new Promise((resolve) => setTimeout(resolve, 100));
      throw lostAnswer();
    });
    const client = await openClient('direct', loseFirst);
    await client.admin.createTopic('orders', { partitions: 1 });
    const producer = client.producer('orders', { batchBytesMax: 1 });
    const places = await Promise.all(Array.from({ length: 30 }, (_, index) => producer.send({ value: `${index}` })));
    expect(places.map(({ offset }) => offset)).toEqual(Array.from({ length: 30 }, (_, index) => index));
  });

  // Every queue that was ever used was asked for each record: with 10,000 partitions 2 ms of a lone one.
  test('asks only the partitions that have something to send', async () => {
    let looks = 0;
    const nowMs = () => {
      looks += 1;
      return systemClock.nowMs();
    };
    const client = await openClient('direct', undefined, { ...systemClock, nowMs });
    await client.admin.createTopic('wide', { partitions: 500 });
    const producer = client.producer('wide');
    const looksOfOne = async () => {
      looks = 0;
      await producer.send({ partition: 7, value: 'lone' });
      return looks;
    };
    await looksOfOne();
    const before = await looksOfOne();
    await Promise.all(Array.from({ length: 500 }, (_, partition) => producer.send({ partition, value: 'x' })));
    expect(await looksOfOne()).toBeLessThan(2 * before);
  });

  test('that is not idempotent tells of a lost answer and does not send again', async () => {
    let produceCount = 0;
    const lose = aroundProduce(async (send, request) => {
      produceCount += 1;
      await send(request);
      throw lostAnswer();
    });
    const client = await openClient('direct', lose);
    await client.admin.createTopic('orders', { partitions: 1 });
    const producer = client.producer('orders', { idempotent: false });
    await expect(producer.send({ value: 'a' })).rejects.toMatchObject({ effect: 'unknown' });
    expect(produceCount).toBe(1);
    expect(await readAll(client, 'orders')).toHaveLength(1);
  });

  test('that is not idempotent sends again what cannot have arrived', async () => {
    let produceCount = 0;
    const refuse = aroundProduce((send, request) => {
      produceCount += 1;
      if (produceCount > 2) return send(request);
      return Promise.reject(new LogError('KAFKA_STORAGE_ERROR', 'refused', { effect: 'none' }));
    });
    const client = await openClient('direct', refuse);
    await client.admin.createTopic('orders', { partitions: 1 });
    expect(await client.producer('orders', { idempotent: false }).send({ value: 'a' })).toMatchObject({ offset: 0 });
  });

  test('gives up after the delivery time and says that the record may be there', async () => {
    const lose = aroundProduce(() => Promise.reject(lostAnswer()));
    const client = await openClient('direct', lose);
    await client.admin.createTopic('orders', { partitions: 1 });
    const producer = client.producer('orders', { deliveryTimeoutMs: 300 });
    const startMs = Date.now();
    await expect(producer.send({ value: 'a' })).rejects.toMatchObject({ effect: 'unknown' });
    expect(Date.now() - startMs).toBeLessThan(3_000);
  });

  test('takes records in the order of the calls while the buffer is full, and no more than fit', async () => {
    let bytesMax = 0;
    let bytes = 0;
    const count = aroundProduce(async (send, request) => {
      const length = (request.body ?? []).reduce((sum, part) => sum + part.byteLength, 0);
      bytes += length;
      bytesMax = Math.max(bytesMax, bytes);
      await new Promise((resolve) => setTimeout(resolve, 2));
      return send(request).finally(() => {
        bytes -= length;
      });
    });
    const client = await openClient('direct', count);
    await client.admin.createTopic('orders', { partitions: 1 });
    const producer = client.producer('orders', { bufferBytesMax: 4_000, batchBytesMax: 1_000 });
    const sent = Array.from({ length: 200 }, (_, index) => `${index}`.padEnd(index % 7 === 0 ? 900 : 10, '.'));
    await Promise.all(sent.map((value) => producer.send({ value })));
    expect((await readAll(client, 'orders')).map(({ value }) => value)).toEqual(sent);
    expect(bytesMax).toBeLessThanOrEqual(5_000);
  });

  test('stops waiting for space when it is aborted, and flush stops waiting as well', async () => {
    const gate = Promise.withResolvers<void>();
    const hold = aroundProduce((send, request) => gate.promise.then(() => send(request)));
    const client = await openClient('direct', hold);
    await client.admin.createTopic('orders', { partitions: 1 });
    const producer = client.producer('orders', { bufferBytesMax: 10 });
    const first = producer.send({ value: 'a' });
    const reason = new Error('enough');
    const ending = new AbortController();
    setTimeout(() => ending.abort(reason), 20);
    await expect(producer.send({ value: 'b' }, { signal: ending.signal })).rejects.toBe(reason);
    const flushEnding = new AbortController();
    setTimeout(() => flushEnding.abort(reason), 20);
    await expect(producer.flush({ signal: flushEnding.signal })).rejects.toBe(reason);
    gate.resolve();
    expect(await first).toMatchObject({ offset: 0 });
    await producer.flush();
    expect(await readAll(client, 'orders')).toHaveLength(1);
  });

  test('leaves nothing at a signal that outlives what was sent with it', async () => {
    const client = await openClient('direct');
    await client.admin.createTopic('orders', { partitions: 1 });
    const producer = client.producer('orders', { bufferBytesMax: 100 });
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 20 }, () => producer.send({ value: 'x'.repeat(60) }, { signal })));
    await producer.flush({ signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('refuses a record that waited for space for the whole delivery time', async () => {
    const gate = Promise.withResolvers<void>();
    const hold = aroundProduce((send, request) => gate.promise.then(() => send(request)));
    const client = await openClient('direct', hold);
    await client.admin.createTopic('orders', { partitions: 1 });
    const producer = client.producer('orders', { bufferBytesMax: 10, deliveryTimeoutMs: 200 });
    const first = producer.send({ value: 'a' });
    await expect(producer.send({ value: 'b' })).rejects.toMatchObject({ code: 'REQUEST_TIMED_OUT', effect: 'none' });
    gate.resolve();
    await first;
  });

  // What was known of it counted for a minute, and everything that was sent failed meanwhile.
  test('looks at its topic again when the log refuses what does not fit it', async () => {
    const client = await openClient('direct');
    await client.admin.createTopic('orders', { partitions: 8 });
    const producer = client.producer('orders');
    // By its key a record goes to partition 1 of 8.
    const send = (value: string) => producer.send({ key: 'customer-1', value });
    expect(await send('first')).toMatchObject({ partition: 1 });
    await client.admin.deleteTopic('orders');
    await client.admin.createTopic('orders', { partitions: 1 });
    await expect(send('lost')).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION', effect: 'none' });
    expect(await send('second')).toMatchObject({ partition: 0, offset: 0 });
    await client.admin.alterTopic('orders', { config: { 'max.message.bytes': 2_000 } });
    const sendMany = () => Promise.all(Array.from({ length: 10 }, () => send('x'.repeat(500))));
    await expect(sendMany()).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE', effect: 'none' });
    expect(await sendMany()).toHaveLength(10);
  });

  // It was no option but a value: without an id, or one that sends nothing, and none of it was said.
  test('takes an option that is undefined for one that is absent', async () => {
    const paths: string[] = [];
    const noting = (inner: Transport) =>
      wrapTransport(inner, (request) => {
        paths.push(request.path);
        return inner(request);
      });
    const client = await openClient('direct', noting);
    await client.admin.createTopic('orders', { partitions: 1 });
    const names = ['idempotent', 'lingerMs', 'batchBytesMax', 'compression', 'bufferBytesMax', 'requestsInFlightMax'];
    const unset = Object.fromEntries([...names, 'deliveryTimeoutMs'].map((name) => [name, undefined]));
    const producer = client.producer('orders', unset);
    const places = await Promise.all([producer.send({ value: 'a' }), producer.send({ value: 'b' })]);
    expect(places.map(({ offset }) => offset)).toEqual([0, 1]);
    expect(paths.filter((path) => path === '/v1/producers')).toHaveLength(1);
    expect(paths.filter((path) => path.endsWith('/batches'))).toHaveLength(1);
  });

  test.each([
    ['requestsInFlightMax', 0, 'from 1 on'],
    ['lingerMs', Number.NaN, 'from 0 to 2147483647'],
    ['deliveryTimeoutMs', Number.POSITIVE_INFINITY, 'from 1 to 2147483647'],
  ])('refuses %s of %s, with which it would send nothing', async (name, value, allowed) => {
    const client = await openClient('direct');
    expect(() => client.producer('orders', { [name]: value })).toThrow(
      `${name} is ${value}, allowed is a whole number ${allowed}`,
    );
  });

  // As of a variable. Every record failed with the words of a bug, and as one that may be in the log.
  test('refuses a compression that there is not', async () => {
    const client = await openClient('direct');
    expect(() => client.producer('orders', { compression: 'brotli' as 'zstd' })).toThrow(
      'compression is "brotli", allowed are none, gzip, snappy, lz4, zstd',
    );
  });

  // No record was sent before its time was over, and from the first failure on none was sent at all.
  test('refuses to wait for more records for as long as a record may take', async () => {
    const client = await openClient('direct');
    const open = (lingerMs: number) => client.producer('orders', { lingerMs, deliveryTimeoutMs: 5_000 });
    expect(() => open(5_000)).toThrow('lingerMs is 5000, allowed is less than deliveryTimeoutMs, 5000');
    expect(() => open(4_999)).not.toThrow();
  });

  test('says which endpoint nobody answers at', async () => {
    await using client = new Millrace({ transport: httpTransport({ endpoint: 'http://127.0.0.1:1' }) });
    const failure = await client.admin.describeTopic('orders').catch((error: unknown) => error);
    expect(isLogError(failure, 'KAFKA_STORAGE_ERROR') && failure).toMatchObject({ effect: 'none', retriable: true });
    expect(String(failure)).toContain('http://127.0.0.1:1');
  });
});
