/** Groups as their owner sees them: list, describe with lag, read and reset offsets, delete. */

import { isLogError, withUnknownEffect } from '../errors.ts';
import type { GroupId, MemberId, Partition, TopicName } from '../ids.ts';
import { topicsPageMax } from '../limits.ts';
import type { GroupDescription, GroupOffset, GroupState, Groups, ResetOffsetsRequest } from '../log.ts';
import { placeOf, topicPartitionsOf, unionOf } from '../store/assignment.ts';
import { type OffsetCommit, offsetsAreGone } from '../store/group-store.ts';
import type { CommittedOffset, Group, GroupHead, GroupTopic, MemberSession, OffsetItem } from '../store/items.ts';
import { isPartitionOf, unknownPartition } from '../topic/topics.ts';
import { commitOutside, createCommitOffsets } from './commit-offsets.ts';
import { emptiedGroup } from './emptied-group.ts';
import { type GroupDeps, untilDone } from './group-deps.ts';
import { givenTwice, joinedMeanwhile, nonEmptyGroup, unknownGroup } from './group-errors.ts';
import { areOffsetsExpired, assignorOf } from './group-plan.ts';
import { lookUpTopics, namedPartitions } from './group-topics.ts';
import { createHeartbeat } from './heartbeat.ts';
import { createMembership } from './membership.ts';
import { isOver } from './reconcile.ts';

/** An offset item with what counts of it. */
interface ValidOffset {
  readonly item: OffsetItem;
  readonly committed: CommittedOffset;
}

export function createGroups(deps: GroupDeps): Groups {
  const { groupStore, metadataStore, clock } = deps;

  async function fetchOffsets({
    groupId,
    topics,
  }: Parameters<Groups['fetchOffsets']>[0]): Promise<readonly GroupOffset[]> {
    const valid = await readOffsets(groupId);
    // Those of a topic that was deleted are not those of the next one of its name.
    const known =
      topics === undefined ? await allTopics(deps, valid) : await lookUpTopics(deps.topics, topics, { isFresh: true });
    return byName(known).flatMap(({ topic, topicId }) =>
      valid
        .filter(({ item }) => item.topicId === topicId)
        .map(({ item: { partition }, committed: { offset, metadata, committedAt } }) => {
          return { topic, topicId, partition, offset, metadata, committedAt };
        }),
    );
  }

  async function readOffsets(groupId: GroupId): Promise<readonly ValidOffset[]> {
    // The head after them: of a group that is deleted meanwhile a part may be gone, and then none of them counts.
    const items = await groupStore.listOffsets(groupId);
    return validOffsets(await groupStore.getGroupHead(groupId), items, clock.nowMs());
  }

  async function describe(groupId: GroupId): Promise<GroupDescription> {
    const items = await groupStore.listOffsets(groupId);
    const seen = await groupStore.getGroup(groupId);
    if (seen === undefined) throw unknownGroup(groupId);
    const { group } = seen;
    const nowMs = clock.nowMs();
    const sessions = new Map(
      seen.sessions.filter((session) => !isOver(session, nowMs)).map((session) => [session.memberId, session]),
    );
    const valid = validOffsets(group, items, nowMs);
    const others = await allTopics(deps, valid);
    const topics = byName([...new Map([...group.topics, ...others].map((one) => [one.topicId, one])).values()]);
    const members = group.members.flatMap((member) => {
      const session = sessions.get(member.memberId);
      if (session === undefined) return [];
      const { memberId, instanceId } = member;
      const { memberEpoch, state, seenAt } = session;
      const assignment = namedPartitions(heldBy(session), topics);
      const targetAssignment = namedPartitions(member.targetAssignment, topics);
      return [
        { memberId, instanceId, memberEpoch, state, topics: member.topics, seenAt, assignment, targetAssignment },
      ];
    });
    const owners = ownersOf(sessions.values());
    const partitions = await Promise.all(topics.map((topic) => describeTopic(topic, valid, owners)));
    return {
      groupId,
      state: stateOf(group, [...sessions.values()]),
      groupEpoch: group.groupEpoch,
      assignor: assignorOf(group.members),
      members,
      partitions: partitions.flat(),
    };
  }

  async function describeTopic(
    { topic, topicId, partitionCount }: GroupTopic,
    valid: readonly ValidOffset[],
    owners: ReadonlyMap<string, MemberId>,
  ): Promise<GroupDescription['partitions'][number][]> {
    const offsets = new Map(
      valid.filter(({ item }) => item.topicId === topicId).map(({ item, committed }) => [item.partition, committed]),
    );
    const heads = await metadataStore.getHeads(topicId, indexes(partitionCount));
    return heads.flatMap((head, partition) => {
      // The topic was deleted a moment ago.
      if (head === undefined) return [];
      const committed = offsets.get(partition);
      const highWatermark = head.logEndOffset;
      return [
        {
          topic,
          partition,
          committedOffset: committed?.offset,
          metadata: committed?.metadata,
          highWatermark,
          lag: committed === undefined ? undefined : Math.max(0, highWatermark - committed.offset),
          memberId: owners.get(placeOf(topicId, partition)),
        },
      ];
    });
  }

  async function resetOffsets(request: ResetOffsetsRequest): Promise<readonly GroupOffset[]> {
    const { groupId } = request;
    deps.topics.forget(request.topic);
    const topic = await deps.topics.get(request.topic);
    const partitions = request.partitions ?? indexes(topic.partitionCount);
    for (const [index, partition] of partitions.entries()) {
      if (!isPartitionOf(topic, partition)) throw unknownPartition(topic, partition);
      if (partitions.indexOf(partition) < index) throw givenTwice(request.topic, partition);
    }
    const emptied = await emptiedGroup(deps, groupId);
    if (emptied !== undefined && emptied.group.memberCount > 0) throw nonEmptyGroup(emptied, 'reset');
    const ofTopic = (await readOffsets(groupId)).filter(({ item }) => item.topicId === topic.topicId);
    const before = new Map(ofTopic.map(({ item, committed }) => [item.partition, committed.offset]));
    const heads = await metadataStore.getHeads(topic.topicId, partitions);
    const found = await Promise.all(
      partitions.map(async (partition, index): Promise<OffsetCommit[]> => {
        const head = heads[index];
        if (head === undefined) throw unknownPartition(topic, partition);
        const bounds = { earliest: head.logStartOffset, latest: head.logEndOffset };
        const offset = await resetOffset(request, partition, bounds, before.get(partition));
        return offset === undefined ? [] : [{ topicId: topic.topicId, partition, offset, metadata: '' }];
      }),
    );
    const commits = found.flat();
    const errors = await commitOutside(deps, groupId, commits);
    const error = errors.find((one) => one !== undefined);
    if (error !== undefined) {
      const isPartDone = errors.some((one) => one === undefined || one.effect === 'unknown');
      if (isLogError(error, 'UNKNOWN_MEMBER_ID')) throw joinedMeanwhile(groupId, isPartDone ? 'unknown' : 'none');
      throw isPartDone ? withUnknownEffect(error, 'other partitions may be reset') : error;
    }
    const committedAt = clock.nowMs();
    return commits.map(({ partition, offset, metadata }) => {
      return { topic: request.topic, topicId: topic.topicId, partition, offset, metadata, committedAt };
    });
  }

  /** Undefined: there is no committed offset to shift. */
  async function resetOffset(
    { topic, to }: ResetOffsetsRequest,
    partition: Partition,
    { earliest, latest }: { readonly earliest: number; readonly latest: number },
    committed: number | undefined,
  ): Promise<number | undefined> {
    if (to === 'earliest') return earliest;
    if (to === 'latest') return latest;
    if (typeof to === 'number') return (await deps.listOffsets({ topic, partition, timestamp: to })).offset ?? latest;
    return committed === undefined ? undefined : Math.min(latest, Math.max(earliest, committed + to.shift));
  }

  async function remove(groupId: GroupId): Promise<void> {
    let isEmptied = false;
    const attempt = async (): Promise<true | undefined> => {
      const seen = await emptiedGroup(deps, groupId);
      if (seen === undefined) throw unknownGroup(groupId);
      if (seen.group.memberCount > 0) throw nonEmptyGroup(seen, 'deleted');
      const { members: _, topics: __, ...head } = seen.group;
      const outcome = await groupStore.deleteGroup(head, clock.nowMs());
      if (outcome === 'emptied') isEmptied = true;
      return outcome === 'deleted' ? true : undefined;
    };
    await untilDone(deps, groupId, attempt).catch((error) => {
      throw isEmptied ? withUnknownEffect(error, offsetsAreGone) : error;
    });
  }

  return {
    ...createMembership(deps),
    heartbeat: createHeartbeat(deps),
    commitOffsets: createCommitOffsets(deps),
    fetchOffsets,
    resetOffsets,
    list: async (page) =>
      (await groupStore.listGroups(page)).map(({ groupId, groupEpoch, memberCount }) => {
        return { groupId, groupEpoch, memberCount };
      }),
    describe,
    delete: remove,
  };
}

/** Those that have neither expired nor been deleted with a group of this name. */
function validOffsets(head: GroupHead | undefined, items: readonly OffsetItem[], nowMs: number): ValidOffset[] {
  if (head === undefined || areOffsetsExpired(head, nowMs)) return [];
  return items.flatMap((item) => {
    const { committed } = item;
    return committed === undefined || committed.epoch < head.offsetsFromEpoch ? [] : [{ item, committed }];
  });
}

/** The topics of these offsets that exist; ids alone tell no name, so all topics are looked through. */
async function allTopics({ metadataStore }: GroupDeps, valid: readonly ValidOffset[]): Promise<GroupTopic[]> {
  const wanted = new Set(valid.map(({ item }) => item.topicId));
  const found: GroupTopic[] = [];
  for (let after: TopicName | undefined, isEnd = wanted.size === 0; !isEnd; ) {
    const page = await metadataStore.listTopics({ ...(after === undefined ? {} : { after }), limit: topicsPageMax });
    for (const { topic, topicId, partitionCount } of page) {
      if (wanted.delete(topicId)) found.push({ topic, topicId, partitionCount });
    }
    after = page.at(-1)?.topic;
    isEnd = wanted.size === 0 || page.length < topicsPageMax;
  }
  return found;
}

/** `sessions` are those that are not over; a member without one has yet to be found dead. */
function stateOf({ groupEpoch, memberCount }: Group, sessions: readonly MemberSession[]): GroupState {
  if (sessions.length === 0) return 'EMPTY';
  if (sessions.length < memberCount) return 'RECONCILING';
  const isSettled = sessions.every(
    (one) => one.state === 'AWAY' || (one.state === 'STABLE' && one.memberEpoch === groupEpoch),
  );
  return isSettled ? 'STABLE' : 'RECONCILING';
}

/** By place, who holds it. */
function ownersOf(sessions: Iterable<MemberSession>): Map<string, MemberId> {
  return new Map(
    [...sessions].flatMap((session) =>
      topicPartitionsOf(heldBy(session)).map((one): [string, MemberId] => [
        placeOf(one.topicId, one.partition),
        session.memberId,
      ]),
    ),
  );
}

const heldBy = (session: MemberSession) => unionOf(session.currentAssignment, session.partitionsPendingRevocation);
const byName = (topics: readonly GroupTopic[]) => topics.toSorted((one, other) => (one.topic < other.topic ? -1 : 1));
const indexes = (count: number) => Array.from({ length: count }, (_, index) => index);
