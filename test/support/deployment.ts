/**
 * A synthesized stack at work on this machine: its bundled functions in execution environments, its API in front of them,
 * emulators of S3 and DynamoDB behind them, and every function with no right but those of its role.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleFunctions } from '../../infra/bundle.ts';
import type { FunctionName } from '../../infra/bundles.ts';
import { createTable, startDynoxide } from './dynoxide.ts';
import { type Gateway, type GatewayOptions, startGateway } from './gateway.ts';
import { type Guard, startGuard } from './guard.ts';
import { type LambdaFunction, startFunction } from './lambda-runtime.ts';
import { policiesOf } from './policy.ts';
import { startS3Server } from './s3-server.ts';
import { type Attributes, resolveTemplate, type Template } from './template.ts';

export interface DeploymentOptions {
  readonly template: Template;
  /** Logical ids. */
  readonly bucket: string;
  readonly table: string;
  readonly functions: Readonly<Record<FunctionName, string>>;
  readonly callers: GatewayOptions['callers'];
  /** What the template refers to beside bucket and table. */
  readonly attributes: Attributes;
}

export interface Deployment {
  readonly gateway: Gateway;
  readonly functions: Readonly<Record<FunctionName, LambdaFunction>>;
  /** By function: what its role was asked for. */
  readonly guards: Readonly<Record<FunctionName, Guard>>;
  /** Names, as the functions know them. */
  readonly bucket: string;
  readonly table: string;
  /** The two stores for another role of the template; `attributes` may know more by now. */
  guard(principal: string, attributes?: Attributes): Promise<Guard>;
  close(): Promise<void>;
}

export async function deploy(options: DeploymentOptions): Promise<Deployment> {
  const started = new AsyncDisposableStack();
  try {
    return await start(options, started);
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

async function start(options: DeploymentOptions, started: AsyncDisposableStack): Promise<Deployment> {
  const closed = <T extends { close(): Promise<void> }>(part: T) => started.adopt(part, () => part.close());
  const s3 = closed(await startS3Server());
  const dynamoDb = closed(await startDynoxide());
  const { bucket } = s3;
  const table = await createTable(dynamoDb.client);
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bundles-'));
  started.defer(() => rm(folder, { recursive: true }));
  await bundleFunctions(folder);

  const attributes = { ...options.attributes, [options.bucket]: bucket, [options.table]: table };
  const guard = async (principal: string, more: Attributes = {}): Promise<Guard> => {
    const policies = policiesOf(resolveTemplate(options.template, { ...attributes, ...more }));
    const stores = { s3Endpoint: s3.endpoint, dynamoDbEndpoint: dynamoDb.endpoint };
    return closed(await startGuard({ policies, principal, ...stores }));
  };

  const { resources } = resolveTemplate(options.template, attributes);
  const startOne = async (name: FunctionName) => {
    const logicalId = options.functions[name];
    const { Properties } = resources.get(logicalId) ?? {};
    if (Properties === undefined) throw new Error(`template: there is no function ${logicalId}`);
    const { Environment, Role, Timeout } = Properties as unknown as FunctionProperties;
    const guarded = await guard(Role.split('/').at(-1) ?? '');
    const emulators = { AWS_ENDPOINT_URL: guarded.endpoint, AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' };
    const lambda = startFunction({
      folder: join(folder, name),
      name: logicalId,
      timeoutMs: Timeout * 1000,
      environment: { ...Environment.Variables, ...emulators },
    });
    return { guarded, lambda: closed(lambda) };
  };
  const [produce, fetch] = [await startOne('produce'), await startOne('fetch')];
  const [topics, group] = [await startOne('topics'), await startOne('group')];
  const functions = { produce: produce.lambda, fetch: fetch.lambda, topics: topics.lambda, group: group.lambda };
  const gateway = await startGateway({
    template: options.template,
    attributes,
    callers: options.callers,
    invoke: async (functionId, event) => {
      const called = Object.values(functions).find(({ name }) => name === functionId);
      const { payload, error, streamed } = (await called?.invoke(event)) ?? {};
      if (error !== undefined) throw new Error(`${error.errorType}: ${error.errorMessage}`);
      return streamed === undefined ? payload : Buffer.concat(streamed.pieces.map(([, piece]) => piece));
    },
  });
  closed(gateway);
  const guards = {
    produce: produce.guarded,
    fetch: fetch.guarded,
    topics: topics.guarded,
    group: group.guarded,
  };
  return { gateway, functions, guards, bucket, table, guard, close: () => started.disposeAsync() };
}

interface FunctionProperties {
  readonly Environment: { readonly Variables: Readonly<Record<string, string>> };
  readonly Role: string;
  /** In seconds. */
  readonly Timeout: number;
}
