/** What producers and consumers are made of. */

import type { Clock, RandomBytes } from '../clock.ts';
import type { Transport } from './transport.ts';

export interface Flushable {
  flush(): Promise<void>;
}

export interface ClientDeps {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  /** Aborted when the client closes. */
  readonly closing: AbortSignal;
  /** Producers that have records without an outcome, and members of groups: only these keep the client from closing. */
  readonly busy: Set<Flushable>;
}
