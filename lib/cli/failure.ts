/** How a command ends badly, and what is printed then. */

import { CommanderError } from 'commander';
import { type Effect, errorTable, isLogError } from '../errors.ts';

export const exitCodes = { done: 0, failed: 1, wrongUse: 2 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Wrong use that only the command itself can see, such as two options that contradict each other. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A failure in the user's terms. Exit code 1. `cause` brings the advice and the effect when it is a `LogError`. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly advice: string | undefined;

  constructor(message: string, options: { readonly advice?: string; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.advice = options.advice;
  }
}

const effectSentences = {
  none: 'Nothing was changed by the call that failed.',
  unknown: 'It cannot be known whether the call that failed changed anything; look before trying again.',
} as const satisfies Record<Effect, string>;

/**
 * What goes to standard error, without a final newline: the message, the advice, the effect. With `withStack` (set by
 * MILLRACE_DEBUG) also the stacks. Commander has printed its own errors already, so for those there is no text.
 */
export function describeFailure(
  error: unknown,
  withStack: boolean,
): { readonly text: string; readonly exitCode: ExitCode } {
  if (error instanceof CommanderError) {
    return { text: '', exitCode: error.exitCode === 0 ? exitCodes.done : exitCodes.wrongUse };
  }
  // Ctrl-C before a command had anything to tell.
  if (error instanceof Error && error.name === 'AbortError' && !withStack) {
    return { text: 'millrace: interrupted', exitCode: exitCodes.failed };
  }
  const lines = [`millrace: ${messageOf(error)}`];
  const cause = error instanceof CommandError ? error.cause : error;
  const advice = error instanceof CommandError && error.advice !== undefined ? error.advice : adviceOf(cause);
  if (advice !== undefined) lines.push(`  ${advice}`);
  if (isLogError(cause)) lines.push(`  ${effectSentences[cause.effect]} (${cause.code}, effect: ${cause.effect})`);
  if (withStack) {
    for (let at: unknown = error; at instanceof Error; at = at.cause) lines.push(at.stack ?? String(at));
  }
  return { text: lines.join('\n'), exitCode: error instanceof UsageError ? exitCodes.wrongUse : exitCodes.failed };
}

export function messageOf(error: unknown): string {
  return error instanceof Error || isLogError(error) ? error.message : String(error);
}

/** Node's code for a failed system call, such as ENOENT or EADDRINUSE, of the error or of what caused it. */
export function systemCodeOf(error: unknown): string | undefined {
  // Bounded: a chain of causes is short, and could be a circle.
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth += 1) {
    if ('code' in at && typeof at.code === 'string' && /^E[A-Z]+$/.test(at.code)) return at.code;
  }
  return undefined;
}

function adviceOf(error: unknown): string | undefined {
  const code = systemCodeOf(error);
  if (code === 'ECONNREFUSED' || code === 'ENOTFOUND') {
    return 'Start a log with "millrace dev", or name another one with --endpoint or MILLRACE_ENDPOINT.';
  }
  if (!isLogError(error)) return undefined;
  const { reason } = (error.details ?? {}) as { readonly reason?: unknown };
  return (typeof reason === 'string' && adviceByReason.get(reason)) || errorTable[error.code][4];
}

/** What the client finds out before a log has said anything; the advice of the code is for who has spoken with one. */
const adviceByReason: ReadonlyMap<string, string> = new Map([
  ['not-of-a-log', 'Check the address, of --endpoint or MILLRACE_ENDPOINT: something else answers there.'],
  ['no-credentials', 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.'],
  ['missing-package', 'With AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and no AWS_PROFILE, it is not needed.'],
]);
