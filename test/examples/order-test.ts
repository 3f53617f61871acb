import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { isLogError, LogError } from '../../lib/client/index.ts';
import { openTestLog } from '../../lib/client/testing.ts';
import { placeOrder } from './place-order.ts';

const log = await openTestLog({ topics: { orders: 3 } });
beforeEach(() => log.reset());
after(() => log.close());

test('an order is stored under its customer', async () => {
  await placeOrder(log.producer('orders'), { customer: 'customer-7', total: 12 });
  const [record] = await log.records('orders');
  assert.equal(record?.keyText, 'customer-7');
});

test('an order that the log refuses gets no number', async () => {
  log.failNext('produce', new LogError('MESSAGE_TOO_LARGE', 'refused by the test'));
  await assert.rejects(placeOrder(log.producer('orders'), { customer: 'customer-7', total: 12 }), (error) =>
    isLogError(error, 'MESSAGE_TOO_LARGE'),
  );
});
