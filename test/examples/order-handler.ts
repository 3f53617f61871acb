import { fromEnvironment } from '../../lib/client/index.ts';
import { type Order, placeOrder } from './place-order.ts';

// Outside of the handler: connections and the producer's id live across invokes. The time limit ends before the function's.
const orders = fromEnvironment(process.env).producer('orders', { deliveryTimeoutMs: 20_000 });

export const handler = async (order: Order): Promise<string> => placeOrder(orders, order);
