/**
 * What runs inside an execution environment in the place of AWS's Node.js runtime: asks the Runtime API for the next
 * event, calls the handler, posts its answer (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).
 *
 * Async handlers only, as in nodejs24.x. Response streaming as the runtime does it: the bytes of the stream are the body
 * of the answer; an HTTP answer begins with its status and headers as JSON and eight zero bytes.
 */

import { existsSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { join } from 'node:path';
import { PassThrough, type Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';

type Handler = (event: unknown, context: unknown) => Promise<unknown>;
type StreamHandler = (event: unknown, stream: Writable, context: unknown) => Promise<void>;

const { AWS_LAMBDA_RUNTIME_API = '', LAMBDA_TASK_ROOT = '', _HANDLER = '' } = process.env;
const [host, port] = AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const streamed = Symbol('streamed');

Object.assign(globalThis, {
  awslambda: {
    streamifyResponse: (handler: StreamHandler) => Object.assign(handler, { [streamed]: true }),
    HttpResponseStream: {
      from(stream: Writable & { contentType?: string }, prelude: unknown): Writable {
        stream.contentType = 'application/vnd.awslambda.http-integration-response';
        stream.write(JSON.stringify(prelude));
        stream.write(Buffer.alloc(8));
        return stream;
      },
    },
  },
});

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

function call(method: string, path: string, body?: string | PassThrough, headers = {}): Promise<Answer> {
  const options = { host, port, method, path: `/2018-06-01/runtime${path}`, agent, headers };
  return new Promise((resolve, reject) => {
    const outgoing = request(options, async (response) => {
      const text = Buffer.concat(await response.toArray()).toString();
      resolve({ headers: response.headers, text });
    });
    outgoing.on('error', reject);
    if (body instanceof PassThrough) body.pipe(outgoing);
    else outgoing.end(body);
  });
}

function failure(error: unknown): string {
  const { name, message, stack = '' } = error instanceof Error ? error : new Error(String(error));
  return JSON.stringify({ errorType: name, errorMessage: message, trace: stack.split('\n') });
}

async function loadHandler(): Promise<Handler | StreamHandler> {
  const [file, name = ''] = _HANDLER.split('.');
  const paths = ['.js', '.mjs', '.cjs'].map((extension) => join(LAMBDA_TASK_ROOT, `${file}${extension}`));
  const path = paths.find((one) => existsSync(one)) ?? paths[0] ?? '';
  const loaded = await import(pathToFileURL(path).href);
  if (typeof loaded[name] === 'function') return loaded[name];
  throw Object.assign(new Error(`${_HANDLER} is undefined or not exported`), { name: 'Runtime.HandlerNotFound' });
}

/** The head is sent with the first bytes, when it is known whether they are an HTTP answer. */
async function answerStreamed(handler: StreamHandler, event: unknown, context: unknown, path: string): Promise<void> {
  const stream: PassThrough & { contentType?: string } = new PassThrough();
  const begun = new Promise<void>((resolve) => stream.once('readable', resolve));
  const handled = handler(event, stream, context);
  await Promise.race([begun, handled]);
  const headers = {
    'lambda-runtime-function-response-mode': 'streaming',
    'content-type': stream.contentType ?? 'application/octet-stream',
    'transfer-encoding': 'chunked',
  };
  await Promise.all([handled, call('POST', `${path}/response`, stream, headers)]);
}

let handler: Handler | StreamHandler;
try {
  const startMs = performance.now();
  const usage = process.cpuUsage();
  handler = await loadHandler();
  const { user, system } = process.cpuUsage(usage);
  const ms = (performance.now() - startMs).toFixed(1);
  console.log(`INIT_START module loaded in ${ms} ms, ${((user + system) / 1000).toFixed(1)} ms of processor time`);
} catch (error) {
  await call('POST', '/init/error', failure(error));
  process.exit(1);
}

for (;;) {
  const { headers, text } = await call('GET', '/invocation/next');
  const awsRequestId = headers['lambda-runtime-aws-request-id'];
  const path = `/invocation/${awsRequestId}`;
  const context = {
    awsRequestId,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: '$LATEST',
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    getRemainingTimeInMillis: () => Number(headers['lambda-runtime-deadline-ms']) - Date.now(),
  };
  try {
    const event: unknown = JSON.parse(text);
    if (streamed in handler) await answerStreamed(handler as StreamHandler, event, context, path);
    else {
      const result = await (handler as Handler)(event, context);
      await call('POST', `${path}/response`, JSON.stringify(result) ?? 'null');
    }
  } catch (error) {
    await call('POST', `${path}/error`, failure(error));
  }
  console.log(`END RequestId: ${awsRequestId}`);
}
