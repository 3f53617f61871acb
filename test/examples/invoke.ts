import { Millrace } from '../../lib/client/index.ts';

// The stack's outputs. Those that are not used can be left out: a producer needs `produce` alone.
const log = new Millrace({
  invoke: { produce: 'ProduceFunction', fetch: 'FetchFunction', topics: 'TopicsFunction' },
});

await log.producer('orders').send({ key: 'customer-8', value: 'ordered' });
for await (const { topic, partitionCount } of log.admin.listTopics()) console.log(topic, partitionCount);
await log.close();
