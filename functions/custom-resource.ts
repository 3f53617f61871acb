/**
 * The custom resource behind the construct `Topic`: CloudFormation asks, the topic is made so, CloudFormation is told.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-custom-resources-lambda.html
 *
 * | event  | does                                                                                                      |
 * |--------|-----------------------------------------------------------------------------------------------------------|
 * | Create | makes the topic, or takes over the one that is there: a stack that was removed and kept its topic can     |
 * |        | come back. With `removal: delete` only an empty one is taken over, so that a construct that got another   |
 * |        | logical id cannot lose its records when the old id is deleted                                             |
 * | Update | the same. Another name is another topic, and CloudFormation then deletes the resource of the old name     |
 * | Delete | deletes the topic with `removal: delete`, if it is the one this resource made; else nothing               |
 *
 * Every step can be repeated: Lambda may deliver an event twice. The physical id is `name/topic id`.
 */

import * as z from 'zod';
import type { Clock } from '../lib/clock.ts';
import { isLogError, LogError } from '../lib/errors.ts';
import { parseTopicName, type TopicName } from '../lib/ids.ts';
import type { Log, TopicDescription, Topics } from '../lib/log.ts';
import type { OtherEvents } from './handler.ts';
import type { Invoke } from './invoke.ts';

/** CloudFormation makes text of every number. */
const properties = z.object({
  topic: z.string(),
  partitions: z.coerce.number().optional(),
  config: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
  removal: z.enum(['retain', 'delete']).optional(),
});
type Properties = z.infer<typeof properties>;

const resourceEvent = z.object({
  RequestType: z.enum(['Create', 'Update', 'Delete']),
  ResponseURL: z.url(),
  StackId: z.string(),
  RequestId: z.string(),
  LogicalResourceId: z.string(),
  PhysicalResourceId: z.string().optional(),
  ResourceProperties: z.record(z.string(), z.unknown()),
});
type ResourceEvent = z.infer<typeof resourceEvent>;

interface Outcome {
  readonly physicalId: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** Kept for telling CloudFormation, which otherwise waits until its own time is up. */
const tellMarginMs = 5_000;
const tellAttemptsMax = 3;
const tellMsMax = 1_500;
/** CloudFormation takes 4,096 bytes in all. */
const reasonCharsMax = 1_000;

export function topicResource(log: Pick<Log, 'topics'>, clock: Clock): OtherEvents {
  return {
    api: 'topicResource',
    accepts: (event) => typeof event === 'object' && event !== null && 'RequestType' in event && 'ResponseURL' in event,

    async answer(input, invoke) {
      const event = resourceEvent.parse(input);
      let outcome: Outcome;
      try {
        outcome = await within(clock, invoke, changeTopic(log.topics, event));
      } catch (error) {
        // A failed Create is followed by a Delete of this id, which is then no topic's.
        const PhysicalResourceId = event.PhysicalResourceId ?? `failed-${event.LogicalResourceId}`;
        await tell(event, { Status: 'FAILED', PhysicalResourceId, Reason: reasonOf(error, invoke) });
        return error;
      }
      await tell(event, { Status: 'SUCCESS', PhysicalResourceId: outcome.physicalId, Data: outcome.data });
      return undefined;
    },
  };
}

async function changeTopic(topics: Topics, event: ResourceEvent): Promise<Outcome> {
  if (event.RequestType === 'Delete') return await removeTopic(topics, event);
  const wanted = parseProperties(event.ResourceProperties);
  const topic = parseTopicName(wanted.topic);
  const described = (await createTopic(topics, topic, wanted)) ?? (await takeOver(topics, topic, wanted, event));
  const { topicId, partitionCount } = described;
  return { physicalId: `${topic}/${topicId}`, data: { topic, topicId, partitions: partitionCount } };
}

/** Undefined when there is one already. */
async function createTopic(
  topics: Topics,
  topic: TopicName,
  wanted: Properties,
): Promise<TopicDescription | undefined> {
  const { partitions, config } = wanted;
  try {
    return await topics.create({
      topic,
      ...(partitions !== undefined && { partitionCount: partitions }),
      ...(config !== undefined && { config }),
    });
  } catch (error) {
    if (isLogError(error, 'TOPIC_ALREADY_EXISTS')) return undefined;
    throw error;
  }
}

async function takeOver(
  topics: Topics,
  topic: TopicName,
  { partitions, config = {}, removal }: Properties,
  event: ResourceEvent,
): Promise<TopicDescription> {
  const there = await topics.describe(topic);
  const isOwn = event.PhysicalResourceId === `${topic}/${there.topicId}`;
  if (!isOwn && removal === 'delete' && there.partitions.some(({ highWatermark }) => highWatermark > 0)) {
    throw new LogError(
      'TOPIC_ALREADY_EXISTS',
      `topic ${topic} already exists and has records; a stack that deletes its topic takes over none with records: ` +
        'keep the topic on removal, choose another name, or delete the topic first',
    );
  }
  const { partitionCount } = there;
  if (partitions !== undefined && partitions < partitionCount) {
    throw new LogError(
      'INVALID_PARTITIONS',
      `topic ${topic} has ${partitionCount} partitions, ${partitions} are wanted; partitions can be added but never ` +
        `removed. Where this is a rollback, continue it without ${event.LogicalResourceId} (--resources-to-skip)`,
    );
  }
  const changes = changesTo(there, config);
  if (Object.keys(changes).length === 0 && (partitions ?? partitionCount) === partitionCount) return there;
  return await topics.alter({
    topic,
    config: changes,
    ...(partitions !== undefined && { partitionCount: partitions }),
  });
}

/** From the config that is set to the one that is wanted; what is not wanted goes back to its default. */
function changesTo({ config: there }: TopicDescription, wanted: Properties['config'] & {}): Record<string, unknown> {
  const isSet = (key: string) => there[key]?.source === 'topic';
  const reset = Object.keys(there).filter((key) => isSet(key) && wanted[key] === undefined);
  const changed = Object.entries(wanted).filter(([key, value]) => !isSet(key) || there[key]?.value !== String(value));
  return Object.fromEntries([...reset.map((key) => [key, null]), ...changed]);
}

async function removeTopic(topics: Topics, event: ResourceEvent): Promise<Outcome> {
  const { PhysicalResourceId: physicalId = '' } = event;
  const [name = '', topicId] = physicalId.split('/');
  if (topicId !== undefined && event.ResourceProperties.removal === 'delete') {
    const topic = parseTopicName(name);
    try {
      const there = await topics.describe(topic);
      // One that was deleted and made again by someone else is theirs.
      if (there.topicId === topicId) await topics.delete(topic);
    } catch (error) {
      if (!isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION')) throw error;
    }
  }
  return { physicalId };
}

function parseProperties(given: unknown): Properties {
  const parsed = properties.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new LogError('INVALID_REQUEST', `property ${issue?.path.join('.')}: ${issue?.message}`);
}

async function within<T>(clock: Clock, { answerByMs }: Invoke, work: Promise<T>): Promise<T> {
  const ended = new AbortController();
  const leftMs = Math.max(0, answerByMs - tellMarginMs - clock.nowMs());
  const late = clock.sleep(leftMs, ended.signal).then(() => {
    throw new LogError('REQUEST_TIMED_OUT', `the topic was not ready within ${leftMs} ms`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    ended.abort();
  }
}

function reasonOf(error: unknown, { requestId }: Invoke): string {
  const text = isLogError(error) ? `${error.code}: ${error.message}` : `unexpected failure: ${error}`;
  return `${text.slice(0, reasonCharsMax)} (request ${requestId} in the log of the topics function)`;
}

/** Throws when CloudFormation's URL takes no answer; Lambda then delivers the event again. */
async function tell(event: ResourceEvent, outcome: Readonly<Record<string, unknown>>): Promise<void> {
  const { StackId, RequestId, LogicalResourceId } = event;
  const body = Buffer.from(JSON.stringify({ StackId, RequestId, LogicalResourceId, ...outcome }));
  for (let attempt = 1; ; attempt++) {
    try {
      // A body of bytes has no content type, as the signature of the URL wants it.
      const { ok, status } = await fetch(event.ResponseURL, {
        method: 'PUT',
        body,
        signal: AbortSignal.timeout(tellMsMax),
      });
      if (ok) return;
      throw new Error(`CloudFormation's URL answered with status ${status}`);
    } catch (error) {
      if (attempt === tellAttemptsMax) throw error;
    }
  }
}
