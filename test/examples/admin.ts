import { isLogError, Millrace } from '../../lib/client/index.ts';

const log = new Millrace({ endpoint: 'http://127.0.0.1:8092' });
const { admin } = log;

await admin.createTopic('clicks', { partitions: 2, config: { 'message.timestamp.type': 'LogAppendTime' } });
try {
  await admin.createTopic('clicks');
} catch (error) {
  // Every error says whether a retry can help, and what the failed call may have done.
  if (!isLogError(error, 'TOPIC_ALREADY_EXISTS')) throw error;
  console.log(`${error.message} (retriable: ${error.retriable}, effect: ${error.effect})`);
}
for await (const { topic, partitionCount } of admin.listTopics()) console.log(topic, partitionCount);
await log.close();
