/** Requests to a server that may die at any moment. */

import { Agent, type IncomingHttpHeaders, request } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** `no connection`: nothing was sent. `cut off`: sent, wholly or in part, and no whole answer came. */
export type Sent = Answer | 'no connection' | 'cut off';

export interface HttpCaller {
  send(method: string, path: string, headers?: Record<string, string>, body?: Uint8Array): Promise<Sent>;
  close(): void;
}

export function createHttpCaller(url: string): HttpCaller {
  const agent = new Agent({ keepAlive: true });
  return {
    close: () => agent.destroy(),
    send: (method, path, headers = {}, body = new Uint8Array(0)) =>
      new Promise((resolve) => {
        const lengths = method === 'GET' ? {} : { 'content-length': String(body.length) };
        const outgoing = request(
          `${url}${path}`,
          { agent, method, headers: { ...headers, ...lengths } },
          (incoming) => {
            const chunks: Buffer[] = [];
            incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
            incoming.on('error', () => resolve('cut off'));
            incoming.on('end', () => {
              if (!incoming.complete) return resolve('cut off');
              resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) });
            });
          },
        );
        outgoing.on('error', (error: NodeJS.ErrnoException) => {
          resolve(error.code === 'ECONNREFUSED' ? 'no connection' : 'cut off');
        });
        outgoing.end(body);
      }),
  };
}
