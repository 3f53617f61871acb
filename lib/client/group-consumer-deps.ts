/** What the parts of a consumer in a group share, and how they try again. */

import { isLogError } from '../errors.ts';
import { retryDelayMs } from './api-calls.ts';
import type { ClientDeps } from './client-deps.ts';
import { type GroupMember, isFencing } from './group-member.ts';
import type { GroupConsumerOptions } from './group-options.ts';
import type { HeldPartitions } from './held-partitions.ts';

export interface GroupConsumerDeps extends ClientDeps {
  readonly options: GroupConsumerOptions;
  readonly member: GroupMember;
  readonly held: HeldPartitions;
  /** From then on nothing is handed out any more. */
  readonly stopped: AbortSignal;
  /** From then on nothing is done any more but the last commit and to leave. */
  readonly leaving: AbortSignal;
  /** Ends the consumer with an error, which its user is told. */
  readonly fail: (error: unknown) => void;
}

/** A consumer gives up after it could not reach the log for this long. */
export const failingMsMax = 120_000;
/** Before partitions go to others it tries to commit for this long. */
export const lastCommitMsMax = 20_000;
/** Each time for so long: one that has no answer is then not the only one. */
export const lastCommitTimeoutMs = 5_000;

interface Patience {
  readonly signal?: AbortSignal;
  readonly timeMsMax: number;
}

/** Undefined when `signal` was aborted, or when the partitions are lost, which is told elsewhere. */
export async function retrying<T>(
  deps: ClientDeps,
  patience: Patience,
  call: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await insisting(deps, patience, call);
  } catch (error) {
    if (isFencing(error) || patience.signal?.aborted) return undefined;
    throw error;
  }
}

/** Tries again what can pass, for a while. Throws what cannot, and the last failure when `signal` is aborted. */
export async function insisting<T>(
  { clock, randomBytes }: ClientDeps,
  { signal, timeMsMax }: Patience,
  call: () => Promise<T>,
): Promise<T> {
  const deadlineMs = clock.nowMs() + timeMsMax;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (!isLogError(error) || !error.retriable || signal?.aborted || clock.nowMs() >= deadlineMs) throw error;
      await clock.sleep(retryDelayMs(attempt, error, randomBytes), signal);
    }
  }
}
