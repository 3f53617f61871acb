/**
 * The deployed stacks that the suite is held against, found at run time.
 *
 * | variable                   | names                                                                                     |
 * |----------------------------|-------------------------------------------------------------------------------------------|
 * | MILLRACE_TEST_AWS_ENDPOINT | a LocalStack on this machine; the app of the repository is deployed to it first           |
 * | MILLRACE_TEST_STACK        | a stack of that app in the account and region of the AWS credentials at hand              |
 *
 * Without the first a container of LocalStack is started, where there is an engine for it and `npm ci` was run in
 * `test/e2e/localstack`.
 */

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { must } from '../support/pack.ts';

/** The outputs of the stack of `infra/app.ts`, and how to get there. */
export interface Stack {
  readonly name: string;
  readonly endpoint: string;
  readonly bucket: string;
  readonly table: string;
  readonly functions: Readonly<Record<'produce' | 'fetch' | 'topics' | 'group', string>>;
  readonly region: string;
  /** Of all services, where they are not AWS's own. */
  readonly awsEndpoint?: string;
  close(): Promise<void>;
}

/** `skipped` says why there is none. */
export type Target = { readonly open: () => Promise<Stack> } | { readonly skipped: string };

/** The last edition that runs without an account. */
const localStackImage = 'localstack/localstack:4.14.0';
const localStackAccount = '000000000000';
const region = 'us-east-1';

export async function findLocalStack(): Promise<Target> {
  const endpoint = process.env.MILLRACE_TEST_AWS_ENDPOINT;
  if (endpoint !== undefined) {
    return { open: async () => ({ ...(await deployTo(endpoint)), close: async () => {} }) };
  }
  const containers = await findContainers();
  if ('missing' in containers) {
    return {
      skipped: `set MILLRACE_TEST_AWS_ENDPOINT to a LocalStack; no container of it either: ${containers.missing}`,
    };
  }
  return {
    async open() {
      const container = await containers.start();
      try {
        return { ...(await deployTo(container.getConnectionUri())), close: async () => void (await container.stop()) };
      } catch (error) {
        await container.stop();
        throw error;
      }
    },
  };
}

export function findDeployed(): Target {
  const name = process.env.MILLRACE_TEST_STACK;
  if (name === undefined) return { skipped: 'set MILLRACE_TEST_STACK to the name of a deployed stack' };
  return {
    async open() {
      const { CloudFormationClient, DescribeStacksCommand } = await import('@aws-sdk/client-cloudformation');
      const client = new CloudFormationClient();
      const { Stacks } = await client.send(new DescribeStacksCommand({ StackName: name }));
      const outputs = Object.fromEntries((Stacks?.[0]?.Outputs ?? []).map((one) => [one.OutputKey, one.OutputValue]));
      return { ...toStack(name, outputs, await client.config.region()), close: async () => client.destroy() };
    },
  };
}

/** As README's section on deploying says it, on an empty account. */
async function deployTo(awsEndpoint: string): Promise<Omit<Stack, 'close'>> {
  const { hostname, port } = new URL(awsEndpoint);
  // By address: the SDK then puts the bucket into the path, which needs no name server.
  const endpoint = `http://${hostname === 'localhost' ? '127.0.0.1' : hostname}:${port}`;
  const env = {
    ...process.env,
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    CDK_DISABLE_CLI_TELEMETRY: 'true',
  };
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });
  const root = join(import.meta.dirname, '../..');
  const cdk = join(root, 'node_modules/.bin/cdk');
  const outputsFile = join(root, 'dist/outputs.json');
  await must(cdk, ['bootstrap', `aws://${localStackAccount}/${region}`], root, env);
  await must(cdk, ['deploy', '--require-approval', 'never', '--outputs-file', outputsFile], root, env);
  const outputs = JSON.parse(await must('cat', [outputsFile], root)) as Record<string, Record<string, string>>;
  const stack = toStack('Millrace', outputs.Millrace ?? {}, region);
  // The name that the stack gives its API leads to AWS; the emulator has it under a path.
  const apiId = /^https:\/\/(\w+)\./.exec(stack.endpoint)?.[1];
  return { ...stack, endpoint: `${endpoint}/_aws/execute-api/${apiId}/prod`, awsEndpoint: endpoint };
}

function toStack(name: string, outputs: Record<string, string | undefined>, stackRegion: string): Omit<Stack, 'close'> {
  const output = (key: string): string => {
    const value = outputs[key];
    if (value === undefined) throw new Error(`stack ${name} has no output ${key}, only ${Object.keys(outputs)}`);
    return value;
  };
  return {
    name,
    endpoint: output('Endpoint'),
    bucket: output('Bucket'),
    table: output('Table'),
    functions: {
      produce: output('ProduceFunction'),
      fetch: output('FetchFunction'),
      topics: output('TopicsFunction'),
      group: output('GroupFunction'),
    },
    region: stackRegion,
  };
}

interface Container {
  getConnectionUri(): string;
  stop(): Promise<unknown>;
}

/** The packages are loaded only here: they do not run on every Node that this repository runs on. */
async function findContainers(): Promise<{ start(): Promise<Container> } | { missing: string }> {
  const { resolve } = createRequire(join(import.meta.dirname, 'localstack/package.json'));
  const load = async <Module>(name: string): Promise<Module> => await import(pathToFileURL(resolve(name)).href);
  try {
    const { getContainerRuntimeClient } = await load<{ getContainerRuntimeClient(): Promise<unknown> }>(
      'testcontainers',
    );
    await getContainerRuntimeClient();
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND';
    return { missing: isMissing ? 'run npm ci in test/e2e/localstack' : `no container engine answers (${error})` };
  }
  const { LocalstackContainer } = await load<{
    LocalstackContainer: new (image: string) => { start(): Promise<Container> };
  }>('@testcontainers/localstack');
  return new LocalstackContainer(localStackImage);
}
