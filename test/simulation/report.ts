/** What a person needs who is to find out why a seed fails. */

import { formatOperation } from '../../lib/verify/format.ts';
import type { Operation } from '../../lib/verify/history.ts';
import { allFaults } from './faults.ts';
import { clientKinds } from './plan.ts';
import type { Shrunk } from './shrink.ts';

const violationsShown = 5;
/** Operations of the same log that are shown before and behind those that take part in the anomaly. */
const neighboursShown = 8;

export function formatFailure({ options, run }: Shrunk): string {
  const { seed, profile } = options;
  const { violations, history, plan } = run;
  const [first] = violations;
  const faults = allFaults.filter((fault) => plan.faults.probability[fault] > 0);
  const clients = clientKinds.filter((kind) => plan.clients[kind] > 0).map((kind) => `${plan.clients[kind]} ${kind}`);
  const invariants = Map.groupBy(violations, ({ invariant }) => invariant);
  const counts = [...invariants].map(([invariant, found]) => `${found.length} of ${invariant}`);
  return [
    `seed ${seed} of profile ${profile} fails: ${violations.length} violations, ${counts.join(', ')}`,
    ...violations.slice(0, violationsShown).map(({ invariant, text }) => `  ${invariant}: ${text}`),
    '',
    `needs ${plan.operationsMax} operations of ${clients.join(', ') || 'nobody but the auditor'}; faults: ${faults.join(', ') || 'none'}${plan.faults.sick === undefined ? '' : `, ${plan.faults.sick.step} fails often`}`,
    'history around it:',
    ...around(history.operations, first?.operations ?? []).map((operation) => `  ${formatOperation(operation)}`),
    '',
    'repeat it with',
    `  ${commandOf(options)}`,
  ].join('\n');
}

export function commandOf({ seed, profile, operationsMax, without = [] }: Shrunk['options']): string {
  const operations = operationsMax === undefined ? '' : ` --operations ${operationsMax}`;
  const left = without.length === 0 ? '' : ` --without ${without.join(',')}`;
  return `node test/simulation/simulate.ts --from ${seed} --seeds 1 --profile ${profile}${operations}${left}`;
}

/** Those that take part, and the nearest others that meant the same partition, in order. */
function around(operations: readonly Operation[], involved: readonly Operation[]): Operation[] {
  if (involved.length === 0) return operations.slice(-neighboursShown * 2);
  const ids = involved.map(({ id }) => id);
  const [from, to] = [Math.min(...ids), Math.max(...ids)];
  const partitions = new Set(involved.map(placeOf));
  const same = operations.filter((operation) => partitions.has(placeOf(operation)));
  const before = same.filter(({ id }) => id < from).slice(-neighboursShown);
  const behind = same.filter(({ id }) => id > to).slice(0, neighboursShown);
  const between = same.filter(({ id }) => id >= from && id <= to);
  const shown = between.length <= 4 * neighboursShown ? between : between.filter(({ id }) => ids.includes(id));
  return [...before, ...shown, ...behind];
}

function placeOf(operation: Operation): string {
  return 'partition' in operation ? `${operation.topic}/${operation.partition}` : operation.topic;
}
