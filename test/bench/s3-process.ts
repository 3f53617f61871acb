/** The S3 test server in a process of its own, so that its work is not counted as the load's: `node s3-process.ts BUCKET`. */

import { startS3Server } from '../support/s3-server.ts';

const server = await startS3Server({ buckets: [process.argv[2] ?? 'bench'] });
console.log(JSON.stringify({ url: server.endpoint }));
