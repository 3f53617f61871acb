/** What may come in for groups and what goes out; as in `schemas.ts`. */

import * as z from 'zod';
import {
  commitOffsetsMax,
  groupsPageMax,
  partitionCountMax,
  rebalanceTimeoutMsMax,
  rebalanceTimeoutMsMin,
  sessionTimeoutMsMax,
  sessionTimeoutMsMin,
  subscribedTopicsMax,
} from '../limits.ts';
import { offset, partition, problemMembers, queryInt, topic } from './schemas.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const memberId = z.string().meta({ description: 'Of one incarnation of a consumer, best a UUID of its own' });
const committedOffset = z.int().min(0).meta({ description: 'The next offset to read' });
const metadata = z.string().meta({ description: 'Of the committer, at most 4096 bytes' });
const topicId = z.string().regex(uuid, 'is not a UUID');
const committedAt = z.int().meta({ description: 'Milliseconds since the Unix epoch' });

// ---- members

export const heartbeatBody = z.strictObject({
  memberId: memberId.optional(),
  memberEpoch: z.int().min(-2).meta({ description: '0 joins, -1 leaves, -2 leaves for a while' }),
  instanceId: z.string().optional(),
  topics: z.array(z.string()).max(subscribedTopicsMax).optional(),
  assignor: z.string().optional().meta({ description: '`uniform` (default) or `range`' }),
  sessionTimeoutMs: z.int().min(sessionTimeoutMsMin).max(sessionTimeoutMsMax).optional(),
  rebalanceTimeoutMs: z.int().min(rebalanceTimeoutMsMin).max(rebalanceTimeoutMsMax).optional(),
  owned: z
    .array(
      z.strictObject({
        topic: z.string(),
        topicId: topicId.optional(),
        partitions: z.array(partition).max(partitionCountMax),
      }),
    )
    .max(subscribedTopicsMax * 2)
    .optional()
    .meta({ description: 'All that the member holds; absent: as before' }),
});
export type HeartbeatBody = z.infer<typeof heartbeatBody>;

const assignment = z.array(z.object({ topic, topicId: z.string(), partitions: z.array(partition) }));
export const heartbeatAnswer = z.object({
  memberId,
  memberEpoch: z.int(),
  heartbeatIntervalMs: z.int().optional(),
  assignment: assignment.optional(),
});

// ---- offsets

export const commitOffsetsBody = z
  .strictObject({
    memberId: memberId.optional(),
    memberEpoch: z.int().min(0).optional(),
    offsets: z
      .array(
        z.strictObject({
          topic: z.string(),
          topicId: topicId.optional(),
          partition,
          offset: committedOffset,
          metadata: metadata.refine(isWellFormed, 'holds half of a surrogate pair, which has no UTF-8 form').optional(),
        }),
      )
      .min(1)
      .max(commitOffsetsMax),
  })
  .refine((body) => (body.memberId === undefined) === (body.memberEpoch === undefined), {
    message: 'gives one of memberId and memberEpoch, which belong together',
  });

/** It is stored as UTF-8, in which half of a pair comes back as another character. */
function isWellFormed(text: string): boolean {
  return text.isWellFormed();
}

export const commitOffsetsAnswer = z.object({
  results: z.array(z.union([z.object({ topic, partition }), z.object({ topic, partition, ...problemMembers })])),
});

export const groupOffsetsQuery = z.strictObject({
  topic: z.string().optional().meta({ description: 'One topic, or several separated by commas; default all' }),
});
export const groupOffsetsAnswer = z.object({
  offsets: z.array(z.object({ topic, topicId, partition, offset: committedOffset, metadata, committedAt })),
});

export const resetOffsetsBody = z.strictObject({
  topic: z.string(),
  partitions: z.array(partition).min(1).max(partitionCountMax).optional(),
  to: z
    .union(
      [z.literal('earliest'), z.literal('latest'), z.int().min(0), z.strictObject({ shift: z.int() })],
      'use "earliest", "latest", milliseconds since the Unix epoch, or {"shift":-10}',
    )
    .meta({ description: '`earliest`, `latest`, milliseconds since the Unix epoch, or {"shift": -10}' }),
});

// ---- groups

export const listGroupsQuery = z.strictObject({
  limit: queryInt(1, groupsPageMax).optional().meta({ description: 'Groups on this page; default 100' }),
  after: z.string().optional().meta({ description: 'The `next` of the page before' }),
});
const groupId = z.string();
const groupEpoch = z.int();
export const groupsAnswer = z.object({
  groups: z.array(z.object({ groupId, groupEpoch, memberCount: z.int() })),
  next: z.string().optional(),
});
export const groupAnswer = z.object({
  groupId,
  state: z.enum(['EMPTY', 'RECONCILING', 'STABLE']),
  groupEpoch,
  assignor: z.string(),
  members: z.array(
    z.object({
      memberId,
      instanceId: z.string().nullable(),
      memberEpoch: z.int(),
      state: z.enum(['STABLE', 'UNREVOKED_PARTITIONS', 'UNRELEASED_PARTITIONS', 'AWAY']),
      topics: z.array(topic),
      seenAt: z.int(),
      assignment,
      targetAssignment: assignment,
    }),
  ),
  partitions: z.array(
    z.object({
      topic,
      partition,
      committedOffset: committedOffset.nullable(),
      metadata: metadata.nullable(),
      highWatermark: offset,
      lag: z.int().nullable(),
      memberId: memberId.nullable(),
    }),
  ),
});
