/** The least an HTTP server in Node can do: POST gives the body back, `GET /{byteLength}` that many bytes. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const bytes = Buffer.alloc(32 * 1024 * 1024, 'millrace');

const server = createServer((incoming, outgoing) => {
  if (incoming.method === 'GET') {
    const answer = bytes.subarray(0, Number(incoming.url?.slice(1)));
    outgoing.writeHead(200, { 'content-length': answer.length }).end(answer);
    return;
  }
  const chunks: Buffer[] = [];
  incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
  incoming.on('end', () => {
    const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
    outgoing.writeHead(200, { 'content-length': body.length }).end(body);
  });
});
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }));
});
