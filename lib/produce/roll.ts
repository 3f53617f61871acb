/** Keeps heads small: moves a long tail into a page, beside the appends. */

import { isRollDue } from '../store/head.ts';
import type { Head } from '../store/items.ts';
import type { CommitOutcome, MetadataStore } from '../store/metadata-store.ts';

type Committed = CommitOutcome & { readonly outcome: 'committed' };

export interface Roller {
  /** Starts a roll if this commit made one due and none is under way for this partition; returns at once. */
  rollWhenDue(commit: Committed): void;
  /** Rolls now and waits. Throws the store's error. */
  roll(head: Head): Promise<void>;
  /** Resolves when no roll is under way. */
  settled(): Promise<void>;
}

export function createRoller(deps: { readonly metadataStore: MetadataStore }): Roller {
  const underWay = new Map<string, Promise<void>>();

  const roll = async (head: Head): Promise<void> => {
    // `lost` is fine: someone else moved this tail.
    await deps.metadataStore.rollTail(head);
  };

  return {
    roll,
    rollWhenDue({ batches, head }) {
      const key = `${head.topicId}/${head.partition}`;
      const first = batches.find(({ outcome }) => outcome === 'committed');
      if (first === undefined || !('baseOffset' in first) || underWay.has(key)) return;
      if (!isRollDue(head, first.baseOffset)) return;
      // An error here hurts nobody yet: a later append tries again, and a tail that grows far too long makes the append
      // itself roll, which then tells the error to its caller.
      const rolling = roll(head)
        .catch(() => undefined)
        .finally(() => underWay.delete(key));
      underWay.set(key, rolling);
    },
    settled: async () => void (await Promise.all(underWay.values())),
  };
}
