/** Clients that are members of a group by the calls of the protocol, with every bad habit that members have. */

import type { GroupId, InstanceId, MemberId, TopicId, TopicName } from '../ids.ts';
import type { Chance } from './chance.ts';
import { Client, type ClientDeps } from './client.ts';
import { GroupRecorder, type OffsetToCommit, placeOf } from './group-recorder.ts';
import { type Holding, Membership } from './membership.ts';

/** A partition that is held no longer, as whoever was not told still sees it. */
interface Relic {
  readonly membership: Membership;
  readonly holding: Holding;
}

/** Relics that a member keeps, to send commits of them later. */
const relicsMax = 20;
/** Of those who give up nothing: several turns. */
const stubbornMs = 3_000;

/**
 * Joins, reads what it is given from where the group was, commits, gives up what it must, late or early; and leaves, dies,
 * freezes for longer than its session lasts, comes back under its name or another, and sends what a former self would.
 * Sometimes it is none of the group, and changes the group's offsets from outside: only back, so that nothing is skipped.
 */
export class Member extends Client {
  readonly #groups: GroupRecorder;
  readonly #groupId: GroupId;
  readonly #topics: readonly TopicName[];
  readonly #instanceId: InstanceId | undefined;
  readonly #sessionTimeoutMs: number;
  readonly #isLazy: boolean;
  /** Gives up nothing before its time for that is over, and it is a member no longer. */
  readonly #isStubborn: boolean;
  /** Nobody leaves or comes back at the same moment as the others. */
  readonly #recessDelayMs: number;
  /** Of what was added later: the draws of all else are what they were. */
  readonly #looks: Chance;
  readonly #relics: Relic[] = [];
  #membership: Membership;
  #lives = 0;
  #commitCount = 0;

  constructor(deps: ClientDeps, name: string, chance: Chance) {
    super(deps, name, chance);
    this.#groups = new GroupRecorder(deps.recorder);
    this.#groupId = deps.workload.groups.raw;
    const topics = deps.workload.topics.map(({ topic }) => topic);
    this.#topics = chance.happens(0.7) ? topics : [this.anyTopic()];
    this.#instanceId = chance.happens(0.5) ? (`instance-${name}` as InstanceId) : undefined;
    this.#sessionTimeoutMs = chance.pick(deps.workload.sessionTimeoutsMs);
    this.#isLazy = chance.happens(0.3);
    this.#isStubborn = chance.fork('stubborn').happens(0.15);
    this.#recessDelayMs = chance.fork('recess').fraction() * deps.workload.thinkMs * 2;
    this.#looks = chance.fork('looks');
    this.#membership = this.#newLife();
  }

  override async run(): Promise<void> {
    const { chance } = this;
    while (await this.next()) {
      if (this.#isRecess) await (this.#membership.isMember ? this.#rest() : this.#meddle());
      else if (!this.#membership.isMember) await this.#join();
      else await this.#turn();
      if (chance.happens(0.02)) await this.#meddle();
    }
    if (this.#membership.isMember && chance.happens(0.5)) await this.#leave();
  }

  get #isRecess(): boolean {
    const { clock, startMs, workload } = this.deps;
    if (workload.recess === undefined) return false;
    const { everyMs, forMs } = workload.recess;
    return (clock.nowMs() - startMs - this.#recessDelayMs) % everyMs > everyMs - forMs;
  }

  async #join(): Promise<void> {
    // A new process, or one that goes on; of an instance mostly a new one.
    const isNewLikely = this.#instanceId === undefined ? 0.4 : 0.8;
    if (this.#membership.epochs.length > 0 && this.chance.happens(isNewLikely)) this.#membership = this.#newLife();
    await this.#membership.join();
    // Who comes back gets what was its own.
    if (this.#looks.happens(0.3)) await this.#groups.describeGroup(this, this.#groupId);
  }

  async #turn(): Promise<void> {
    const { chance, deps } = this;
    const membership = this.#membership;
    await this.#read(membership);
    if (chance.happens(0.6)) await this.#commit(membership, [...membership.holdings.values()]);
    const revoked = membership.revoked;
    if (revoked.length > 0 && !this.#isStubborn && !(this.#isLazy && chance.happens(0.7))) {
      await this.#commit(membership, revoked);
      this.#keepRelics(membership, revoked);
      membership.release(revoked);
    }
    if (chance.happens(0.9)) {
      const held = [...membership.holdings.values()];
      await membership.heartbeat(chance.happens(0.5));
      if (!membership.isMember) this.#keepRelics(membership, held);
    }
    if (chance.happens(0.15)) await this.#haunt();
    const whim = chance.fraction();
    // Static members are those that leave for a while.
    const leaves = this.#instanceId === undefined ? 0.03 : 0.08;
    if (whim < leaves) await this.#leave();
    else if (whim < leaves + 0.03) this.#die();
    // Frozen: its session may be over when it goes on, and it does not know.
    else if (whim < leaves + 0.06) await deps.clock.sleep(this.#sessionTimeoutMs * (0.5 + chance.fraction()));
  }

  async #read(membership: Membership): Promise<void> {
    const { chance, deps } = this;
    for (const topic of this.#topics) {
      const held = [...membership.holdings.values()].filter((one) => one.topic === topic);
      if (held.some(({ position }) => position === undefined)) await this.#findPositions(topic, held);
      const known = held.flatMap(({ partition, position: asked, session }) =>
        asked === undefined ? [] : [{ partition, asked, session }],
      );
      if (known.length === 0) continue;
      const limits = { maxBytes: chance.pick([1, 500, 1_000_000]), minBytes: 0, maxWaitMs: 0 };
      const polls = await deps.recorder.fetch(this, topic, { partitions: known, group: this.#groupId, ...limits });
      for (const { partition, outcome } of polls) {
        const holding = held.find((one) => one.partition === partition);
        if (holding !== undefined && outcome.kind === 'ok') holding.position = outcome.nextOffset;
      }
    }
  }

  async #findPositions(topic: TopicName, held: readonly Holding[]): Promise<void> {
    const { outcome } = await this.#groups.fetchOffsets(this, this.#groupId, topic);
    if (outcome.kind !== 'ok') return;
    for (const holding of held) {
      const committed = outcome.offsets.find(
        ({ topicId, partition }) => topicId === holding.topicId && partition === holding.partition,
      );
      holding.position ??= committed?.offset ?? 0;
      holding.committed ??= committed?.offset;
    }
  }

  async #commit({ identity, memberEpoch }: Membership, holdings: readonly Holding[]): Promise<void> {
    const wanted = holdings.flatMap(({ position, committed, ...one }) =>
      position === undefined || position === committed ? [] : [this.#toCommit(one, position)],
    );
    if (wanted.length === 0) return;
    const { memberId } = identity;
    const done = await this.#groups.commitOffsets(this, this.#groupId, { memberId, memberEpoch }, wanted);
    for (const { topic, partition, offset, outcome } of done) {
      const holding = holdings.find((one) => one.topic === topic && one.partition === partition);
      if (holding !== undefined && outcome.kind === 'ok') holding.committed = offset;
    }
    // Whether what failed has failed, and what is done is there, is seen before the next commit.
    const [first] = done;
    const isDoubtful = done.some(({ outcome }) => outcome.kind !== 'ok');
    if (first !== undefined && this.chance.happens(isDoubtful ? 0.7 : 0.1)) {
      await this.#groups.fetchOffsets(this, this.#groupId, first.topic as TopicName);
    }
  }

  /** What something that was left over of this member would send: a commit of what it had, a heartbeat of long ago. */
  async #haunt(): Promise<void> {
    const { chance } = this;
    // Of what it has again, at a later epoch, no less than of what others have.
    const { holdings } = this.#membership;
    const again = this.#relics.filter(({ holding: { topicId, partition } }) =>
      holdings.has(placeOf(topicId, partition)),
    );
    const relic = chance.any(again.length > 0 && chance.happens(0.5) ? again : this.#relics);
    if (relic !== undefined && chance.happens(0.7)) {
      const { identity } = relic.membership;
      const { memberEpoch, position = 0 } = relic.holding;
      const member = { memberId: identity.memberId, memberEpoch };
      await this.#groups.commitOffsets(this, this.#groupId, member, [this.#toCommit(relic.holding, position)]);
      return;
    }
    const { identity, epochs } = this.#membership;
    const memberEpoch = epochs.at(-3);
    if (memberEpoch === undefined) return;
    await this.#groups.heartbeat(this, identity, { memberEpoch, owned: undefined, isStray: true });
  }

  /** From outside of the group: looks at it, and changes that are refused while it has members. */
  async #meddle(): Promise<void> {
    const { chance, deps } = this;
    const topic = this.anyTopic();
    const what = chance.pick(['commit', 'reset', 'delete', 'list', 'describe'] as const);
    if (what === 'delete') await this.#groups.deleteGroup(this, this.#groupId);
    else if (what === 'list') await this.#groups.listGroups(this, deps.workload.listPageMax);
    else if (what === 'describe') await this.#groups.describeGroup(this, this.#groupId);
    else if (what === 'reset') {
      const to = chance.pick<'earliest' | { shift: number }>(['earliest', { shift: -3 }]);
      await this.#groups.resetOffsets(this, { groupId: this.#groupId, topic, to });
    } else {
      const { outcome } = await this.#groups.fetchOffsets(this, this.#groupId, topic);
      const known = outcome.kind === 'ok' ? outcome.offsets : [];
      const back = known.map((one) =>
        this.#toCommit({ topic, ...one, topicId: one.topicId as TopicId }, Math.max(0, one.offset - 1)),
      );
      // Of a group that has nothing: what it had begins anew.
      const [relic] = this.#relics;
      if (outcome.kind === 'ok' && known.length === 0 && relic !== undefined) {
        back.push(this.#toCommit(relic.holding, 0));
      }
      if (back.length > 0) await this.#groups.commitOffsets(this, this.#groupId, undefined, back);
    }
  }

  #toCommit(
    { topic, topicId, partition }: Pick<Holding, 'topic' | 'topicId' | 'partition'>,
    offset: number,
  ): OffsetToCommit {
    return { topic, topicId, partition, offset, metadata: `${this.name}+${this.#commitCount++}` };
  }

  async #leave(): Promise<void> {
    await this.#goAway(this.#instanceId !== undefined && this.chance.happens(0.6));
    // Who was the last one can do what members keep from others.
    if (this.chance.happens(0.5)) await this.#meddle();
  }

  async #rest(): Promise<void> {
    await this.#goAway(this.#instanceId !== undefined && this.#looks.happens(0.5));
  }

  async #goAway(isTemporary: boolean): Promise<void> {
    const membership = this.#membership;
    const held = [...membership.holdings.values()];
    if (this.chance.happens(0.8)) await this.#commit(membership, held);
    this.#keepRelics(membership, held);
    await membership.leave(isTemporary);
  }

  #die(): void {
    this.#keepRelics(this.#membership, [...this.#membership.holdings.values()]);
    this.#membership.forget();
  }

  #keepRelics(membership: Membership, holdings: readonly Holding[]): void {
    this.#relics.push(...holdings.map((holding) => ({ membership, holding: { ...holding } })));
    this.#relics.splice(0, this.#relics.length - relicsMax);
  }

  #newLife(): Membership {
    const assignor = this.chance.happens(0.2) ? 'range' : 'uniform';
    const rebalanceTimeoutMs = this.chance.pick([10_000, 60_000]);
    return new Membership(this.#groups, this, {
      groupId: this.#groupId,
      memberId: `${this.name}.${this.#lives++}` as MemberId,
      instanceId: this.#instanceId,
      topics: this.#topics,
      assignor,
      sessionTimeoutMs: this.#sessionTimeoutMs,
      rebalanceTimeoutMs: this.#isStubborn ? stubbornMs : rebalanceTimeoutMs,
    });
  }
}
