/** What producers and consumers are made of. */

import type { Clock, RandomBytes } from '../clock.ts';
import type { Transport } from './transport.ts';

export interface ClientDeps {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
}
