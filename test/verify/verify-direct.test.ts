import { expect, test } from 'vitest';
import { createApp } from '../../lib/api/app.ts';
import { directTransport } from '../../lib/client/transport-direct.ts';
import { systemClock } from '../../lib/clock.ts';
import { verifyLog } from '../../lib/verify/verify.ts';
import { openEmulatedLog } from '../client/emulators.ts';
import { dynamoDbMissing } from '../support/dynoxide.ts';

test.skipIf(dynamoDbMissing !== undefined)(
  `verify passes the log on the S3 server and the DynamoDB emulator${dynamoDbMissing ?? ''}`,
  async () => {
    const log = await openEmulatedLog();
    const transport = directTransport(createApp({ log, clock: systemClock }), { close: () => log.close() });
    const options = { transport, clock: systemClock, seed: 3, durationMs: 8_000, partitionCount: 2, isChaotic: true };
    const { verdict, doubts, violations, leftTopics } = await verifyLog(options);
    await transport.close();
    expect({ verdict, doubts, violations, leftTopics }).toEqual({
      verdict: 'passed',
      doubts: [],
      violations: [],
      leftTopics: [],
    });
  },
  60_000,
);
