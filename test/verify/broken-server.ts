/** A server in front of an honest one, which now and then does to a batch what no log may do. */

import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fieldAt, readBatchHeader } from '../../lib/record/record-batch.ts';
import { decodeFrames, encodeFrames, type Frame } from '../../lib/wire.ts';

/**
 * `drop`: acks a batch and keeps nothing of it. `repeat`: sends one twice. `reorder`: swaps two of one partition. `forget`:
 * says of committed offsets that they are, and passes nothing on. `share`: gives a member what another one has. `keep`:
 * deletes nothing.
 */
export type Fault = 'none' | 'drop' | 'repeat' | 'reorder' | 'forget' | 'share' | 'keep';

export interface BrokenServer {
  readonly url: string;
  /** How often it has done so. */
  readonly faultCount: () => number;
  close(): Promise<void>;
}

/** One in so many requests that could be spoiled is. */
const oneIn = 10;
/** Members commit, and are given something, seldom. */
const ofGroupsOneIn = 2;

export async function startBrokenServer(target: string, fault: Fault): Promise<BrokenServer> {
  let spoilableCount = 0;
  let faultCount = 0;
  const spoil = () => {
    const isDue = spoilableCount++ % (fault === 'forget' || fault === 'share' ? ofGroupsOneIn : oneIn) === 0;
    if (isDue) faultCount += 1;
    return isDue;
  };
  /** What a member of a group was given last. */
  let given: { readonly memberId: string; readonly assignment: readonly unknown[] } | undefined;
  const server = createServer(async (incoming, outgoing) => {
    const body = await readAll(incoming);
    const forward = (bytes: Uint8Array) => forwardTo(target, incoming, bytes);
    let answer: Awaited<ReturnType<typeof forward>>;
    const isCommit = incoming.method === 'POST' && incoming.url?.endsWith('/offsets') === true;
    if (fault === 'keep' && incoming.method === 'DELETE') {
      const problem = { code: 'TOPIC_AUTHORIZATION_FAILED', status: 403, effect: 'none', retriable: false };
      answer = { status: 403, headers: jsonHeaders, body: Buffer.from(JSON.stringify(problem)) };
    } else if (fault === 'forget' && isCommit && spoil()) {
      const { offsets } = JSON.parse(body.toString()) as { offsets: { topic: string; partition: number }[] };
      const results = offsets.map(({ topic, partition }) => ({ topic, partition }));
      answer = { status: 200, headers: jsonHeaders, body: Buffer.from(JSON.stringify({ results })) };
    } else if (incoming.method !== 'POST' || !incoming.url?.endsWith('/batches')) answer = await forward(body);
    else {
      const frames = decodeFrames(body);
      if (fault === 'drop' && spoil()) {
        // Committed by nobody, and answered as if it were the next one of its partition.
        const kept = frames.slice(0, -1);
        const lost = frames.at(-1) as Frame;
        const isThere = (await endOf(target, incoming, lost.partition)) !== undefined;
        const first = kept.length === 0 || !isThere ? undefined : await forward(bytesOf(kept));
        if (first !== undefined && first.status !== 200) answer = first;
        else if (!isThere) answer = await forward(body);
        else {
          // Behind those that were kept.
          const end = await endOf(target, incoming, lost.partition);
          const results = first === undefined ? [] : JSON.parse(first.body.toString()).results;
          const { recordCount } = readBatchHeader(lost.batch);
          results.push({ partition: lost.partition, baseOffset: end, recordCount, timestamp: Date.now() });
          answer = { status: 200, headers: jsonHeaders, body: Buffer.from(JSON.stringify({ results })) };
        }
      } else {
        const isPlain = frames.every(({ batch }) => Buffer.from(batch).readBigInt64BE(fieldAt.producerId) < 0n);
        const swapped = isPlain ? swap(frames) : undefined;
        if (fault === 'repeat' && isPlain && spoil()) await forward(body);
        answer = await forward(fault === 'reorder' && swapped !== undefined && spoil() ? bytesOf(swapped) : body);
      }
    }
    if (fault === 'share' && answer.status === 200 && incoming.url?.endsWith('-members/heartbeat')) {
      const { memberId, assignment, ...others } = JSON.parse(answer.body.toString());
      if (given !== undefined && given.memberId !== memberId && assignment !== undefined && spoil()) {
        const { assignment: shared } = given;
        answer = { ...answer, body: Buffer.from(JSON.stringify({ memberId, assignment: shared, ...others })) };
      } else if (assignment?.length > 0) given = { memberId, assignment };
    }
    outgoing.writeHead(answer.status, answer.headers).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faultCount: () => faultCount,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The next offset of a partition of the topic that is produced to; undefined where there is none. */
async function endOf(target: string, { url }: IncomingMessage, partition: number): Promise<number | undefined> {
  const path = url?.replace(/\/batches$/, `/partitions/${partition}/offsets?timestamp=latest`);
  const response = await fetch(new URL(path ?? '/', target));
  return response.ok ? ((await response.json()) as { offset: number }).offset : undefined;
}

const jsonHeaders = { 'content-type': 'application/json' };

/** The first two frames of one partition in each other's place; undefined when no partition has two. */
function swap(frames: readonly Frame[]): Frame[] | undefined {
  for (const [index, frame] of frames.entries()) {
    const other = frames.findIndex(({ partition }, at) => at > index && partition === frame.partition);
    if (other > index) return frames.with(index, frames[other] as Frame).with(other, frame);
  }
  return undefined;
}

function bytesOf(frames: readonly Frame[]): Buffer {
  return Buffer.concat(encodeFrames(frames));
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function forwardTo(target: string, incoming: IncomingMessage, body: Uint8Array) {
  const { host: _, 'content-length': __, 'transfer-encoding': ___, ...headers } = incoming.headers;
  return new Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: Buffer }>((resolve, reject) => {
    const outgoing = httpRequest(
      new URL(incoming.url ?? '/', target),
      { method: incoming.method, headers: { ...headers, 'content-length': body.length } },
      (response) => {
        readAll(response).then((bytes) => {
          const { 'transfer-encoding': ____, 'content-length': _____, ...own } = response.headers;
          resolve({ status: response.statusCode ?? 500, headers: own, body: bytes });
        }, reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
