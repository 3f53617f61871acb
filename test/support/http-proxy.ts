/** A proxy before an emulator, for what a network does and the emulator does not: lose replies, close idle connections. */

import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface HttpProxy {
  readonly endpoint: string;
  /** How long an answer is held back; the request itself is carried out at once. `Infinity`: it never comes. */
  replyDelayMs: ((headers: IncomingMessage['headers']) => number) | undefined;
  /** As servers do with connections that nobody has used for a while. */
  closeIdleConnections(): void;
  close(): Promise<void>;
}

export async function startHttpProxy(target: string): Promise<HttpProxy> {
  const agent = new Agent({ keepAlive: true });
  const server = createServer(async (incoming, outgoing) => {
    const { method, url = '/', headers } = incoming;
    const forwarded = request(new URL(url, target), { method, headers, agent });
    forwarded.on('error', () => outgoing.destroy());
    forwarded.end(Buffer.concat(await incoming.toArray()));
    const [answer] = (await once(forwarded, 'response')) as [IncomingMessage];
    const body = Buffer.concat(await answer.toArray());
    const delayMs = proxy.replyDelayMs?.(headers) ?? 0;
    if (delayMs === Number.POSITIVE_INFINITY) return;
    if (delayMs > 0) await sleep(delayMs);
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: HttpProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    replyDelayMs: undefined,
    closeIdleConnections: () => server.closeIdleConnections(),
    async close() {
      agent.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
