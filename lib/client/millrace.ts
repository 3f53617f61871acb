/**
 * A client of one log.
 *
 * ```ts
 * await using log = new Millrace({ endpoint: 'http://127.0.0.1:8092' });
 * const orders = log.producer('orders');
 * await orders.send({ key: 'customer-7', value: JSON.stringify(order) });
 * for await (const record of log.consumer('orders', { from: 'earliest' })) console.log(record.valueText);
 * ```
 */

import { Admin } from './admin.ts';
import { Consumer, type ConsumerOptions } from './consumer.ts';
import { Producer, type ProducerOptions } from './producer.ts';
import type { Transport } from './transport.ts';
import { httpTransport } from './transport-http.ts';

/** An HTTP endpoint, or a transport of your own. */
export type MillraceOptions = { readonly endpoint: string } | { readonly transport: Transport };

export class Millrace {
  readonly admin: Admin;
  readonly #transport: Transport;
  readonly #producers = new Set<Producer>();
  readonly #consumers = new Set<Consumer>();

  constructor(options: MillraceOptions) {
    this.#transport = 'transport' in options ? options.transport : httpTransport({ endpoint: options.endpoint });
    this.admin = new Admin(this.#transport);
  }

  producer(topic: string, options: ProducerOptions = {}): Producer {
    const producer = new Producer(this.#transport, topic, options);
    this.#producers.add(producer);
    return producer;
  }

  consumer(topic: string, options: ConsumerOptions = {}): Consumer {
    const consumer = new Consumer(this.#transport, topic, options);
    this.#consumers.add(consumer);
    return consumer;
  }

  /** Ends the consumers, flushes the producers, lets go of connections. */
  async close(): Promise<void> {
    await Promise.all([...this.#consumers].map((consumer) => consumer.close()));
    await Promise.all([...this.#producers].map((producer) => producer.close()));
    await this.#transport.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
