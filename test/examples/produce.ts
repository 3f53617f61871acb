import { Millrace } from '../../lib/client/index.ts';

const log = new Millrace({ endpoint: 'http://127.0.0.1:8092' });
const orders = log.producer('orders');

// `send` resolves when the record is durable. Records sent together share batches and keep their order.
const places = await Promise.all([
  orders.send({ key: 'customer-8', value: 'ordered' }),
  orders.send({ key: 'customer-8', value: 'paid', headers: [['source', 'web']] }),
]);
for (const { partition, offset } of places) console.log(`partition ${partition}, offset ${offset}`);

// Flushes what is on its way.
await log.close();
