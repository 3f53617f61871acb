/** Ends the sessions that are over, for those who come to a group without being in it. */

import type { GroupId } from '../ids.ts';
import type { SeenGroup } from '../store/group-store.ts';
import { type GroupDeps, untilDone } from './group-deps.ts';
import { nextCheckAt, nextGroup, withoutExpired } from './group-plan.ts';
import { topicsOfMembers } from './group-topics.ts';
import { endedSessions } from './settle.ts';

/** The group as it is then; undefined when there is none. */
export async function emptiedGroup(deps: GroupDeps, groupId: GroupId): Promise<SeenGroup | undefined> {
  const { groupStore, clock } = deps;
  const attempt = async (): Promise<{ readonly seen: SeenGroup | undefined } | undefined> => {
    // There may be more of them than one change ends.
    for (;;) {
      const seen = await groupStore.getGroup(groupId);
      const nowMs = clock.nowMs();
      const over = endedSessions(seen?.sessions ?? [], nowMs);
      if (seen === undefined || over.size === 0) return { seen };
      const members = seen.group.members.filter(({ memberId }) => !over.has(memberId));
      const topics = await topicsOfMembers(deps.topics, seen.group, members);
      const left = seen.sessions.filter(({ memberId }) => !over.has(memberId));
      const before = withoutExpired(seen.group, seen.sessions, nowMs);
      const group = { ...nextGroup(before, members, topics, nowMs), checkAt: nextCheckAt(left, nowMs) };
      const change = { group, seenVersion: seen.group.version, puts: [], removes: [...over.values()] };
      if ((await groupStore.changeGroup(change)) === 'conflict') return undefined;
    }
  };
  return (await untilDone(deps, groupId, attempt)).seen;
}
