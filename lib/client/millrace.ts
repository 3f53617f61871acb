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

import { type Clock, type RandomBytes, systemClock, systemRandomBytes } from '../clock.ts';
import { Admin } from './admin.ts';
import { type AwsAuth, awsServiceOf } from './aws-auth.ts';
import type { ClientDeps } from './client-deps.ts';
import { Consumer, type ConsumerOptions } from './consumer.ts';
import { Producer, type ProducerOptions } from './producer.ts';
import type { Transport } from './transport.ts';
import { httpTransport } from './transport-http.ts';
import { signedTransport } from './transport-signed.ts';

/** Where the log is: an HTTP endpoint, or behind a transport of your own. */
export type MillraceOptions = (HttpOptions | { readonly transport: Transport }) & {
  /** Time as the client sees it; a simulation gives its own. @default the system's */
  readonly clock?: Clock;
  /** Chance: waits before retries, and the partitions of records without a key. @default the platform's */
  readonly randomBytes?: RandomBytes;
};

export interface HttpOptions {
  /** For example `http://127.0.0.1:8092`; a path in it stands before every request's path. */
  readonly endpoint: string;
  /** Sign requests for AWS. @default as the endpoint's name tells, where it is of API Gateway or a function URL */
  readonly auth?: AwsAuth;
}

export class Millrace {
  readonly admin: Admin;
  readonly #deps: ClientDeps;
  readonly #producers = new Set<Producer>();
  readonly #consumers = new Set<Consumer>();

  constructor(options: MillraceOptions) {
    const { clock = systemClock, randomBytes = systemRandomBytes } = options;
    const transport = 'transport' in options ? options.transport : connectHttp(options, clock);
    this.#deps = { transport, clock, randomBytes };
    this.admin = new Admin(transport);
  }

  producer(topic: string, options: ProducerOptions = {}): Producer {
    const producer = new Producer(this.#deps, topic, options);
    this.#producers.add(producer);
    return producer;
  }

  consumer(topic: string, options: ConsumerOptions = {}): Consumer {
    const consumer = new Consumer(this.#deps, topic, options);
    this.#consumers.add(consumer);
    return consumer;
  }

  /** Ends the consumers, flushes the producers, lets go of connections. */
  async close(): Promise<void> {
    await Promise.all([...this.#consumers].map((consumer) => consumer.close()));
    await Promise.all([...this.#producers].map((producer) => producer.close()));
    await this.#deps.transport.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function connectHttp({ endpoint, auth: given }: HttpOptions, clock: Clock): Transport {
  const http = httpTransport({ endpoint });
  const auth = given ?? (awsServiceOf(new URL(endpoint).hostname) && {});
  return auth === undefined ? http : signedTransport(http, auth, clock);
}
