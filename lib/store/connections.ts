/** Connections to AWS that stay open between requests. */

import { Agent } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import { AttemptTimeout } from './retry.ts';

/** Within a region a connection opens in milliseconds; one that does not is lost. */
const connectMsMax = 1_000;

export class Connections {
  /** For the SDK's client, which closes the agents when it is destroyed. */
  readonly requestHandler: {
    readonly connectionTimeout: number;
    readonly httpAgent: Agent;
    readonly httpsAgent: SecureAgent;
  };

  constructor(socketsMax: number) {
    const options = { keepAlive: true, maxSockets: socketsMax };
    const [httpAgent, httpsAgent] = [new Agent(options), new SecureAgent(options)];
    this.requestHandler = { connectionTimeout: connectMsMax, httpAgent, httpsAgent };
  }

  /**
   * To be told of each attempt that failed. Where one had no answer, those connections are closed that no request uses:
   * while a process was frozen, or its network away, all of them broke, and nobody hears of it before using them. Else each
   * further attempt would meet one more of them.
   */
  failed(error: unknown): void {
    if (!isUnanswered(error)) return;
    const { httpAgent, httpsAgent } = this.requestHandler;
    for (const sockets of [httpAgent, httpsAgent].flatMap(({ freeSockets }) => Object.values(freeSockets))) {
      for (const socket of sockets ?? []) socket.destroy();
    }
  }
}

/** Codes of the system (ECONNRESET, EPIPE) come without the status of an answer. */
function isUnanswered(error: unknown): boolean {
  if (error instanceof AttemptTimeout) return true;
  const { code, $metadata: metadata } = (error ?? {}) as { code?: unknown; $metadata?: { httpStatusCode?: number } };
  return typeof code === 'string' && metadata?.httpStatusCode === undefined;
}
