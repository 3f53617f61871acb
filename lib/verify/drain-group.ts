/**
 * The end of a group, without which a history proves nothing of it: when nothing is in the way any more, two new members share
 * all partitions, read them to their ends, commit and leave. Who was a member before and has died has lost its partitions.
 */

import type { Clock } from '../clock.ts';
import type { GroupId, MemberId, TopicName } from '../ids.ts';
import { groupCheckMsMax, heartbeatIntervalMsMax, sessionTimeoutMsDefault } from '../limits.ts';
import { formatFailure } from './format.ts';
import { GroupRecorder } from './group-recorder.ts';
import { Membership } from './membership.ts';
import type { Caller, Recorder } from './recorder.ts';

const memberCount = 2;
/** A round is a heartbeat of each. */
const roundsMax = 100;
/** More often than they are asked to send one, for it to be over soon. */
const roundMs = 1_000;
/** Of fetches of one partition. */
const readsMax = 1_000;

/** A death is noticed when the session is over, by who looks then; and what the dead had is given with the heartbeat after that. */
const deathMsMax = sessionTimeoutMsDefault + groupCheckMsMax + 2 * heartbeatIntervalMsMax;

export interface DrainOptions {
  /** Ends early where it may not go on. */
  readonly mayGoOn?: () => boolean;
  /** At last one of the two dies, and the other must get what it had by nothing but its own heartbeats: takes a minute. */
  readonly hasDeath?: boolean;
}

export interface Drained {
  readonly topic: TopicName;
  readonly partitionCount: number;
}

/** Resolves with what went wrong; nothing when all is read and committed. */
export async function drainGroup(
  recorder: Recorder,
  caller: Caller,
  clock: Clock,
  groupId: GroupId,
  topics: readonly Drained[],
  { mayGoOn = () => true, hasDeath = false }: DrainOptions = {},
): Promise<string[]> {
  const groups = new GroupRecorder(recorder);
  const members = Array.from({ length: memberCount }, (_, index) => {
    return new Membership(groups, caller, {
      groupId,
      memberId: `${caller.name}.${groupId}.${index}` as MemberId,
      instanceId: undefined,
      topics: topics.map(({ topic }) => topic),
      assignor: 'uniform',
      sessionTimeoutMs: sessionTimeoutMsDefault,
      rebalanceTimeoutMs: 60_000,
    });
  });
  const came = new Set<Membership>();
  const partitionCount = topics.reduce((sum, topic) => sum + topic.partitionCount, 0);
  const isSettled = () =>
    new Set(members.map(({ memberEpoch }) => memberEpoch)).size === 1 &&
    members.every((member) => member.isMember && member.revoked.length === 0) &&
    members.reduce((sum, { holdings }) => sum + holdings.size, 0) === partitionCount;

  for (let round = 0; round < roundsMax && mayGoOn() && !isSettled(); round++) {
    for (const member of members) {
      member.release(member.revoked);
      came.add(member);
      await (member.isMember ? member.heartbeat(true) : member.join());
    }
    await clock.sleep(roundMs);
  }
  const wrong: string[] = [];
  if (isSettled()) {
    for (const member of members) wrong.push(...(await readAndCommit(recorder, groups, caller, member, mayGoOn)));
    const [heir, dead] = members;
    if (hasDeath && heir !== undefined && dead !== undefined) {
      came.delete(dead);
      for (let ms = 0; ms < deathMsMax && heir.holdings.size < partitionCount; ms += heartbeatIntervalMsMax) {
        await clock.sleep(heartbeatIntervalMsMax);
        await heir.heartbeat(false);
      }
      const { size } = heir.holdings;
      if (size < partitionCount) {
        wrong.push(
          `${deathMsMax} ms after one of two members of group ${groupId} died, the other has ${size} of ${partitionCount} partitions`,
        );
      }
    }
  } else {
    const held = members.map(({ memberEpoch, holdings }) => `${holdings.size} at epoch ${memberEpoch}`);
    wrong.push(
      `group ${groupId} is not settled: of ${partitionCount} partitions its members hold ${held.join(' and ')}`,
    );
  }
  // Whatever became of it: until its members have left, or their sessions are over, a group cannot be deleted.
  for (const member of came) {
    const { outcome } = await member.leave(false);
    if (outcome.kind !== 'ok') wrong.push(`a member could not leave group ${groupId}: ${formatFailure(outcome)}`);
  }
  return wrong;
}

async function readAndCommit(
  recorder: Recorder,
  groups: GroupRecorder,
  caller: Caller,
  member: Membership,
  mayGoOn: () => boolean,
): Promise<string[]> {
  const { groupId: group, memberId } = member.identity;
  const wrong: string[] = [];
  for (const { topic, topicId, partition, session } of member.holdings.values()) {
    if (!mayGoOn()) return [...wrong, `group ${group} was not read to its end`];
    const { outcome: found } = await groups.fetchOffsets(caller, group, topic);
    const committed =
      found.kind === 'ok'
        ? found.offsets.find((one) => one.topicId === topicId && one.partition === partition)
        : undefined;
    let asked = committed?.offset ?? 0;
    let isAtEnd = false;
    for (let reads = 0; reads < readsMax && !isAtEnd && mayGoOn(); reads++) {
      const limits = { maxBytes: 1_000_000, minBytes: 0, maxWaitMs: 0 };
      const partitions = [{ partition, asked, session }];
      const [poll] = await recorder.fetch(caller, topic, { partitions, group, ...limits });
      if (poll?.outcome.kind !== 'ok') break;
      isAtEnd = poll.outcome.nextOffset >= poll.outcome.highWatermark;
      asked = poll.outcome.nextOffset;
    }
    const offset = { topic, topicId, partition, offset: asked, metadata: `${caller.name}+${group}+${partition}` };
    const { memberEpoch } = member;
    const [commit] = await groups.commitOffsets(caller, group, { memberId, memberEpoch }, [offset]);
    if (!isAtEnd) wrong.push(`${topic}/${partition} was not read to its end by group ${group}`);
    if (commit?.outcome.kind !== 'ok') {
      wrong.push(`a member could not commit ${topic}/${partition} of its own: ${formatFailure(commit?.outcome)}`);
    }
  }
  return wrong;
}
