/** `millrace dev` in a process of its own, to be killed. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface ServerProcess {
  readonly url: string;
  /** From the start of the process until it accepts requests. */
  readonly startMs: number;
  /** `kill -9`; resolves when the process is gone. */
  kill(): Promise<void>;
  /** Stops as a service manager would; resolves with the exit code. */
  stop(): Promise<number | null>;
}

/** Says why the process ended before it was ready. */
export class StartFailure extends Error {
  readonly exitCode: number | null;

  constructor(exitCode: number | null, output: string) {
    super(output);
    this.exitCode = exitCode;
  }
}

const cli = join(import.meta.dirname, '../../lib/cli/millrace.ts');
const startMsMax = 20_000;

/** Throws `StartFailure`; with `killAfterMs` the process is killed then, ready or not, and this throws as well. */
export async function startServerProcess(dir: string, killAfterMs?: number): Promise<ServerProcess> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [cli, 'dev', '--data', dir, '--port', '0', '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  let ready = '';
  let output = '';
  const timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs ?? startMsMax);
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      ready += chunk.toString();
      if (ready.endsWith('\n') && killAfterMs === undefined) resolve((JSON.parse(ready) as { url: string }).url);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.once('close', (exitCode) => reject(new StartFailure(exitCode, output)));
  }).finally(() => clearTimeout(timer));
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    const [exitCode] = await exited;
    return exitCode as number | null;
  };
  return {
    url,
    startMs: performance.now() - startedAt,
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
  };
}
