/** Where the log is: the option that every command but `dev` has, and the client behind it. */

import { type Command, Option } from 'commander';
import { Millrace } from '../client/index.ts';
import { parseEndpoint } from './parse.ts';

export interface EndpointOptions {
  readonly endpoint: string;
}

/** In this order: the option, the variable MILLRACE_ENDPOINT, the address of `millrace dev`. */
export function addEndpointOption(command: Command): Command {
  return command.addOption(
    new Option('--endpoint <url>', 'address of the log')
      .env('MILLRACE_ENDPOINT')
      .default('http://127.0.0.1:8092')
      .argParser(parseEndpoint),
  );
}

/** Runs `work` with a client, and closes it whatever happens. */
export async function withClient<T>({ endpoint }: EndpointOptions, work: (log: Millrace) => Promise<T>): Promise<T> {
  const log = new Millrace({ endpoint });
  try {
    return await work(log);
  } finally {
    await log.close();
  }
}
