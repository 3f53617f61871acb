import { Millrace } from '../../lib/client/index.ts';

const log = new Millrace({ endpoint: 'http://127.0.0.1:8092' });

// Without `follow: false` the loop waits for new records at the end, until it is closed or its signal is aborted.
const consumer = log.consumer('orders', { from: 'earliest', follow: false });
for await (const { partition, offset, keyText, valueText } of consumer) {
  console.log(`${partition}/${offset} ${keyText}: ${valueText}`);
}

// To go on later, keep the positions and begin with `from: { offsets: { 0: 3 } }`.
console.log([...consumer.positions].sort());
await log.close();
