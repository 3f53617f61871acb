/** Ctrl-C: the first one asks a command to finish, the second one does not ask. */

const endSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** What shells report for a process that SIGINT ended. */
const killedExitCode = 130;

interface InterruptHandlers {
  readonly onInterrupted?: () => void;
  /** The process ends when this returns. */
  readonly onKilled?: () => void;
}

/**
 * Runs `work` with a signal that SIGINT, SIGTERM or SIGHUP aborts. A second one ends the process at once, for when finishing
 * hangs; but not SIGHUP, which a terminal that closes may send twice. The handlers are gone when this returns.
 */
export async function untilInterrupted<T>(
  work: (controller: AbortController) => Promise<T>,
  { onInterrupted, onKilled }: InterruptHandlers = {},
): Promise<T> {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals) => {
    if (!controller.signal.aborted) {
      onInterrupted?.();
      return controller.abort();
    }
    if (name === 'SIGHUP') return;
    onKilled?.();
    process.exit(killedExitCode);
  };
  for (const name of endSignals) process.on(name, stop);
  try {
    return await work(controller);
  } finally {
    for (const name of endSignals) process.off(name, stop);
  }
}
