/** What the members of a group, and others, ask of it, written down: see `recorder.ts`. */

import type { GroupId, InstanceId, MemberId, TopicId, TopicName } from '../ids.ts';
import type {
  GroupOffset,
  HeartbeatAnswer,
  HeartbeatRequest,
  JoinRequest,
  ResetOffsetsRequest,
  TopicPartitions,
} from '../log.ts';
import type {
  CommitOffsetOperation,
  CommittedOffset,
  FetchOffsetsOperation,
  GroupOperation,
  LookForGroupsOperation,
  MemberOperation,
  Place,
} from './history.ts';
import { type Caller, type Mutable, outcomeOf, type Recorder } from './recorder.ts';

/** What stays the same from a member's join to its end. */
export interface MemberIdentity {
  readonly groupId: GroupId;
  readonly memberId: MemberId;
  readonly instanceId: InstanceId | undefined;
  readonly topics: readonly TopicName[];
  readonly assignor: NonNullable<JoinRequest['assignor']>;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
}

export interface OffsetToCommit {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly partition: number;
  readonly offset: number;
  readonly metadata: string;
}

export interface MemberCall {
  readonly operation: MemberOperation;
  readonly answer: HeartbeatAnswer | undefined;
}

export function placeOf(topicId: string, partition: number): Place {
  return `${topicId}/${partition}`;
}

export class GroupRecorder {
  readonly #recorder: Recorder;

  constructor(recorder: Recorder) {
    this.#recorder = recorder;
  }

  async join(caller: Caller, identity: MemberIdentity): Promise<MemberCall> {
    const { instanceId, ...others } = identity;
    const request = { ...others, ...(instanceId === undefined ? {} : { instanceId }) };
    const asked = { memberEpoch: 0, owned: undefined, isStray: false };
    return await this.#member(caller, 'join', identity, asked, ({ groups }) => groups.join(request));
  }

  /** `owned` undefined: it does not say what it holds. */
  async heartbeat(
    caller: Caller,
    identity: MemberIdentity,
    asked: { readonly memberEpoch: number; readonly owned: HeartbeatRequest['owned']; readonly isStray?: boolean },
  ): Promise<MemberCall> {
    const { groupId, memberId, instanceId } = identity;
    const { memberEpoch, owned, isStray = false } = asked;
    const request = {
      ...{ groupId, memberId, memberEpoch },
      ...(instanceId === undefined ? {} : { instanceId }),
      ...(owned === undefined ? {} : { owned }),
    };
    const places = owned?.flatMap(({ topicId = '', partitions }) => partitions.map((one) => placeOf(topicId, one)));
    const noted = { memberEpoch, owned: places, isStray };
    return await this.#member(caller, 'heartbeat', identity, noted, ({ groups }) => groups.heartbeat(request));
  }

  async leave(
    caller: Caller,
    identity: MemberIdentity,
    memberEpoch: number,
    isTemporary: boolean,
  ): Promise<MemberCall> {
    const { groupId, memberId, instanceId } = identity;
    const request = { groupId, memberId, isTemporary, ...(instanceId === undefined ? {} : { instanceId }) };
    const asked = { memberEpoch, owned: [], isStray: false, isTemporary };
    return await this.#member(caller, 'leave', identity, asked, async ({ groups }) => {
      await groups.leave(request);
      return { memberId, memberEpoch, heartbeatIntervalMs: 0 };
    });
  }

  async commitOffsets(
    caller: Caller,
    groupId: GroupId,
    member: { readonly memberId: MemberId; readonly memberEpoch: number } | undefined,
    offsets: readonly OffsetToCommit[],
  ): Promise<CommitOffsetOperation[]> {
    const request = this.#recorder.nextRequest();
    const operations = offsets.map(({ topic, topicId, partition, offset, metadata }) =>
      this.#recorder.begin<CommitOffsetOperation>(caller, topic, {
        type: 'commitOffset',
        group: groupId,
        ...{ request, topicId, partition, member, offset, metadata },
      }),
    );
    return await this.#recorder.end(caller, operations, async ({ groups }) => {
      const results = await groups.commitOffsets({ groupId, offsets, ...(member === undefined ? {} : { member }) });
      return results.map(({ error }) => (error === undefined ? { kind: 'ok' as const } : outcomeOf(error)));
    });
  }

  /** `done`: by the consumer that asks, which has just closed. */
  async fetchOffsets(
    caller: Caller,
    groupId: GroupId,
    topic: TopicName,
    done?: FetchOffsetsOperation['done'],
  ): Promise<FetchOffsetsOperation> {
    const asked = { type: 'fetchOffsets', group: groupId, done } as const;
    const operation = this.#recorder.begin<FetchOffsetsOperation>(caller, topic, asked);
    await this.#recorder.end(caller, [operation], async ({ groups }) => {
      const offsets = await groups.fetchOffsets({ groupId, topics: [topic] });
      return [{ kind: 'ok', offsets: offsets.map(toCommitted) }];
    });
    return operation;
  }

  async resetOffsets(caller: Caller, request: ResetOffsetsRequest): Promise<GroupOperation> {
    const to = request.to === 'earliest' ? request.to : undefined;
    const asked = { type: 'resetOffsets', group: request.groupId, to } as const;
    const operation = this.#recorder.begin<GroupOperation>(caller, request.topic, asked);
    await this.#recorder.end(caller, [operation], async ({ groups }) => {
      const offsets = await groups.resetOffsets(request);
      return [{ kind: 'ok', offsets: offsets.map(toCommitted) }];
    });
    return operation;
  }

  async deleteGroup(caller: Caller, groupId: GroupId): Promise<GroupOperation> {
    const operation = this.#recorder.begin<GroupOperation>(caller, '', { type: 'deleteGroup', group: groupId });
    await this.#recorder.end(caller, [operation], async ({ groups }) => {
      await groups.delete(groupId);
      return [{ kind: 'ok', offsets: [] }];
    });
    return operation;
  }

  /** Page by page. */
  async listGroups(caller: Caller, limit: number): Promise<LookForGroupsOperation> {
    const asked = { type: 'listGroups', group: '' } as const;
    const operation = this.#recorder.begin<LookForGroupsOperation>(caller, '', asked);
    await this.#recorder.end(caller, [operation], async ({ groups }) => {
      const found: GroupId[] = [];
      for (let after: GroupId | undefined, isEnd = false; !isEnd; ) {
        const page = await groups.list({ ...(after === undefined ? {} : { after }), limit });
        found.push(...page.map(({ groupId }) => groupId));
        after = found.at(-1);
        isEnd = page.length < limit;
      }
      return [{ kind: 'ok', groups: found }];
    });
    return operation;
  }

  async describeGroup(caller: Caller, groupId: GroupId): Promise<LookForGroupsOperation> {
    const asked = { type: 'describeGroup', group: groupId } as const;
    const operation = this.#recorder.begin<LookForGroupsOperation>(caller, '', asked);
    await this.#recorder.end(caller, [operation], async ({ groups }) => {
      const { state, members } = await groups.describe(groupId);
      const described = {
        isStable: state === 'STABLE',
        members: members.map(({ memberId, state: memberState, topics, assignment, targetAssignment }) => ({
          memberId,
          topics,
          isAway: memberState === 'AWAY',
          has: placesOf(assignment),
          shallHave: placesOf(targetAssignment),
        })),
      };
      return [{ kind: 'ok', groups: [groupId], described }];
    });
    return operation;
  }

  async #member(
    caller: Caller,
    type: MemberOperation['type'],
    { groupId, memberId, instanceId, sessionTimeoutMs, rebalanceTimeoutMs }: MemberIdentity,
    asked: Pick<MemberOperation, 'memberEpoch' | 'owned' | 'isStray' | 'isTemporary'>,
    work: (log: Parameters<Parameters<Recorder['end']>[2]>[0]) => Promise<HeartbeatAnswer>,
  ): Promise<MemberCall> {
    const noted = { type, group: groupId, memberId, instanceId, sessionTimeoutMs, rebalanceTimeoutMs, ...asked };
    const operation: Mutable<MemberOperation> = this.#recorder.begin<MemberOperation>(caller, '', noted);
    let answer: HeartbeatAnswer | undefined;
    await this.#recorder.end<MemberOperation>(caller, [operation], async (log) => {
      const given = await work(log);
      answer = given;
      return [
        { kind: 'ok', memberEpoch: given.memberEpoch, assignment: given.assignment && placesOf(given.assignment) },
      ];
    });
    return { operation, answer };
  }
}

function toCommitted({ topicId, partition, offset, metadata }: GroupOffset): CommittedOffset {
  return { topicId, partition, offset, metadata };
}

function placesOf(assignment: TopicPartitions): Place[] {
  return assignment.flatMap(({ topicId, partitions }) => partitions.map((partition) => placeOf(topicId, partition)));
}
