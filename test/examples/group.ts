import { Millrace } from '../../lib/client/index.ts';

const log = new Millrace({ endpoint: 'http://127.0.0.1:8092' });

// Run it as often as there is work: each partition is read by one member at a time. A record is done when the next one is
// asked for, and what is done is committed. Without `follow: false` a member stays until its signal is aborted.
const consumer = log.consumer('orders', { group: 'billing', follow: false });
for await (const { partition, offset, valueText } of consumer) console.log(`bill ${partition}/${offset}: ${valueText}`);

const { partitions } = await log.admin.describeGroup('billing');
for (const { partition, committedOffset, lag } of partitions) console.log(partition, committedOffset, lag);
await log.close();
