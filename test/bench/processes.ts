/** Servers in processes of their own, so that they share nothing with the load but the machine. */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

export interface ServerProcess {
  readonly url: string;
  /** Most memory it has held so far, as the operating system counts it (resident set). */
  rssBytesMax(): number;
  stop(): Promise<void>;
}

const startMsMax = 20_000;
const stopMsMax = 15_000;

/** Runs `node ...args`, which writes one line `{"url":...}` to its standard output when it listens, and ends on SIGTERM. */
export async function startProcess(args: readonly string[]): Promise<ServerProcess> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const killed = () => child.kill('SIGKILL');
  process.once('exit', killed);
  const exited = once(child, 'exit');
  const starting = setTimeout(killed, startMsMax);
  const url = await new Promise<string>((resolve, reject) => {
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.endsWith('\n')) resolve((JSON.parse(output) as { url: string }).url);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    child.once('close', (code) => reject(new Error(`${args.join(' ')} ended with ${code}: ${errors}`)));
  });
  clearTimeout(starting);
  return {
    url,
    rssBytesMax: () => rssBytesMaxOf(child.pid ?? 0),
    async stop() {
      child.kill('SIGTERM');
      const stopping = setTimeout(killed, stopMsMax);
      await exited;
      clearTimeout(stopping);
      process.off('exit', killed);
    },
  };
}

function rssBytesMaxOf(pid: number): number {
  if (process.platform === 'linux') {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/VmHWM:\s*(\d+)/.exec(status)?.[1]) * 1024;
  }
  // Elsewhere only the present is told; callers ask often enough.
  return Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)]).toString()) * 1024;
}
