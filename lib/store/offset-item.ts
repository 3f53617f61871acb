/** What a commit of an offset asks of the partition's item: pure, so that every group store answers the same. */

import type { Committer, OffsetCommit } from './group-store.ts';
import type { OffsetItem } from './items.ts';

/**
 * A member: what is its own, given to it no later. Nobody: what is nobody's, or was of an owner who is gone; and not over
 * what is of a later epoch, which a request from before the group was deleted would meet.
 */
export function mayCommit(item: OffsetItem | undefined, by: Committer, { ownerGoneAtVersion }: OffsetCommit): boolean {
  if (by.memberId === undefined) {
    const isFree = item?.owner === undefined || item.version === ownerGoneAtVersion;
    return isFree && (item?.owner?.memberEpoch ?? 0) <= by.groupEpoch && (item?.committed?.epoch ?? 0) <= by.groupEpoch;
  }
  return item?.owner?.memberId === by.memberId && item.owner.memberEpoch <= by.memberEpoch;
}

/** What a commit claims to be of: the epoch of its item is no higher. */
export function epochOf(by: Committer): number {
  return by.memberId === undefined ? by.groupEpoch : by.memberEpoch;
}
