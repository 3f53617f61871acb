/** One member of a group as the protocol has it: what it was told, what it holds, and what it must say next. */

import type { TopicId, TopicName } from '../ids.ts';
import type { HeartbeatAnswer } from '../log.ts';
import type { GroupRecorder, MemberIdentity } from './group-recorder.ts';
import { placeOf } from './group-recorder.ts';
import type { MemberOperation, Place } from './history.ts';
import { fencingCodes } from './holdings.ts';
import type { Caller } from './recorder.ts';

/** A partition that the member holds. */
export interface Holding {
  readonly topic: TopicName;
  readonly topicId: TopicId;
  readonly partition: number;
  /** The member epoch at which it was told of it. */
  readonly memberEpoch: number;
  /** Names the time from when it was given until it is taken away. */
  readonly session: string;
  /** Where to read next; undefined: not known yet. */
  position: number | undefined;
  committed: number | undefined;
}

export class Membership {
  readonly identity: MemberIdentity;
  /** 0: it is no member. */
  memberEpoch = 0;
  readonly holdings = new Map<Place, Holding>();
  /** Those that it may go on holding. */
  told: ReadonlySet<Place> = new Set();
  /** Every member epoch that it was told, in order. */
  readonly epochs: number[] = [];
  readonly #groups: GroupRecorder;
  readonly #caller: Caller;
  /** An answer may have been lost, or something was given up since the last one. */
  #mustSay = false;
  #holdingCount = 0;

  constructor(groups: GroupRecorder, caller: Caller, identity: MemberIdentity) {
    this.#groups = groups;
    this.#caller = caller;
    this.identity = identity;
  }

  get isMember(): boolean {
    return this.memberEpoch > 0;
  }

  async join(): Promise<MemberOperation> {
    this.forget();
    const { operation, answer } = await this.#groups.join(this.#caller, this.identity);
    this.#follow(operation, answer);
    return operation;
  }

  /** `says` what it holds, which it also does whenever it must. */
  async heartbeat(says: boolean): Promise<MemberOperation> {
    const owned = says || this.#mustSay ? this.#owned() : undefined;
    this.#mustSay = false;
    const asked = { memberEpoch: this.memberEpoch, owned };
    const { operation, answer } = await this.#groups.heartbeat(this.#caller, this.identity, asked);
    this.#follow(operation, answer);
    return operation;
  }

  /** It holds nothing from here on, whatever comes of it. */
  async leave(isTemporary: boolean): Promise<MemberOperation> {
    const { memberEpoch } = this;
    this.forget();
    const { operation } = await this.#groups.leave(this.#caller, this.identity, memberEpoch, isTemporary);
    return operation;
  }

  /** What was taken away and is still held. */
  get revoked(): Holding[] {
    return [...this.holdings].flatMap(([place, holding]) => (this.told.has(place) ? [] : [holding]));
  }

  release(holdings: readonly Holding[]): void {
    for (const { topicId, partition } of holdings) this.holdings.delete(placeOf(topicId, partition));
    if (holdings.length > 0) this.#mustSay = true;
  }

  forget(): void {
    this.memberEpoch = 0;
    this.holdings.clear();
    this.told = new Set();
    this.#mustSay = false;
  }

  #owned() {
    const held = Map.groupBy(this.holdings.values(), ({ topicId }) => topicId);
    return [...held].map(([topicId, holdings]) => {
      const partitions = holdings.map(({ partition }) => partition).sort((a, b) => a - b);
      return { topic: (holdings[0] as Holding).topic, topicId, partitions };
    });
  }

  #follow({ outcome }: MemberOperation, answer: HeartbeatAnswer | undefined): void {
    if (outcome.kind !== 'ok' || answer === undefined) {
      this.#mustSay = true;
      if (outcome.kind === 'failed' && fencingCodes.includes(outcome.code)) this.forget();
      return;
    }
    const { memberEpoch, assignment } = answer;
    this.memberEpoch = memberEpoch;
    if (this.epochs.at(-1) !== memberEpoch) this.epochs.push(memberEpoch);
    if (assignment === undefined) return;
    const told = assignment.flatMap(({ topic, topicId, partitions }) =>
      partitions.map((partition) => ({ topic, topicId, partition, place: placeOf(topicId, partition) })),
    );
    this.told = new Set(told.map(({ place }) => place));
    for (const { place, ...one } of told) {
      if (this.holdings.has(place)) continue;
      const session = `${this.#caller.name}/${this.identity.memberId}/${this.#holdingCount++}`;
      this.holdings.set(place, { ...one, memberEpoch, session, position: undefined, committed: undefined });
    }
  }
}
