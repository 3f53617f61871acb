/** From a seed that fails to the least of it that fails in the same way. */

import { allFaults } from './faults.ts';
import { clientKinds } from './plan.ts';
import { type SimulationOptions, type SimulationRun, simulate } from './simulation.ts';

export interface Shrunk {
  readonly options: SimulationOptions;
  readonly run: SimulationRun;
}

/**
 * First the shortest prefix of the operations, by halves; then without each fault and each kind of client that is not needed;
 * then the prefix once more. Failing need not be monotone, so this is the shortest found and not the shortest there is.
 */
export async function shrink(options: SimulationOptions, run: SimulationRun): Promise<Shrunk> {
  const invariant = run.violations[0]?.invariant;
  let best: Shrunk = { options: { ...options, operationsMax: run.plan.operationsMax }, run };
  const tryOut = async (candidate: SimulationOptions): Promise<boolean> => {
    const tried = await simulate(candidate);
    const same = tried.violations.filter((violation) => violation.invariant === invariant);
    const others = tried.violations.filter((violation) => violation.invariant !== invariant);
    if (same.length > 0) best = { options: candidate, run: { ...tried, violations: [...same, ...others] } };
    return same.length > 0;
  };
  const shorten = async () => {
    let [passes, fails] = [-1, best.options.operationsMax ?? 0];
    while (fails - passes > 1) {
      const middle = (passes + fails) >> 1;
      if (await tryOut({ ...best.options, operationsMax: middle })) fails = middle;
      else passes = middle;
    }
  };
  await shorten();
  for (const part of ['sick', ...allFaults, ...clientKinds]) {
    const without = best.options.without ?? [];
    if (!without.includes(part)) await tryOut({ ...best.options, without: [...without, part] });
  }
  await shorten();
  return best;
}
