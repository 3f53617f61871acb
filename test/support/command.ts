/** Runs a program to its end and tells what it printed. */

import { spawn } from 'node:child_process';

export interface Finished {
  readonly exitCode: number | null;
  readonly output: string;
  readonly errors: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** @default 60 s; then it is killed, and the exit code is null */
  readonly timeoutMs?: number;
}

/** Never rejects because of what the program does; rejects when it cannot be started. */
export function runCommand(program: string, args: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  const { cwd, env = process.env, timeoutMs = 60_000 } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, output, errors }));
  });
}

export interface DevServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** `program ...args --json`, which is `millrace dev` in some form, until it says where it listens. */
export function startDevServer(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<DevServer> {
  const { cwd, env = process.env, timeoutMs = 20_000 } = options;
  const child = spawn(program, [...args, '--port', '0', '--json'], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let errors = '';
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    const closed = new Promise<void>((done) => child.once('close', () => done()));
    child.once('error', reject);
    child.once('close', () => reject(new Error(`the server ended before it listened: ${errors}`)));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.stdout.setEncoding('utf8').once('data', (line: string) => {
      clearTimeout(timer);
      const { url } = JSON.parse(line) as { readonly url: string };
      const stop = async () => {
        child.kill('SIGTERM');
        await closed;
      };
      resolve({ url, stop });
    });
  });
}
