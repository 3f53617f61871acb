/** What may come in at the HTTP door and what goes out; `openapi.ts` makes the OpenAPI document from these very schemas. */

import * as z from 'zod';
import { errorTable } from '../errors.ts';
import {
  fetchBytesDefault,
  fetchBytesMax,
  fetchPartitionsMax,
  fetchWaitMsMax,
  jsonRecordsMax,
  recordHeadersMax,
  topicsPageMax,
} from '../limits.ts';

const int32Max = 2 ** 31 - 1;

export const topic = z.string().meta({ description: 'Topic name: 1 to 249 of a-z A-Z 0-9 . _ -' });
/** `abort`: in an array of many that are wrong, the first is the last looked at. */
export const partition = z
  .int({ abort: true })
  .min(0, { abort: true })
  .max(int32Max, { abort: true })
  .meta({ description: 'Partition, index from 0' });
export const offset = z.int().meta({ description: 'Position of a record in its partition' });
const sequence = z.int().min(0).max(int32Max);
const timestamp = z.int().min(0).meta({ description: 'Milliseconds since the Unix epoch' });
const startOffset = z.union(
  [z.int(), z.literal('earliest'), z.literal('latest')],
  'is neither an offset nor earliest nor latest',
);
/** 64 bits beyond a safe integer are decimal text. */
const int64 = z.union([z.int(), z.string().regex(/^-?\d+$/)]);

// ---- topics

const configIn = z
  .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
  .meta({ description: "Topic config by Kafka's dotted names; null: the default" });

export const createTopicBody = z.strictObject({
  topic: z.string(),
  partitions: z.int().optional(),
  config: configIn.optional(),
});

export const alterTopicBody = z
  .strictObject({ partitions: z.int().optional(), config: configIn.optional() })
  .refine((body) => body.partitions !== undefined || body.config !== undefined, {
    message: 'gives neither config nor partitions',
  });

export const listTopicsQuery = z.strictObject({
  limit: queryInt(1, topicsPageMax).optional().meta({ description: 'Topics on this page; default 100' }),
  after: z.string().optional().meta({ description: 'The `next` of the page before' }),
});

export const describeTopicQuery = z.strictObject({
  offsets: z
    .enum(['true', 'false'])
    .optional()
    .meta({ description: '`false`: without `partitions`, whose offsets cost a read each; default true' }),
});

const config = z.record(z.string(), z.object({ value: z.string(), source: z.enum(['topic', 'default']) }));
const topicSummary = z.object({ topic, topicId: z.string(), partitionCount: z.int(), config });
export const topicAnswer = topicSummary.extend({
  partitions: z.array(z.object({ partition, logStartOffset: offset, highWatermark: offset })),
});
export const describeTopicAnswer = topicAnswer.partial({ partitions: true });
export const topicsAnswer = z.object({ topics: z.array(topicSummary), next: z.string().optional() });

// ---- records

const headerValue = z.union(
  [z.string(), z.null(), z.strictObject({ base64: z.string() })],
  'is neither text nor null nor {"base64":"..."}',
);
const header = z.tuple([z.string(), headerValue]);
const jsonValue = z.unknown().meta({ description: 'Text as it is; other JSON as compact text; null is null' });

export const jsonRecord = z.strictObject({
  key: jsonValue.optional(),
  keyBase64: z.string().optional(),
  value: jsonValue.optional(),
  valueBase64: z.string().optional(),
  headers: z.array(header).max(recordHeadersMax).optional(),
  timestamp: timestamp.optional(),
  partition: partition.optional(),
});
export type JsonRecord = z.infer<typeof jsonRecord>;

export const produceBody = z.strictObject({
  records: z.array(jsonRecord).min(1).max(jsonRecordsMax),
  producerId: z.int().min(0).optional(),
  producerEpoch: z.int().min(0).max(32767).optional(),
  baseSequences: z
    .record(z.string().regex(/^(0|[1-9]\d{0,9})$/), sequence, {
      error: ({ code }) => (code === 'invalid_key' ? 'is not a partition' : undefined),
    })
    .optional()
    .meta({ description: 'Sequence of the first record of each partition, by partition' }),
});
/** The same, its records not yet looked at. */
export const produceBodyOutline = produceBody.extend({ records: z.array(z.unknown()).min(1).max(jsonRecordsMax) });
export type ProduceBodyOutline = z.infer<typeof produceBodyOutline>;

const recordRead = z.object({
  offset: int64,
  timestamp: int64,
  key: z.string().nullable().optional(),
  keyBase64: z.string().optional(),
  value: z.string().nullable().optional(),
  valueBase64: z.string().optional(),
  headers: z.array(header),
});

// ---- fetch

const fetchLimits = { maxBytes: fetchBytesDefault, minBytes: 1, maxWaitMs: 0 } as const;

export { fetchLimits as fetchDefaults };

export const fetchQuery = z.strictObject({
  offset: z
    .string()
    .regex(/^(earliest|latest|-?\d{1,16})$/, 'is neither a number nor earliest nor latest')
    .optional()
    .meta({ description: 'Offset, `earliest` (default) or `latest`' }),
  maxBytes: queryInt(0, fetchBytesMax).optional(),
  minBytes: queryInt(0, fetchBytesMax).optional(),
  maxWaitMs: queryInt(0, fetchWaitMsMax).optional(),
});

export const fetchBody = z.strictObject({
  partitions: z
    .array(z.strictObject({ partition, offset: startOffset }))
    .min(1)
    .max(fetchPartitionsMax),
  maxBytes: z.int().min(0).max(fetchBytesMax).optional(),
  minBytes: z.int().min(0).max(fetchBytesMax).optional(),
  maxWaitMs: z.int().min(0).max(fetchWaitMsMax).optional(),
});

const watermarks = { nextOffset: offset, highWatermark: offset, logStartOffset: offset };
export const fetchAnswer = z.object({ records: z.array(recordRead), ...watermarks });

// ---- offsets and producers

export const offsetsQuery = z.strictObject({
  timestamp: z
    .string()
    .regex(/^(earliest|latest|max|\d{1,16})$/, 'is neither milliseconds nor earliest, latest or max')
    .meta({ description: 'Milliseconds since the Unix epoch, `earliest`, `latest` or `max`' }),
});
export const offsetsAnswer = z.object({ offset: offset.nullable(), timestamp: int64.nullable() });

export const producerAnswer = z.object({ producerId: z.int(), producerEpoch: z.int() });
export const healthAnswer = z.object({ status: z.literal('ok') });

// ---- problems and answers that can fail in part

export const problemMembers = {
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.enum(Object.keys(errorTable) as [keyof typeof errorTable]),
  retriable: z.boolean(),
  effect: z.enum(['none', 'unknown']),
  details: z.record(z.string(), z.unknown()).optional(),
};
/** Where all of it fails, `results` or `partitions` stand beside the members of the first failure. */
export const problemAnswer = z.looseObject(problemMembers);
const failedEntry = z.object({ partition, ...problemMembers });

export const produceAnswer = z.object({
  results: z.array(
    z.union([z.object({ partition, baseOffset: offset, recordCount: z.int(), timestamp: z.int() }), failedEntry]),
  ),
});
export const fetchManyAnswer = z.object({
  partitions: z.array(z.union([z.object({ partition, records: z.array(recordRead), ...watermarks }), failedEntry])),
});

/** A number as it stands in a query string; parsed by `Number` afterwards, so the schema stays plain text and bounds. */
export function queryInt(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,15}$/, 'is not a whole number')
    .transform(Number)
    .refine((value) => value >= min && value <= max, { message: `is not from ${min} to ${max}` });
}
