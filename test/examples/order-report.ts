import { fromEnvironment } from '../../lib/client/direct.ts';
import type { Order } from './place-order.ts';

const opened = fromEnvironment(process.env);

export const handler = async (): Promise<{ readonly count: number; readonly total: number }> => {
  const log = await opened;
  let [count, total] = [0, 0];
  // All there is; without `follow: false` it would wait at the end, until the function's time is up.
  for await (const { valueText } of log.consumer('orders', { from: 'earliest', follow: false })) {
    count += 1;
    total += (JSON.parse(valueText ?? 'null') as Order).total;
  }
  return { count, total };
};
