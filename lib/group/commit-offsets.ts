/**
 * How far a group has read: committed with the owner's member epoch as fencing token, one conditional write for each
 * partition. A consumer that is in no group commits while the group has no members.
 */

import { isLogError, LogError } from '../errors.ts';
import type { GroupId, MemberId, TopicName } from '../ids.ts';
import { offsetMetadataBytesMax } from '../limits.ts';
import type { CommitOffsetsRequest, CommitOffsetsResult, Groups } from '../log.ts';
import type { Committer, OffsetCommit, OffsetOutcome } from '../store/group-store.ts';
import type { GroupHead, GroupTopic, OffsetItem } from '../store/items.ts';
import { emptiedGroup } from './emptied-group.ts';
import { type GroupDeps, groupToMake, untilDone } from './group-deps.ts';
import { givenTwice, ownedByMembers, unknownMember } from './group-errors.ts';
import { usedGroup } from './group-plan.ts';
import { lookUpFitting } from './group-topics.ts';

export function createCommitOffsets(deps: GroupDeps): Groups['commitOffsets'] {
  const { groupStore, clock } = deps;

  return async function commitOffsets(request: CommitOffsetsRequest): Promise<readonly CommitOffsetsResult[]> {
    const { groupId, member, offsets } = request;
    refuseTwice(offsets);
    const ofTopic = Map.groupBy(offsets, ({ topic }) => topic);
    const topics = await lookUpFitting(deps.topics, ofTopic.keys(), (name, found) =>
      (ofTopic.get(name) ?? []).every((entry) => 'found' in find(entry, found)),
    );
    const checked = offsets.map((entry) => ({ entry, ...check(entry, topics.get(entry.topic)) }));
    const good = checked.flatMap((one) => ('commit' in one ? [one] : []));
    const commits = good.map(({ commit }) => commit);
    const errors =
      member === undefined ? await commitOutside(deps, groupId, commits) : await commitAs(groupId, member, good);
    let index = 0;
    return checked.map((one): CommitOffsetsResult => {
      const { topic, partition } = one.entry;
      const error = 'error' in one ? one.error : errors[index++];
      return error === undefined ? { topic, partition } : { topic, partition, error };
    });
  };

  async function commitAs(
    groupId: GroupId,
    member: NonNullable<CommitOffsetsRequest['member']>,
    checked: readonly { readonly entry: Entry; readonly commit: OffsetCommit }[],
  ): Promise<readonly (LogError | undefined)[]> {
    const commits = checked.map(({ commit }) => commit);
    const outcomes = await groupStore.commitOffsets(groupId, member, commits, clock.nowMs());
    const isRefused = outcomes.some(({ outcome }) => outcome === 'refused');
    // What is committed is so, whatever becomes of the look for why the rest is not.
    const isMember = isRefused ? await hasMember(groupId, member.memberId).catch(logError) : true;
    return checked.map(({ entry }, index) => {
      const outcome = outcomes[index];
      if (outcome?.outcome === 'failed') return outcome.error;
      if (outcome?.outcome !== 'refused') return undefined;
      if (isLogError(isMember)) return isMember;
      return isMember ? stale(groupId, member, entry, outcome.item) : unknownMember(groupId, member.memberId);
    });
  }

  async function hasMember(groupId: GroupId, memberId: MemberId): Promise<boolean> {
    const seen = await groupStore.getGroup(groupId);
    return seen?.sessions.some((session) => session.memberId === memberId) === true;
  }
}

function logError(error: unknown): LogError {
  if (isLogError(error)) return error;
  throw error;
}

/** Of a consumer in no group, and of a reset; by partition an error, or undefined where it was committed. */
export async function commitOutside(
  deps: GroupDeps,
  groupId: GroupId,
  commits: readonly OffsetCommit[],
): Promise<readonly (LogError | undefined)[]> {
  // Who commits nothing makes no group.
  if (commits.length === 0) return [];
  const errors: (LogError | undefined)[] = commits.map(() => undefined);
  let left = commits.map((commit, index) => ({ index, commit }));
  const attempt = async (): Promise<true | undefined> => {
    const head = await usableHead(deps, groupId);
    if (head === undefined) return undefined;
    if (head.memberCount > 0) {
      for (const { index } of left) errors[index] = ownedByMembers(groupId, head.memberCount);
      return true;
    }
    const committer: Committer = { groupEpoch: head.groupEpoch };
    const asked = left.map(({ commit }) => commit);
    const outcomes = await deps.groupStore.commitOffsets(groupId, committer, asked, deps.clock.nowMs());
    for (const [at, { index }] of left.entries()) {
      const outcome = outcomes[at];
      if (outcome?.outcome === 'failed') errors[index] = outcome.error;
    }
    // Nobody was a member a moment ago: an owner that is there still has gone, or has only just come.
    left = left.flatMap(({ index, commit }, at) =>
      refusedAgain(commit, outcomes[at]).map((again) => ({ index, commit: again })),
    );
    return left.length === 0 ? true : undefined;
  };
  await untilDone(deps, groupId, attempt).catch((error) => {
    // Where some are done the failure is that of the others.
    if (!isLogError(error) || left.length === commits.length) throw error;
    for (const { index } of left) errors[index] = error;
  });
  return errors;
}

function refusedAgain(commit: OffsetCommit, outcome: OffsetOutcome | undefined): OffsetCommit[] {
  if (outcome?.outcome !== 'refused') return [];
  const { topicId, partition, offset, metadata } = commit;
  const version = outcome.item?.version;
  return [{ topicId, partition, offset, metadata, ...(version === undefined ? {} : { ownerGoneAtVersion: version }) }];
}

/** The head of a group that may be committed to; undefined when it had to be made or changed first, and was. */
async function usableHead(deps: GroupDeps, groupId: GroupId): Promise<GroupHead | undefined> {
  const { groupStore, clock } = deps;
  const head = await groupStore.getGroupHead(groupId);
  const nowMs = clock.nowMs();
  if (head === undefined) {
    const group = await groupToMake(deps, groupId);
    await groupStore.changeGroup({ group, seenVersion: undefined, puts: [], removes: [] });
    return undefined;
  }
  // Perhaps of members that are members no longer.
  if (head.memberCount > 0) return (await emptiedGroup(deps, groupId))?.group ?? head;
  const used = usedGroup(head, nowMs);
  if (used === head) return head;
  const group = { ...used, members: [], topics: [] };
  await groupStore.changeGroup({ group, seenVersion: head.version, puts: [], removes: [] });
  return undefined;
}

type Entry = CommitOffsetsRequest['offsets'][number];

function find(
  { topic, topicId, partition }: Entry,
  found: GroupTopic | undefined,
): { readonly found: GroupTopic } | { readonly error: LogError } {
  if (found !== undefined && topicId !== undefined && topicId !== found.topicId) {
    return {
      error: new LogError('UNKNOWN_TOPIC_ID', `topic ${topic} has id ${found.topicId} now, and not ${topicId}`),
    };
  }
  if (found !== undefined && partition < found.partitionCount) return { found };
  const there = found === undefined ? 'the topic does not exist' : `it has ${found.partitionCount} partitions`;
  return { error: new LogError('UNKNOWN_TOPIC_OR_PARTITION', `partition ${partition} of topic ${topic}: ${there}`) };
}

function check(
  entry: Entry,
  found: GroupTopic | undefined,
): { readonly commit: OffsetCommit } | { readonly error: LogError } {
  const { topic, partition, offset, metadata = '' } = entry;
  const known = find(entry, found);
  if ('error' in known) return known;
  const bytes = Buffer.byteLength(metadata);
  if (bytes > offsetMetadataBytesMax) {
    const message = `metadata of partition ${partition} of topic ${topic} has ${bytes} bytes, ${offsetMetadataBytesMax} are allowed`;
    return { error: new LogError('OFFSET_METADATA_TOO_LARGE', message) };
  }
  return { commit: { topicId: known.found.topicId, partition, offset, metadata } };
}

function refuseTwice(offsets: readonly Entry[]): void {
  const seen = new Set<string>();
  for (const { topic, partition } of offsets) {
    const place: `${TopicName}/${number}` = `${topic}/${partition}`;
    if (seen.has(place)) throw givenTwice(topic, partition);
    seen.add(place);
  }
}

function stale(
  groupId: GroupId,
  { memberId, memberEpoch }: NonNullable<CommitOffsetsRequest['member']>,
  { topic, partition }: Entry,
  item: OffsetItem | undefined,
): LogError {
  const owner = item?.owner;
  const whose =
    owner === undefined
      ? 'is not given to any member'
      : owner.memberId === memberId
        ? `was given to it at epoch ${owner.memberEpoch}`
        : 'is given to another member';
  return new LogError(
    'STALE_MEMBER_EPOCH',
    `partition ${partition} of topic ${topic} ${whose}, member ${memberId} of group ${groupId} commits it at epoch ${memberEpoch}`,
    { details: { memberEpoch } },
  );
}
