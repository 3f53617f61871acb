/** Whoever makes trouble for environments: kills, freezes, shuts down, and sets clocks wrong. */

import type { Chance } from '../../lib/verify/chance.ts';
import type { FaultPlan } from './faults.ts';
import type { Fleet } from './fleet.ts';
import type { Scheduler } from './scheduler.ts';

const frozenMsMax = 300_000;

export class Nemesis {
  readonly #deps: {
    readonly scheduler: Scheduler;
    readonly chance: Chance;
    readonly faults: FaultPlan;
    readonly fleet: Fleet;
  };
  /** No clock was further ahead. */
  aheadMsMax = 0;
  #isOver = false;

  constructor(deps: { scheduler: Scheduler; chance: Chance; faults: FaultPlan; fleet: Fleet }) {
    this.#deps = deps;
  }

  async run(beatMs: number): Promise<void> {
    const { scheduler, chance, faults, fleet } = this.#deps;
    const { probability } = faults;
    while (!this.#isOver) {
      await scheduler.clock.sleep(chance.fraction() * 2 * beatMs);
      const drawn = (['crash', 'freeze', 'clockJump', 'shutdown'] as const).map((kind) =>
        chance.happens(probability[kind]),
      );
      const [crashes, freezes, jumps, shutsDown] = drawn;
      const environment = chance.any(fleet.environments);
      if (this.#isOver || environment === undefined) continue;
      if (jumps) {
        environment.skewMs += chance.pick([-60_000, -1_000, 500, 10_000, 600_000]);
        this.aheadMsMax = Math.max(this.aheadMsMax, environment.skewMs);
      }
      if (crashes) fleet.stop(environment);
      else if (shutsDown && environment.style === 'server' && !environment.isFrozen) {
        fleet.retire(environment);
      } else if (freezes && environment.style === 'server') {
        environment.freeze();
        scheduler.after(chance.fraction() * frozenMsMax, () => environment.thaw());
      }
    }
  }

  /** No more trouble; what is frozen wakes up, and clocks are set right. */
  end(): void {
    this.#isOver = true;
    for (const environment of this.#deps.fleet.environments) {
      environment.skewMs = 0;
      environment.thaw();
    }
  }
}
