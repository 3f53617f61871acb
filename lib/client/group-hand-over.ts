/**
 * Partitions that come to a member and go from it. One that comes begins where the group is; one that is taken away is given
 * up when the record at hand is done and committed; one that is lost is another member's already.
 *
 * Callbacks of the user are told of one thing after the other.
 */

import { isLogError, LogError } from '../errors.ts';
import type { GroupOffset } from '../log.ts';
import { callJson } from './api-calls.ts';
import { GroupCallbacks } from './group-callbacks.ts';
import type { GroupCommits } from './group-commits.ts';
import { failingMsMax, type GroupConsumerDeps, retrying } from './group-consumer-deps.ts';
import type { GroupFetcher } from './group-fetcher.ts';
import { type Assignment, groupPath } from './group-member.ts';
import type { LostPartition } from './group-options.ts';
import { OwnedPartition } from './owned-partition.ts';

/** Topics that are named in one request. */
const topicsNamedMax = 20;
/** Partitions that are asked at once where they begin. */
const beginsAtOnceMax = 16;
/** A topic that is not there is asked for again after this. */
const unknownTopicDelayMs = 1_000;

interface Begin {
  readonly one: OwnedPartition;
  readonly committed: number | undefined;
  readonly offset: number | undefined;
}

export class GroupHandOver {
  readonly #deps: GroupConsumerDeps;
  readonly #commits: GroupCommits;
  readonly #fetcher: GroupFetcher;
  readonly #callbacks: GroupCallbacks;
  #changes: Promise<void> = Promise.resolve();

  constructor(deps: GroupConsumerDeps, commits: GroupCommits, fetcher: GroupFetcher) {
    this.#deps = deps;
    this.#commits = commits;
    this.#fetcher = fetcher;
    this.#callbacks = new GroupCallbacks(deps);
  }

  /** Whether who asks runs in a callback of the user's. */
  get isInCallback(): boolean {
    return this.#callbacks.isInside;
  }

  /** Starts what is new, and gives up what is not there any more. */
  follow(assignment: Assignment): void {
    const { held } = this.#deps;
    const wanted = assignment.flatMap(({ topic, topicId, partitions }) =>
      partitions.map((partition) => new OwnedPartition(topic, topicId, partition)),
    );
    const keys = new Set(wanted.map(({ key }) => key));
    const revoked = [...held].filter((one) => !keys.has(one.key) && one.state !== 'revoking');
    const added = wanted.filter((one) => !held.has(one));
    for (const one of revoked) one.stop('revoking');
    for (const one of added) held.add(one);
    if (revoked.length > 0) this.#change(() => this.#giveUp(revoked));
    if (added.length > 0) this.#change(() => this.#takeOver(added));
    if (revoked.length + added.length > 0) held.changed();
  }

  /** The group has given all of it to others, or may have. */
  lose(reason: Error): void {
    const { held, member } = this.#deps;
    const lost = [...held].filter(({ isAnnounced }) => isAnnounced);
    member.forget();
    held.removeAll();
    held.changed();
    if (lost.length > 0) this.#change(() => this.#tellLost(lost, reason));
  }

  /** The last of it, committed by now as far as it could be. What a failure ends is told as lost, and why. */
  async end(failure: { readonly error: unknown } | undefined): Promise<void> {
    const { held, options } = this.#deps;
    // The last commit may have found out that some of it is lost.
    await this.#changes;
    const last = [...held].filter((one) => one.isAnnounced);
    try {
      if (last.length === 0) return;
      if (failure !== undefined) await this.#tellLost(last, failure.error);
      else await this.#callbacks.call('onRevoked', () => options.onRevoked?.(last.map(({ place }) => place)));
    } finally {
      held.removeAll();
    }
  }

  async #tellLost(partitions: readonly OwnedPartition[], reason: unknown): Promise<void> {
    const { onLost } = this.#deps.options;
    const told = partitions.map((one): LostPartition => {
      return { ...one.place, position: one.handed, committedOffset: one.committed };
    });
    await this.#callbacks.call('onLost', () =>
      onLost?.(told, reason instanceof Error ? reason : new Error(String(reason))),
    );
  }

  /** Resolves when all that has begun has ended. */
  settled(): Promise<void> {
    return this.#changes;
  }

  #change(work: () => Promise<void>): void {
    this.#changes = this.#changes.then(work).catch((error) => this.#deps.fail(error));
  }

  async #takeOver(added: readonly OwnedPartition[]): Promise<void> {
    const { held, options } = this.#deps;
    const committed = await this.#patiently(() => this.#committed(added));
    if (committed === undefined) return;
    const begins: (Begin | undefined)[] = [];
    for (const left = [...added]; left.length > 0; ) {
      const asked = left.splice(0, beginsAtOnceMax).filter(({ state }) => state === 'starting');
      const begin = (one: OwnedPartition) => this.#patiently(() => this.#beginOf(one, committed.get(one.key)));
      begins.push(...(await Promise.all(asked.map(begin))));
    }
    const found = begins.flatMap((begin) => (begin?.one.state === 'starting' ? [begin] : []));
    const here = found.flatMap(({ offset, ...rest }) => (offset === undefined ? [] : [{ ...rest, offset }]));
    this.#takeOverLater(found.filter(({ offset }) => offset === undefined).map(({ one }) => one));
    if (here.length === 0) return;
    for (const { one } of here) one.isAnnounced = true;
    await this.#callbacks.call('onAssigned', () => options.onAssigned?.(here.map(({ one }) => one.place)));
    for (const { one, offset, committed } of here) if (one.state === 'starting') one.begin(offset, committed);
    held.changed();
  }

  #patiently<T>(call: () => Promise<T>): Promise<T | undefined> {
    return retrying(this.#deps, { signal: this.#deps.stopped, timeMsMax: failingMsMax }, call);
  }

  /** What the group has committed in the topics of these, by key of the partition. */
  async #committed(partitions: readonly OwnedPartition[]): Promise<ReadonlyMap<string, number>> {
    const { options, stopped, transport } = this.#deps;
    const topics = [...new Set(partitions.map(({ topic }) => topic))];
    // The names of many do not fit into the head of a request; then it is all that the group has.
    const query: Record<string, string> = topics.length > topicsNamedMax ? {} : { topic: topics.join(',') };
    const path = groupPath(options.group, '/offsets');
    const { offsets } = await callJson<{ offsets: readonly GroupOffset[] }>(transport, 'GET', path, {
      query,
      role: 'consumer',
      signal: stopped,
    });
    return new Map(offsets.map(({ topicId, partition, offset }) => [`${topicId}/${partition}`, offset]));
  }

  /** No offset: the topic is not there, or not yet for whoever was asked. */
  async #beginOf(one: OwnedPartition, committed: number | undefined): Promise<Begin> {
    try {
      return { one, committed, offset: committed ?? (await this.#fetcher.startOf(one)) };
    } catch (error) {
      if (!isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION')) throw error;
      const nowMs = this.#deps.clock.nowMs();
      one.failingSinceMs ??= nowMs;
      // Of a topic that was deleted the group hears within a minute, and takes it away.
      if (nowMs - one.failingSinceMs >= failingMsMax)
        throw new LogError(error.code, error.message, { retriable: false });
      return { one, committed, offset: undefined };
    }
  }

  /** Nobody waits for these. */
  async #takeOverLater(partitions: readonly OwnedPartition[]): Promise<void> {
    if (partitions.length === 0) return;
    await this.#deps.clock.sleep(unknownTopicDelayMs, this.#deps.stopped);
    const left = partitions.filter(({ state }) => state === 'starting');
    if (left.length > 0 && !this.#deps.stopped.aborted) this.#change(() => this.#takeOver(left));
  }

  async #giveUp(revoked: readonly OwnedPartition[]): Promise<void> {
    const { held, member, options, leaving } = this.#deps;
    const isAtHand = () => revoked.some(({ isHeld, state }) => isHeld && state === 'revoking');
    for (let changed = held.bell.next(); isAtHand() && !leaving.aborted; changed = held.bell.next()) await changed;
    const isLeft = ({ state }: OwnedPartition) => state === 'revoking';
    if (options.autoCommit !== false && !leaving.aborted) {
      await this.#commits.commitLast(revoked.filter(isLeft), leaving).catch((error) => {
        // Given up all the same: what is done of them comes again then, which is better than an end for all.
        if (!isLogError(error) || !error.retriable) throw error;
      });
    }
    const left = revoked.filter(isLeft);
    // Who leaves commits, and tells, all at once.
    if (left.length === 0 || leaving.aborted) return;
    const told = left.filter(({ isAnnounced }) => isAnnounced).map(({ place }) => place);
    if (told.length > 0) await this.#callbacks.call('onRevoked', () => options.onRevoked?.(told));
    for (const one of left) held.remove(one);
    member.tellOwned();
    held.changed();
  }
}
