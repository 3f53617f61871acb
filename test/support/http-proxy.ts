/** A proxy before an emulator, for what a network does and the emulator does not: lose replies, close idle connections. */

import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HttpProxy {
  readonly endpoint: string;
  /** Requests whose answers are held back from now on; the requests themselves are carried out. */
  holdReplies: ((headers: IncomingMessage['headers']) => boolean) | undefined;
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
    if (proxy.holdReplies?.(headers) === true) return;
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: HttpProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    holdReplies: undefined,
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
