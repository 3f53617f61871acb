/** What the way to a log takes at once: told by the transport, or found out. */

import { expect, test } from 'vitest';
import { LogError } from '../../lib/client/index.ts';
import { lambdaLimits, type Transport, type TransportLimits, wrapTransport } from '../../lib/client/transport.ts';
import { openClient, readAll } from './doors.ts';

const bytesOf = (parts: readonly Uint8Array[] = []) => parts.reduce((sum, part) => sum + part.byteLength, 0);
const values = (count: number) => Array.from({ length: count }, (_, index) => `${index}`.padEnd(300, '.'));

/** A transport that tells `limits`, and what went over it. */
function narrow(limits: TransportLimits) {
  const produced: number[] = [];
  const fetched: { partitions: unknown[]; maxBytes: number }[] = [];
  const wrap = (inner: Transport) =>
    wrapTransport(
      inner,
      (request) => {
        if (request.path.endsWith('/batches')) produced.push(bytesOf(request.body));
        if (request.path.endsWith('/fetch')) fetched.push(JSON.parse(String(Buffer.concat(request.body ?? []))));
        return inner(request);
      },
      limits,
    );
  return { wrap, produced, fetched };
}

test('requests and answers stay within what the transport takes', async () => {
  const { wrap, produced, fetched } = narrow({ requestBytesMax: 10_000, fetchBytesMax: 5_000, fetchPartitionsMax: 3 });
  const client = await openClient('direct', wrap);
  await client.admin.createTopic('orders', { partitions: 12 });
  const producer = client.producer('orders', { batchBytesMax: 4_000 });
  const sent = values(600);
  await Promise.all(sent.map((value, index) => producer.send({ partition: index % 12, value })));
  expect(Math.max(...produced)).toBeLessThanOrEqual(10_000);
  // Two full batches and not only one share a request.
  expect(Math.max(...produced)).toBeGreaterThan(7_000);
  const read = await readAll(client, 'orders');
  expect(read.map(({ value }) => value).sort()).toEqual(sent.toSorted());
  for (const { partitions, maxBytes } of fetched) {
    expect(partitions.length).toBeLessThanOrEqual(3);
    expect(maxBytes).toBe(5_000);
  }
});

test('a batch is no larger than a request, whatever was asked for', async () => {
  const { wrap, produced } = narrow({ ...lambdaLimits, requestBytesMax: 10_000 });
  const client = await openClient('direct', wrap);
  await client.admin.createTopic('orders');
  const producer = client.producer('orders', { batchBytesMax: 1_000_000 });
  await Promise.all(values(100).map((value) => producer.send({ value })));
  expect(Math.max(...produced)).toBeLessThanOrEqual(10_000);
});

test('a record that no request has room for is refused with the limit, unless compression makes it fit', async () => {
  const { wrap } = narrow({ ...lambdaLimits, requestBytesMax: 10_000 });
  const client = await openClient('direct', wrap);
  await client.admin.createTopic('orders');
  const value = 'x'.repeat(20_000);
  await expect(client.producer('orders').send({ value })).rejects.toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
    effect: 'none',
    message: expect.stringMatching(
      /^a record makes a batch of 20\d\d\d bytes, a request to the log in this process has room for 9992$/,
    ),
    details: { bytesMax: 9_992 },
  });
  expect(await client.producer('orders', { compression: 'gzip' }).send({ value })).toMatchObject({ offset: 0 });
});

/** Something before the log that knows nothing of it, as a proxy with a limit on bodies. */
const refusesMoreThan = (requestBytesMax: number, answerBytesMax: number) => (inner: Transport) =>
  wrapTransport(inner, async (request) => {
    const tooLarge = () => new LogError('MESSAGE_TOO_LARGE', 'the server answered with status 413');
    if (request.path.endsWith('/batches') && bytesOf(request.body) > requestBytesMax) throw tooLarge();
    const answer = await inner(request);
    if (request.path.endsWith('/fetch') && answer.body.byteLength > answerBytesMax) throw tooLarge();
    return answer;
  });

test('a smaller limit of something on the way is found out, and everything arrives', async () => {
  const client = await openClient('direct', refusesMoreThan(12_000, 50_000));
  await client.admin.createTopic('orders', { partitions: 8 });
  const producer = client.producer('orders', { batchBytesMax: 5_000 });
  const sent = values(800);
  const places = await Promise.all(sent.map((value, index) => producer.send({ partition: index % 8, value })));
  expect(places.map(({ offset }) => offset)).toEqual(sent.map((_, index) => Math.floor(index / 8)));
  expect((await readAll(client, 'orders')).map(({ value }) => value).sort()).toEqual(sent.toSorted());
});

test('a batch that alone is more than something on the way takes fails, and says so', async () => {
  const client = await openClient('direct', refusesMoreThan(1_000, 1_000));
  await client.admin.createTopic('orders');
  const sending = client.producer('orders').send({ value: 'x'.repeat(2_000) });
  await expect(sending).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE', effect: 'none' });
});

test('what takes more than the 6 MB of an invoke goes in several, there and back', async () => {
  const client = await openClient('invoke');
  await client.admin.createTopic('orders', { partitions: 8, config: { 'max.message.bytes': 8_000_000 } });
  const producer = client.producer('orders', { batchBytesMax: 2_000_000 });
  const megabyte = Buffer.alloc(1_000_000, 'x');
  await Promise.all(Array.from({ length: 24 }, (_, index) => producer.send({ partition: index % 8, value: megabyte })));
  let bytes = 0;
  for await (const { value } of client.consumer('orders', { follow: false, maxBytes: 32_000_000 })) {
    bytes += value?.length ?? 0;
  }
  expect(bytes).toBe(24_000_000);
  await expect(producer.send({ value: Buffer.alloc(5_000_000) })).rejects.toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
    effect: 'none',
    message: expect.stringContaining('a request to functions produce, fetch, topics, group has room for 4399992'),
  });
});
