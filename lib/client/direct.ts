/** `millrace/direct`: the log inside this process, on a data folder or in memory, with the client's interface. */

import { createApp } from '../api/app.ts';
import { systemClock } from '../clock.ts';
import { type EmbeddedLogOptions, openEmbeddedLog } from '../server/embedded.ts';
import { Millrace } from './millrace.ts';
import { directTransport } from './transport-direct.ts';

export * from './index.ts';

/**
 * Opens the log and gives a client of it; `close` closes both.
 *
 * Throws KAFKA_STORAGE_ERROR when another process has the folder, or a newer version wrote it.
 */
export async function openMillrace(options: EmbeddedLogOptions): Promise<Millrace> {
  const log = await openEmbeddedLog(options);
  const app = createApp({ log, clock: systemClock });
  return new Millrace({ transport: directTransport(app, { close: () => log.close() }) });
}
