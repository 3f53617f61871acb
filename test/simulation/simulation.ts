/**
 * One run: a seed becomes environments, clients and trouble; then the trouble ends, and an audit reads everything.
 *
 * The same seed gives the same history, byte for byte.
 */

import { createChance } from '../../lib/verify/chance.ts';
import { checkHistory, type FoundViolation } from '../../lib/verify/checker.ts';
import type { History } from '../../lib/verify/history.ts';
import { createInstants } from '../../lib/verify/instants.ts';
import type { OnRequest } from './aws/dynamodb.ts';
import { failingDisk } from './disk.ts';
import { drawPlan, type Plan, type Profile } from './plan.ts';
import { type AuditViolation, groups, Run } from './run.ts';
import { Scheduler, Stuck } from './scheduler.ts';
import { StoreNetwork } from './store-network.ts';
import { openAwsStores } from './stores-aws.ts';
import { openLocalStores } from './stores-local.ts';
import { withVirtualGlobals } from './virtual-globals.ts';

export interface SimulationOptions {
  readonly seed: number;
  readonly profile: Profile;
  /** Fewer operations than the seed would have: its first ones. */
  readonly operationsMax?: number;
  /** Faults, nemeses and kinds of clients to leave out. */
  readonly without?: readonly string[];
  /** Told of what the stores on AWS ask of DynamoDB. */
  readonly onDynamoDbRequest?: OnRequest;
}

export interface SimulationRun {
  readonly plan: Plan;
  readonly history: History;
  readonly violations: readonly (FoundViolation | AuditViolation)[];
  readonly eventCount: number;
  /** How often each store step was taken and each fault met. */
  readonly counts: ReadonlyMap<string, number>;
}

const startMs = Date.UTC(2026, 0, 1);
/** An environment answers for 5 s from what it knows of a topic, or for twice that when its clock is set back meanwhile. */
const topicStaleMsMax = 10_000;

export async function simulate(options: SimulationOptions): Promise<SimulationRun> {
  const chance = createChance(options.seed, options.profile);
  const plan = drawPlan(chance.fork('plan'), options.profile, options);
  const scheduler = new Scheduler(chance.fork('order'), startMs);
  const instants = createInstants(scheduler.clock);
  const network = new StoreNetwork(scheduler, plan.faults);
  const openStores = plan.profile === 'local' ? openLocalStores : openAwsStores;
  const stores = openStores({
    scheduler,
    network,
    chance: chance.fork('stores'),
    instants,
    onDynamoDbRequest: options.onDynamoDbRequest,
  });
  try {
    const run = new Run(plan, chance, scheduler, network, stores, instants);
    const { damaged, denied, clockJump, diskFails } = plan.faults.probability;
    const disk = failingDisk(chance.fork('disk'), () => (network.isCalm ? 0 : diskFails));
    const stuck = await withVirtualGlobals(scheduler, disk, () =>
      scheduler.run(run.whole()).then(() => [], stuckViolation),
    );
    const isDenied = denied > 0 || plan.faults.sick?.faults.includes('denied') === true;
    const history = {
      operations: run.recorder.operations,
      topics: stores.lives.all,
      topicStaleMsMax,
      mayFailForGood: damaged > 0 || isDenied,
      // The library's consumers commit by themselves.
      groupsOfOthers: [groups.shared],
      clockErrorMsMax: clockJump > 0 ? Number.POSITIVE_INFINITY : 2 * plan.skewMsMax,
    };
    const violations = [...stuck, ...run.failures, ...checkHistory(history)];
    return { plan, history, violations, eventCount: scheduler.eventCount, counts: network.counts };
  } finally {
    scheduler.end();
    await stores.close();
  }
}

function stuckViolation(error: unknown): AuditViolation[] {
  if (!(error instanceof Stuck)) throw error;
  return [{ invariant: 'healsWhenFaultsEnd', text: error.message, operations: [] }];
}
