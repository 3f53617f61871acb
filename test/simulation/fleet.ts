/** The environments of a simulation, and the way to one of them: who serves a request, and what goes wrong on the way. */

import { LogError } from '../../lib/errors.ts';
import type { Chance } from '../../lib/verify/chance.ts';
import { Environment } from './environment.ts';
import type { FaultPlan } from './faults.ts';
import type { Scheduler } from './scheduler.ts';
import type { SharedStores } from './stores.ts';

export interface FleetOptions {
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly faults: FaultPlan;
  readonly stores: SharedStores;
  readonly serverCount: number;
  readonly lambdaCountMax: number;
  readonly skewMsMax: number;
}

const wayMsMax = 5;

export class Fleet {
  isCalm = false;
  environments: Environment[] = [];
  readonly #options: FleetOptions;
  #started = 0;

  constructor(options: FleetOptions) {
    this.#options = options;
    for (let server = 0; server < options.serverCount; server++) this.start('server');
  }

  start(style: 'server' | 'lambda'): Environment {
    const { scheduler, chance, stores, skewMsMax } = this.#options;
    const name = `${style}${this.#started++}`;
    const own = chance.fork(name);
    const skewMs = own.integer(-skewMsMax, skewMsMax);
    const open = (environment: Environment) => stores.open(environment);
    const environment = new Environment({ name, style, scheduler, chance: own, skewMs, open });
    this.environments.push(environment);
    return environment;
  }

  /** Gone for good; a server is followed by another. */
  stop(environment: Environment): void {
    environment.crash();
    this.environments = this.environments.filter((one) => one !== environment);
    if (environment.style === 'server') this.start('server');
  }

  /** Takes no new requests, closes its log, and then is gone; another takes its place. */
  retire(environment: Environment): void {
    this.environments = this.environments.filter((one) => one !== environment);
    this.start(environment.style);
    this.#options.scheduler.after(0, () => void environment.log.close().then(() => environment.crash()), environment);
  }

  /**
   * Runs `work` in some environment and resolves with its answer. Rejects with what `work` rejects with, with
   * REQUEST_TIMED_OUT when nothing came back in time, and with KAFKA_STORAGE_ERROR when the environment died; in both of
   * these `work` may have been done, or may be done still.
   */
  call<T>(chance: Chance, timeoutMs: number, work: (environment: Environment) => Promise<T>): Promise<T> {
    const { scheduler, faults } = this.#options;
    const isLost = chance.happens(faults.probability.lostCall) && !this.isCalm;
    const isRequestLost = chance.happens(0.5);
    const thereMs = chance.fraction() * wayMsMax;
    const backMs = chance.fraction() * wayMsMax;
    const lambdaMs = chance.pick([2_000, 29_000]);
    return new Promise<T>((resolve, reject) => {
      let isSettled = false;
      const settle = (end: () => void) => {
        if (!isSettled) end();
        isSettled = true;
      };
      scheduler.after(timeoutMs, () =>
        settle(() => reject(new LogError('REQUEST_TIMED_OUT', `no answer within ${timeoutMs} ms`))),
      );
      if (isLost && isRequestLost) return;
      const back = (end: () => void) => {
        if (!isLost) scheduler.after(backMs, () => settle(end));
      };
      scheduler.after(thereMs, () => {
        const environment = this.#whoServes(chance);
        if (environment === undefined) {
          return back(() => reject(everyoneIsBusy()));
        }
        const died = () => new LogError('KAFKA_STORAGE_ERROR', `environment ${environment.name} died`);
        const request = { failed: () => back(() => reject(died())) };
        const ended = (end: () => void) => {
          environment.requests.delete(request);
          // Lambda freezes what has answered; what is under way goes on when the next request comes.
          if (environment.style === 'lambda') environment.freeze();
          back(end);
        };
        environment.requests.add(request);
        environment.thaw();
        // As Lambda does, which kills what takes longer.
        if (environment.style === 'lambda') environment.deadlineMs = environment.clock.nowMs() + lambdaMs;
        const serve = () =>
          void work(environment).then(
            (answer) => ended(() => resolve(answer)),
            (error) => ended(() => reject(error)),
          );
        scheduler.after(0, serve, environment);
      });
    });
  }

  /** A server takes any number of requests, an environment of Lambda one at a time. */
  #whoServes(chance: Chance): Environment | undefined {
    const { lambdaCountMax } = this.#options;
    const ready = this.environments.filter(
      ({ style, requests, isFrozen }) =>
        (style === 'server' && !isFrozen) || (style === 'lambda' && requests.size === 0),
    );
    const lambdas = this.environments.filter(({ style }) => style === 'lambda').length;
    const mayStart = lambdas < lambdaCountMax && (ready.length === 0 || chance.happens(0.1));
    return mayStart ? this.start('lambda') : chance.any(ready);
  }
}

function everyoneIsBusy(): LogError {
  return new LogError('THROTTLING_QUOTA_EXCEEDED', 'every environment is busy', { details: { retryAfterMs: 100 } });
}
