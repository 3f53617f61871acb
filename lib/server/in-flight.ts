/** The requests a server has taken on and not finished, by connection. */

import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export class RequestsInFlight {
  private count = 0;
  private readonly bySocket = new Map<Socket, Set<ServerResponse>>();

  get size(): number {
    return this.count;
  }

  /** Until `outgoing` closes; then `onClose`, once. */
  add(socket: Socket, outgoing: ServerResponse, onClose: () => void): void {
    const own = this.ofSocket(socket);
    own.add(outgoing);
    this.count += 1;
    outgoing.on('close', () => {
      if (!own.delete(outgoing)) return;
      this.count -= 1;
      onClose();
    });
  }

  has(socket: Socket): boolean {
    return (this.bySocket.get(socket)?.size ?? 0) > 0;
  }

  of(socket: Socket): Iterable<ServerResponse> {
    return this.bySocket.get(socket) ?? [];
  }

  *[Symbol.iterator](): Generator<ServerResponse> {
    for (const own of this.bySocket.values()) yield* own;
  }

  private ofSocket(socket: Socket): Set<ServerResponse> {
    const known = this.bySocket.get(socket);
    if (known !== undefined) return known;
    const own = new Set<ServerResponse>();
    this.bySocket.set(socket, own);
    socket.once('close', () => {
      this.bySocket.delete(socket);
      // Of pipelined requests node:http tells only the one whose turn it is that the connection is gone. The others would
      // wait out their long polls, and count as under way for good.
      setImmediate(() => {
        for (const outgoing of own) outgoing.emit('close');
      });
    });
    return own;
  }
}
