/** The two ways to the log that are measured: over HTTP, and the library in process. */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseTopicName } from '../../lib/ids.ts';
import { MiB } from '../../lib/limits.ts';
import { openEmbeddedLog } from '../../lib/server/embedded.ts';
import { batchesContentType, encodeFrames, parsePartitions, partitionsHeader } from '../../lib/wire.ts';
import { Connection, encodeRequest, headerOf } from './connection.ts';
import { startProcess } from './processes.ts';

export interface Sender {
  /** Sends the same batch once more; caller `n` has connection `n` and partition `n` modulo their number. */
  send(caller: number): Promise<unknown>;
  close(): void;
}

export interface Reader {
  /** Up to 1 MiB of batches from `offset` on, whole. */
  fetch(offset: number): Promise<{ readonly nextOffset: number; readonly bytes: number }>;
  close(): void;
}

export interface Door {
  createTopic(topic: string, partitionCount: number): Promise<void>;
  openSender(topic: string, batch: Uint8Array, callerCount: number, partitionCount: number): Promise<Sender>;
  openReader(topic: string, partition: number): Promise<Reader>;
  close(): Promise<void>;
}

export interface HttpDoor extends Door {
  readonly url: string;
  rssBytesMax(): number;
}

const fetchBytes = 1 * MiB;

/** As `npm start` does it. */
const cli = ['--max-semi-space-size=16', join(import.meta.dirname, '../../lib/cli/millrace.ts')];

/** `millrace dev` on a folder of its own, which goes with it. */
export async function openHttpDoor(parent: string): Promise<HttpDoor> {
  const dir = join(parent, 'http');
  const server = await startProcess([...cli, 'dev', '--data', dir, '--port', '0', '--json']);
  return {
    url: server.url,
    rssBytesMax: server.rssBytesMax,
    async createTopic(topic, partitionCount) {
      const connection = await Connection.open(server.url);
      const body = Buffer.from(JSON.stringify({ topic, partitions: partitionCount }));
      await connection.send(encodeRequest('POST', '/v1/topics', { 'content-type': 'application/json' }, body));
      connection.close();
    },
    async openSender(topic, batch, callerCount, partitionCount) {
      const requests = Array.from({ length: Math.min(callerCount, partitionCount) }, (_, partition) =>
        encodeRequest(
          'POST',
          `/v1/topics/${topic}/batches`,
          { 'content-type': batchesContentType },
          Buffer.concat(encodeFrames([{ partition, batch }])),
        ),
      );
      return await openHttpSender(server.url, requests, callerCount);
    },
    async openReader(topic, partition) {
      const connection = await Connection.open(server.url);
      return {
        async fetch(offset) {
          const path = `/v1/topics/${topic}/partitions/${partition}/records?offset=${offset}&maxBytes=${fetchBytes}`;
          const { head, bodyBytes } = await connection.send(encodeRequest('GET', path, { accept: batchesContentType }));
          const [entry] = parsePartitions(headerOf(head, partitionsHeader) ?? '');
          if (entry === undefined) throw new Error('the answer has no watermarks');
          return { nextOffset: entry.nextOffset, bytes: bodyBytes };
        },
        close: () => connection.close(),
      };
    },
    async close() {
      await server.stop();
      await rm(dir, { recursive: true });
    },
  };
}

/** One connection per caller; caller `n` sends request `n` modulo their number. */
export async function openHttpSender(url: string, requests: readonly Buffer[], callerCount: number): Promise<Sender> {
  const connections = await Promise.all(Array.from({ length: callerCount }, () => Connection.open(url)));
  return {
    send: (caller) => (connections[caller] as Connection).send(requests[caller % requests.length] as Buffer),
    close: () => {
      for (const connection of connections) connection.close();
    },
  };
}

/** The log in this very process, on a folder of its own, which goes with it. */
export async function openDirectDoor(parent: string): Promise<Door> {
  const dir = join(parent, 'direct');
  const log = await openEmbeddedLog({ dir });
  return {
    async createTopic(topic, partitionCount) {
      await log.topics.create({ topic: parseTopicName(topic), partitionCount });
    },
    async openSender(name, batch, _callerCount, partitionCount) {
      const topic = parseTopicName(name);
      return {
        async send(caller) {
          const [result] = await log.produce({ topic, batches: [{ partition: caller % partitionCount, batch }] });
          if (result === undefined || 'error' in result) throw result?.error;
        },
        close: () => {},
      };
    },
    async openReader(name, partition) {
      const topic = parseTopicName(name);
      return {
        async fetch(offset) {
          const partitions = [{ partition, offset }];
          const [result] = await log.fetch({ topic, partitions, maxBytes: fetchBytes, minBytes: 0, maxWaitMs: 0 });
          if (result === undefined || 'error' in result) throw result?.error;
          const bytes = result.batches.reduce((sum, batch) => sum + batch.length, 0);
          return { nextOffset: result.nextOffset, bytes };
        },
        close: () => {},
      };
    },
    async close() {
      await log.close();
      await rm(dir, { recursive: true });
    },
  };
}
