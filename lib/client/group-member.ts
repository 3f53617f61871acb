/** One member of a group, as the log sees it: join, heartbeat, commit, leave. Keeps its epoch; runs nothing by itself. */

import { randomUuid } from '../clock.ts';
import { isLogError, type LogError } from '../errors.ts';
import { commitOffsetsMax, rebalanceTimeoutMsMax, rebalanceTimeoutMsMin } from '../limits.ts';
import { jsonContentType, problemToError } from '../wire.ts';
import { callJson, errorOf, parseBody, requestTimeoutMs } from './api-calls.ts';
import type { ClientDeps } from './client-deps.ts';
import { type GroupConsumerOptions, groupDefaults, type TopicPartition } from './group-options.ts';

/** By topic; each partition once. */
export type Assignment = readonly {
  readonly topic: string;
  readonly topicId: string;
  readonly partitions: readonly number[];
}[];

export interface HeartbeatReply {
  readonly heartbeatIntervalMs: number;
  /** All that the member may hold from now on; absent: as before. */
  readonly assignment?: Assignment;
}

export interface OffsetToCommit extends TopicPartition {
  readonly topicId: string;
  readonly offset: number;
}

/** The answers after which a member has nothing any more, and may join again. */
const fencingCodes = ['FENCED_MEMBER_EPOCH', 'UNKNOWN_MEMBER_ID', 'STALE_MEMBER_EPOCH'] as const;

export function isFencing(error: unknown): boolean {
  return fencingCodes.some((code) => isLogError(error, code));
}

/** The topic was deleted, and perhaps made again. */
export function isGone(error: unknown): boolean {
  return isLogError(error, 'UNKNOWN_TOPIC_OR_PARTITION') || isLogError(error, 'UNKNOWN_TOPIC_ID');
}

export class GroupMember {
  readonly sessionTimeoutMs: number;
  readonly #deps: ClientDeps;
  readonly #options: GroupConsumerOptions;
  readonly #memberId: string;
  #epoch = 0;
  /** Counts how often it had to forget: an answer to what was sent before is of no use. */
  #life = 0;
  #hasJoined = false;
  #wasMember = false;
  #hasLeft = false;
  /** When the last heartbeat that was answered was sent: the log has heard of this member since. */
  #heardMs = Number.NEGATIVE_INFINITY;
  #mustTellOwned = false;
  #toldTopics: readonly string[] = [];
  #due = new AbortController();

  constructor(deps: ClientDeps, options: GroupConsumerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#memberId = randomUuid(deps.randomBytes);
    this.sessionTimeoutMs = options.sessionTimeoutMs ?? groupDefaults.sessionTimeoutMs;
  }

  /** Whether the log has ever taken it for a member. */
  get wasMember(): boolean {
    return this.#wasMember;
  }

  /** Whether it wants to be none any more. */
  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  get isMember(): boolean {
    return this.#epoch > 0;
  }

  /** Whether its session cannot be over. A process that was frozen finds out here, before it hands out what is another's. */
  get isFresh(): boolean {
    return this.isMember && this.#deps.clock.nowMs() - this.#heardMs < this.sessionTimeoutMs;
  }

  /** Aborted when the next heartbeat should not wait; another one once that is sent. */
  get due(): AbortSignal {
    return this.#due.signal;
  }

  /** Something was given up: the next heartbeat says what is left. */
  tellOwned(): void {
    this.#mustTellOwned = true;
    this.#due.abort();
  }

  /** It has nothing any more; the next heartbeat joins. */
  forget(): void {
    this.#epoch = 0;
    this.#life += 1;
    this.#mustTellOwned = false;
    this.#due.abort();
  }

  async heartbeat(topics: readonly string[], owned: () => Assignment, signal: AbortSignal): Promise<HeartbeatReply> {
    this.#due = new AbortController();
    const sentAtMs = this.#deps.clock.nowMs();
    const life = this.#life;
    const isToldTopics = String(topics) === String(this.#toldTopics);
    const json = this.isMember
      ? {
          ...(!isToldTopics && { topics }),
          ...(this.#mustTellOwned && { owned: owned() }),
        }
      : this.#joining(topics);
    this.#mustTellOwned = false;
    this.#hasJoined = true;
    try {
      const timeoutMs = Math.min(requestTimeoutMs, Math.ceil(this.sessionTimeoutMs / 3));
      const reply = await this.#send(this.#epoch, json, { signal, timeoutMs });
      if (life !== this.#life) return { heartbeatIntervalMs: 0 };
      this.#epoch = reply.memberEpoch;
      this.#wasMember = true;
      this.#heardMs = sentAtMs;
      this.#toldTopics = topics;
      return reply;
    } catch (error) {
      this.#mustTellOwned = this.isMember;
      throw error;
    }
  }

  #joining(topics: readonly string[]): object {
    const { processingTimeoutMs = groupDefaults.processingTimeoutMs, assignor } = this.#options;
    // A partition is given up when the record at hand is done, which may take this long.
    const rebalanceTimeoutMs = Math.min(Math.max(processingTimeoutMs, rebalanceTimeoutMsMin), rebalanceTimeoutMsMax);
    return { topics, ...(assignor && { assignor }), sessionTimeoutMs: this.sessionTimeoutMs, rebalanceTimeoutMs };
  }

  /** For a while where it has an instance id. That it is no member is fine. */
  async leave(): Promise<void> {
    this.#hasLeft = true;
    if (!this.#hasJoined) return;
    this.forget();
    const epoch = this.#options.instanceId === undefined ? -1 : -2;
    try {
      await this.#send(epoch, {}, {});
    } catch (error) {
      if (!isFencing(error) && !isLogError(error, 'FENCED_INSTANCE_ID')) throw error;
    }
  }

  #send(
    memberEpoch: number,
    json: object,
    options: { readonly signal?: AbortSignal; readonly timeoutMs?: number },
  ): Promise<HeartbeatReply & { readonly memberEpoch: number }> {
    const { group, instanceId } = this.#options;
    const body = { memberId: this.#memberId, memberEpoch, ...(instanceId && { instanceId }), ...json };
    return callJson(this.#deps.transport, 'POST', groupPath(group, '/heartbeat'), {
      json: body,
      has: 'memberEpoch',
      role: 'consumer',
      ...options,
    });
  }

  /** One entry for each offset, in order: undefined where it was committed. */
  async commit(
    offsets: readonly OffsetToCommit[],
    timeoutMs = requestTimeoutMs,
  ): Promise<readonly (LogError | undefined)[]> {
    if (offsets.length > commitOffsetsMax) {
      const first = await this.commit(offsets.slice(0, commitOffsetsMax), timeoutMs);
      return [...first, ...(await this.commit(offsets.slice(commitOffsetsMax), timeoutMs))];
    }
    const body = { memberId: this.#memberId, memberEpoch: this.#epoch, offsets };
    const response = await this.#deps.transport({
      method: 'POST',
      path: groupPath(this.#options.group, '/offsets'),
      headers: { 'content-type': jsonContentType, accept: jsonContentType },
      body: [Buffer.from(JSON.stringify(body))],
      role: 'consumer',
      timeoutMs,
    });
    // Where all failed the answer is the first one's problem, and beside it stands one for each.
    const error = response.status < 300 ? undefined : errorOf(response);
    if (error !== undefined && !isFencing(error) && !isGone(error)) throw error;
    const { results } = parseBody(response) as { readonly results?: readonly object[] };
    if (results === undefined) return offsets.map(() => error);
    return results.map((result) => ('code' in result ? problemToError(result, response.status) : undefined));
  }
}

export function groupPath(group: string, rest = ''): string {
  return `/v1/groups/${encodeURIComponent(group)}${rest}`;
}
