/** The four functions: what each is called by is written in `api.ts`, what each may do in `grants.ts`. */

import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Code, Function as LambdaFunction, Runtime, Tracing } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { bundleFolder, type FunctionName } from './bundles.ts';

export interface FunctionOptions {
  /**
   * MiB. Processing power comes with it: a whole processor at 1,769 MiB.
   * @default 1024, for topics and groups 512
   */
  readonly memorySize?: number;
  /**
   * Answers are given before this runs out. API Gateway waits for 29 seconds, unless it streams.
   * @default 28 seconds; fetch with response streaming 6 minutes, topics 5 minutes
   */
  readonly timeout?: Duration;
  /**
   * Invocations at once, taken from those of the account and kept for this function.
   * @default what the account has left
   */
  readonly reservedConcurrentExecutions?: number;
}

export interface FunctionsProps {
  /** @default memory and time as `FunctionOptions` says */
  readonly produce?: FunctionOptions;
  /** @default memory and time as `FunctionOptions` says */
  readonly fetch?: FunctionOptions;
  /** @default memory and time as `FunctionOptions` says */
  readonly topics?: FunctionOptions;
  /** @default memory and time as `FunctionOptions` says */
  readonly group?: FunctionOptions;
  /**
   * How long the logs of functions and API are kept.
   * @default RetentionDays.ONE_MONTH
   */
  readonly logRetention?: RetentionDays;
  /**
   * Whether records and bytes, in and out, are counted for each topic too. CloudWatch takes $0.30 a month for each of these
   * four metrics of each topic, less where a topic is not used all the time.
   * @default true
   */
  readonly topicMetrics?: boolean;
  /**
   * Whether API and functions send traces to AWS X-Ray.
   * @default false
   */
  readonly tracing?: boolean;
}

export function createFunction(
  scope: Construct,
  name: FunctionName,
  props: FunctionsProps & { readonly responseStreaming?: boolean; readonly environment: Record<string, string> },
): LambdaFunction {
  const id = `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  const logGroup = createLogGroup(scope, `${id}Logs`, props);
  // A role of its own, since the one CDK would make may write to every log group of the account.
  const role = new Role(scope, `${id}Role`, { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
  const { tracing = false, environment } = props;
  // Taken one by one: an option that is there and undefined means its default, as everywhere in the CDK.
  const { memorySize, timeout } = defaultsOf(name, props.responseStreaming);
  const options = props[name] ?? {};
  if (tracing) {
    Validations.of(role).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'xray:PutTraceSegments and xray:PutTelemetryRecords know no resources.',
    });
  }
  const fn = new LambdaFunction(scope, id, {
    description: `Millrace: ${name}`,
    runtime: Runtime.NODEJS_24_X,
    architecture: Architecture.ARM_64,
    code: Code.fromAsset(bundleFolder(name)),
    handler: 'index.handler',
    role,
    logGroup,
    tracing: tracing ? Tracing.ACTIVE : Tracing.DISABLED,
    environment: { NODE_OPTIONS: '--enable-source-maps', ...environment },
    memorySize: options.memorySize ?? memorySize,
    timeout: options.timeout ?? timeout,
    ...(options.reservedConcurrentExecutions !== undefined && {
      reservedConcurrentExecutions: options.reservedConcurrentExecutions,
    }),
  });
  logGroup.grantWrite(fn);
  return fn;
}

function defaultsOf(
  name: FunctionName,
  responseStreaming = false,
): { readonly memorySize: number; readonly timeout: Duration } {
  // A topic of many partitions takes a while to make and to delete, and CloudFormation waits.
  if (name === 'topics') return { memorySize: 512, timeout: Duration.minutes(5) };
  // A heartbeat waits for DynamoDB and has next to nothing to compute.
  if (name === 'group') return { memorySize: 512, timeout: Duration.seconds(28) };
  // An event stream lasts up to 5 minutes (`limits.eventStreamMsMax`).
  const isStreamed = responseStreaming && name === 'fetch';
  return { memorySize: 1024, timeout: isStreamed ? Duration.minutes(6) : Duration.seconds(28) };
}

export function createLogGroup(scope: Construct, id: string, props: FunctionsProps): LogGroup {
  const { logRetention = RetentionDays.ONE_MONTH } = props;
  return new LogGroup(scope, id, { retention: logRetention, removalPolicy: RemovalPolicy.DESTROY });
}
