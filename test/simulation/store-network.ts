/** The way from an environment to a store and back: it takes time, and it fails as the plan of the seed says. */

import type { Chance } from '../../lib/verify/chance.ts';
import type { Environment } from './environment.ts';
import { type FaultPlan, type StoreFault, storeFaults } from './faults.ts';
import type { Scheduler } from './scheduler.ts';

export interface StoreCall<T> {
  readonly environment: Environment;
  /** Name of the step or of the AWS operation. */
  readonly step: string;
  /** Carries the request out, at the store. */
  readonly apply: () => Promise<T>;
  /** Carries it out in part; only for what can be half done. */
  readonly applyHalf?: () => Promise<unknown>;
  /** When it comes late it does not come at all. */
  readonly neverLate?: boolean;
  /** Answers with other bytes than were stored; only for what reads some. */
  readonly applyDamaged?: () => Promise<T>;
  /** What the caller is told when no answer comes; undefined: it is told nothing, and gives up by itself. */
  readonly noAnswer: () => unknown;
  /** What the caller is told by a store that turns it away. */
  readonly throttled: () => unknown;
  /** What the caller is told that has no right to ask. */
  readonly denied: () => unknown;
}

/** Exponential around this, as networks are. */
const latencyMsMean = 6;
const giveUpMs = { min: 200, max: 3_000 };
/** From `min` to `max`, each doubling as likely as the next: what is a little slow is answered, what is very slow is not. */
const slowMs = { min: 30, max: 8_000 };
const lateMsMax = 120_000;

export class StoreNetwork {
  /** Faults are over: everything arrives. */
  isCalm = false;
  /** What was found to happen, by name. */
  readonly counts = new Map<string, number>();
  /** Requests that come within one of these are carried out in one turn; 0: each in its own. */
  grainMs = 0;
  readonly #arrivals = new Map<number, (() => void)[]>();
  readonly #scheduler: Scheduler;
  readonly #plan: FaultPlan;

  constructor(scheduler: Scheduler, plan: FaultPlan) {
    this.#scheduler = scheduler;
    this.#plan = plan;
  }

  request<T>(call: StoreCall<T>): Promise<T> {
    const { environment, step, apply } = call;
    const chance = environment.chance;
    const scheduler = this.#scheduler;
    const { fault, isSick } = this.#draw(chance, call);
    this.count(step);
    if (fault !== undefined) this.count(fault);
    const slowMsMax = (isSick ? this.#plan.sick?.slowMsMax : undefined) ?? slowMs.max;
    const delayMs = slowMs.min * (slowMsMax / slowMs.min) ** chance.fraction();
    const isSlowThere = chance.happens(0.5);
    const requestMs = latency(chance) + (fault === 'slow' && isSlowThere ? delayMs : 0);
    const replyMs = latency(chance) + (fault === 'slow' && !isSlowThere ? delayMs : 0);
    const giveUpAfterMs = chance.integer(giveUpMs.min, giveUpMs.max);
    // Mostly soon: what it was sent for may still be so, and what came after it is there.
    const lateMs = giveUpAfterMs + Math.floor(chance.fraction() ** 3 * lateMsMax);

    return new Promise<T>((resolve, reject) => {
      const answer = (ms: number, settle: () => void) => scheduler.after(ms, settle, environment);
      const carryOut = (ms: number, run: () => Promise<unknown> = apply) =>
        scheduler.after(ms, () => void run().catch(() => undefined));
      const giveUp = () => {
        const error = call.noAnswer();
        if (error !== undefined) answer(giveUpAfterMs, () => reject(error));
      };
      switch (fault) {
        case 'throttled':
          return answer(requestMs + replyMs, () => reject(call.throttled()));
        case 'denied':
          return answer(requestMs + replyMs, () => reject(call.denied()));
        case 'lostRequest':
          return giveUp();
        case 'lostReply':
          carryOut(requestMs);
          return giveUp();
        case 'late':
          carryOut(lateMs);
          return giveUp();
        case 'halfDone':
          carryOut(requestMs, chance.happens(0.5) ? call.applyHalf : apply);
          return answer(requestMs + replyMs, () => reject(call.noAnswer() ?? call.throttled()));
        default:
          this.#arrive(requestMs, () => {
            (fault === 'damaged' ? (call.applyDamaged ?? apply) : apply)().then(
              (value) => answer(replyMs, () => resolve(value)),
              (error) => answer(replyMs, () => reject(error)),
            );
          });
      }
    });
  }

  /** One draw for each fault whatever comes of it, so that a plan without one fault shifts nothing else. */
  #draw(
    chance: Chance,
    { step, applyHalf, applyDamaged, neverLate = false }: StoreCall<unknown>,
  ): { readonly fault: StoreFault | undefined; readonly isSick: boolean } {
    const { probability, sick } = this.#plan;
    const drawn = storeFaults.filter((one) => chance.happens(probability[one]));
    const isSick = chance.happens(sick?.probability ?? 0) && sick?.step === step;
    const sickFault = chance.pick<StoreFault>(sick?.faults ?? ['lostRequest']);
    const drawnFault = isSick ? sickFault : drawn[0];
    const fault = drawnFault === 'late' && neverLate ? 'lostRequest' : drawnFault;
    const isPossible =
      !this.isCalm &&
      !(fault === 'halfDone' && applyHalf === undefined) &&
      !(fault === 'damaged' && applyDamaged === undefined);
    return { fault: isPossible ? fault : undefined, isSick };
  }

  #arrive(ms: number, run: () => void): void {
    const scheduler = this.#scheduler;
    if (this.grainMs === 0) {
      scheduler.after(ms, run);
      return;
    }
    const atMs = Math.ceil((scheduler.nowMs + ms) / this.grainMs) * this.grainMs;
    const others = this.#arrivals.get(atMs);
    others?.push(run);
    if (others !== undefined) return;
    const arrived = [run];
    this.#arrivals.set(atMs, arrived);
    scheduler.after(atMs - scheduler.nowMs, () => {
      this.#arrivals.delete(atMs);
      for (const one of arrived) one();
    });
  }

  count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }
}

/** A copy in which one bit is another. */
export function damaged(bytes: Uint8Array, chance: Chance): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const at = chance.integer(0, copy.length - 1);
  copy[at] = (copy[at] ?? 0) ^ (1 << chance.integer(0, 7));
  return copy;
}

function latency(chance: Chance): number {
  return -Math.log(1 - chance.fraction()) * latencyMsMean;
}
