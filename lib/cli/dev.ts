/** `millrace dev`: the log in this process, behind HTTP. */

import { resolve } from 'node:path';
import type { Command } from 'commander';
import { isLogError } from '../errors.ts';
import { CommandError, messageOf, systemCodeOf, UsageError } from './failure.ts';
import { untilInterrupted } from './interrupt.ts';
import { note, Output } from './output.ts';
import { parseNotEmpty, parseWhole } from './parse.ts';

const defaultDir = './.millrace';
const defaultPort = 8092;

interface DevOptions {
  readonly data?: string;
  readonly memory?: true;
  readonly port: number;
  readonly host: string;
  readonly json?: true;
}

export function addDevCommand(program: Command): void {
  program
    .command('dev')
    .summary('run a log on this machine')
    .description('Runs a log in this process and serves it over HTTP, until Ctrl-C. There is no authentication.')
    .option('--data <dir>', `data folder, made when it is not there (default: ${defaultDir})`, parseNotEmpty)
    .option('--memory', 'keep everything in memory; it is gone at the end')
    .option('--port <port>', 'port to listen on; 0 takes a free one', parseWhole(0, 65_535), defaultPort)
    .option('--host <host>', 'address to listen on', parseNotEmpty, '127.0.0.1')
    .option('--json', 'when ready, print one line {"url","pid"} on standard output')
    .addHelpText(
      'after',
      `
Examples:
  millrace dev
  millrace dev --data /var/lib/millrace --port 9000
  millrace dev --memory --port 0 --json          for tests: read the url from standard output`,
    )
    .action(runDev);
}

async function runDev(options: DevOptions): Promise<void> {
  if (options.memory && options.data !== undefined) throw new UsageError('give --data or --memory, not both');
  // Loaded here: the other commands start faster without the server.
  const [{ openEmbeddedLog }, { startServer }, { jsonLogger }] = await Promise.all([
    import('../server/embedded.ts'),
    import('../server/server.ts'),
    import('../server/logger.ts'),
  ]);
  // What somebody has to act on; a line for each request would drown it.
  const logger = { ...jsonLogger(), info: () => {} };
  const dir = resolve(options.data ?? defaultDir);
  await untilInterrupted(async ({ signal }) => {
    const log = await openEmbeddedLog(options.memory ? { memory: true } : { dir }).catch((error: unknown) => {
      throw explainOpen(error, dir);
    });
    try {
      const server = await startServer({ log, port: options.port, host: options.host, logger }).catch(
        (error: unknown) => {
          throw explainListen(error, options);
        },
      );
      try {
        note(welcome(server.url, options.memory ? 'in memory' : `data in ${dir}`));
        if (options.json) {
          const output = new Output(process.stdout);
          output.json({ url: server.url, pid: process.pid });
          await output.flush();
        }
        if (!signal.aborted) await new Promise((done) => signal.addEventListener('abort', done, { once: true }));
        note('stopping');
      } finally {
        await server.close();
      }
    } finally {
      await log.close();
    }
    note('stopped; everything acknowledged is stored');
  });
}

function welcome(url: string, where: string): string {
  return `millrace listens on ${url}, ${where}; Ctrl-C stops it

  curl -X POST ${url}/v1/topics -H 'content-type: application/json' -d '{"topic":"orders"}'
  curl -X POST ${url}/v1/topics/orders/records -H 'content-type: application/json' -d '{"records":[{"value":"hello"}]}'
  curl '${url}/v1/topics/orders/partitions/0/records?offset=earliest'
`;
}

/** The refusal of a folder says what to do about it; the general advice for storage errors, to retry, would mislead. */
function explainOpen(error: unknown, dir: string): unknown {
  if (!isLogError(error))
    return new CommandError(`cannot open data folder ${dir}: ${messageOf(error)}`, { cause: error });
  return new CommandError(error.message, {
    advice: 'A log that needs no folder: millrace dev --memory.',
    cause: error,
  });
}

function explainListen(error: unknown, { host, port }: DevOptions): unknown {
  const code = systemCodeOf(error);
  if (code === 'EADDRINUSE') {
    return new CommandError(`port ${port} on ${host} is in use`, {
      advice: 'Choose another one with --port; 0 takes any free one.',
      cause: error,
    });
  }
  // The advice for who looks for a log would mislead who runs one.
  return new CommandError(`cannot listen on ${host}:${port}: ${messageOf(error)}`, {
    advice: 'Choose an address of this machine with --host, such as 127.0.0.1 or 0.0.0.0, and a port with --port.',
    cause: error,
  });
}
