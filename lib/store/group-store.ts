/**
 * The door to groups: who is in them, what each member owns, and how far they have read. Each call is one whole step. A lost
 * condition is an answer, not an error; errors are KAFKA_STORAGE_ERROR.
 */

import type { LogError } from '../errors.ts';
import type { GroupId, MemberId, Offset, Timestamp } from '../ids.ts';
import type { TopicPartition } from './assignment.ts';
import type { Group, GroupHead, MemberSession, OffsetItem } from './items.ts';

/** `isRenewed`: the session was there at the epoch, and is not older than the heartbeat now. Else both are as they are. */
export interface Renewal {
  readonly isRenewed: boolean;
  readonly head: GroupHead | undefined;
  readonly session: MemberSession | undefined;
}

/** The sessions may be newer or older than the group by a change or two: they are not read at one instant. */
export interface SeenGroup {
  readonly group: Group;
  readonly sessions: readonly MemberSession[];
}

export interface GroupChange {
  /** What the group becomes. */
  readonly group: Group;
  /** The version of the group as it was read; undefined: there was none, or it was deleted at a lower epoch. */
  readonly seenVersion: number | undefined;
  /** `seenVersion` undefined: there was no session. */
  readonly puts: readonly { readonly session: MemberSession; readonly seenVersion: number | undefined }[];
  /** `seenAt` given: only if nothing was heard of the member since. */
  readonly removes: readonly {
    readonly memberId: MemberId;
    readonly seenVersion: number;
    readonly seenAt?: Timestamp;
  }[];
}

export interface HandOver {
  readonly groupId: GroupId;
  /** What the session becomes, `seenAt` aside; it is the owner of all claims from then on, at its `memberEpoch`. */
  readonly session: MemberSession;
  readonly seenVersion: number;
  /** `seenVersion` of the partition's offset item; undefined: there was none. */
  readonly claims: readonly (TopicPartition & { readonly seenVersion: number | undefined })[];
}

export interface OffsetCommit extends TopicPartition {
  readonly offset: Offset;
  readonly metadata: string;
  /** Of an item whose owner was found to be one no longer: it is taken out. Only for commits without a member. */
  readonly ownerGoneAtVersion?: number;
}

/**
 * With a member: the partition must be its own, given to it at no later epoch than `memberEpoch`. Without: nobody's, or
 * that of an owner who is gone. `epoch` is the group's then.
 */
export type Committer =
  | { readonly memberId: MemberId; readonly memberEpoch: number }
  | { readonly memberId?: undefined; readonly groupEpoch: number };

/**
 * `refused`: nothing was written; the item is as it was, undefined when there is none. `failed`: the store could not, while
 * others of the same request may be committed.
 */
export type OffsetOutcome =
  | { readonly outcome: 'committed' }
  | { readonly outcome: 'refused'; readonly item: OffsetItem | undefined }
  | { readonly outcome: 'failed'; readonly error: LogError };

/** What a renewal, a heartbeat or a leave for a while had done that failed after its first step. */
export const sessionIsRenewed = 'the session of the member was renewed';
/** What a delete had. */
export const offsetsAreGone = 'the offsets of the group are deleted';

export interface GroupStore {
  /** What a quiet heartbeat takes. Never takes a session back to an earlier `seenAt`. */
  renewSession(groupId: GroupId, memberId: MemberId, memberEpoch: number, seenAt: Timestamp): Promise<Renewal>;
  /** Strongly consistent, as all reads here: what was done before it began is in it. */
  getGroup(groupId: GroupId): Promise<SeenGroup | undefined>;
  getGroupHead(groupId: GroupId): Promise<GroupHead | undefined>;
  /** Where a group of this id was when it was deleted; undefined: it never was, or longer than `deletedGroupRetentionMs` ago. */
  getDeletedEpoch(groupId: GroupId): Promise<number | undefined>;
  /** By id, those behind `after`, at most `limit`. */
  listGroups(page: { readonly after?: GroupId; readonly limit: number }): Promise<readonly GroupHead[]>;

  /** At most 90 sessions. `conflict`: something was not as it was seen, and nothing is changed. */
  changeGroup(change: GroupChange): Promise<'changed' | 'conflict'>;
  /** Sets `checkAt`, if it is still the one seen. */
  scheduleCheck(groupId: GroupId, seenCheckAt: Timestamp, checkAt: Timestamp): Promise<void>;
  /** At most `handOverPartitionsMax` claims. What the session lists no longer is given up by that alone. */
  handOver(handOver: HandOver): Promise<'done' | 'conflict'>;
  /**
   * The group, all of its offsets, and what is left of its members; nothing when someone uses it meanwhile. `head` is the
   * one seen, of an empty group; its epoch is remembered. Cut short, it leaves an empty group without offsets; `emptied`:
   * somebody used it just then.
   */
  deleteGroup(head: GroupHead, deletedAt: Timestamp): Promise<'deleted' | 'emptied' | 'conflict'>;

  /** In the order asked for; undefined where there is no item. */
  getOffsets(groupId: GroupId, partitions: readonly TopicPartition[]): Promise<readonly (OffsetItem | undefined)[]>;
  /** All items of the group, by topic id and partition. */
  listOffsets(groupId: GroupId): Promise<readonly OffsetItem[]>;
  /**
   * One outcome for each, in order; no partition twice. The stored `committedAt` of a partition rises with every commit,
   * whatever the clocks say. A commit whose answer was lost may be sent again by the store: it never undoes a later one.
   */
  commitOffsets(
    groupId: GroupId,
    committer: Committer,
    commits: readonly OffsetCommit[],
    committedAt: Timestamp,
  ): Promise<readonly OffsetOutcome[]>;
}
