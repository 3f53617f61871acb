/**
 * A group without a store: the deciders on plain maps, each heartbeat whole and at once, and consumers that hold what they
 * were given. What a store adds (races, lost replies) is tested over the stores.
 */

import { newGroup, nextGroup } from '../../lib/group/group-plan.ts';
import { classifyEpoch, isOver, moveTo, nextStep } from '../../lib/group/reconcile.ts';
import { type GroupId, type MemberId, parseTopicName } from '../../lib/ids.ts';
import {
  type Assignment,
  differenceOf,
  filterPartitions,
  hasPartition,
  noPartitions,
  topicPartitionsOf,
  unionOf,
} from '../../lib/store/assignment.ts';
import type { AssignorName, Group, GroupTopic, MemberSession } from '../../lib/store/items.ts';
import { topicIdOf } from './assignors.ts';

export interface Consumer {
  readonly memberId: MemberId;
  memberEpoch: number;
  holds: Assignment;
  /** What it was told to hold; it lets go of the rest when it comes to it. */
  told: Assignment;
  isAlive: boolean;
}

export class GroupModel {
  nowMs = 1_000_000;
  group: Group = newGroup('g' as GroupId, 0);
  readonly sessions = new Map<string, MemberSession>();
  /** By topic id and partition. */
  readonly owners = new Map<string, MemberId>();
  readonly consumers: Consumer[] = [];
  topics: GroupTopic[];
  readonly #assignor: AssignorName;

  constructor(partitionCounts: Readonly<Record<string, number>>, assignor: AssignorName = 'uniform') {
    this.#assignor = assignor;
    this.topics = Object.entries(partitionCounts).map(([name, partitionCount]) => {
      return { topic: parseTopicName(name), topicId: topicIdOf(name), partitionCount };
    });
  }

  join(name: string): Consumer {
    const memberId = name as MemberId;
    const consumer = { memberId, memberEpoch: 0, holds: noPartitions, told: noPartitions, isAlive: true };
    this.consumers.push(consumer);
    const member = { memberId, instanceId: undefined, assignor: this.#assignor, targetAssignment: noPartitions };
    const topics = this.topics.map(({ topic }) => topic);
    this.#change([...this.group.members, { ...member, topics }]);
    this.sessions.set(memberId, {
      memberId,
      version: 1,
      memberEpoch: this.group.groupEpoch,
      previousMemberEpoch: 0,
      state: 'UNRELEASED_PARTITIONS',
      seenAt: this.nowMs,
      sessionTimeoutMs: 45_000,
      rebalanceTimeoutMs: 60_000,
      revokeBy: undefined,
      currentAssignment: noPartitions,
      partitionsPendingRevocation: noPartitions,
    });
    consumer.memberEpoch = this.group.groupEpoch;
    this.heartbeat(consumer);
    return consumer;
  }

  leave(consumer: Consumer): void {
    this.#remove([consumer.memberId]);
    this.#forget(consumer);
  }

  grow(name: string, partitionCount: number): void {
    this.topics = this.topics.map((one) => (one.topic === name ? { ...one, partitionCount } : one));
  }

  /** The consumer lets go of what it was told to. */
  letGo(consumer: Consumer): void {
    consumer.holds = filterPartitions(consumer.holds, (topicId, one) => hasPartition(consumer.told, topicId, one));
  }

  heartbeat(consumer: Consumer): void {
    const session = this.sessions.get(consumer.memberId);
    const verdict = session && classifyEpoch(session, consumer.memberEpoch, consumer.holds);
    if (session === undefined || verdict !== 'current') {
      this.#forget(consumer);
      return;
    }
    this.sessions.set(consumer.memberId, { ...session, seenAt: this.nowMs });
    this.#remove([...this.sessions.values()].filter((one) => isOver(one, this.nowMs)).map(({ memberId }) => memberId));
    this.#change(this.group.members);
    this.#reconcile(consumer);
  }

  /** Whether every living consumer holds its target, and no partition is without one. */
  isSettled(): boolean {
    return this.group.members.every(({ memberId, targetAssignment }) => {
      const consumer = this.consumers.find((one) => one.memberId === memberId);
      const state = this.sessions.get(memberId)?.state;
      const isMissing = differenceOf(targetAssignment, consumer?.holds ?? noPartitions).size > 0;
      return consumer?.isAlive && state === 'STABLE' && !isMissing && consumer.memberEpoch === this.group.groupEpoch;
    });
  }

  /** What must hold at every moment; the first thing that does not. */
  violation(): string | undefined {
    const listed = new Map<string, string>();
    for (const session of this.sessions.values()) {
      for (const assignment of [session.currentAssignment, session.partitionsPendingRevocation]) {
        for (const { topicId, partition } of topicPartitionsOf(assignment)) {
          const key = `${topicId}/${partition}`;
          if (listed.has(key)) return `${key} is with ${listed.get(key)} and with ${session.memberId}`;
          if (this.owners.get(key) !== session.memberId) return `${key} is not owned by ${session.memberId}`;
          listed.set(key, session.memberId);
        }
      }
    }
    for (const { memberId, holds } of this.consumers) {
      // A consumer whose session is over does not know it yet; what it commits is refused.
      if (!this.sessions.has(memberId)) continue;
      for (const { topicId, partition } of topicPartitionsOf(holds)) {
        if (listed.get(`${topicId}/${partition}`) !== memberId)
          return `${memberId} holds ${topicId}/${partition} alone`;
      }
    }
    return undefined;
  }

  #reconcile(consumer: Consumer): void {
    const session = this.sessions.get(consumer.memberId);
    const member = this.group.members.find(({ memberId }) => memberId === consumer.memberId);
    if (session === undefined || member === undefined) {
      this.#forget(consumer);
      return;
    }
    const goal = { groupEpoch: this.group.groupEpoch, targetAssignment: member.targetAssignment };
    const next = nextStep(session, goal, consumer.holds, this.nowMs);
    if (next.step === 'revokes') this.#handOver(next.session, noPartitions);
    if (next.step === 'moves') {
      const free = filterPartitions(next.wants, (topicId, partition) => {
        const owner = this.owners.get(`${topicId}/${partition}`);
        const theirs = owner === undefined || owner === session.memberId ? undefined : this.sessions.get(owner);
        if (theirs === undefined) return true;
        const { currentAssignment, partitionsPendingRevocation } = theirs;
        return ![currentAssignment, partitionsPendingRevocation].some((one) => hasPartition(one, topicId, partition));
      });
      const move = moveTo(session, goal, next, free);
      if (move !== undefined) this.#handOver(move.session, move.claims);
    }
    const { memberEpoch, currentAssignment } = this.sessions.get(consumer.memberId) ?? session;
    consumer.memberEpoch = memberEpoch;
    consumer.told = currentAssignment;
    consumer.holds = unionOf(consumer.holds, currentAssignment);
  }

  #handOver(session: MemberSession, claims: Assignment): void {
    for (const { topicId, partition } of topicPartitionsOf(claims)) {
      this.owners.set(`${topicId}/${partition}`, session.memberId);
    }
    this.sessions.set(session.memberId, session);
  }

  #remove(memberIds: readonly MemberId[]): void {
    for (const memberId of memberIds) this.sessions.delete(memberId);
    if (memberIds.length > 0) this.#change(this.group.members.filter((one) => !memberIds.includes(one.memberId)));
  }

  #change(members: Group['members']): void {
    this.group = nextGroup(this.group, members, members.length === 0 ? [] : this.topics, this.nowMs);
  }

  #forget(consumer: Consumer): void {
    consumer.isAlive = false;
    consumer.holds = noPartitions;
    consumer.told = noPartitions;
  }
}
