/** Ctrl-C: the first one asks a command to finish, the second one does not ask. */

const endSignals = ['SIGINT', 'SIGTERM'] as const;
/** What shells report for a process that SIGINT ended. */
const killedExitCode = 130;

/**
 * Runs `work` with a signal that SIGINT or SIGTERM aborts. A second one ends the process at once, for when finishing
 * hangs. The handlers are gone when this returns.
 */
export async function untilInterrupted<T>(work: (controller: AbortController) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(killedExitCode);
    controller.abort();
  };
  for (const name of endSignals) process.on(name, stop);
  try {
    return await work(controller);
  } finally {
    for (const name of endSignals) process.off(name, stop);
  }
}
