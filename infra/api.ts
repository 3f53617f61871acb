/**
 * The REST API. Its paths are those of `lib/api/routes.ts`, with the topic as a path parameter: what a caller may do is
 * then an IAM policy on `POST /v1/topics/orders/records`.
 */

import { Names, Validations } from 'aws-cdk-lib';
import {
  AccessLogField,
  AccessLogFormat,
  AuthorizationType,
  EndpointType,
  LambdaIntegration,
  LogGroupLogDestination,
  ResponseTransferMode,
  ResponseType,
  RestApi,
} from 'aws-cdk-lib/aws-apigateway';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { type ErrorCode, LogError } from '../lib/errors.ts';
import { batchesContentType, errorToProblem } from '../lib/wire.ts';
import type { FunctionName } from './bundles.ts';

export interface ApiProps {
  /**
   * Requests a second, over all callers; more are answered with 429. Bounds what a mistake can cost.
   * @default 1000
   */
  readonly throttlingRateLimit?: number;
  /**
   * Requests that may come at once before the rate counts.
   * @default 2000
   */
  readonly throttlingBurstLimit?: number;
  /**
   * Answers of the fetch function are streamed: server-sent events, and fetches beyond 6 MB. LocalStack refuses a stack
   * that has this.
   * @default false
   */
  readonly responseStreaming?: boolean;
  /**
   * API Gateway writes logs only with a role that is set for the whole account in this region. True: the construct sets
   * one, and it stays when the stack goes. False: there is one already.
   * @default true
   */
  readonly cloudWatchRole?: boolean;
  /**
   * One line for each request, with the caller, without any content.
   * @default true
   */
  readonly accessLog?: boolean;
}

/** Which function answers what. A test holds this against the routes of the app. */
export const methods: Readonly<Record<FunctionName, readonly `${string} /v1/${string}`[]>> = {
  produce: ['POST /v1/topics/{topic}/records', 'POST /v1/topics/{topic}/batches', 'POST /v1/producers'],
  fetch: [
    'GET /v1/topics/{topic}/partitions/{partition}/records',
    'GET /v1/topics/{topic}/partitions/{partition}/offsets',
    'POST /v1/topics/{topic}/fetch',
  ],
  topics: [
    'POST /v1/topics',
    'GET /v1/topics',
    'GET /v1/topics/{topic}',
    'PATCH /v1/topics/{topic}',
    'DELETE /v1/topics/{topic}',
    'GET /v1/openapi.json',
    'GET /v1/health',
  ],
  group: [
    'GET /v1/groups',
    'GET /v1/groups/{group}',
    'DELETE /v1/groups/{group}',
    'POST /v1/groups/{group}/heartbeat',
    'GET /v1/groups/{group}/offsets',
    'POST /v1/groups/{group}/offsets',
    'POST /v1/groups/{group}/offsets/reset',
  ],
};

export function createApi(
  scope: Construct,
  props: ApiProps & {
    readonly functions: Readonly<Record<FunctionName, LambdaFunction>>;
    readonly logGroup: LogGroup | undefined;
    readonly tracing: boolean;
  },
): RestApi {
  const { logGroup, responseStreaming = false, functions } = props;
  const cloudWatchRole = logGroup !== undefined && props.cloudWatchRole !== false;
  const api = new RestApi(scope, 'Api', {
    // Metrics of APIs are told apart by this name alone.
    restApiName: Names.uniqueResourceName(scope, { maxLength: 128, separator: '-' }),
    description: 'Millrace',
    endpointTypes: [EndpointType.REGIONAL],
    cloudWatchRole,
    // Only this: under */* JSON would come base64-encoded as well, and answers to callers without Accept would be broken.
    binaryMediaTypes: [batchesContentType],
    defaultMethodOptions: { authorizationType: AuthorizationType.IAM },
    deployOptions: {
      throttlingRateLimit: props.throttlingRateLimit ?? 1000,
      throttlingBurstLimit: props.throttlingBurstLimit ?? 2000,
      tracingEnabled: props.tracing,
      ...(logGroup !== undefined && {
        accessLogDestination: new LogGroupLogDestination(logGroup),
        accessLogFormat: accessLogFormat(),
      }),
    },
  });
  // The output RestApi makes would stand in every user's stack.
  api.node.tryRemoveChild('Endpoint');

  for (const [name, paths] of Object.entries(methods) as [FunctionName, readonly string[]][]) {
    const isStreamed = responseStreaming && name === 'fetch';
    const { timeout } = functions[name];
    const integration = new LambdaIntegration(functions[name], {
      allowTestInvoke: false,
      ...(isStreamed && { responseTransferMode: ResponseTransferMode.STREAM }),
      // A stream may last as long as the function, at most 15 minutes; other answers have 29 seconds.
      ...(isStreamed && timeout !== undefined && { timeout }),
    });
    for (const line of paths) {
      const [method = '', path = ''] = line.split(' ');
      api.root.resourceForPath(path).addMethod(method, integration);
    }
  }
  addProblems(api);
  acknowledge(api, cloudWatchRole);
  return api;
}

/** What API Gateway refuses by itself, told as every other error is. Failures not listed keep its own answers. */
const refusals: readonly (readonly [ResponseType, ErrorCode])[] = [
  [ResponseType.ACCESS_DENIED, 'TOPIC_AUTHORIZATION_FAILED'],
  [ResponseType.INVALID_SIGNATURE, 'TOPIC_AUTHORIZATION_FAILED'],
  [ResponseType.EXPIRED_TOKEN, 'TOPIC_AUTHORIZATION_FAILED'],
  [ResponseType.MISSING_AUTHENTICATION_TOKEN, 'TOPIC_AUTHORIZATION_FAILED'],
  [ResponseType.THROTTLED, 'THROTTLING_QUOTA_EXCEEDED'],
  [ResponseType.REQUEST_TOO_LARGE, 'MESSAGE_TOO_LARGE'],
  [ResponseType.INTEGRATION_TIMEOUT, 'REQUEST_TIMED_OUT'],
];

function addProblems(api: RestApi): void {
  for (const [type, code] of refusals) {
    const { detail: _, ...problem } = errorToProblem(new LogError(code, ''));
    const members = JSON.stringify(problem).slice(1);
    api.addGatewayResponse(type.responseType, {
      type,
      statusCode: String(problem.status),
      // `messageString` is quoted already. For a path that does not exist it says "Missing Authentication Token".
      templates: { 'application/json': `{"detail":$context.error.messageString,${members}` },
      ...(code === 'THROTTLING_QUOTA_EXCEEDED' && { responseHeaders: { 'Retry-After': "'1'" } }),
    });
  }
}

function accessLogFormat(): AccessLogFormat {
  return AccessLogFormat.custom(
    JSON.stringify({
      time: AccessLogField.contextRequestTime(),
      requestId: AccessLogField.contextRequestId(),
      method: AccessLogField.contextHttpMethod(),
      path: AccessLogField.contextPath(),
      status: AccessLogField.contextStatus(),
      caller: AccessLogField.contextIdentityUserArn(),
      sourceIp: AccessLogField.contextIdentitySourceIp(),
      responseLength: AccessLogField.contextResponseLength(),
      responseLatency: AccessLogField.contextResponseLatency(),
      integrationLatency: AccessLogField.contextIntegrationLatency(),
      error: AccessLogField.contextErrorMessage(),
      integrationError: AccessLogField.contextIntegrationErrorMessage(),
    }),
  );
}

function acknowledge(api: RestApi, cloudWatchRole: boolean): void {
  Validations.of(api).acknowledge(
    {
      id: 'AwsSolutions-APIG2',
      reason: 'The functions check every request against the schemas of the OpenAPI document and answer with problems.',
    },
    {
      id: 'AwsSolutions-APIG3',
      reason:
        'Every method wants a signed request of a principal with a grant; a firewall can be put before the stage.',
    },
    {
      id: 'AwsSolutions-APIG6',
      reason: 'The access log has a line for each request, its errors with it; execution logs would repeat them.',
    },
    { id: 'AwsSolutions-COG4', reason: 'Callers are IAM principals: every method has AWS_IAM authorization.' },
  );
  if (cloudWatchRole) {
    Validations.of(api).acknowledge({
      id: 'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]',
      reason: 'The policy AWS names for the role with which API Gateway writes logs for the whole account.',
    });
  }
}
