/**
 * Lambda on this machine: bundled functions in execution environments, driven through the Runtime API.
 *
 * As on AWS an environment is a process that serves one invoke at a time and is frozen in between (SIGSTOP), another
 * one is started when all are busy, an invoke that outlives the function's timeout takes its environment with it, and
 * payloads beyond 6 MB are refused. The function's role is what its environment variables hold.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html */
export const requestPayloadBytesMax = 6_291_456;
export const responsePayloadBytesMax = 6_291_556;

export interface FunctionOptions {
  /** The folder that holds `index.mjs` or `index.js`. */
  readonly folder: string;
  /** Environment variables, beside those that Lambda itself sets. */
  readonly environment: Readonly<Record<string, string>>;
  /** @default the folder's name */
  readonly name?: string;
  /** @default 28 s */
  readonly timeoutMs?: number;
}

/** What a function threw, or what became of its environment. */
export interface FunctionError {
  readonly errorType: string;
  readonly errorMessage: string;
}

export interface InvokeResult {
  /** What the handler returned; undefined when it failed or streamed. */
  // biome-ignore lint/suspicious/noExplicitAny: tests assert on shapes that they do not trust
  readonly payload: any;
  readonly error?: FunctionError;
  /** With response streaming: the bytes in the pieces in which they came, and the instant of each (ms). */
  readonly streamed?: { readonly contentType: string; readonly pieces: readonly (readonly [number, Buffer])[] };
  readonly payloadBytes: number;
  readonly durationMs: number;
  /** What the function wrote while it ran. */
  readonly logLines: readonly string[];
}

export interface LambdaFunction {
  readonly name: string;
  /** Environments alive. */
  readonly environmentCount: number;
  /** Throws when the event is too large, as Lambda refuses it; every other outcome is a result. */
  invoke(event: unknown): Promise<InvokeResult>;
  /** Ends all environments. */
  close(): Promise<void>;
}

export function startFunction(options: FunctionOptions): LambdaFunction {
  const environments = new Set<Environment>();
  return {
    name: options.name ?? options.folder.split('/').at(-1) ?? '',
    get environmentCount() {
      return environments.size;
    },
    async invoke(event) {
      const payload = JSON.stringify(event);
      const bytes = Buffer.byteLength(payload);
      if (bytes > requestPayloadBytesMax) {
        throw Object.assign(new Error(`${bytes} byte payload is too large for the RequestResponse invocation type`), {
          name: 'RequestTooLargeException',
        });
      }
      let environment = [...environments].find(({ isIdle }) => isIdle);
      if (environment === undefined) {
        environment = new Environment(options);
        environments.add(environment);
      }
      try {
        return await environment.invoke(payload);
      } finally {
        if (environment.isGone) environments.delete(environment);
      }
    },
    async close() {
      await Promise.all([...environments].map((environment) => environment.end()));
      environments.clear();
    },
  };
}

const bootstrap = join(import.meta.dirname, 'lambda-bootstrap.ts');
const timeoutMsDefault = 28_000;
const initMsMax = 10_000;

class Environment {
  readonly #options: FunctionOptions;
  readonly #server: Server;
  readonly #started: Promise<ChildProcess>;
  #child: ChildProcess | undefined;
  /** Resolves with the poll of a runtime that is ready for its next event. */
  #next = Promise.withResolvers<ServerResponse>();
  #answered = Promise.withResolvers<Partial<InvokeResult>>();
  #ended = Promise.withResolvers<void>();
  #logLines: string[] = [];
  #answerBytes = 0;
  isIdle = false;
  isGone = false;

  constructor(options: FunctionOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#started = this.#start();
  }

  async invoke(payload: string): Promise<InvokeResult> {
    this.isIdle = false;
    const timeoutMs = this.#options.timeoutMs ?? timeoutMsDefault;
    await this.#started;
    this.#answered = Promise.withResolvers();
    this.#ended = Promise.withResolvers();
    const init = setTimeout(() => this.#fail('Sandbox.Timedout', `init took more than ${initMsMax} ms`), initMsMax);
    const poll = await Promise.race([this.#next.promise, this.#answered.promise]);
    clearTimeout(init);
    const startMs = performance.now();
    if ('writeHead' in poll) {
      this.#next = Promise.withResolvers();
      this.#child?.kill('SIGCONT');
      poll.writeHead(200, {
        'lambda-runtime-aws-request-id': randomUUID(),
        'lambda-runtime-deadline-ms': Math.floor(Date.now() + timeoutMs),
        'lambda-runtime-invoked-function-arn': `arn:aws:lambda:us-east-1:000000000000:function:${this.#options.name ?? 'function'}`,
        'lambda-runtime-trace-id': 'Root=1-00000000-000000000000000000000000;Sampled=0',
      });
      poll.end(payload);
    }
    const seconds = (timeoutMs / 1000).toFixed(2);
    const timer = setTimeout(
      () => this.#fail('Sandbox.Timedout', `Task timed out after ${seconds} seconds`),
      timeoutMs,
    );
    const answer = await this.#answered.promise;
    const durationMs = performance.now() - startMs;
    clearTimeout(timer);
    if (!this.isGone) {
      await Promise.all([this.#next.promise, this.#ended.promise]);
      this.#child?.kill('SIGSTOP');
      this.isIdle = true;
    }
    const logLines = this.#logLines.splice(0);
    return { payload: undefined, payloadBytes: this.#answerBytes, durationMs, ...answer, logLines };
  }

  async end(): Promise<void> {
    this.isIdle = false;
    this.isGone = true;
    const child = await this.#started;
    const exited = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
    child.kill('SIGKILL');
    await exited;
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #start(): Promise<ChildProcess> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const { port } = this.#server.address() as AddressInfo;
    const { folder, environment, name = 'function' } = this.#options;
    const child = spawn(process.execPath, ['--enable-source-maps', bootstrap], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}`,
        AWS_LAMBDA_FUNCTION_NAME: name,
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '1024',
        AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
        AWS_REGION: 'us-east-1',
        LAMBDA_TASK_ROOT: folder,
        TZ: ':UTC',
        _HANDLER: 'index.handler',
        ...environment,
      },
    });
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('END RequestId')) this.#ended.resolve();
      else this.#logLines.push(line);
    });
    createInterface({ input: child.stderr }).on('line', (line) => this.#logLines.push(line));
    child.once('exit', (exitCode, signal) => {
      this.#fail('Runtime.ExitError', `Runtime exited with error: ${signal ?? `exit status ${exitCode}`}`);
    });
    return child;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = '', headers } = request;
    if (method === 'GET' && url.endsWith('/invocation/next')) return this.#next.resolve(response);
    const pieces: [number, Buffer][] = [];
    for await (const piece of request) pieces.push([performance.now(), piece as Buffer]);
    response.writeHead(202).end('{"status":"OK"}');
    const body = Buffer.concat(pieces.map(([, piece]) => piece));
    this.#answerBytes = body.byteLength;
    if (url.endsWith('/error')) {
      const error = JSON.parse(body.toString()) as FunctionError;
      // An environment that cannot start is thrown away.
      if (url.endsWith('/init/error')) return this.#fail(error.errorType, error.errorMessage);
      return this.#answered.resolve({ error });
    }
    if (headers['lambda-runtime-function-response-mode'] === 'streaming') {
      return this.#answered.resolve({ streamed: { contentType: String(headers['content-type']), pieces } });
    }
    if (body.byteLength > responsePayloadBytesMax) {
      const errorMessage = `Response payload size exceeded maximum allowed payload size (${responsePayloadBytesMax} bytes).`;
      return this.#answered.resolve({ error: { errorType: 'Function.ResponseSizeTooLarge', errorMessage } });
    }
    this.#answered.resolve({ payload: JSON.parse(body.toString()) });
  }

  #fail(errorType: string, errorMessage: string): void {
    const isExpected = this.isGone;
    this.isGone = true;
    this.isIdle = false;
    this.#answered.resolve({ error: { errorType, errorMessage } });
    this.#child?.kill('SIGKILL');
    this.#server.closeAllConnections();
    if (!isExpected) this.#server.close();
  }
}
