/** Where the log is: the options that every command but `dev` has, and the client behind them. */

import { type Command, Option } from 'commander';
import { awsServiceOf } from '../client/aws-auth.ts';
import { type AwsAuth, Millrace } from '../client/index.ts';
import { connect } from '../client/millrace.ts';
import type { Transport } from '../client/transport.ts';
import { systemClock } from '../clock.ts';
import { parseEndpoint, parseRegion } from './parse.ts';

export interface EndpointOptions {
  readonly endpoint: string;
  readonly region?: string;
}

/** In this order: the option, the variable MILLRACE_ENDPOINT, the address of `millrace dev`. */
export function addEndpointOption(command: Command): Command {
  return command
    .addOption(
      new Option('--endpoint <url>', 'address of the log')
        .env('MILLRACE_ENDPOINT')
        .default('http://127.0.0.1:8092')
        .argParser(parseEndpoint),
    )
    .option(
      '--region <region>',
      'sign requests for this AWS region (default: as the name of an AWS endpoint says)',
      parseRegion,
    );
}

/** Runs `work` with a client, and closes it whatever happens. */
export async function withClient<T>(options: EndpointOptions, work: (log: Millrace) => Promise<T>): Promise<T> {
  const { endpoint } = options;
  const auth = authOf(options);
  const log = new Millrace({ endpoint, ...(auth !== undefined && { auth }) });
  try {
    return await work(log);
  } finally {
    await log.close();
  }
}

/** Runs `work` with the bare way to the log, and closes it whatever happens. */
export async function withTransport<T>(
  options: EndpointOptions,
  work: (transport: Transport) => Promise<T>,
): Promise<T> {
  const { endpoint } = options;
  const auth = authOf(options);
  const transport = connect({ endpoint, ...(auth !== undefined && { auth }) }, systemClock);
  try {
    return await work(transport);
  } finally {
    await transport.close();
  }
}

/**
 * Keys in the environment are taken as they are, so that they do without the AWS SDK; it is asked for everything else, and
 * where a profile is named.
 */
function authOf({ endpoint, region }: EndpointOptions): AwsAuth | undefined {
  if (region === undefined && awsServiceOf(new URL(endpoint).hostname) === undefined) return undefined;
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_PROFILE } = process.env;
  const hasKeys = AWS_ACCESS_KEY_ID && AWS_SECRET_ACCESS_KEY && !AWS_PROFILE;
  const credentials = hasKeys && {
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    ...(AWS_SESSION_TOKEN && { sessionToken: AWS_SESSION_TOKEN }),
  };
  return { ...(region !== undefined && { region }), ...(credentials && { credentials }) };
}
