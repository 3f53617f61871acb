/** What the calls of groups share: their stores, and how a step that met others starts over. */

import { type Clock, type RandomBytes, randomFraction } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { GroupId } from '../ids.ts';
import { groupAttemptsMax } from '../limits.ts';
import type { Log } from '../log.ts';
import type { GroupStore } from '../store/group-store.ts';
import type { Group } from '../store/items.ts';
import type { MetadataStore } from '../store/metadata-store.ts';
import type { TopicCache } from '../topic/topics.ts';
import { newGroup } from './group-plan.ts';

export interface GroupDeps {
  readonly groupStore: GroupStore;
  readonly metadataStore: MetadataStore;
  readonly topics: TopicCache;
  readonly listOffsets: Log['listOffsets'];
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
}

const firstDelayMsMax = 10;
const delayMsMax = 500;

/**
 * Runs `attempt` until it has an answer; undefined: what it had seen was no longer so. Delays rise with full jitter, since
 * the members of a group that starts all come at once.
 */
export async function untilDone<T>(
  deps: Pick<GroupDeps, 'clock' | 'randomBytes'>,
  groupId: GroupId,
  attempt: () => Promise<T | undefined>,
): Promise<T> {
  for (let attemptNumber = 1; attemptNumber <= groupAttemptsMax; attemptNumber++) {
    const answer = await attempt();
    if (answer !== undefined) return answer;
    const delayMs = Math.min(delayMsMax, firstDelayMsMax * 2 ** attemptNumber);
    await deps.clock.sleep(randomFraction(deps.randomBytes) * delayMs);
  }
  throw new LogError(
    'KAFKA_STORAGE_ERROR',
    `group ${groupId} is being changed by others, ${groupAttemptsMax} attempts met a change`,
    { effect: 'none' },
  );
}

/**
 * A group that is yet to be made. Its epochs go on where those of a deleted one of its name were, so that a commit or a
 * heartbeat from then, which is carried out only now, fits nobody. One that was carried out behind the deletion has left an
 * offset, which does not count either, also when the epoch of the deleted one is long forgotten.
 */
export async function groupToMake(deps: GroupDeps, groupId: GroupId): Promise<Group> {
  const { groupStore } = deps;
  const [deletedEpoch, items] = await Promise.all([
    groupStore.getDeletedEpoch(groupId),
    groupStore.listOffsets(groupId),
  ]);
  const epochs = items.map(({ committed }) => committed?.epoch ?? -1);
  const firstEpoch = Math.max(deletedEpoch ?? -1, ...epochs) + 1;
  return newGroup(groupId, deps.clock.nowMs(), firstVersion(deps.randomBytes), firstEpoch);
}

/** Where versions begin: by chance, so that a request from an earlier life of a group or member never fits a later one. */
export function firstVersion(randomBytes: RandomBytes): number {
  return Math.floor(randomFraction(randomBytes) * 2 ** 32);
}
