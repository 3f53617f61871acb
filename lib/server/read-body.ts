/** The body of a request, all of it or nothing, within a bound. */

import type { IncomingMessage } from 'node:http';
import { release, releasedBytesMin } from '../api/http.ts';
import { KiB } from '../limits.ts';

/**
 * `too-large`: refused after at most `bytesMax`. `too-many`: the bodies of all requests together take more than there is
 * room for. `cut-off`: the client went, or broke the framing; nothing to answer.
 */
export type Body = { readonly bytes: Buffer } | 'too-large' | 'too-many' | 'cut-off';

/** Room for the bodies of all requests. Whoever was given `bytes` puts their length back when done with them. */
export interface Room {
  bytesLeft: number;
}

const noBytes = Buffer.alloc(0);

/** As many chunks are looked at together, and joined when they are small: a Buffer takes some 400 bytes beside its own. */
const joinedCount = 256;
const joinedBytesMax = joinedCount * 4 * KiB;

const coversItsMemory = (bytes: Buffer) => bytes.byteLength === bytes.buffer.byteLength;

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

export function declaresMoreThan({ headers }: IncomingMessage, bytesMax: number): boolean {
  return Number(headers['content-length'] ?? 0) > bytesMax;
}

export function readBody(incoming: IncomingMessage, bytesMax: number, room: Room): Promise<Body> {
  if (!hasBody(incoming)) {
    incoming.resume();
    return Promise.resolve({ bytes: noBytes });
  }
  if (declaresMoreThan(incoming, bytesMax)) return Promise.resolve('too-large');
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let byteCount = 0;
    /** Of `chunks`, those that have been looked at, and their bytes. */
    let seenCount = 0;
    let seenBytes = 0;
    let isFinished = false;
    // The listeners stay: taking them off costs more than all else here, and they go with the request.
    const finish = (body: Body) => {
      if (isFinished) return;
      isFinished = true;
      if (typeof body === 'string') room.bytesLeft += byteCount;
      resolve(body);
    };
    const onData = (chunk: Buffer) => {
      if (isFinished) return;
      byteCount += chunk.byteLength;
      room.bytesLeft -= chunk.byteLength;
      if (byteCount > bytesMax) return finish('too-large');
      if (room.bytesLeft < 0) return finish('too-many');
      chunks.push(chunk);
      if (chunks.length - seenCount < joinedCount) return;
      if (byteCount - seenBytes < joinedBytesMax) chunks.push(Buffer.concat(chunks.splice(seenCount)));
      seenCount = chunks.length;
      seenBytes = byteCount;
    };
    const onEnd = () => {
      if (isFinished) return;
      const [first = noBytes] = chunks;
      // What is large will be given back by hand, so it must be nobody else's, as a request's behind it in the same chunk.
      if (chunks.length < 2 && (byteCount < releasedBytesMin || coversItsMemory(first)))
        return finish({ bytes: first });
      const bytes = Buffer.concat(chunks, byteCount);
      for (const chunk of chunks) if (coversItsMemory(chunk)) release(chunk);
      finish({ bytes });
    };
    // `end` comes first when the body is whole, so a close without it means that it is not.
    const onClose = () => finish('cut-off');
    incoming.on('data', onData).on('end', onEnd).on('close', onClose);
    incoming.on('error', () => {});
  });
}

/**
 * Reads on and throws away, so that a client that sends first and listens later gets to see the refusal instead of a
 * reset connection. Bounded in bytes and time: whoever sends without end is cut off.
 */
export function drain(incoming: IncomingMessage, bytesMax: number, waitMsMax: number): Promise<void> {
  return new Promise((resolve) => {
    let byteCount = 0;
    const finish = () => {
      clearTimeout(timer);
      incoming.off('data', onData).off('end', finish).off('close', finish);
      resolve();
    };
    const onData = (chunk: Buffer) => {
      byteCount += chunk.byteLength;
      if (byteCount > bytesMax) finish();
    };
    const timer = setTimeout(finish, waitMsMax);
    incoming.on('data', onData).on('end', finish).on('close', finish).resume();
  });
}
