/** The real command line as processes, against a real `millrace dev`. */

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('../../lib/cli/millrace.ts', import.meta.url));

/** Compiling the sources takes most of a start, so the processes share it. Remove it at the end. */
export const compileCacheDir = mkdtempSync(join(tmpdir(), 'millrace-cli-cache-'));

export interface Run {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCli {
  readonly child: ChildProcess;
  readonly done: Promise<Run>;
  /** Resolves with standard output when it holds `text`; rejects when the process ends without it. */
  printed(text: string): Promise<string>;
}

/** `stdin` undefined leaves it open: `child.stdin` is then the caller's. */
export function startCli(args: readonly string[], env: NodeJS.ProcessEnv = {}, stdin?: string): RunningCli {
  const options: SpawnOptions = {
    env: { ...process.env, MILLRACE_DEBUG: '', NODE_COMPILE_CACHE: compileCacheDir, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  };
  const child = spawn(process.execPath, [script, ...args], options);
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  // Wrong use ends the process before it has read anything.
  child.stdin?.on('error', () => {});
  if (stdin !== undefined) child.stdin?.end(stdin);
  const done = new Promise<Run>((resolve) => {
    child.on('close', (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
  const printed = (text: string) =>
    new Promise<string>((resolve, reject) => {
      const look = () => stdout.includes(text) && resolve(stdout);
      child.stdout?.on('data', look);
      child.on('close', () => reject(new Error(`ended without printing ${text}: ${stdout}${stderr}`)));
      look();
    });
  return { child, done, printed };
}

/** Runs to the end. */
export function runCli(args: readonly string[], env: NodeJS.ProcessEnv = {}, stdin = ''): Promise<Run> {
  return startCli(args, env, stdin).done;
}
