/** What clients say where another server answers. */

import { expect, onTestFinished, test } from 'vitest';
import { Millrace } from '../../lib/client/index.ts';
import { makeTransport } from '../../lib/client/transport.ts';

async function* firstOf(records: AsyncIterable<unknown>) {
  for await (const _ of records) yield 'a record';
}

// A producer and a consumer ended in a TypeError, and one of a group asked a thousand times a second, for ever.
test.each<[string, (client: Millrace) => Promise<unknown>]>([
  ['producer', (client) => client.producer('orders').send({ value: 'a' })],
  ['consumer', (client) => firstOf(client.consumer('orders')).next()],
  ['consumer of a group', (client) => firstOf(client.consumer('orders', { group: 'billing' })).next()],
])('a %s is told by the JSON of another server that this is no log', async (_, use) => {
  let count = 0;
  const send = async () => {
    count += 1;
    return { status: 200, header: () => undefined, body: Buffer.from('{"hello":1}') };
  };
  const client = new Millrace({ transport: makeTransport('the test', send, async () => {}) });
  onTestFinished(() => client.close().catch(() => {}));
  await expect(use(client)).rejects.toThrow('what answered with status 200 is no log: ');
  expect(count).toBeLessThan(5);
});
