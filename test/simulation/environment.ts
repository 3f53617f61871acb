/**
 * One process that serves the log: the production composition, on doors to stores that it shares with others.
 *
 * It can die between any two of its awaits (whatever was still to come to it never does), be frozen as Lambda freezes an
 * environment between two requests (what comes meanwhile waits, and time goes on), and its clock can be wrong.
 */

import { createApp } from '../../lib/api/app.ts';
import type { Transport, TransportRequest, TransportResponse } from '../../lib/client/transport.ts';
import { directTransport } from '../../lib/client/transport-direct.ts';
import type { Clock } from '../../lib/clock.ts';
import { createLog } from '../../lib/create-log.ts';
import type { Log } from '../../lib/log.ts';
import type { Chance } from '../../lib/verify/chance.ts';
import type { Actor, Scheduler } from './scheduler.ts';
import type { StoreDoors } from './stores.ts';

export interface EnvironmentOptions {
  readonly name: string;
  readonly style: 'server' | 'lambda';
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly skewMs: number;
  /** Doors to the shared stores, as this environment sees them. */
  readonly open: (environment: Environment) => StoreDoors;
}

export class Environment implements Actor {
  readonly name: string;
  readonly style: 'server' | 'lambda';
  readonly log: Log;
  readonly clock: Clock;
  readonly chance: Chance;
  /** Requests under way. */
  readonly requests = new Set<{ readonly failed: () => void }>();
  skewMs: number;
  /** By its own clock, what it serves must be answered by then; undefined: nobody told it. */
  deadlineMs: number | undefined;
  #state: 'running' | 'frozen' | 'dead' = 'running';
  readonly #held: (() => void)[] = [];
  #app: Transport | undefined;
  readonly #scheduler: Scheduler;

  constructor(options: EnvironmentOptions) {
    const { name, style, scheduler, chance, skewMs } = options;
    this.name = name;
    this.style = style;
    this.chance = chance;
    this.skewMs = skewMs;
    this.#scheduler = scheduler;
    this.clock = {
      nowMs: () => Math.floor(scheduler.nowMs + this.skewMs),
      sleep: (ms, signal) => scheduler.sleepOf(this, ms, signal),
    };
    this.log = createLog({ ...options.open(this), clock: this.clock, randomBytes: chance.bytes });
  }

  /** The way in through the HTTP app, without a socket. */
  request(request: TransportRequest): Promise<TransportResponse> {
    const { log, clock, chance } = this;
    this.#app ??= directTransport(createApp({ log, clock, randomBytes: chance.bytes }), { clock });
    return this.#app(request);
  }

  get isDead(): boolean {
    return this.#state === 'dead';
  }
  get isFrozen(): boolean {
    return this.#state === 'frozen';
  }

  deliver(event: () => void): void {
    if (this.#state === 'running') event();
    else if (this.#state === 'frozen') this.#held.push(event);
  }

  /** Whoever waits for it is told sooner or later that the connection broke. */
  crash(): void {
    this.#state = 'dead';
    this.#held.length = 0;
    for (const { failed } of [...this.requests]) failed();
  }

  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen';
  }

  thaw(): void {
    if (this.#state !== 'frozen') return;
    this.#state = 'running';
    for (const event of this.#held.splice(0)) this.#scheduler.after(this.chance.fraction(), event, this);
  }
}
