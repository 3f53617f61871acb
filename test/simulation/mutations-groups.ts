/** Bugs on purpose in groups: see `mutations.ts`. */

import { edit, type Mutation } from './mutation.ts';

export const groupMutations: readonly Mutation[] = [
  {
    name: 'client: hand out what comes behind a record whose handler failed',
    profile: 'local',
    edits: [edit('lib/client/group-deliveries.ts', 'if (!isThrough) this.#onEnd();', '')],
  },
  {
    name: 'groups: commit without asking who owns the partition',
    profile: 'local',
    edits: [
      edit(
        'lib/store/offset-item.ts',
        'return item?.owner?.memberId === by.memberId && item.owner.memberEpoch <= by.memberEpoch;',
        'return by.memberEpoch >= 0;',
      ),
    ],
  },
  {
    name: 'groups: commit at an epoch from before the partition was given',
    profile: 'local',
    edits: [edit('lib/store/offset-item.ts', 'item.owner.memberEpoch <= by.memberEpoch', 'by.memberEpoch >= 0')],
  },
  {
    name: 'groups: take partitions away without telling their member',
    profile: 'local',
    edits: [edit('lib/group/reconcile.ts', 'if (mayHold(owned, surplus)) {', 'if (surplus.size < 0) {')],
  },
  {
    name: 'groups: give partitions on before they are given up',
    profile: 'aws',
    edits: [
      edit(
        'lib/group/reconcile.ts',
        "if (session.state === 'UNREVOKED_PARTITIONS' && mayHold(owned, pending)) return { step: 'waits' };",
        'if (pending.size < 0) return { step: "waits" };',
      ),
    ],
  },
  {
    name: 'groups: claim what an owner still has',
    profile: 'local',
    edits: [edit('lib/group/settle.ts', 'if (owners.size === 0) return wants;', 'if (owners.size >= 0) return wants;')],
  },
  {
    name: 'groups: claim whatever the item of the partition says by now',
    profile: 'aws',
    edits: [
      edit(
        'lib/store/group-store-dynamodb.ts',
        "claim.seenVersion === undefined ? 'attribute_not_exists(pk)' : 'v = :seen'",
        "claim.seenVersion === undefined ? 'attribute_not_exists(x)' : 'v >= :seen'",
      ),
    ],
  },
  {
    name: 'groups: forget that sessions end',
    profile: 'local',
    edits: [
      edit(
        'lib/group/reconcile.ts',
        'return nowMs - seenAt > sessionTimeoutMs;',
        'return seenAt > nowMs + sessionTimeoutMs * 1e6;',
      ),
    ],
  },
  {
    name: 'groups: give every member the same target',
    profile: 'local',
    edits: [
      edit(
        'lib/group/group-plan.ts',
        'targetAssignment: targets.get(member.memberId) ?? noPartitions',
        'targetAssignment: [...targets.values()][0] ?? noPartitions',
      ),
    ],
  },
  {
    name: 'groups: leave the last partition to nobody',
    profile: 'local',
    edits: [
      edit(
        'lib/group/group-plan.ts',
        'topicId, partitionCount])),\n    members',
        'topicId, partitionCount - 1])),\n    members',
      ),
    ],
  },
  {
    name: 'groups: obey heartbeats of any epoch',
    profile: 'local',
    edits: [
      edit(
        'lib/store/group-store-sqlite.ts',
        'found !== undefined && found.memberEpoch === memberEpoch',
        'found !== undefined && memberEpoch >= 0',
      ),
      edit(
        'lib/group/settle.ts',
        'const isSender = session.memberEpoch === memberEpoch || session.previousMemberEpoch === memberEpoch;',
        'const isSender = memberEpoch >= 0;',
      ),
    ],
  },
  {
    name: 'groups: lose the committed offset when a partition changes hands',
    profile: 'local',
    edits: [
      edit(
        'lib/store/group-store-sqlite.ts',
        'putOffset(groupId, { topicId, partition, version: version + 1, owner, committed });',
        'putOffset(groupId, { topicId, partition, version: version + 1, owner, committed: committed && undefined });',
      ),
    ],
  },
  {
    name: 'groups: let a late commit undo a later one',
    profile: 'aws',
    edits: [
      edit(
        'lib/store/group-offsets-dynamodb.ts',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source
        '`${condition} AND (attribute_not_exists(t) OR t < :t)`',
        'condition',
      ),
    ],
  },
  {
    name: 'groups: take commits from outside while there are members',
    profile: 'local',
    edits: [edit('lib/group/commit-offsets.ts', 'if (head.memberCount > 0) {\n', 'if (head.memberCount < 0) {\n')],
  },
  {
    name: 'groups: keep the offsets of a group that is deleted',
    profile: 'local',
    edits: [
      edit(
        'lib/store/group-store-sqlite.ts',
        "['groups', 'group_sessions', 'group_offsets']",
        "['groups', 'group_sessions']",
      ),
      edit('lib/group/group-plan.ts', 'offsetsFromEpoch: groupEpoch };', 'offsetsFromEpoch: 0 };'),
    ],
  },
  {
    name: 'groups: begin the epochs of a group that is made again where they began before',
    profile: 'local',
    edits: [
      edit(
        'lib/group/group-deps.ts',
        'Math.max(deletedEpoch ?? -1, ...epochs) + 1',
        'deletedEpoch === -1 ? 1 : 0 * epochs.length',
      ),
      edit(
        'lib/store/group-store-sqlite.ts',
        '(readDeletedEpoch(groupId) ?? -1) < group.groupEpoch',
        'group.groupEpoch >= 0',
      ),
    ],
  },
  {
    name: 'groups: the client commits what it has fetched and not handed out',
    profile: 'local',
    edits: [
      edit(
        'lib/client/group-commits.ts',
        '({ one, offset: one.done })',
        '({ one, offset: one.done === undefined ? undefined : one.next })',
      ),
    ],
  },
  {
    name: 'groups: the client commits nothing',
    profile: 'local',
    edits: [
      edit(
        'lib/client/group-commits.ts',
        'if (dirty.length === 0 || !member.isMember) return;',
        'if (dirty.length >= 0 || !member.isMember) return;',
      ),
    ],
  },
  {
    name: 'groups: refuse commits at the epoch at which the partition was given',
    profile: 'local',
    edits: [
      edit(
        'lib/store/offset-item.ts',
        'item.owner.memberEpoch <= by.memberEpoch',
        'item.owner.memberEpoch < by.memberEpoch',
      ),
    ],
  },
  {
    name: 'groups: end memberships and leave the sessions',
    profile: 'local',
    edits: [
      edit(
        'lib/store/group-store-sqlite.ts',
        'for (const { memberId } of removes) sql.deleteSession.run(groupId, memberId);',
        '',
      ),
    ],
  },
  {
    name: 'groups: forget that a session was renewed',
    profile: 'local',
    edits: [
      edit(
        'lib/store/group-store-sqlite.ts',
        'seenAt: Math.max(found.seenAt, seenAt)',
        'seenAt: Math.min(found.seenAt, seenAt)',
      ),
    ],
  },
  {
    name: 'groups: take the name of an instance from a member that lives',
    profile: 'local',
    edits: [edit('lib/group/membership.ts', 'if (isActive) throw', 'if (isActive && nowMs < 0) throw')],
  },
  {
    name: 'groups: end the session of a member that leaves for a while',
    profile: 'local',
    edits: [
      edit(
        'lib/group/reconcile.ts',
        'return isUnheard(session, nowMs) || ',
        "return session.state === 'AWAY' || isUnheard(session, nowMs) || ",
      ),
    ],
  },
  {
    name: 'groups: wait for ever for a member to give something up',
    profile: 'local',
    edits: [
      edit(
        'lib/group/reconcile.ts',
        'nowMs > (session.revokeBy ?? Number.POSITIVE_INFINITY)',
        'nowMs > Number.MAX_VALUE',
      ),
    ],
  },
  {
    name: 'groups: give a member a tenth of its time to give something up',
    profile: 'local',
    edits: [
      edit(
        'lib/group/reconcile.ts',
        'revokeBy: nowMs + session.rebalanceTimeoutMs,',
        'revokeBy: nowMs + session.rebalanceTimeoutMs / 10,',
      ),
    ],
  },
  {
    name: 'groups: end no session by a heartbeat',
    profile: 'local',
    edits: [
      edit(
        'lib/group/settle.ts',
        'const over = endedSessions(sessions, nowMs, memberId);',
        'const over = endedSessions([], nowMs, memberId);',
      ),
    ],
  },
  {
    name: 'groups: never look for the dead',
    profile: 'local',
    edits: [
      edit('lib/group/group-plan.ts', 'const latest = nowMs + groupCheckMsMax;', 'const latest = nowMs + 1e9;'),
      edit(
        'lib/group/group-plan.ts',
        'Math.min(latest, ...sessions.map(overAt))',
        'Math.max(latest, ...sessions.map(overAt))',
      ),
    ],
  },
  {
    name: 'groups: the client is done with what it hands out',
    profile: 'local',
    edits: [
      edit(
        'lib/client/group-deliveries.ts',
        'yield value;\n          one.done = nextOffsetOf(value);',
        'one.done = nextOffsetOf(value);\n          yield value;',
      ),
    ],
  },
  {
    name: 'groups: give nothing to a member that comes back',
    profile: 'local',
    edits: [
      edit(
        'lib/group/membership.ts',
        'const { targetAssignment } = before ?? { targetAssignment: noPartitions };',
        'const { targetAssignment } = { ...before, targetAssignment: noPartitions };',
      ),
    ],
  },
];
