import { openMillrace } from '../../lib/client/direct.ts';

// `{ dir: './data' }` keeps it on disk. The interface is the client's, without a server.
const log = await openMillrace({ memory: true });
await log.admin.createTopic('greetings');

await log.producer('greetings').send({ value: 'hello' });
for await (const { valueText } of log.consumer('greetings', { follow: false })) console.log(valueText);

await log.close();
