/**
 * One run: a seed becomes environments, clients and trouble; then the trouble ends, and an audit reads everything.
 *
 * The same seed gives the same history, byte for byte.
 */

import { setImmediate } from 'node:timers/promises';
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
  /** Frames of the stacks of errors; they are most of what an error costs, and failures are common here. @default 0 */
  readonly stackFrames?: number;
}

export interface SimulationRun {
  readonly plan: Plan;
  readonly history: History;
  /** Those that tell most come first. */
  readonly violations: readonly (FoundViolation | AuditViolation)[];
  readonly eventCount: number;
  /** How often each store step was taken and each fault met. */
  readonly counts: ReadonlyMap<string, number>;
}

const startMs = Date.UTC(2026, 0, 1);
/** An environment answers for 5 s from what it knows of a topic, or for twice that when its clock is set back meanwhile. */
const topicStaleMsMax = 10_000;
/** A run that met a bug is run once more, to tell where. */
const stackFramesOfBug = 8;
/** They tell that something went wrong, and a broken promise tells what. */
const leastTelling: readonly string[] = ['nothingIsABug', 'healsWhenFaultsEnd'];

export async function simulate(options: SimulationOptions): Promise<SimulationRun> {
  const { stackFrames = 0 } = options;
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
  const bugs: unknown[] = [];
  const onBug = (error: unknown) => void bugs.push(error);
  process.on('unhandledRejection', onBug);
  try {
    const run = new Run(plan, chance, scheduler, network, stores, instants);
    const { damaged, denied, clockJump, diskFails } = plan.faults.probability;
    const disk = failingDisk(chance.fork('disk'), () => (network.isCalm ? 0 : diskFails));
    let stuck: Stuck | undefined;
    await withVirtualGlobals(scheduler, disk, stackFrames, () =>
      scheduler.run(run.whole()).catch((error) => {
        if (error instanceof Stuck) stuck = error;
        else onBug(error);
      }),
    );
    // Node tells of rejections that nobody has handled when it gets its turn.
    await setImmediate();

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
    // Of a run that was cut short nothing was read to its end.
    const isCut = stuck !== undefined || bugs.length > 0;
    const promises = checkHistory(history).filter(({ invariant }) => !isCut || invariant !== 'ackedIsReadToTheEnd');
    const found = [
      ...promises,
      ...bugs.map((error) => auditViolation('nothingIsABug', error instanceof Error ? error.stack : String(error))),
      ...(stuck === undefined ? [] : [auditViolation('healsWhenFaultsEnd', stuck.message)]),
      ...run.failures,
    ];
    const isBug = found.some(({ invariant }) => invariant === 'nothingIsABug');
    if (isBug && stackFrames === 0) return await simulate({ ...options, stackFrames: stackFramesOfBug });
    const isTelling = ({ invariant }: (typeof found)[number]) => !leastTelling.includes(invariant);
    const violations = [...found.filter(isTelling), ...found.filter((one) => !isTelling(one))];
    return { plan, history, violations, eventCount: scheduler.eventCount, counts: network.counts };
  } finally {
    process.off('unhandledRejection', onBug);
    scheduler.end();
    await stores.close();
  }
}

function auditViolation(invariant: AuditViolation['invariant'], text = 'no stack'): AuditViolation {
  return { invariant, text, operations: [] };
}
