/** Remembers in the group how far its member is: what is done and was not committed yet. */

import { isLogError, type LogError } from '../errors.ts';
import { failingMsMax, type GroupConsumerDeps, retrying } from './group-consumer-deps.ts';
import { isFencing, isGone } from './group-member.ts';
import { groupDefaults } from './group-options.ts';
import type { OwnedPartition } from './owned-partition.ts';

export class GroupCommits {
  readonly #deps: GroupConsumerDeps;
  readonly #onFenced: (reason: LogError) => void;
  #last: Promise<void> = Promise.resolve();

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
    return this.#inTurn(() => this.#commit(partitions.map((one) => ({ one, offset: one.done }))));
  }

  /** `offset` of one, whatever is done of it. */
  commitUpTo(one: OwnedPartition, offset: number): Promise<void> {
    return this.#inTurn(() => this.#commit([{ one, offset }]));
  }

  /** One at a time: of two on their way nobody knows which is taken last. */
  #inTurn(commit: () => Promise<void>): Promise<void> {
    const committed = this.#last.then(commit);
    this.#last = committed.catch(() => {});
    return committed;
  }

  async #commit(
    wanted: readonly { readonly one: OwnedPartition; readonly offset: number | undefined }[],
  ): Promise<void> {
    const { member, held } = this.#deps;
    const dirty = wanted.flatMap(({ one, offset }) => {
      const isMine = one.state !== 'gone' && one.state !== 'stale';
      return isMine && offset !== undefined && offset !== one.committed ? [{ one, offset }] : [];
    });
    if (dirty.length === 0 || !member.isMember) return;
    const offsets = dirty.map(({ one, offset }) => ({ ...one.place, topicId: one.topicId, offset }));
    const results = await member.commit(offsets);
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
