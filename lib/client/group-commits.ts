/** Remembers in the group how far its member is: what is done and was not committed yet. */

import { isLogError, LogError } from '../errors.ts';
import { WaitingLine } from '../waiting-line.ts';
import type { ConsumedBatch, ConsumedRecord } from './consumed-record.ts';
import {
  failingMsMax,
  type GroupConsumerDeps,
  insisting,
  lastCommitMsMax,
  lastCommitTimeoutMs,
  retrying,
} from './group-consumer-deps.ts';
import { isFencing, isGone } from './group-member.ts';
import { groupDefaults, type TopicPartition } from './group-options.ts';
import type { OwnedPartition } from './owned-partition.ts';

interface Wanted {
  readonly one: OwnedPartition;
  readonly offset: number | undefined;
}

export class GroupCommits {
  readonly #deps: GroupConsumerDeps;
  readonly #onFenced: (reason: LogError) => void;
  /** One at a time: of two on their way nobody knows which is taken last. */
  readonly #line = new WaitingLine();

  /** `onFenced` is called when the log has given to others what was to be committed. */
  constructor(deps: GroupConsumerDeps, onFenced: (reason: LogError) => void) {
    this.#deps = deps;
    this.#onFenced = onFenced;
  }

  /** Commits everything now and then, until its member leaves. */
  async run(): Promise<void> {
    const { clock, leaving, options, held } = this.#deps;
    const { autoCommitIntervalMs = groupDefaults.autoCommitIntervalMs } = options;
    while (!leaving.aborted) {
      await clock.sleep(autoCommitIntervalMs, leaving);
      if (leaving.aborted) return;
      await retrying(this.#deps, { signal: leaving, timeMsMax: failingMsMax }, () => this.commit([...held]));
    }
  }

  /** All that is done of these. Throws when one of them is refused. */
  commit(partitions: readonly OwnedPartition[]): Promise<void> {
    return this.#line.run(() => this.#commit(doneOf(partitions)));
  }

  /**
   * For a user who waits for it, and would end at a failure that passes. It keeps its place in the line meanwhile: tried again
   * behind a later one it would undo that.
   */
  #insist(wanted: () => readonly Wanted[]): Promise<void> {
    const commit = () => this.#commit(wanted(), lastCommitTimeoutMs);
    return this.#line.run(() => insisting(this.#deps, { timeMsMax: lastCommitMsMax }, commit));
  }

  /** The same before these go, tried for a while. Ends early, and without an error, when `signal` is aborted. */
  async commitLast(partitions: readonly OwnedPartition[], signal?: AbortSignal): Promise<void> {
    const patience = { timeMsMax: lastCommitMsMax, ...(signal && { signal }) };
    await retrying(this.#deps, patience, () =>
      this.#line.run(() => this.#commit(doneOf(partitions), lastCommitTimeoutMs)),
    );
  }

  /** All that is done. Throws also when of those at hand, where they are named, something was lost before it was committed. */
  async commitAll(atHand: readonly OwnedPartition[]): Promise<void> {
    await this.#insist(() => doneOf([...this.#deps.held]));
    const lost = atHand.find(({ state, done, committed }) => state === 'gone' && done !== committed);
    if (lost !== undefined || this.#deps.member.hasLeft) throw this.#notMine(lost);
  }

  /** Up to `last` and with it, whatever is done of its partition; with `autoCommit` not less than what is done. */
  async commitUpTo(last: ConsumedRecord | ConsumedBatch): Promise<void> {
    const { held, options } = this.#deps;
    const offset = 'nextOffset' in last ? last.nextOffset : last.offset + 1;
    const one = held.find(last.topic, last.partition);
    if (one?.done === undefined) throw this.#notMine(last);
    if (options.autoCommit === false) {
      await this.#insist(() => [{ one, offset }]);
    } else {
      one.done = Math.max(one.done, offset);
      await this.#insist(() => doneOf([one]));
    }
    // Lost before its turn came.
    if (one.state === 'gone' && (one.committed ?? 0) < offset) throw this.#notMine(last);
  }

  #notMine(one: TopicPartition | undefined): LogError {
    const { member, options } = this.#deps;
    const message =
      one === undefined || member.hasLeft
        ? `this consumer has left group ${options.group} and can commit nothing any more`
        : `partition ${one.partition} of topic ${one.topic} is not this member's, group ${options.group} has given it to another`;
    return new LogError('STALE_MEMBER_EPOCH', message);
  }

  async #commit(wanted: readonly Wanted[], timeoutMs?: number): Promise<void> {
    const { member, held } = this.#deps;
    const dirty = wanted.flatMap(({ one, offset }) => {
      const isMine = one.state !== 'gone' && one.state !== 'stale';
      return isMine && offset !== undefined && offset !== one.committed ? [{ one, offset }] : [];
    });
    if (dirty.length === 0 || !member.isMember) return;
    const offsets = dirty.map(({ one, offset }) => ({ ...one.place, topicId: one.topicId, offset }));
    const results = await member.commit(offsets, timeoutMs);
    let failure: LogError | undefined;
    let isAnyStale = false;
    for (const [index, { one, offset }] of dirty.entries()) {
      const error = results[index];
      if (error === undefined) one.committed = offset;
      // Of a topic that was deleted there is nothing to remember; the group hears of it within a minute.
      else if (!isGone(error)) failure = isFencing(failure) ? failure : error;
      else if (isLogError(error, 'UNKNOWN_TOPIC_ID') && one.state === 'active') {
        // Fetches name the topic: what comes from now on is the new one's, and belongs to partitions that are yet to come.
        one.stop('stale');
        isAnyStale = true;
      }
    }
    if (isAnyStale) {
      member.tellOwned();
      held.changed();
    }
    if (failure === undefined) return;
    if (isFencing(failure)) this.#onFenced(failure);
    throw failure;
  }
}

function doneOf(partitions: readonly OwnedPartition[]): Wanted[] {
  return partitions.map((one) => ({ one, offset: one.done }));
}
