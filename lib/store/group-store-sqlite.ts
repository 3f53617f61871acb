/** The group store on the SQLite database of the metadata store: its transactions and syncs are the same. */

import type { DatabaseSync } from 'node:sqlite';
import type { GroupId, MemberId, TopicId } from '../ids.ts';
import { deletedGroupRetentionMs } from '../limits.ts';
import { decodeAssignment, encodeAssignment, type TopicPartition } from './assignment.ts';
import type { Committer, GroupStore, OffsetCommit, OffsetOutcome } from './group-store.ts';
import { decodePlan, encodePlan } from './group-text.ts';
import type { Group, GroupHead, MemberSession, MemberState, OffsetItem } from './items.ts';
import { mayCommit } from './offset-item.ts';

/** Made in every file that is opened: an older release leaves them alone. */
export const groupTables = `
  CREATE TABLE IF NOT EXISTS groups (
    group_id TEXT PRIMARY KEY, version INTEGER NOT NULL, group_epoch INTEGER NOT NULL, member_count INTEGER NOT NULL,
    check_at INTEGER NOT NULL, empty_since INTEGER, offsets_from_epoch INTEGER NOT NULL, plan TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS group_sessions (
    group_id TEXT NOT NULL, member_id TEXT NOT NULL, version INTEGER NOT NULL, member_epoch INTEGER NOT NULL,
    previous_member_epoch INTEGER NOT NULL, state TEXT NOT NULL, seen_at INTEGER NOT NULL,
    session_timeout_ms INTEGER NOT NULL, rebalance_timeout_ms INTEGER NOT NULL, revoke_by INTEGER,
    current_assignment BLOB NOT NULL, partitions_pending_revocation BLOB NOT NULL, PRIMARY KEY (group_id, member_id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS group_offsets (
    group_id TEXT NOT NULL, topic_id TEXT NOT NULL, partition INTEGER NOT NULL, version INTEGER NOT NULL,
    owner_id TEXT, owner_epoch INTEGER, committed_offset INTEGER, metadata TEXT, committed_at INTEGER, epoch INTEGER,
    PRIMARY KEY (group_id, topic_id, partition)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS deleted_groups (
    group_id TEXT PRIMARY KEY, group_epoch INTEGER NOT NULL, deleted_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

export interface SqliteGroupDeps {
  readonly database: DatabaseSync;
  /** Runs in a durable transaction, after which it resolves. */
  readonly write: <T>(run: () => T) => Promise<T>;
  readonly read: <T>(run: () => T) => Promise<T>;
}

export function openSqliteGroupStore({ database, write, read }: SqliteGroupDeps): GroupStore {
  const sql = prepareStatements(database);

  const readHead = (groupId: GroupId): GroupHead | undefined => {
    const row = sql.readGroup.get(groupId) as GroupRow | undefined;
    return row === undefined ? undefined : toHead(row);
  };
  const readSession = (groupId: GroupId, memberId: MemberId): MemberSession | undefined => {
    const row = sql.readSession.get(groupId, memberId) as SessionRow | undefined;
    return row === undefined ? undefined : toSession(row);
  };
  const readSessions = (groupId: GroupId): MemberSession[] =>
    (sql.readSessions.all(groupId) as unknown as SessionRow[]).map(toSession);
  const readOffset = (groupId: GroupId, { topicId, partition }: TopicPartition): OffsetItem | undefined => {
    const row = sql.readOffset.get(groupId, topicId, partition) as OffsetRow | undefined;
    return row === undefined ? undefined : toOffset(row);
  };
  const readDeletedEpoch = (groupId: GroupId): number | undefined =>
    (sql.readDeleted.get(groupId) as { readonly group_epoch: number } | undefined)?.group_epoch;
  const putGroup = (group: Group): void => {
    const { version, groupEpoch, memberCount, checkAt, emptySince, offsetsFromEpoch } = group;
    const counts = [version, groupEpoch, memberCount, checkAt, emptySince ?? null, offsetsFromEpoch] as const;
    sql.putGroup.run(group.groupId, ...counts, encodePlan(group));
  };
  const putSession = (groupId: GroupId, session: MemberSession): void => {
    sql.putSession.run(
      groupId,
      session.memberId,
      session.version,
      session.memberEpoch,
      session.previousMemberEpoch,
      session.state,
      session.seenAt,
      session.sessionTimeoutMs,
      session.rebalanceTimeoutMs,
      session.revokeBy ?? null,
      encodeAssignment(session.currentAssignment),
      encodeAssignment(session.partitionsPendingRevocation),
    );
  };
  const putOffset = (groupId: GroupId, { topicId, partition, version, owner, committed }: OffsetItem): void => {
    sql.putOffset.run(
      groupId,
      topicId,
      partition,
      version,
      owner?.memberId ?? null,
      owner?.memberEpoch ?? null,
      committed?.offset ?? null,
      committed?.metadata ?? null,
      committed?.committedAt ?? null,
      committed?.epoch ?? null,
    );
  };

  const commitOffset = (groupId: GroupId, by: Committer, commit: OffsetCommit, committedAt: number): OffsetOutcome => {
    const { topicId, partition, offset, metadata } = commit;
    const item = readOffset(groupId, commit);
    if (!mayCommit(item, by, commit)) return { outcome: 'refused', item };
    const isTaken = by.memberId === undefined && item?.owner !== undefined;
    putOffset(groupId, {
      topicId,
      partition,
      version: (item?.version ?? 0) + (isTaken ? 1 : 0),
      owner: isTaken ? undefined : item?.owner,
      committed: {
        offset,
        metadata,
        committedAt: Math.max(committedAt, (item?.committed?.committedAt ?? 0) + 1),
        epoch: by.memberId === undefined ? by.groupEpoch : (item?.owner?.memberEpoch ?? by.memberEpoch),
      },
    });
    return { outcome: 'committed' };
  };

  return {
    renewSession: (groupId, memberId, memberEpoch, seenAt) =>
      write(() => {
        const found = readSession(groupId, memberId);
        const isRenewed = found !== undefined && found.memberEpoch === memberEpoch;
        const session = isRenewed ? { ...found, seenAt: Math.max(found.seenAt, seenAt) } : found;
        if (isRenewed && session !== undefined) putSession(groupId, session);
        return { isRenewed, head: readHead(groupId), session };
      }),

    getGroup: (groupId) =>
      read(() => {
        const row = sql.readGroup.get(groupId) as GroupRow | undefined;
        if (row === undefined) return undefined;
        return { group: { ...toHead(row), ...decodePlan(row.plan) }, sessions: readSessions(groupId) };
      }),

    getGroupHead: (groupId) => read(() => readHead(groupId)),
    getDeletedEpoch: (groupId) => read(() => readDeletedEpoch(groupId)),

    listGroups: ({ after, limit }) =>
      read(() => (sql.listGroups.all(after ?? '', limit) as unknown as GroupRow[]).map(toHead)),

    changeGroup: ({ group, seenVersion, puts, removes }) =>
      write(() => {
        const { groupId } = group;
        const isAsSeen =
          readHead(groupId)?.version === seenVersion &&
          (readDeletedEpoch(groupId) ?? -1) < group.groupEpoch &&
          puts.every((put) => readSession(groupId, put.session.memberId)?.version === put.seenVersion) &&
          removes.every(({ memberId, seenVersion: version, seenAt }) => {
            const session = readSession(groupId, memberId);
            return session?.version === version && (seenAt === undefined || session.seenAt === seenAt);
          });
        if (!isAsSeen) return 'conflict';
        putGroup(group);
        sql.forgetDeleted.run(groupId);
        for (const { memberId } of removes) sql.deleteSession.run(groupId, memberId);
        for (const { session } of puts) putSession(groupId, session);
        return 'changed';
      }),

    scheduleCheck: (groupId, seenCheckAt, checkAt) =>
      write(() => {
        sql.scheduleCheck.run(checkAt, groupId, seenCheckAt);
      }),

    handOver: ({ groupId, session, seenVersion, claims }) =>
      write(() => {
        const stored = readSession(groupId, session.memberId);
        if (stored?.version !== seenVersion) return 'conflict';
        const isAsSeen = claims.every((claim) => readOffset(groupId, claim)?.version === claim.seenVersion);
        if (!isAsSeen) return 'conflict';
        const owner = { memberId: session.memberId, memberEpoch: session.memberEpoch };
        for (const { topicId, partition, seenVersion: version = 0 } of claims) {
          const committed = readOffset(groupId, { topicId, partition })?.committed;
          putOffset(groupId, { topicId, partition, version: version + 1, owner, committed });
        }
        putSession(groupId, { ...session, seenAt: stored.seenAt });
        return 'done';
      }),

    deleteGroup: ({ groupId, version }, deletedAt) =>
      write(() => {
        const head = readHead(groupId);
        if (head?.version !== version || head.memberCount > 0) return 'conflict';
        for (const statement of sql.deleteContents) statement.run(groupId);
        sql.forgetDeletedBefore.run(deletedAt - deletedGroupRetentionMs);
        sql.putDeleted.run(groupId, head.groupEpoch, deletedAt);
        return 'deleted';
      }),

    getOffsets: (groupId, partitions) => read(() => partitions.map((place) => readOffset(groupId, place))),

    listOffsets: (groupId) => read(() => (sql.listOffsets.all(groupId) as unknown as OffsetRow[]).map(toOffset)),

    commitOffsets: (groupId, committer, commits, committedAt) =>
      write(() => commits.map((commit) => commitOffset(groupId, committer, commit, committedAt))),
  };
}

function prepareStatements(database: DatabaseSync) {
  return {
    readGroup: database.prepare('SELECT * FROM groups WHERE group_id = ?'),
    readSessions: database.prepare('SELECT * FROM group_sessions WHERE group_id = ? ORDER BY member_id'),
    listOffsets: database.prepare('SELECT * FROM group_offsets WHERE group_id = ? ORDER BY topic_id, partition'),
    listGroups: database.prepare('SELECT * FROM groups WHERE group_id > ? ORDER BY group_id LIMIT ?'),
    putGroup: database.prepare('INSERT OR REPLACE INTO groups VALUES (?, ?, ?, ?, ?, ?, ?, ?)'),
    scheduleCheck: database.prepare('UPDATE groups SET check_at = ? WHERE group_id = ? AND check_at = ?'),
    readSession: database.prepare('SELECT * FROM group_sessions WHERE group_id = ? AND member_id = ?'),
    putSession: database.prepare('INSERT OR REPLACE INTO group_sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    deleteSession: database.prepare('DELETE FROM group_sessions WHERE group_id = ? AND member_id = ?'),
    readOffset: database.prepare('SELECT * FROM group_offsets WHERE group_id = ? AND topic_id = ? AND partition = ?'),
    putOffset: database.prepare('INSERT OR REPLACE INTO group_offsets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    readDeleted: database.prepare('SELECT group_epoch FROM deleted_groups WHERE group_id = ?'),
    putDeleted: database.prepare('INSERT OR REPLACE INTO deleted_groups VALUES (?, ?, ?)'),
    forgetDeleted: database.prepare('DELETE FROM deleted_groups WHERE group_id = ?'),
    forgetDeletedBefore: database.prepare('DELETE FROM deleted_groups WHERE deleted_at < ?'),
    deleteContents: ['groups', 'group_sessions', 'group_offsets'].map((table) =>
      database.prepare(`DELETE FROM ${table} WHERE group_id = ?`),
    ),
  };
}

interface GroupRow {
  readonly group_id: string;
  readonly version: number;
  readonly group_epoch: number;
  readonly member_count: number;
  readonly check_at: number;
  readonly empty_since: number | null;
  readonly offsets_from_epoch: number;
  readonly plan: string;
}
interface SessionRow {
  readonly member_id: string;
  readonly version: number;
  readonly member_epoch: number;
  readonly previous_member_epoch: number;
  readonly state: string;
  readonly seen_at: number;
  readonly session_timeout_ms: number;
  readonly rebalance_timeout_ms: number;
  readonly revoke_by: number | null;
  readonly current_assignment: Uint8Array;
  readonly partitions_pending_revocation: Uint8Array;
}
interface OffsetRow {
  readonly topic_id: string;
  readonly partition: number;
  readonly version: number;
  readonly owner_id: string | null;
  readonly owner_epoch: number | null;
  readonly committed_offset: number | null;
  readonly metadata: string | null;
  readonly committed_at: number | null;
  readonly epoch: number | null;
}

function toHead(row: GroupRow): GroupHead {
  return {
    groupId: row.group_id as GroupId,
    version: row.version,
    groupEpoch: row.group_epoch,
    memberCount: row.member_count,
    checkAt: row.check_at,
    emptySince: row.empty_since ?? undefined,
    offsetsFromEpoch: row.offsets_from_epoch,
  };
}

function toSession(row: SessionRow): MemberSession {
  return {
    memberId: row.member_id as MemberId,
    version: row.version,
    memberEpoch: row.member_epoch,
    previousMemberEpoch: row.previous_member_epoch,
    state: row.state as MemberState,
    seenAt: row.seen_at,
    sessionTimeoutMs: row.session_timeout_ms,
    rebalanceTimeoutMs: row.rebalance_timeout_ms,
    revokeBy: row.revoke_by ?? undefined,
    currentAssignment: decodeAssignment(row.current_assignment),
    partitionsPendingRevocation: decodeAssignment(row.partitions_pending_revocation),
  };
}

function toOffset(row: OffsetRow): OffsetItem {
  const { owner_id: ownerId, owner_epoch: ownerEpoch, committed_offset: offset } = row;
  return {
    topicId: row.topic_id as TopicId,
    partition: row.partition,
    version: row.version,
    owner: ownerId === null ? undefined : { memberId: ownerId as MemberId, memberEpoch: ownerEpoch ?? 0 },
    committed:
      offset === null
        ? undefined
        : { offset, metadata: row.metadata ?? '', committedAt: row.committed_at ?? 0, epoch: row.epoch ?? 0 },
  };
}
