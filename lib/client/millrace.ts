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
import { LogError } from '../errors.ts';
import { Admin } from './admin.ts';
import { type AwsAuth, awsServiceOf } from './aws-auth.ts';
import type { ClientDeps } from './client-deps.ts';
import { Consumer, type ConsumerOptions } from './consumer.ts';
import { GroupConsumer } from './group-consumer.ts';
import type { GroupConsumerOptions, Subscription } from './group-options.ts';
import { Producer } from './producer.ts';
import type { ProducerOptions } from './producer-options.ts';
import type { Transport } from './transport.ts';
import { httpTransport } from './transport-http.ts';
import { type InvokeOptions, invokeTransport } from './transport-invoke.ts';
import { signedTransport } from './transport-signed.ts';

/** Where the log is: at an HTTP endpoint, in functions of Lambda, or behind a transport of your own. */
export type MillraceOptions = (HttpOptions | { readonly invoke: InvokeOptions } | { readonly transport: Transport }) & {
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
  readonly #closing = new AbortController();

  constructor(options: MillraceOptions) {
    const { clock = systemClock, randomBytes = systemRandomBytes } = options;
    const transport = connect(options, clock);
    this.#deps = { transport, clock, randomBytes, closing: this.#closing.signal, busy: new Set() };
    this.admin = new Admin(transport);
  }

  producer(topic: string, options: ProducerOptions = {}): Producer {
    return new Producer(this.#deps, topic, options);
  }

  /** As a member of a group, which shares the partitions and remembers how far they were read. */
  consumer(topics: Subscription, options: GroupConsumerOptions): GroupConsumer;
  /** By itself: all of a topic, from where the caller says. */
  consumer(topic: string, options?: ConsumerOptions): Consumer;
  consumer(topics: Subscription, options: GroupConsumerOptions | ConsumerOptions = {}): GroupConsumer | Consumer {
    if ('group' in options) return new GroupConsumer(this.#deps, topics, options);
    if (typeof topics === 'string') return new Consumer(this.#deps, topics, options);
    throw new LogError('INVALID_REQUEST', 'a consumer without a group reads one topic; give a group for several');
  }

  /** Ends the consumers, flushes the producers, lets go of connections. Throws when a member's last commit fails. */
  async close(): Promise<void> {
    this.#closing.abort();
    const ended = await Promise.allSettled([...this.#deps.busy].map((one) => one.flush()));
    await this.#deps.transport.close();
    for (const one of ended) if (one.status === 'rejected') throw one.reason;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The way to the log that `options` name. */
export function connect(options: MillraceOptions, clock: Clock): Transport {
  if ('transport' in options) return options.transport;
  if ('invoke' in options) return invokeTransport(options.invoke, clock);
  const { endpoint, auth: given } = options;
  const http = httpTransport({ endpoint });
  const auth = given ?? (awsServiceOf(new URL(endpoint).hostname) && {});
  return auth === undefined ? http : signedTransport(http, auth, clock);
}
