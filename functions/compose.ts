/** A function over a log: measured log, app with the function's own routes, handlers. Tests put a log in memory under it. */

import { createApp } from '../lib/api/app.ts';
import type { Clock } from '../lib/clock.ts';
import type { OpenLog } from '../lib/create-log.ts';
import type { Log } from '../lib/log.ts';
import { wholeEventStreamMsMax } from './event-stream.ts';
import { createHandlers, type OtherEvents } from './handler.ts';
import type { InvokeSlot } from './invoke.ts';
import { measuredLog } from './measured-log.ts';
import { type PlainForm, plainFetch, plainGroup, plainProduce, plainTopics } from './plain-form.ts';
import type { Telemetry } from './telemetry.ts';

export type FunctionName = 'produce' | 'fetch' | 'topics' | 'group';

/**
 * The routes each function answers, by their names in `lib/api/routes.ts`, and its plain form. Producers and consumers
 * ask for a topic's partitions first, and by invoke they may call no function but theirs.
 */
const doors: Readonly<Record<FunctionName, { readonly apis: readonly string[]; readonly plain: PlainForm }>> = {
  produce: { apis: ['produceRecords', 'produceBatches', 'createProducer', 'describeTopic'], plain: plainProduce },
  fetch: { apis: ['fetchRecords', 'fetchPartitions', 'listOffsets', 'describeTopic'], plain: plainFetch },
  topics: {
    apis: ['createTopic', 'listTopics', 'describeTopic', 'alterTopic', 'deleteTopic', 'openapi', 'health'],
    plain: plainTopics,
  },
  group: {
    apis: [
      'heartbeat',
      'commitOffsets',
      'fetchGroupOffsets',
      'resetGroupOffsets',
      'listGroups',
      'describeGroup',
      'deleteGroup',
    ],
    plain: plainGroup,
  },
};

/** Answers events that are no requests, over the same log. */
export type MakeOthers = (log: Pick<Log, 'topics'>, clock: Clock) => OtherEvents;

export interface FunctionParts {
  readonly log: OpenLog;
  readonly clock: Clock;
  /** The one whose bounds the stores of `log` have. */
  readonly slot: InvokeSlot;
  readonly telemetry: Telemetry;
  readonly isStreaming: boolean;
}

export function composeFunction(name: FunctionName, parts: FunctionParts, makeOthers?: MakeOthers) {
  const { apis, plain } = doors[name];
  const { log, clock, slot, telemetry, isStreaming } = parts;
  const app = createApp({
    log: measuredLog(log, slot, clock),
    clock,
    apis: new Set(apis),
    onRequest: (line) => {
      if (slot.current !== undefined) slot.current.line = line;
    },
    onError: telemetry.failed,
    ...(!isStreaming && { eventStreamMsMax: wholeEventStreamMsMax }),
  });
  return createHandlers({ app, log, clock, slot, telemetry, plain, others: makeOthers?.(log, clock) });
}
