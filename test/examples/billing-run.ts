import type { ConsumedRecord, Millrace } from '../../lib/client/index.ts';

/** One run of a function: bills what there is, and ends ten seconds before its time does. */
export async function billOrders(
  log: Millrace,
  context: { getRemainingTimeInMillis(): number },
  bill: (order: ConsumedRecord) => Promise<void>,
): Promise<void> {
  const consumer = log.consumer('orders', {
    group: 'billing',
    // Under this name there is one run at a time; it keeps its partitions from one run to the next.
    instanceId: 'billing-1',
    // Longer than from the end of a run to the next one.
    sessionTimeoutMs: 15 * 60_000,
    follow: false,
    signal: AbortSignal.timeout(Math.max(0, context.getRemainingTimeInMillis() - 10_000)),
  });
  for await (const order of consumer) await bill(order);
}
