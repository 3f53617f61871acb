/**
 * Reads as one of a group: each partition is read by one member at a time, and the group remembers how far it was read.
 * Every record is handed out at least once; again only what was not committed when its partition changed hands.
 *
 * ```ts
 * const consumer = log.consumer('orders', { group: 'billing', signal });
 * for await (const record of consumer) await bill(record);
 * ```
 *
 * Heartbeats go on beside the work. When the group takes a partition away, the record at hand is finished, what is done is
 * committed, and only then does the next member get it. Leaving the loop leaves the group.
 */

import { isLogError, LogError } from '../errors.ts';
import type { TopicDescription } from '../log.ts';
import { Admin } from './admin.ts';
import { callJson, retryDelayMs, topicPath } from './api-calls.ts';
import type { ClientDeps } from './client-deps.ts';
import { type ConsumedBatch, type ConsumedRecord, readRecords } from './consumed-record.ts';
import type { FetchedPartition } from './fetch-batches.ts';
import { failingMsMax, GroupFetcher } from './group-fetcher.ts';
import { type Assignment, GroupMember, groupPath, isFencing } from './group-member.ts';
import {
  type GroupConsumerOptions,
  groupDefaults,
  type LostPartition,
  type PartitionLag,
  type Subscription,
  type TopicPartition,
} from './group-options.ts';
import { Bell, OwnedPartition } from './owned-partition.ts';

/** Topics that match a pattern are looked for this often. */
const patternAgeMsMax = 60_000;
/** Before a consumer goes it tries to commit for this long. */
const lastCommitMsMax = 20_000;
/** A member without partitions that does not follow waits for so many heartbeats: others may be about to give some up. */
const idleHeartbeatsMax = 4;

/** Topics that are named in one request. */
const topicsNamedMax = 20;

/** One answer of a partition, at the hand of the one who handles it. */
interface Held {
  readonly one: OwnedPartition;
  readonly fetched: FetchedPartition;
}

export class GroupConsumer implements AsyncIterable<ConsumedRecord> {
  readonly group: string;
  readonly #deps: ClientDeps;
  readonly #options: GroupConsumerOptions;
  readonly #subscription: Subscription;
  readonly #member: GroupMember;
  readonly #fetcher: GroupFetcher;
  readonly #owned = new Map<string, OwnedPartition>();
  /** What somebody is at, by the key of its partition, which may be another one's already; and since when. */
  readonly #atHand = new Map<string, { readonly one: OwnedPartition; sinceMs: number }>();
  readonly #paused = new Set<string>();
  #isAllPaused = false;
  /** Nothing is handed out any more. */
  readonly #stopping = new AbortController();
  /** Nothing is done any more but the last commit and to leave. */
  readonly #leaving = new AbortController();
  readonly #bell = new Bell();
  readonly #heartbeatDue = new Bell();
  readonly #busy = { flush: () => this.close() };
  #mode: 'idle' | 'iterates' | 'handles' = 'idle';
  #isHeartbeatDue = false;
  #idleHeartbeats = 0;
  #failure: { readonly error: unknown } | undefined;
  readonly #failed = Promise.withResolvers<void>();
  #heartbeats: Promise<void> = Promise.resolve();
  /** What callbacks are told of, one thing after the other. */
  #changes: Promise<void> = Promise.resolve();
  #commits: Promise<void> = Promise.resolve();
  #handlers: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;
  #pattern: { readonly topics: readonly string[]; readonly readAtMs: number } | undefined;

  constructor(deps: ClientDeps, subscription: Subscription, options: GroupConsumerOptions) {
    this.#deps = deps;
    this.group = options.group;
    this.#subscription = subscription;
    this.#options = options;
    this.#member = new GroupMember(deps, options);
    this.#fetcher = new GroupFetcher(
      {
        ...deps,
        owned: this.#owned,
        isPaused: (one) => this.#isPaused(one),
        bell: this.#bell,
        stopped: this.#stopping.signal,
        fail: (error) => this.#fail(error),
      },
      options,
    );
    for (const signal of [options.signal, deps.closing]) {
      if (signal?.aborted) this.#stop();
      signal?.addEventListener('abort', () => this.#stop(), { signal: this.#leaving.signal });
    }
  }

  /** What this member has at the moment. */
  get assignment(): readonly TopicPartition[] {
    return [...this.#owned.values()].filter(({ state }) => state === 'active').map(place);
  }

  /** The next offset that is handed out; undefined when the partition is not this member's. */
  position(topic: string, partition: number): number | undefined {
    const found = [...this.#owned.values()].find((one) => one.topic === topic && one.partition === partition);
    return found?.done === undefined ? undefined : found.handed;
  }

  /** Hands out nothing of these, or of any, until `resume`; they stay this member's. */
  pause(partitions?: readonly TopicPartition[]): void {
    if (partitions === undefined) this.#isAllPaused = true;
    for (const { topic, partition } of partitions ?? []) this.#paused.add(`${topic}/${partition}`);
  }

  resume(partitions?: readonly TopicPartition[]): void {
    if (partitions === undefined) {
      this.#isAllPaused = false;
      this.#paused.clear();
    }
    for (const { topic, partition } of partitions ?? []) this.#paused.delete(`${topic}/${partition}`);
    this.#changed();
  }

  #isPaused({ topic, partition }: TopicPartition): boolean {
    return this.#isAllPaused || this.#paused.has(`${topic}/${partition}`);
  }

  /** How far this member is behind, by what the log has at this moment. */
  async lag(): Promise<PartitionLag[]> {
    const owned = [...this.#owned.values()].filter(({ state }) => state === 'active');
    const topics = [...new Set(owned.map(({ topic }) => topic))];
    const described = await Promise.all(
      topics.map((topic) =>
        callJson<TopicDescription>(this.#deps.transport, 'GET', topicPath(topic), { role: 'consumer' }),
      ),
    );
    return owned.flatMap(({ topic, partition, handed: position }) => {
      const bounds = described.find((one) => one.topic === topic)?.partitions[partition];
      if (bounds === undefined) return [];
      const { highWatermark } = bounds;
      return [{ topic, partition, position, highWatermark, lag: Math.max(0, highWatermark - position) }];
    });
  }

  /**
   * Remembers in the group how far this member is: up to `last` and with it; without it all that is done, which in a loop is
   * all that was handed out. Throws when the log refuses: STALE_MEMBER_EPOCH, UNKNOWN_MEMBER_ID when the partitions are lost.
   */
  async commit(last?: ConsumedRecord | ConsumedBatch): Promise<void> {
    if (last === undefined) {
      if (this.#mode === 'iterates') for (const { one } of this.#atHand.values()) one.done = one.handed;
      return this.#commit([...this.#owned.values()]);
    }
    const { topic, partition } = last;
    const nextOffset = 'nextOffset' in last ? last.nextOffset : last.offset + 1;
    const found = [...this.#owned.values()].find((one) => one.topic === topic && one.partition === partition);
    if (found?.done === undefined) {
      const message = `partition ${partition} of topic ${topic} is not this member's, group ${this.group} has given it to another`;
      throw new LogError('STALE_MEMBER_EPOCH', message);
    }
    found.done = Math.max(found.done, nextOffset);
    await this.#commit([found]);
  }

  /**
   * Leaves the group, once handlers of `each` have ended; do not wait for it inside of one. In a loop it does not wait for
   * the record at hand: to have that one counted as done, abort `signal` and let the loop end. Throws when the last commit fails.
   */
  close(): Promise<void> {
    this.#closed ??= this.#leave();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Record by record, in order per partition. The one at hand when the loop is left is not done, unless `commit` was called. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ConsumedRecord, void, undefined> {
    this.#start('iterates');
    try {
      yield* this.#records();
    } finally {
      await this.#closeAfter();
    }
  }

  /** The same, as many together as came together for one partition. */
  async *batches(): AsyncGenerator<ConsumedBatch, void, undefined> {
    this.#start('iterates');
    try {
      yield* this.#batches();
    } finally {
      await this.#closeAfter();
    }
  }

  /**
   * Has every record handled, up to `concurrency` partitions at once and in order within each. Ends as a loop would; a handler
   * that throws ends it with its error, and its record is not done.
   */
  each(handle: (record: ConsumedRecord) => void | Promise<void>): Promise<void> {
    return this.#handle(() => this.#records(), handle);
  }

  /** As `each`, batch by batch. */
  eachBatch(handle: (batch: ConsumedBatch) => void | Promise<void>): Promise<void> {
    return this.#handle(() => this.#batches(), handle);
  }

  async #handle<T>(source: () => AsyncIterable<T>, handle: (value: T) => void | Promise<void>): Promise<void> {
    this.#start('handles');
    const work = async () => {
      try {
        for await (const value of source()) await handle(value);
      } catch (error) {
        this.#fail(error);
      }
    };
    this.#handlers = Promise.all(Array.from({ length: this.#options.concurrency ?? 1 }, work));
    // A handler that hangs is not waited for when that has thrown this consumer out.
    await Promise.race([this.#handlers, this.#failed.promise]);
    await this.#closeAfter();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** What went wrong first is the one to tell. */
  async #closeAfter(): Promise<void> {
    await this.close().catch((error) => {
      throw this.#failure?.error ?? error;
    });
  }

  // ---- handing out

  async *#records(): AsyncGenerator<ConsumedRecord, void, undefined> {
    for (let held = await this.#take(); held !== undefined; held = await this.#take()) {
      const { one, fetched } = held;
      try {
        for (const record of readRecords(one.topic, fetched, Number.POSITIVE_INFINITY)) {
          if (!this.#isWanted(one)) break;
          this.#hand(one, record.offset + 1);
          yield record;
          one.done = record.offset + 1;
        }
        this.#finish(held);
      } finally {
        this.#release(held);
      }
    }
  }

  async *#batches(): AsyncGenerator<ConsumedBatch, void, undefined> {
    for (let held = await this.#take(); held !== undefined; held = await this.#take()) {
      const { one, fetched } = held;
      const { topic, partition } = one;
      const { nextOffset } = fetched;
      try {
        const records = [...readRecords(topic, fetched, Number.POSITIVE_INFINITY)];
        if (records.length > 0) {
          this.#hand(one, nextOffset);
          yield { topic, partition, records, nextOffset };
        }
        one.handed = nextOffset;
        one.done = nextOffset;
      } finally {
        this.#release(held);
      }
    }
  }

  /** Undefined when there will be nothing more. */
  async #take(): Promise<Held | undefined> {
    for (;;) {
      const changed = this.#bell.next();
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#stopping.signal.aborted) return undefined;
      for (const one of this.#owned.values()) {
        const [fetched] = one.queue;
        if (fetched === undefined || this.#atHand.has(one.key) || !this.#isWanted(one)) continue;
        one.queue.shift();
        one.isHeld = true;
        this.#atHand.set(one.key, { one, sinceMs: this.#deps.clock.nowMs() });
        // Whoever was served goes to the back.
        this.#owned.delete(one.key);
        this.#owned.set(one.key, one);
        this.#fetcher.update();
        return { one, fetched };
      }
      if (this.#isAtEnd()) {
        this.#stop();
        return undefined;
      }
      await changed;
    }
  }

  /** Whether more of it may be handed out. */
  #isWanted(one: OwnedPartition): boolean {
    return one.state === 'active' && !this.#isPaused(one) && !this.#stopping.signal.aborted && this.#member.isFresh;
  }

  #isAtEnd(): boolean {
    if (this.#options.follow !== false || !this.#member.isMember || this.#atHand.size > 0) return false;
    if (this.#owned.size === 0) return this.#idleHeartbeats >= idleHeartbeatsMax;
    return [...this.#owned.values()].every((one) => one.isAtEnd && one.queue.length === 0);
  }

  #hand(one: OwnedPartition, nextOffset: number): void {
    one.handed = nextOffset;
    const hand = this.#atHand.get(one.key);
    if (hand !== undefined) hand.sinceMs = this.#deps.clock.nowMs();
  }

  /** All of it is done, or what is left waits for better times. */
  #finish({ one, fetched }: Held): void {
    if (this.#isWanted(one)) {
      one.done = fetched.nextOffset;
      one.handed = fetched.nextOffset;
    } else if (one.state === 'active') {
      one.queue.unshift({ ...fetched, offset: one.done ?? fetched.offset });
    }
  }

  #release({ one }: Held): void {
    one.isHeld = false;
    this.#atHand.delete(one.key);
    this.#changed();
  }

  #changed(): void {
    this.#bell.ring();
    this.#fetcher.update();
  }

  // ---- membership

  #start(mode: 'iterates' | 'handles'): void {
    if (this.#mode !== 'idle') {
      throw new LogError('INVALID_REQUEST', `this consumer of group ${this.group} is being read already, or was`);
    }
    this.#mode = mode;
    if (this.#stopping.signal.aborted) return;
    this.#deps.busy.add(this.#busy);
    this.#heartbeats = this.#stayMember().catch((error) => this.#fail(error));
    if (this.#options.autoCommit !== false) this.#commitNowAndThen().catch((error) => this.#fail(error));
  }

  async #stayMember(): Promise<void> {
    const { clock, randomBytes } = this.#deps;
    const { signal } = this.#leaving;
    let failures = 0;
    let failingSinceMs: number | undefined;
    while (!signal.aborted) {
      let delayMs: number;
      try {
        const topics = await this.#topics();
        this.#isHeartbeatDue = false;
        const reply = await this.#member.heartbeat(topics, () => assignmentOf(this.#owned.values()), signal);
        failures = 0;
        failingSinceMs = undefined;
        delayMs = reply.heartbeatIntervalMs;
        if (reply.assignment !== undefined) this.#follow(reply.assignment);
        this.#idleHeartbeats = this.#owned.size === 0 ? this.#idleHeartbeats + 1 : 0;
        this.#bell.ring();
      } catch (error) {
        if (signal.aborted) return;
        failingSinceMs ??= clock.nowMs();
        failures += 1;
        // An instance that was killed and is back finds itself still active until its session is over.
        const isWaiting = isLogError(error, 'UNRELEASED_INSTANCE_ID');
        const canPass = isFencing(error) || isWaiting || (isLogError(error) && error.retriable);
        const patienceMs = Math.max(failingMsMax, this.#member.sessionTimeoutMs * 2);
        if (!canPass || clock.nowMs() - failingSinceMs >= patienceMs) throw error;
        if (isFencing(error) || (this.#member.isMember && !this.#member.isFresh)) this.#lose(error as Error);
        delayMs = isWaiting ? 1_000 : retryDelayMs(failures, error as LogError, randomBytes);
      }
      await this.#pauseBetween(delayMs, signal);
    }
  }

  /** Until the next heartbeat is due. Throws when somebody has been at a record for too long. */
  async #pauseBetween(delayMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const { processingTimeoutMs = groupDefaults.processingTimeoutMs } = this.#options;
    const dueMs = clock.nowMs() + delayMs;
    while (!signal.aborted) {
      const woken = this.#heartbeatDue.next();
      const nowMs = clock.nowMs();
      for (const { one, sinceMs } of this.#atHand.values()) {
        if (nowMs - sinceMs >= processingTimeoutMs) throw this.#tooSlow(one, nowMs - sinceMs);
      }
      if (nowMs >= dueMs || this.#isHeartbeatDue) return;
      const oldestMs = Math.min(...[...this.#atHand.values()].map(({ sinceMs }) => sinceMs + processingTimeoutMs));
      const awake = new AbortController();
      const asleep = AbortSignal.any([signal, awake.signal]);
      await Promise.race([clock.sleep(Math.min(dueMs, oldestMs) - nowMs, asleep), woken]);
      awake.abort();
    }
  }

  #tooSlow({ topic, partition, done }: OwnedPartition, tookMs: number): LogError {
    const { processingTimeoutMs = groupDefaults.processingTimeoutMs } = this.#options;
    return new LogError(
      'REQUEST_TIMED_OUT',
      `partition ${partition} of topic ${topic}, from offset ${done}: its handler took ${tookMs} ms, processingTimeoutMs allows ${processingTimeoutMs}; the consumer has left group ${this.group}`,
      { retriable: false, effect: 'none' },
    );
  }

  async #topics(): Promise<readonly string[]> {
    const subscription = this.#subscription;
    if (typeof subscription === 'string') return [subscription];
    if (!(subscription instanceof RegExp)) return subscription;
    const nowMs = this.#deps.clock.nowMs();
    if (this.#pattern === undefined || nowMs - this.#pattern.readAtMs >= patternAgeMsMax) {
      const topics: string[] = [];
      for await (const { topic } of new Admin(this.#deps.transport).listTopics({ signal: this.#leaving.signal })) {
        if (topic.search(subscription) !== -1) topics.push(topic);
      }
      this.#pattern = { topics, readAtMs: nowMs };
    }
    return this.#pattern.topics;
  }

  /** Starts what is new, and gives up what is not there any more. */
  #follow(assignment: Assignment): void {
    const wanted = assignment.flatMap(({ topic, topicId, partitions }) =>
      partitions.map((partition) => new OwnedPartition(topic, topicId, partition)),
    );
    const keys = new Set(wanted.map(({ key }) => key));
    const revoked = [...this.#owned.values()].filter((one) => !keys.has(one.key) && one.state !== 'revoking');
    const added = wanted.filter(({ key }) => !this.#owned.has(key));
    for (const one of revoked) one.stop('revoking');
    for (const one of added) this.#owned.set(one.key, one);
    if (revoked.length > 0) this.#change(() => this.#giveUp(revoked));
    if (added.length > 0) this.#change(() => this.#takeOver(added));
    if (revoked.length + added.length > 0) this.#changed();
  }

  #change(work: () => Promise<void>): void {
    this.#changes = this.#changes.then(work).catch((error) => this.#fail(error));
  }

  async #takeOver(added: readonly OwnedPartition[]): Promise<void> {
    const topics = [...new Set(added.map(({ topic }) => topic))];
    // The names of many do not fit into the head of a request; then it is all that the group has.
    const query: Record<string, string> = topics.length > topicsNamedMax ? {} : { topic: topics.join(',') };
    const begins = await this.#retrying(this.#stopping.signal, failingMsMax, async () => {
      const { offsets } = await callJson<{ offsets: { topic: string; partition: number; offset: number }[] }>(
        this.#deps.transport,
        'GET',
        groupPath(this.group, '/offsets'),
        { query, role: 'consumer', signal: this.#stopping.signal },
      );
      return Promise.all(
        added.map(async (one) => {
          const found = offsets.find(({ topic, partition }) => topic === one.topic && partition === one.partition);
          return [one, found?.offset ?? (await this.#fetcher.startOf(one)), found?.offset] as const;
        }),
      );
    });
    const here = (begins ?? []).filter(([{ state }]) => state === 'starting');
    if (here.length === 0) return;
    for (const [one] of here) one.isAnnounced = true;
    await this.#options.onAssigned?.(here.map(([one]) => place(one)));
    for (const [one, offset, committed] of here) if (one.state === 'starting') one.begin(offset, committed);
    this.#changed();
  }

  async #giveUp(revoked: readonly OwnedPartition[]): Promise<void> {
    const isAtHand = () => revoked.some(({ isHeld, state }) => isHeld && state === 'revoking');
    for (let changed = this.#bell.next(); isAtHand() && !this.#leaving.signal.aborted; changed = this.#bell.next()) {
      await changed;
    }
    const left = revoked.filter(({ state }) => state === 'revoking');
    if (left.length === 0 || this.#leaving.signal.aborted) return;
    const told = left.filter(({ isAnnounced }) => isAnnounced).map(place);
    if (this.#options.autoCommit !== false) {
      await this.#retrying(this.#leaving.signal, lastCommitMsMax, () => this.#commit(left));
    }
    if (told.length > 0) await this.#options.onRevoked?.(told);
    for (const one of left) {
      if (this.#owned.get(one.key) === one) this.#owned.delete(one.key);
      one.stop('gone');
      this.#paused.delete(`${one.topic}/${one.partition}`);
    }
    this.#member.tellOwned();
    this.#isHeartbeatDue = true;
    this.#heartbeatDue.ring();
    this.#changed();
  }

  /** The group has given all of it to others, or may have. */
  #lose(reason: Error): void {
    this.#member.forget();
    const lost = [...this.#owned.values()].filter(({ isAnnounced }) => isAnnounced);
    for (const one of this.#owned.values()) one.stop('gone');
    this.#owned.clear();
    this.#isHeartbeatDue = true;
    this.#heartbeatDue.ring();
    this.#changed();
    if (lost.length === 0) return;
    const told = lost.map(
      (one): LostPartition => ({ ...place(one), position: one.handed, committedOffset: one.committed }),
    );
    this.#change(async () => this.#options.onLost?.(told, reason));
  }

  // ---- commits

  async #commitNowAndThen(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#leaving;
    const { autoCommitIntervalMs = groupDefaults.autoCommitIntervalMs } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(autoCommitIntervalMs, signal);
      if (signal.aborted) return;
      await this.#retrying(signal, failingMsMax, () => this.#commit([...this.#owned.values()]));
    }
  }

  /** One at a time: of two on their way nobody knows which is taken last. */
  #commit(partitions: readonly OwnedPartition[]): Promise<void> {
    const committed = this.#commits.then(() => this.#commitDone(partitions));
    this.#commits = committed.catch(() => {});
    return committed;
  }

  async #commitDone(partitions: readonly OwnedPartition[]): Promise<void> {
    const dirty = partitions.flatMap((one) => {
      const offset = one.state === 'gone' ? undefined : one.offsetToCommit;
      return offset === undefined ? [] : [{ one, offset }];
    });
    if (dirty.length === 0 || !this.#member.isMember) return;
    const offsets = dirty.map(({ one, offset }) => ({ ...place(one), offset }));
    const results = await this.#member.commit(offsets);
    let failure: LogError | undefined;
    for (const [index, { one, offset }] of dirty.entries()) {
      const error = results[index];
      if (error === undefined) one.committed = offset;
      // Of a topic that was deleted there is nothing to remember; the group hears of it within a minute.
      else if (!isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION')) failure = isFencing(failure) ? failure : error;
    }
    if (failure === undefined) return;
    if (isFencing(failure)) this.#lose(failure);
    throw failure;
  }

  /** Undefined when `signal` was aborted, or when the partitions are lost, which is told elsewhere. */
  async #retrying<T>(signal: AbortSignal, timeMsMax: number, call: () => Promise<T>): Promise<T | undefined> {
    const { clock, randomBytes } = this.#deps;
    const deadlineMs = clock.nowMs() + timeMsMax;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await call();
      } catch (error) {
        if (isFencing(error) || signal.aborted) return undefined;
        if (!isLogError(error) || !error.retriable || clock.nowMs() >= deadlineMs) throw error;
        await clock.sleep(retryDelayMs(attempt, error, randomBytes), signal);
      }
    }
  }

  // ---- the end

  #stop(): void {
    this.#stopping.abort();
    this.#bell.ring();
  }

  /** Ends it with an error, which whoever asks for the next record is told. */
  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#failed.resolve();
    this.#stop();
    // Its partitions are to be others' without delay, however long the record at hand takes.
    this.close().catch(() => {});
  }

  async #leave(): Promise<void> {
    this.#stop();
    // Unless one of them hangs, and has thrown this consumer out.
    if (this.#failure === undefined) await Promise.race([this.#handlers, this.#failed.promise]);
    this.#leaving.abort();
    this.#heartbeatDue.ring();
    this.#bell.ring();
    await this.#heartbeats;
    await this.#changes;
    const never = new AbortController().signal;
    try {
      if (this.#options.autoCommit !== false) {
        await this.#retrying(never, lastCommitMsMax, () => this.#commit([...this.#owned.values()]));
      }
    } finally {
      const told = [...this.#owned.values()].filter((one) => one.isAnnounced && one.state !== 'gone').map(place);
      if (told.length > 0 && this.#failure === undefined) await this.#options.onRevoked?.(told);
      for (const one of this.#owned.values()) one.stop('gone');
      this.#owned.clear();
      await this.#retrying(never, lastCommitMsMax, () => this.#member.leave());
      this.#deps.busy.delete(this.#busy);
    }
  }
}

function place({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition };
}

function assignmentOf(owned: Iterable<OwnedPartition>): Assignment {
  const byTopic = Map.groupBy(owned, ({ topicId }) => topicId);
  return [...byTopic].map(([topicId, list]) => {
    return {
      topic: list[0]?.topic ?? '',
      topicId,
      partitions: list.map(({ partition }) => partition).sort((a, b) => a - b),
    };
  });
}
