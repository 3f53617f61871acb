import type { Producer } from '../../lib/client/index.ts';

export interface Order {
  readonly customer: string;
  readonly total: number;
}

/** Gives the order its number, once it is durable. */
export async function placeOrder(orders: Producer, order: Order): Promise<string> {
  const { partition, offset } = await orders.send({ key: order.customer, value: JSON.stringify(order) });
  return `${partition}-${offset}`;
}
