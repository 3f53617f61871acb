/** When records fail that nobody takes. */

import { expect, test } from 'vitest';
import { LogError, Millrace } from '../../lib/client/index.ts';
import { makeTransport } from '../../lib/client/transport.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';

const answer = (json: unknown) => ({ status: 200, header: () => undefined, body: Buffer.from(JSON.stringify(json)) });

// Each batch of a partition waited for an answer once more, one after the other: for a producer id 30 s every time, so that
// 40 records of 60 s took five minutes.
test.each(['/producers', '/batches'])(
  'every record has its outcome within the delivery time when %s does not answer',
  async (pathEnd) => {
    const clock = createVirtualClock(1_700_000_000_000);
    const send = async ({ path, timeoutMs }: { readonly path: string; readonly timeoutMs: number }) => {
      if (path.endsWith(pathEnd)) {
        await clock.sleep(timeoutMs);
        throw new LogError('REQUEST_TIMED_OUT', 'no answer');
      }
      if (path.endsWith('/producers')) return answer({ producerId: 1, producerEpoch: 0 });
      return answer({ topic: 'orders', topicId: 'id', partitionCount: 1, config: {} });
    };
    const client = new Millrace({ transport: makeTransport('the test', send, async () => {}), clock });
    const producer = client.producer('orders', { batchBytesMax: 1, deliveryTimeoutMs: 60_000 });
    const startMs = clock.nowMs();
    const failed = async (error: LogError) => ({ ms: clock.nowMs() - startMs, effect: error.effect });
    const sent = Array.from({ length: 40 }, () => producer.send({ value: 'x' }).then(() => undefined, failed));
    const outcomes = await clock.run(Promise.all(sent));
    expect(Math.max(...outcomes.map((outcome) => outcome?.ms ?? 0))).toBeLessThan(60_500);
    // Five are on their way at once; what was never sent is not there.
    expect(outcomes.filter((outcome) => outcome?.effect === 'unknown')).toHaveLength(pathEnd === '/batches' ? 5 : 0);
  },
);
