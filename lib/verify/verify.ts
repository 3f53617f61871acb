/**
 * Puts a log to the test over its own doors: writers and readers of every kind for a while, then everything is read to its
 * end, and the history is judged. What it makes, it takes away.
 */

import { Millrace } from '../client/millrace.ts';
import { makeTransport, type Transport, type TransportRequest } from '../client/transport.ts';
import type { Clock } from '../clock.ts';
import { isLogError, LogError } from '../errors.ts';
import { type GroupId, parseTopicName, type TopicName } from '../ids.ts';
import { sessionTimeoutMsMin } from '../limits.ts';
import { createChance } from './chance.ts';
import { cutConnections } from './chaos.ts';
import { checkHistory, type FoundViolation } from './checker.ts';
import type { Client, ClientDeps, Workload } from './client.ts';
import { drainGroup } from './drain-group.ts';
import { type Evidence, evidenceOf, missingOf } from './evidence.ts';
import { formatFailure } from './format.ts';
import { answerOf, type History, type TopicLife } from './history.ts';
import { createInstants } from './instants.ts';
import { Member } from './members.ts';
import type { PartitionLog } from './partition-logs.ts';
import { IdempotentProducer, PlainProducer } from './producers.ts';
import { readToTheEnd } from './read-to-the-end.ts';
import { Consumer, Reader } from './readers.ts';
import { type Caller, type CallLog, Recorder } from './recorder.ts';
import { fillerBytes } from './records.ts';
import { openRemoteLog } from './remote-log.ts';
import { limitTime } from './time-limit.ts';
import { Follower, Sender, Sharer } from './users.ts';

export interface VerifyOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  /** What clients do follows from it, as far as the answers are the same. */
  readonly seed: number;
  readonly durationMs: number;
  readonly partitionCount: number;
  /** Cut connections, and deliver requests twice. */
  readonly isChaotic: boolean;
  /** Consumer groups too, which takes as long again as a member's session: 6 s. @default true */
  readonly hasGroups?: boolean;
  /** Leave the topics behind, to look at them. @default false */
  readonly keepsTopics?: boolean;
  /** Ends the work early; what was done is judged. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: VerifyProgress) => void;
  /** Hears what the topics and groups are called, just before the first of them is made. */
  readonly onNamed?: (names: Pick<VerifyReport, 'topics' | 'groups'>) => void;
}

export interface VerifyProgress {
  readonly phase: 'working' | 'reading' | 'judging';
  readonly operationCount: number;
  readonly elapsedMs: number;
}

export interface VerifyReport {
  /** `passed` is proven: nothing was violated, everything acked was read, and enough was done. */
  readonly verdict: 'passed' | 'failed' | 'unproven';
  /** Why it is not proven; empty when it is, or when it failed. */
  readonly doubts: readonly string[];
  readonly violations: readonly FoundViolation[];
  readonly seed: number;
  readonly durationMs: number;
  readonly topics: readonly string[];
  readonly groups: readonly string[];
  /** Those of them that could not be deleted at the end. */
  readonly leftTopics: readonly string[];
  readonly leftGroups: readonly string[];
  readonly evidence: Evidence;
  readonly history: History;
}

/** Behind this no request is sent; it is set as the run goes on. */
interface End {
  endMs: number;
}

interface Unread {
  readonly topic: TopicName;
  readonly partition: number;
  readonly why: string;
}

const topicCount = 2;
/** Clients pause for this long on average, and longer in a long run: all that they see is kept in memory until it is judged. */
const thinkMsMin = 20;
/** Of each client, in a run of any length: those of half a minute. */
const turnsMax = 1_500;
/** Requests and answers that are cut, of all. */
const cutProbability = 0.05;
/**
 * The clocks of the log's own machines are at most this far apart, or it is told that sessions end too early. Ours needs to
 * agree with none of them, and requests may take long: a session is counted on ours from when its last heartbeat was sent.
 */
const clockErrorMsMax = 2_000;
/** Reading to the end is tried this often, a second apart: what has faults may have them then too. */
const readsMax = 5;
/** Deleting is, for longer than the sessions of members that died. */
const deletesMax = 10;
/** No request takes longer. */
const requestMsMax = 10_000;
/**
 * However the log behaves, all that follows the work is over after a minute, as the help of the command says: what is under way
 * ends, everything is read, members leave, and what was made is deleted. To judge it takes what it takes.
 */
const settlingMsMax = 15_000;
const readingMsMax = 30_000;
const leavingMsMax = 5_000;
const deletingMsMax = 10_000;

const kinds = [
  ['plain', PlainProducer, 3],
  ['idempotent', IdempotentProducer, 4],
  ['sender', Sender, 2],
  ['consumer', Consumer, 2],
  ['follower', Follower, 1],
  ['reader', Reader, 2],
] as const satisfies readonly Kind[];
const kindsOfGroups = [
  ['member', Member, 3],
  ['sharer', Sharer, 2],
] as const satisfies readonly Kind[];
type Kind = readonly [string, new (...args: ConstructorParameters<typeof PlainProducer>) => Client, number];

/** Throws when the log cannot be reached, or its topics cannot be made. */
export async function verifyLog(options: VerifyOptions): Promise<VerifyReport> {
  const { transport, clock, seed, keepsTopics = false, hasGroups = true } = options;
  const startMs = clock.nowMs();
  const end: End = { endMs: Number.POSITIVE_INFINITY };
  const log = openRemoteLog(limitTime(transport, clock, requestMsMax, () => end.endMs));
  const name = `millrace-verify-${startMs.toString(36)}-${seed.toString(36)}`;
  const groups = { raw: `${name}-members` as GroupId, shared: `${name}-consumers` as GroupId };
  // Throws what is wrong with the way there, before anything is made.
  await log.topics.list({ limit: 1 });
  if (hasGroups) await log.groups.fetchOffsets({ groupId: groups.raw });
  const topics = Array.from({ length: topicCount }, (_, index) => parseTopicName(`${name}-${index}`));
  const names = { topics, groups: hasGroups ? Object.values(groups) : [] };
  const cleanUp = async () => {
    if (keepsTopics) return { leftTopics: [], leftGroups: [] };
    end.endMs = clock.nowMs() + deletingMsMax;
    // Side by side: groups that stay take all the time there is, and topics need some.
    const [leftTopics, leftGroups] = await Promise.all([
      deleteAll(names.topics, log.topics.delete, clock, end),
      deleteAll(names.groups, log.groups.delete, clock, end),
    ]);
    return { leftTopics, leftGroups };
  };
  options.onNamed?.(names);
  try {
    const report = await putToTheTest(options, end, topics, groups, startMs);
    return { ...report, ...names, ...(await cleanUp()) };
  } catch (error) {
    await cleanUp();
    throw error;
  }
}

async function putToTheTest(
  options: VerifyOptions,
  end: End,
  topics: readonly TopicName[],
  groups: Workload['groups'],
  startMs: number,
): Promise<Omit<VerifyReport, 'topics' | 'groups' | 'leftTopics' | 'leftGroups'>> {
  const { transport, clock, seed, isChaotic, partitionCount, hasGroups = true } = options;
  const chance = createChance(seed, 'verify');
  const cut = cutConnections(transport, clock, chance.fork('chaos'), isChaotic ? cutProbability : 0);
  const limited = (inner: Transport, { timeoutMs }: Caller) => limitTime(inner, clock, timeoutMs, () => end.endMs);
  // Nobody cuts anything before the clients work, nor when everything is read.
  let isCalm = true;
  const call: CallLog = (caller, work) => work(openRemoteLog(limited(isCalm ? transport : cut.transport, caller)));
  const recorder = new Recorder(call, createInstants(clock));
  const auditor = { name: 'auditor', chance: chance.fork('auditor'), timeoutMs: requestMsMax };

  for (const topic of topics) {
    const { outcome } = await recorder.changeTopic(auditor, 'create', topic, { partitionCount });
    if (outcome.kind === 'ok') continue;
    const why = outcome.kind === 'bug' ? outcome.detail : outcome.code;
    throw new LogError('KAFKA_STORAGE_ERROR', `topic ${topic} could not be created: ${why}`);
  }
  isCalm = false;
  await work(options, end, recorder, (caller) => limited(cut.transport, caller), topics, groups, startMs);
  isCalm = true;
  const workCount = recorder.operations.length;
  tell(options, 'reading', recorder, startMs);
  const readUntilMs = clock.nowMs() + readingMsMax;
  end.endMs = readUntilMs + leavingMsMax;
  const mayGoOn = () => options.signal?.aborted !== true && clock.nowMs() < readUntilMs;
  const unread = await readEverything(recorder, auditor, options, topics, mayGoOn);
  const [first] = unread;
  const doubts =
    first === undefined
      ? []
      : [
          `${unread.length} partitions could not be read to their ends, such as ${first.topic}/${first.partition}: ${first.why}`,
        ];
  const drained = topics.map((topic) => ({ topic, partitionCount }));
  const drain = (group: GroupId) => drainGroup(recorder, auditor, clock, group, drained, { mayGoOn });
  doubts.push(...(await Promise.all(hasGroups ? Object.values(groups).map(drain) : [])).flat());
  tell(options, 'judging', recorder, startMs);

  const history = {
    operations: recorder.operations,
    topics: livesOf(recorder, options),
    topicStaleMsMax: 10_000,
    clockErrorMsMax,
    groupsOfOthers: [groups.shared],
  };
  const isUnread = ({ life, partition }: PartitionLog) =>
    unread.some((one) => one.topic === life.topic && one.partition === partition);
  // What was acked and not read may be there, where nobody could read to the end: that is a doubt and no violation.
  const violations = checkHistory(history).filter(
    ({ invariant, log }) => invariant !== 'ackedIsReadToTheEnd' || log === undefined || !isUnread(log),
  );
  const evidence = evidenceOf(history, workCount, cut.cutCount());
  doubts.push(...missingOf(evidence, hasGroups));
  if (options.signal?.aborted) doubts.push('it was interrupted');
  const verdict = violations.length > 0 ? 'failed' : doubts.length > 0 ? 'unproven' : 'passed';
  return { verdict, doubts, violations, seed, durationMs: clock.nowMs() - startMs, evidence, history };
}

/** Resolves with those that could not be deleted. */
async function deleteAll<Name extends string>(
  names: readonly Name[],
  deleteOne: (name: Name) => Promise<void>,
  clock: Clock,
  { endMs }: End,
): Promise<Name[]> {
  let left = names;
  for (let attempt = 1; ; attempt++) {
    const failed: Name[] = [];
    for (const name of left) {
      try {
        await deleteOne(name);
      } catch (error) {
        // Never made, or deleted by an attempt whose answer was lost.
        if (isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION') || isLogError(error, 'GROUP_ID_NOT_FOUND')) continue;
        failed.push(name);
      }
    }
    if (failed.length === 0 || attempt === deletesMax || clock.nowMs() >= endMs) return failed;
    left = failed;
    await clock.sleep(1_000);
  }
}

async function work(
  options: VerifyOptions,
  end: End,
  recorder: Recorder,
  wayOf: (caller: Caller) => Transport,
  topics: readonly TopicName[],
  groups: Workload['groups'],
  startMs: number,
): Promise<void> {
  const { clock, durationMs, partitionCount, isChaotic, signal, seed, hasGroups = true } = options;
  const workload: Workload = {
    topics: topics.map((topic) => ({ topic, partitionCount })),
    topicsBeside: [],
    thinkMs: Math.max(thinkMsMin, durationMs / turnsMax),
    timeoutsMs: [requestMsMax],
    timestampDrift: 1,
    deliveredTwice: isChaotic ? 0.1 : 0,
    secondDeliveryMsMax: 500,
    waitMsMax: 1_000,
    retryMsMax: 500,
    listPageMax: 1_000,
    groups,
    sessionTimeoutsMs: [sessionTimeoutMsMin],
    hangMs: 2_000,
    fillerBytes,
    beyondLimits: 0,
  };
  const beside = new Set<Promise<unknown>>();
  const deps: ClientDeps = {
    workload,
    clock,
    startMs,
    recorder,
    // The transport is closed by whoever opened it.
    open: (caller) => {
      const transport = wayOf(caller);
      const send = (request: TransportRequest) => (caller.isDead ? new Promise<never>(() => {}) : transport(request));
      const shared = makeTransport(transport.endpoint, send, async () => {}, transport.limits);
      return new Millrace({ transport: shared, clock, randomBytes: caller.chance.bytes });
    },
    mayGoOn: () => {
      tell(options, 'working', recorder, startMs);
      if (signal?.aborted) end.endMs = Math.min(end.endMs, clock.nowMs() + settlingMsMax);
      return clock.nowMs() - startMs < durationMs && signal?.aborted !== true;
    },
    beside: (one) => {
      beside.add(one);
      void one.then(() => beside.delete(one));
    },
  };
  end.endMs = startMs + durationMs + settlingMsMax;
  const chance = createChance(seed, 'clients');
  const clients = [...kinds, ...(hasGroups ? kindsOfGroups : [])].flatMap(([kind, Kind, count]) =>
    Array.from({ length: count }, (_, index) => new Kind(deps, `${kind}${index}`, chance.fork(`${kind}${index}`))),
  );
  await Promise.all(clients.map((client) => client.run()));
  while (beside.size > 0) await Promise.all(beside);
}

/** Resolves with what could not be read to its end. */
async function readEverything(
  recorder: Recorder,
  auditor: Caller,
  { partitionCount, clock }: VerifyOptions,
  topics: readonly TopicName[],
  mayGoOn: () => boolean,
): Promise<Unread[]> {
  const partitions = Array.from({ length: partitionCount }, (_, partition) => partition);
  let wanted = topics.flatMap((topic) => partitions.map((partition) => ({ topic, partition })));
  for (let attempt = 1; ; attempt++) {
    const unread: Unread[] = [];
    for (const { topic, partition } of wanted) {
      const [last] = mayGoOn() ? await readToTheEnd(recorder, auditor, topic, partition, `to the end ${attempt}`) : [];
      if (last?.outcome.kind === 'ok') continue;
      unread.push({ topic, partition, why: last === undefined ? 'there was no time' : formatFailure(last.outcome) });
    }
    if (unread.length === 0 || attempt === readsMax || !mayGoOn()) return unread;
    wanted = unread;
    await clock.sleep(1_000);
  }
}

/** The topics are made once and are there until everything is judged. */
function livesOf({ operations }: Recorder, { partitionCount: count }: VerifyOptions): TopicLife[] {
  return operations.flatMap((operation) => {
    const topicId = operation.type === 'create' ? answerOf(operation)?.topicId : undefined;
    if (topicId === undefined) return [];
    const { topic, start: from, startMs: fromMs } = operation;
    const partitionCounts = [{ count, from, fromMs }];
    return [{ topic, topicId, from, fromMs, leaving: undefined, to: undefined, partitionCounts }];
  });
}

function tell(options: VerifyOptions, phase: VerifyProgress['phase'], recorder: Recorder, startMs: number): void {
  const elapsedMs = options.clock.nowMs() - startMs;
  options.onProgress?.({ phase, operationCount: recorder.operations.length, elapsedMs });
}
