/**
 * A bare HTTP/1.1 client: one keep-alive socket, one request at a time, no more than the load needs. The client of
 * node:http takes more processor time for a small request than its server does, and both share this machine.
 */

import { connect, type Socket } from 'node:net';

export interface Answer {
  readonly status: number;
  /** Status line and headers as they came, in lower case. */
  readonly head: string;
  readonly bodyBytes: number;
  /** Of error answers always; of others only when `keepsBody`. */
  readonly body: Buffer;
}

const headEnd = Buffer.from('\r\n\r\n');
const noBytes: Buffer = Buffer.alloc(0);

export class Connection {
  readonly #socket: Socket;
  readonly #keepsBody: boolean;
  #waiting: PromiseWithResolvers<Answer> | undefined;
  #head = '';
  #chunks: Buffer[] = [];
  #bodyBytes = 0;
  #bodyBytesLeft = -1;
  #unread: Buffer = noBytes;

  private constructor(socket: Socket, keepsBody: boolean) {
    this.#socket = socket;
    this.#keepsBody = keepsBody;
    socket.on('data', (bytes) => this.#receive(bytes));
    socket.on('error', (error) => this.#waiting?.reject(error));
    socket.on('close', () => this.#waiting?.reject(new Error('the server closed the connection')));
  }

  static async open(url: string, options: { readonly keepsBody?: boolean } = {}): Promise<Connection> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new Connection(socket, options.keepsBody ?? false);
  }

  /** Sends what `encodeRequest` made. Throws for any status but 2xx. */
  send(request: Buffer): Promise<Answer> {
    this.#waiting = Promise.withResolvers();
    this.#socket.write(request);
    return this.#waiting.promise;
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket.destroy();
  }

  #receive(bytes: Buffer): void {
    if (this.#bodyBytesLeft < 0) {
      const received = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes]);
      const headBytes = received.indexOf(headEnd);
      if (headBytes < 0) {
        this.#unread = received;
        return;
      }
      this.#unread = noBytes;
      this.#head = received.toString('latin1', 0, headBytes).toLowerCase();
      this.#bodyBytes = Number(headerOf(this.#head, 'content-length') ?? Number.NaN);
      if (Number.isNaN(this.#bodyBytes)) throw new Error(`no content-length in the answer: ${this.#head}`);
      this.#bodyBytesLeft = this.#bodyBytes;
      this.#take(received.subarray(headBytes + headEnd.length));
    } else {
      this.#take(bytes);
    }
  }

  #take(bytes: Buffer): void {
    this.#bodyBytesLeft -= bytes.length;
    const status = Number(this.#head.slice(9, 12));
    if (this.#keepsBody || status >= 300) this.#chunks.push(bytes);
    if (this.#bodyBytesLeft > 0) return;
    const body = this.#chunks.length === 0 ? noBytes : Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#bodyBytesLeft = -1;
    const answer = { status, head: this.#head, bodyBytes: this.#bodyBytes, body };
    if (status >= 300) this.#waiting?.reject(new Error(`status ${status}: ${body.toString().slice(0, 500)}`));
    else this.#waiting?.resolve(answer);
  }
}

/** The whole request as it goes over the wire, made once and sent often. */
export function encodeRequest(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body: Uint8Array = noBytes,
): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = method === 'GET' ? '' : `content-length: ${body.length}\r\n`;
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\nhost: bench\r\n${lines.join('')}${length}\r\n`),
    body,
  ]);
}

export function headerOf(head: string, name: string): string | undefined {
  const at = head.indexOf(`\r\n${name}:`);
  if (at < 0) return undefined;
  const end = head.indexOf('\r\n', at + 2);
  return head.slice(at + name.length + 3, end < 0 ? undefined : end).trim();
}
