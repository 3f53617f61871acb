/** `node test/support/serve.ts DIR`: the embedded log behind the HTTP server, in a process of its own that tests may kill. */

import { openEmbeddedLog } from '../../lib/server/embedded.ts';
import { startServer } from '../../lib/server/server.ts';

const [dir = ''] = process.argv.slice(2);
try {
  const log = await openEmbeddedLog({ dir });
  const server = await startServer({ log, port: 0 });
  process.once('SIGTERM', async () => {
    await server.close();
    await log.close();
  });
  process.stdout.write(`${JSON.stringify({ url: server.url })}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
