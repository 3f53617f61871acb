/** Looks after those who are at a record, or at a batch, for too long; whatever becomes of heartbeats meanwhile. */

import { LogError } from '../errors.ts';
import type { GroupConsumerDeps } from './group-consumer-deps.ts';
import { groupDefaults } from './group-options.ts';

/** Until the member leaves. Throws when somebody has been at a record for longer than `processingTimeoutMs`. */
export async function watchProcessing({ clock, held, leaving, options }: GroupConsumerDeps): Promise<void> {
  const { group, processingTimeoutMs = groupDefaults.processingTimeoutMs } = options;
  while (!leaving.aborted) {
    const nowMs = clock.nowMs();
    // Who begins from now on has at least until then.
    let wakeAtMs = nowMs + processingTimeoutMs;
    for (const { one, sinceMs } of held.atHand) {
      if (nowMs - sinceMs >= processingTimeoutMs) {
        const { topic, partition, done } = one;
        throw new LogError(
          'REQUEST_TIMED_OUT',
          `partition ${partition} of topic ${topic}, from offset ${done}: its handler took ${nowMs - sinceMs} ms, processingTimeoutMs allows ${processingTimeoutMs}; the consumer has left group ${group}`,
          { retriable: false, effect: 'none' },
        );
      }
      wakeAtMs = Math.min(wakeAtMs, sinceMs + processingTimeoutMs);
    }
    await clock.sleep(wakeAtMs - nowMs, leaving);
  }
}
