/** Closed loops and what they tell: each caller starts its next call when the last one has ended. */

export interface Measured {
  readonly callCount: number;
  readonly callsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface LoopOptions {
  readonly callerCount: number;
  readonly durationMs: number;
  /** Run before and not counted: compilers and files are warm then. */
  readonly warmUpMs: number;
}

/** `call` gets the number of its caller, from 0 on. */
export async function measure(options: LoopOptions, call: (caller: number) => Promise<unknown>): Promise<Measured> {
  await loop(options.callerCount, options.warmUpMs, call);
  const startMs = performance.now();
  const latenciesMs = await loop(options.callerCount, options.durationMs, call);
  return summary(latenciesMs, performance.now() - startMs);
}

/** For calls that block, such as writes of the machine itself. */
export function measureSync(options: Omit<LoopOptions, 'callerCount'>, call: () => void): Measured {
  for (const endMs = performance.now() + options.warmUpMs; performance.now() < endMs; ) call();
  const latenciesMs: number[] = [];
  const startMs = performance.now();
  let nowMs = startMs;
  while (nowMs < startMs + options.durationMs) {
    call();
    const doneMs = performance.now();
    latenciesMs.push(doneMs - nowMs);
    nowMs = doneMs;
  }
  return summary(latenciesMs, nowMs - startMs);
}

async function loop(
  callerCount: number,
  durationMs: number,
  call: (caller: number) => Promise<unknown>,
): Promise<number[]> {
  const endMs = performance.now() + durationMs;
  const latenciesMs: number[] = [];
  const run = async (caller: number) => {
    for (let startMs = performance.now(); startMs < endMs; ) {
      await call(caller);
      const doneMs = performance.now();
      latenciesMs.push(doneMs - startMs);
      startMs = doneMs;
    }
  };
  await Promise.all(Array.from({ length: callerCount }, (_, caller) => run(caller)));
  return latenciesMs;
}

function summary(latenciesMs: number[], elapsedMs: number): Measured {
  const sorted = Float64Array.from(latenciesMs).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  const callsPerSecond = sorted.length / (elapsedMs / 1000);
  return { callCount: sorted.length, callsPerSecond, p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** Each number's median over rounds that took turns with others: what the machine was doing meanwhile, all of them met. */
export function medianOf(rounds: readonly Measured[]): Measured {
  const median = (name: keyof Measured) => {
    const sorted = rounds.map((round) => round[name]).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  };
  return {
    callCount: median('callCount'),
    callsPerSecond: median('callsPerSecond'),
    p50Ms: median('p50Ms'),
    p99Ms: median('p99Ms'),
  };
}
