/** The S3 test server in a process of its own, so that its work does not delay the load. */

import { startS3Server } from '../support/s3-server.ts';

const server = await startS3Server({ buckets: ['bench'] });
console.log(JSON.stringify({ url: server.endpoint }));
