/**
 * A member that stays. No timer runs anywhere: who comes next finds whose session is over.
 *
 * A heartbeat that finds nothing new renews its session and reads the group's epochs, in one round trip, whatever the size
 * of the group. Any other one reads the whole group and does what is due in it (`settle.ts`).
 */

import { isLogError, withUnknownEffect } from '../errors.ts';
import type { Groups, HeartbeatAnswer, HeartbeatRequest } from '../log.ts';
import { isSameAssignment } from '../store/assignment.ts';
import { type Renewal, sessionIsRenewed } from '../store/group-store.ts';
import type { MemberSession } from '../store/items.ts';
import type { GroupDeps } from './group-deps.ts';
import { fencedMember } from './group-errors.ts';
import { parseAssignor } from './group-plan.ts';
import { ownedBy } from './group-topics.ts';
import { classifyEpoch } from './reconcile.ts';
import { answerTo, missingMember, settle } from './settle.ts';

export function createHeartbeat(deps: GroupDeps): Groups['heartbeat'] {
  const { groupStore, clock } = deps;

  return async function heartbeat(request: HeartbeatRequest): Promise<HeartbeatAnswer> {
    if (request.assignor !== undefined) parseAssignor(request.assignor);
    const { head, session } = await renew(request);
    const owned = request.owned && ownedBy(request.owned, undefined);
    const isQuiet =
      session.state === 'STABLE' &&
      session.memberEpoch === request.memberEpoch &&
      session.memberEpoch === head?.groupEpoch &&
      clock.nowMs() < head.checkAt &&
      !isChange(request) &&
      (request.owned === undefined || (owned !== undefined && isSameAssignment(owned, session.currentAssignment)));
    if (isQuiet) return answerTo(session);
    return await settle(deps, request).catch((error) => {
      throw isLogError(error, 'KAFKA_STORAGE_ERROR') ? withUnknownEffect(error, sessionIsRenewed) : error;
    });
  };

  /** Throws when the sender is not the member as it is; the session is not renewed then. */
  async function renew(request: HeartbeatRequest): Promise<Renewal & { readonly session: MemberSession }> {
    const { groupId, memberId, memberEpoch } = request;
    const first = await groupStore.renewSession(groupId, memberId, memberEpoch, clock.nowMs());
    const { session } = first;
    if (session === undefined) throw await missingMember(deps, groupId, memberId, request.instanceId);
    if (first.isRenewed) return { ...first, session };
    const seen = request.owned === undefined ? undefined : await groupStore.getGroup(groupId);
    const owned = request.owned && ownedBy(request.owned, seen?.group.topics ?? []);
    if (classifyEpoch(session, memberEpoch, owned) === 'fenced') throw fencedMember(groupId, session, memberEpoch);
    // It comes with the epoch before: the answer that told it of its own was lost.
    const second = await groupStore.renewSession(groupId, memberId, session.memberEpoch, clock.nowMs());
    if (second.session === undefined || !second.isRenewed) throw fencedMember(groupId, session, memberEpoch);
    return { ...second, session: second.session };
  }
}

function isChange({ topics, assignor, sessionTimeoutMs, rebalanceTimeoutMs }: HeartbeatRequest): boolean {
  return [topics, assignor, sessionTimeoutMs, rebalanceTimeoutMs].some((given) => given !== undefined);
}
