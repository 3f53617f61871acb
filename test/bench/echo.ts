/** The bare HTTP server and its measures: the most that a server in Node with this client can reach. */

import { join } from 'node:path';
import { Connection, encodeRequest } from './connection.ts';
import { openHttpSender } from './doors.ts';
import { type Measured, measure } from './measure.ts';
import { startProcess } from './processes.ts';

export interface Echo {
  /** `body` back and forth. */
  post(body: Uint8Array, callerCount: number, duration: { readonly durationMs: number }): Promise<Measured>;
  /** Answers of `byteLength` to one caller. Bytes a second. */
  get(byteLength: number, duration: { readonly durationMs: number }): Promise<number>;
  close(): Promise<void>;
}

export async function openEcho(): Promise<Echo> {
  const server = await startProcess([join(import.meta.dirname, 'echo-server.ts')]);
  return {
    async post(body, callerCount, { durationMs }) {
      const sender = await openHttpSender(server.url, [encodeRequest('POST', '/', {}, body)], callerCount);
      const measured = await measure({ callerCount, durationMs, warmUpMs: durationMs / 3 }, sender.send);
      sender.close();
      return measured;
    },
    async get(byteLength, { durationMs }) {
      const connection = await Connection.open(server.url);
      const request = encodeRequest('GET', `/${byteLength}`);
      const call = () => connection.send(request);
      const measured = await measure({ callerCount: 1, durationMs, warmUpMs: durationMs / 3 }, call);
      connection.close();
      return measured.callsPerSecond * byteLength;
    },
    close: server.stop,
  };
}
