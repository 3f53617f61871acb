/** The reading without which a history proves nothing: a whole partition, when everything has been answered. */

import type { TopicName } from '../ids.ts';
import type { FetchOperation } from './history.ts';
import type { Caller, Recorder } from './recorder.ts';

/**
 * From the earliest offset to the high watermark; the last fetch of those made, which failed if the end was not reached. Who
 * tries again begins anew, and so does it in another `session`: polls of one session go on where the one before ended.
 */
export async function readToTheEnd(
  recorder: Recorder,
  caller: Caller,
  topic: TopicName,
  partition: number,
  session = 'to the end',
): Promise<FetchOperation[]> {
  let asked: FetchOperation['asked'] = 'earliest';
  for (;;) {
    const limits = { session, maxBytes: 1_000_000, minBytes: 0, maxWaitMs: 0 };
    const polls = await recorder.fetch(caller, topic, { partitions: [{ partition, asked }], ...limits });
    const outcome = polls[0]?.outcome;
    if (outcome?.kind !== 'ok') return polls;
    const { nextOffset, highWatermark, offset } = outcome;
    // Where a fetch does not go on, the checker says so.
    if (nextOffset >= highWatermark || nextOffset === offset) return polls;
    asked = nextOffset;
  }
}
