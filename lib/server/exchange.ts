/**
 * Between node:http and the app: what the app asks of a request, and its answer on the wire. Nothing is made of a request
 * that nobody asks for, and an answer that is whole goes out with one write.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Answer } from '../api/answer.ts';
import type { AskedRequest } from '../api/http.ts';

/** A request whose body was read already. */
export class IncomingRequest implements AskedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: AskedRequest['headers'];
  readonly #body: Uint8Array;
  readonly #outgoing: ServerResponse;
  #aborting: AbortController | undefined;

  /** Throws when target or host make no URL. */
  constructor(incoming: IncomingMessage, body: Uint8Array, outgoing: ServerResponse) {
    const { headers } = incoming;
    this.method = incoming.method ?? 'GET';
    this.url = urlOf(incoming);
    this.headers = { get: (name) => headers[name.toLowerCase()]?.toString() ?? null };
    this.#body = body;
    this.#outgoing = outgoing;
  }

  /** Aborted when the client has gone before its answer. */
  get signal(): AbortSignal {
    this.#aborting ??= this.#abortWhenGone(new AbortController());
    return this.#aborting.signal;
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return Uint8Array.from(this.#body).buffer;
  }

  #abortWhenGone(aborting: AbortController): AbortController {
    const outgoing = this.#outgoing;
    const onClose = () => {
      if (!outgoing.writableFinished) aborting.abort();
    };
    if (outgoing.req.socket.destroyed) onClose();
    else outgoing.once('close', onClose);
    return aborting;
  }
}

const plainHost = /^[a-z0-9._-]+(?::\d{1,4})?$/i;
/** Without dot segments and whatever else would be written in another way. */
const plainTarget = /^\/(?!\.)(?:[!#$&-\-0-;=?-[\]_a-z~]|\.(?!\.)|\/(?!\.))*$/i;

/** RFC 9112, section 3.3. */
function urlOf({ url: target = '', headers: { host = '' } }: IncomingMessage): string {
  if (plainHost.test(host) && plainTarget.test(target)) return `http://${host}${target}`;
  if (target.split('?', 1)[0]?.includes('\\')) throw new TypeError('backslash in the path');
  if (/^https?:\/\//i.test(target)) return new URL(target).href;
  if (host === '') throw new TypeError('missing host header');
  if (!target.startsWith('/')) throw new TypeError('invalid target');
  const url = new URL(`http://${host}${target}`);
  if (url.hostname !== host.toLowerCase().replace(/:\d*$/, '')) throw new TypeError('invalid host header');
  return url.href;
}

/** Of a stream nothing yet: it comes piece by piece. */
export function byteLengthOf(body: Answer['body']): number {
  if (typeof body === 'string') return Buffer.byteLength(body);
  return body instanceof Uint8Array ? body.byteLength : 0;
}

export interface Sending {
  /** After so long without progress the socket has a `timeout`. */
  readonly stallMsMax: number;
  /** After so long a stream is cut: it is asked for its end no sooner than its reader has taken what was there. */
  readonly streamMsMax: number;
  /** Told how many bytes of a stream wait now. When it answers false the stream ends, and its reader comes back. */
  readonly hold: (byteLength: number) => boolean;
}

/** Resolves when the answer is handed over, a stream when it has ended. */
export async function send(
  { status, headers, body }: Answer,
  outgoing: ServerResponse,
  { stallMsMax, streamMsMax, hold }: Sending,
): Promise<void> {
  if (body === null) {
    outgoing.writeHead(status, headers).end();
  } else if (body instanceof ReadableStream) {
    outgoing.setTimeout(stallMsMax);
    outgoing.writeHead(status, headers).flushHeaders();
    const signal = AbortSignal.timeout(streamMsMax);
    const held = async function* (pieces: AsyncIterable<Uint8Array>) {
      for await (const piece of pieces) {
        if (!hold(piece.byteLength)) return;
        yield piece;
        // Taken: the next one may be long in coming.
        hold(0);
      }
    };
    // Nothing is asked for ahead: it would be counted by nobody.
    await pipeline(Readable.fromWeb(body, { highWaterMark: 0 }), held, outgoing, { signal }).catch(unlessCutOff);
  } else {
    outgoing.writeHead(status, { ...headers, 'content-length': byteLengthOf(body) }).end(body);
    // Most answers have left by now, and need no timer.
    if (outgoing.writableLength > 0) outgoing.setTimeout(stallMsMax);
  }
}

/** No failure, when the reader went or its time was up: the stream has been told, and has ended. */
function unlessCutOff(error: NodeJS.ErrnoException): void {
  const isCutOff = ['ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_UNABLE_TO_PIPE', 'ABORT_ERR'].includes(error.code ?? '');
  if (!isCutOff) throw error;
}
