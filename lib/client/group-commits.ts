/** Remembers in the group how far its member is: what is done and was not committed yet. */

import type { LogError } from '../errors.ts';
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

  /** One at a time: of two on their way nobody knows which is taken last. Throws when one of them is refused. */
  commit(partitions: readonly OwnedPartition[]): Promise<void> {
    const committed = this.#last.then(() => this.#commitDone(partitions));
    this.#last = committed.catch(() => {});
    return committed;
  }

  async #commitDone(partitions: readonly OwnedPartition[]): Promise<void> {
    const { member } = this.#deps;
    const dirty = partitions.flatMap((one) => {
      const offset = one.state === 'gone' ? undefined : one.offsetToCommit;
      return offset === undefined ? [] : [{ one, offset }];
    });
    if (dirty.length === 0 || !member.isMember) return;
    const offsets = dirty.map(({ one, offset }) => ({ ...one.place, topicId: one.topicId, offset }));
    const results = await member.commit(offsets);
    let failure: LogError | undefined;
    for (const [index, { one, offset }] of dirty.entries()) {
      const error = results[index];
      if (error === undefined) one.committed = offset;
      // Of a topic that was deleted there is nothing to remember; the group hears of it within a minute.
      else if (!isGone(error)) failure = isFencing(failure) ? failure : error;
    }
    if (failure === undefined) return;
    if (isFencing(failure)) this.#onFenced(failure);
    throw failure;
  }
}
