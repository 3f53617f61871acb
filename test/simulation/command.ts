/** What the commands of this folder share: help, options that are checked, and a line that tells how far they are. */

import { setImmediate } from 'node:timers/promises';
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import type { Profile } from './plan.ts';

/** Something that the user wrote and that cannot be meant. */
export class WrongUsage extends Error {}

type Values<Options extends ParseArgsOptionsConfig> = ReturnType<typeof parseArgs<{ options: Options }>>['values'];

/** Runs `work`, which gives the exit code. With `--help` the usage is printed instead; what is wrong is told, with code 2. */
export async function runCommand<const Options extends ParseArgsOptionsConfig>(
  usage: string,
  options: Options,
  work: (values: Values<Options>) => Promise<number>,
): Promise<void> {
  try {
    if (process.argv.slice(2).some((word) => word === '--help' || word === '-h')) console.log(usage.trim());
    else process.exitCode = await work(parseArgs({ options }).values);
  } catch (error) {
    if (!(error instanceof WrongUsage) && !isOfParseArgs(error)) throw error;
    console.error(`${error.message}\nsee --help`);
    process.exitCode = 2;
  }
}

function isOfParseArgs(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
}

export function wholeNumber(option: string, text: string, min: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(number) && number >= min) return number;
  throw new WrongUsage(`--${option} is ${JSON.stringify(text)}, allowed is a whole number from ${min} on`);
}

export const profiles = ['local', 'aws'] as const satisfies readonly Profile[];

export function oneOf<const Allowed extends readonly string[]>(
  option: string,
  text: string,
  allowed: Allowed,
): Allowed[number] {
  if (allowed.includes(text)) return text;
  throw new WrongUsage(`--${option} is ${JSON.stringify(text)}, allowed are ${allowed.join(', ')}`);
}

/** A line on the terminal that is written over, once a second; where nobody looks, nothing is written. */
export class Progress {
  readonly #startMs = performance.now();
  #toldMs = this.#startMs;

  get seconds(): number {
    return (performance.now() - this.#startMs) / 1_000;
  }

  rate(seedCount: number): string {
    const { seconds } = this;
    return `${(seedCount / seconds).toFixed(0)} seeds/s, ${((1_000 * seconds) / Math.max(1, seedCount)).toFixed(1)} ms each`;
  }

  async tell(line: () => string): Promise<void> {
    if (performance.now() - this.#toldMs < 1_000) return;
    this.#toldMs = performance.now();
    if (process.stderr.isTTY) process.stderr.write(`\r${line()}\x1b[K`);
    // A seed runs without going back to the event loop; signals and terminals get their turn here.
    await setImmediate();
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
}
