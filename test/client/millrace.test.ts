import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { aroundProduce, openClient, readAll } from './doors.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('a client keeps no producer and no consumer that has nothing to do', async () => {
  const client = await openClient('direct');
  await client.admin.createTopic('orders');
  const use = async () => {
    const producer = client.producer('orders');
    await producer.send({ value: 'a' });
    const consumer = client.consumer('orders', { follow: false });
    for await (const { valueText } of consumer) expect(valueText).toBe('a');
    return [new WeakRef(producer), new WeakRef(consumer)];
  };
  const used = await use();
  // A few turns of the event loop until the last promise has let go of them.
  for (let turn = 0; turn < 10 && used.some((ref) => ref.deref() !== undefined); turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    collectGarbage();
  }
  expect(used.map((ref) => ref.deref())).toEqual([undefined, undefined]);
});

test('a client that closes ends its consumers, waits for what was sent, and takes nothing more', async () => {
  const gate = Promise.withResolvers<void>();
  const client = await openClient(
    'direct',
    aroundProduce((send, request) => gate.promise.then(() => send(request))),
  );
  await client.admin.createTopic('orders');
  const reading = readAll(client, 'orders');
  const following = (async () => {
    for await (const _ of client.consumer('orders')) throw new Error('nothing was stored yet');
  })();
  await reading;
  const producer = client.producer('orders', { lingerMs: 60_000 });
  const sending = producer.send({ value: 'a' });
  await new Promise((resolve) => setTimeout(resolve, 20));
  let isClosed = false;
  const closing = client.close().then(() => {
    isClosed = true;
  });
  await following;
  await expect(producer.send({ value: 'b' })).rejects.toMatchObject({ code: 'INVALID_REQUEST', effect: 'none' });
  expect(isClosed).toBe(false);
  gate.resolve();
  expect(await sending).toMatchObject({ offset: 0 });
  await closing;
});
