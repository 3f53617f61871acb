/** What a deployment would make: the templates, looked at resource by resource. */

import { App, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import type { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Topic as SnsTopic } from 'aws-cdk-lib/aws-sns';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleFolder } from '../../infra/bundles.ts';
import { Millrace, type MillraceProps, Topic } from '../../infra/index.ts';
import { routes } from '../../lib/api/routes.ts';
import { metrics } from '../../lib/metrics.ts';
import { tableDefinition, timeToLiveAttribute } from '../../lib/store/items-dynamodb.ts';
import { policiesOf } from '../support/policy.ts';
import { type ResolvedTemplate, resolveTemplate } from '../support/template.ts';
import { type Stacks, synthesize } from './stacks.ts';

let stacks: Stacks;
let defaults: Template;
let choices: Template;
let team: ResolvedTemplate;

beforeAll(async () => {
  stacks = await synthesize();
  defaults = Template.fromJSON(stacks.defaults);
  choices = Template.fromJSON(stacks.choices);
  team = resolveTemplate(stacks.team, stacks.attributes);
}, 60_000);
afterAll(() => stacks?.remove());

describe('bucket and table', () => {
  test('the bucket is encrypted, private, reached by TLS alone, kept, and cleans up after uploads', () => {
    defaults.hasResource('AWS::S3::Bucket', {
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        BucketEncryption: {
          ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
        },
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
        OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
        LifecycleConfiguration: {
          Rules: [Match.objectLike({ AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 }, Status: 'Enabled' })],
        },
        VersioningConfiguration: Match.absent(),
      },
    });
    const denied = (Condition: unknown) => Match.objectLike({ Effect: 'Deny', Principal: { AWS: '*' }, Condition });
    defaults.hasResourceProperties('AWS::S3::BucketPolicy', {
      PolicyDocument: {
        Statement: [
          denied({ Bool: { 'aws:SecureTransport': 'false' } }),
          denied({ NumericLessThan: { 's3:TlsVersion': 1.2 } }),
          Match.anyValue(),
        ],
      },
    });
  });

  test('S3 refuses a put that could replace an object, whoever sends it', () => {
    defaults.hasResourceProperties('AWS::S3::BucketPolicy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          {
            Effect: 'Deny',
            Principal: { AWS: '*' },
            Action: 's3:PutObject',
            Resource: { 'Fn::Join': ['', [{ 'Fn::GetAtt': [Match.stringLikeRegexp('^LogBucket'), 'Arn'] }, '/*']] },
            Condition: { Null: { 's3:if-none-match': 'true' }, Bool: { 's3:ObjectCreationOperation': 'true' } },
          },
        ]),
      },
    });
  });

  test('the table has the keys the store writes, is billed on demand, restorable, protected and kept', () => {
    defaults.hasResource('AWS::DynamoDB::Table', {
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        ...tableDefinition,
        DeletionProtectionEnabled: true,
        TimeToLiveSpecification: { AttributeName: timeToLiveAttribute, Enabled: true },
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      },
    });
  });

  test('an encryption key of the account encrypts both, and whoever uses them may use it, action by action', () => {
    const key = { 'Fn::GetAtt': [Match.stringLikeRegexp('^Key'), 'Arn'] };
    choices.hasResourceProperties('AWS::S3::Bucket', {
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [
          { BucketKeyEnabled: true, ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: key } },
        ],
      },
    });
    choices.hasResourceProperties('AWS::DynamoDB::Table', {
      SSESpecification: { SSEEnabled: true, SSEType: 'KMS', KMSMasterKeyId: key },
    });
    const policies = Object.values(choices.findResources('AWS::IAM::Policy')).map((policy) => JSON.stringify(policy));
    expect(policies.filter((text) => text.includes('kms:Decrypt'))).toHaveLength(4);
  });

  test('what is to be destroyed is not protected', () => {
    choices.hasResource('AWS::DynamoDB::Table', {
      DeletionPolicy: 'Delete',
      Properties: { DeletionProtectionEnabled: false },
    });
    choices.hasResource('AWS::S3::Bucket', { DeletionPolicy: 'Delete' });
  });
});

test('what holds data keeps its logical id, since another one would be another bucket and another table', () => {
  for (const type of ['AWS::S3::Bucket', 'AWS::DynamoDB::Table']) {
    const [logicalId] = Object.keys(defaults.findResources(type));
    expect(logicalId).toBe(
      { 'AWS::S3::Bucket': 'LogBucketD7408CB8', 'AWS::DynamoDB::Table': 'LogTable81E80B89' }[type],
    );
  }
});

describe('functions', () => {
  test('four functions run the bundles on arm64 and Node.js 24, and know bucket and table by name', () => {
    defaults.resourceCountIs('AWS::Lambda::Function', 4);
    defaults.allResourcesProperties('AWS::Lambda::Function', {
      Architectures: ['arm64'],
      Runtime: 'nodejs24.x',
      Handler: 'index.handler',
      Environment: {
        Variables: {
          NODE_OPTIONS: '--enable-source-maps',
          MILLRACE_BUCKET: { Ref: Match.stringLikeRegexp('^LogBucket') },
          MILLRACE_TABLE: { Ref: Match.stringLikeRegexp('^LogTable') },
        },
      },
      TracingConfig: Match.absent(),
    });
    const seen = Object.values(defaults.findResources('AWS::Lambda::Function')).map(({ Properties }) => [
      Properties.Description,
      Properties.MemorySize,
      Properties.Timeout,
    ]);
    // API Gateway gives up after 29 s.
    expect(seen.sort()).toEqual([
      ['Millrace: fetch', 1024, 28],
      ['Millrace: group', 512, 28],
      ['Millrace: produce', 1024, 28],
      ['Millrace: topics', 512, 300],
    ]);
  });

  test('logs go to groups of their own and do not stay for ever', () => {
    defaults.resourceCountIs('AWS::Logs::LogGroup', 5);
    defaults.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 });
    defaults.allResourcesProperties('AWS::Lambda::Function', {
      LoggingConfig: { LogGroup: { Ref: Match.anyValue() } },
    });
    choices.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 7 });
  });

  test('memory, reserved concurrency and tracing are choices', () => {
    choices.hasResourceProperties('AWS::Lambda::Function', {
      Description: 'Millrace: produce',
      MemorySize: 1769,
      ReservedConcurrentExecutions: 50,
    });
    choices.allResourcesProperties('AWS::Lambda::Function', { TracingConfig: { Mode: 'Active' } });
    choices.hasResourceProperties('AWS::ApiGateway::Stage', { TracingEnabled: true });
  });

  // Undefined stood in the place of the default, and Lambda has its own: 128 MiB and 3 seconds.
  test('an option that is undefined has its default', () => {
    const stack = new Stack(new App(), 'Undefined');
    const options = { memorySize: undefined, timeout: undefined, reservedConcurrentExecutions: undefined };
    // Programs without `exactOptionalPropertyTypes` may write this.
    new Millrace(stack, 'Log', { produce: options } as unknown as MillraceProps);
    Template.fromStack(stack).hasResourceProperties('AWS::Lambda::Function', {
      Description: 'Millrace: produce',
      MemorySize: 1024,
      Timeout: 28,
      ReservedConcurrentExecutions: Match.absent(),
    });
  });

  test('a bundle that was not built is told by name, with the command that builds it', () => {
    const elsewhere = 'file:///app/node_modules/millrace/dist/infra/bundles.js';
    expect(() => bundleFolder('fetch', elsewhere)).toThrow(
      'the fetch function is not built: /app/node_modules/millrace/dist/functions/fetch/index.mjs is missing; ' +
        'run "npm run build" first',
    );
  });
});

describe('API', () => {
  test('every route of the app has a method with IAM authorization, and no other method is there', () => {
    const { ofType, resources } = resolveTemplate(stacks.defaults);
    const pathOf = (id: string): string => {
      const { ParentId, PathPart } = resources.get(id)?.Properties ?? {};
      return PathPart === undefined ? '' : `${pathOf(String(ParentId))}/${PathPart}`;
    };
    const methods = ofType('AWS::ApiGateway::Method').map(({ Properties }) => {
      expect(Properties.AuthorizationType).toBe('AWS_IAM');
      return `${Properties.HttpMethod} ${pathOf(String(Properties.ResourceId))}`;
    });
    const expected = routes.map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
    expect(methods.sort()).toEqual(expected.sort());
  });

  test('API Gateway may call a function for exactly the methods that function answers', () => {
    const { ofType } = resolveTemplate(stacks.defaults);
    const methods = ofType('AWS::ApiGateway::Method');
    const permissions = ofType('AWS::Lambda::Permission').map(({ Properties }) => Properties);
    expect(permissions).toHaveLength(methods.length);
    for (const { Action, Principal, SourceArn } of permissions) {
      expect([Action, Principal]).toEqual(['lambda:InvokeFunction', 'apigateway.amazonaws.com']);
      expect(SourceArn).toMatch(/\/prod\/(GET|POST|PATCH|DELETE)\/v1\//);
    }
  });

  test('requests are throttled, and each leaves a line that names the caller and no content', () => {
    defaults.hasResourceProperties('AWS::ApiGateway::Stage', {
      StageName: 'prod',
      MethodSettings: [
        Match.objectLike({ ThrottlingRateLimit: 1000, ThrottlingBurstLimit: 2000, DataTraceEnabled: false }),
      ],
      AccessLogSetting: {
        DestinationArn: { 'Fn::GetAtt': [Match.stringLikeRegexp('^LogAccessLog'), 'Arn'] },
        Format: Match.serializedJson(
          Match.objectLike({ status: '$context.status', caller: '$context.identity.userArn', path: '$context.path' }),
        ),
      },
    });
    choices.hasResourceProperties('AWS::ApiGateway::Stage', {
      MethodSettings: [Match.objectLike({ ThrottlingRateLimit: 100, ThrottlingBurstLimit: 20 })],
    });
  });

  test('the role with which API Gateway writes logs is set for the account, unless that has one', () => {
    defaults.resourceCountIs('AWS::ApiGateway::Account', 1);
    choices.resourceCountIs('AWS::ApiGateway::Account', 0);
  });

  test('only record batches are binary, and two logs of one account have APIs of different names', () => {
    defaults.hasResourceProperties('AWS::ApiGateway::RestApi', {
      BinaryMediaTypes: ['application/vnd.millrace.batches'],
      EndpointConfiguration: { Types: ['REGIONAL'] },
    });
    const names = [defaults, choices].flatMap((template) =>
      Object.values(template.findResources('AWS::ApiGateway::RestApi')).map(({ Properties }) => Properties.Name),
    );
    expect(new Set(names).size).toBe(2);
  });

  test('response streaming is off, and where it is chosen the fetch function alone streams', () => {
    expect(JSON.stringify(stacks.defaults)).not.toMatch(/STREAM|STREAMING|response-streaming/);
    const { ofType } = resolveTemplate(stacks.choices);
    const streamed = ofType('AWS::ApiGateway::Method').flatMap(({ Properties }) => {
      const { ResponseTransferMode, TimeoutInMillis, Uri } = Properties.Integration as Record<string, string>;
      return ResponseTransferMode === undefined ? [] : [[ResponseTransferMode, TimeoutInMillis, Uri]];
    });
    expect(streamed).toHaveLength(3);
    for (const one of streamed) {
      expect(one).toEqual(['STREAM', 360_000, expect.stringMatching(/LogFetch\w+\/response-streaming-invocations$/)]);
    }
    const functions = ofType('AWS::Lambda::Function').map(({ Properties }) => {
      const { Variables } = Properties.Environment as { Variables: Record<string, string> };
      return [Properties.Description, Variables.MILLRACE_RESPONSE_STREAMING, Properties.Timeout];
    });
    expect(functions.sort()).toEqual([
      ['Millrace: fetch', '1', 360],
      ['Millrace: group', undefined, 28],
      ['Millrace: produce', undefined, 28],
      ['Millrace: topics', undefined, 300],
    ]);
  });
});

describe('topics', () => {
  test('a topic is a resource that the topics function makes, with its config as text', () => {
    const [orders] = team.ofType('Custom::MillraceTopic').filter(({ Properties }) => Properties.topic === 'orders');
    expect(orders?.Properties).toEqual({
      ServiceToken: expect.stringMatching(/:function:LogTopics\w+$/),
      ServiceTimeout: '360',
      topic: 'orders',
      partitions: 12,
      config: { 'max.message.bytes': '65536', 'compression.type': 'zstd' },
      removal: 'retain',
    });
  });

  test('a topic without a name gets one from its place, and one to be destroyed says so', () => {
    const others = team.ofType('Custom::MillraceTopic').filter(({ Properties }) => Properties.topic !== 'orders');
    expect(others.map(({ Properties }) => Properties)).toMatchObject([
      { topic: expect.stringMatching(/^TeamScratch[0-9A-F]{8}$/), partitions: 1, removal: 'delete' },
    ]);
  });

  test('a name, a partition count or a config that the log would refuse is refused at synth', () => {
    const stack = new Stack(new App(), 'Wrong');
    const millrace = new Millrace(stack, 'Log');
    const wrong = (id: string, props: object) => () => new Topic(stack, id, { millrace, ...props });
    expect(wrong('A', { topicName: 'or ders' })).toThrow('topic name "or ders" is not allowed');
    expect(wrong('B', { topicName: 'b', partitions: 0 })).toThrow('topic b: partitions is 0, allowed is 1 to 10000');
    expect(wrong('C', { config: { 'max.message.bytes': -1 } })).toThrow('config max.message.bytes is "-1"');
    expect(wrong('D', { config: { 'retention.ms': 1000 } })).toThrow('config "retention.ms" is not supported yet');
    expect(() => Topic.fromTopicName(stack, 'E', { millrace, topicName: '..' })).toThrow('topic name ".."');
  });

  test('a connected function is told where the log is, by the door it asks for, and gets no right by that', () => {
    const told = (id: string) => team.resources.get(id)?.Properties.Environment;
    const endpoint = expect.stringMatching(/^https:\/\/LogApi\w+\.execute-api\.us-east-1\.amazonaws\.com\/prod$/);
    expect(told(stacks.connected)).toEqual({ Variables: { MILLRACE_ENDPOINT: endpoint } });

    const stack = new Stack(new App(), 'Doors');
    const log = new Millrace(stack, 'Log');
    expect(Object.keys(log.environment({ via: 'invoke' }))).toEqual([
      'MILLRACE_PRODUCE_FUNCTION',
      'MILLRACE_FETCH_FUNCTION',
      'MILLRACE_TOPICS_FUNCTION',
      'MILLRACE_GROUP_FUNCTION',
    ]);
    expect(Object.keys(log.environment({ via: 'direct' }))).toEqual(['MILLRACE_BUCKET', 'MILLRACE_TABLE']);
  });
});

describe('grants', () => {
  const invoked = (name: 'produce' | 'fetch' | 'topics' | 'group') => ({
    action: 'lambda:InvokeFunction',
    resource: `arn:aws:lambda:us-east-1:123456789012:function:${stacks.functions[name]}`,
  });

  test('an invoker may invoke what does what was granted, and no other function', () => {
    const { allows } = policiesOf(team);
    const allowed = (role: string) =>
      (['produce', 'fetch', 'topics', 'group'] as const).filter((name) =>
        allows(stacks.roles[role] ?? '', invoked(name)),
      );
    expect(allowed('InvokingProducer')).toEqual(['produce']);
    expect(allowed('InvokingConsumer')).toEqual(['fetch']);
    expect(allowed('InvokingManager')).toEqual(['topics']);
    expect(allowed('InvokingMember')).toEqual(['fetch', 'group']);
    expect(allowed('InvokingOperator')).toEqual(['topics', 'group']);
    expect(allowed('OrdersProducer')).toEqual([]);
    expect(allowed('Nobody')).toEqual([]);
  });

  test('direct access is to the items of the topic, single actions, and objects by name', () => {
    const { allows } = policiesOf(team);
    const can = (role: string, action: string, leadingKey: string) =>
      allows(stacks.roles[role] ?? '', {
        action: `dynamodb:${action}`,
        resource: `arn:aws:dynamodb:us-east-1:123456789012:table/${stacks.table}`,
        context: { 'dynamodb:LeadingKeys': [leadingKey] },
      });
    for (const action of ['GetItem', 'UpdateItem']) expect(can('DirectProducer', action, 'id-of-orders/3')).toBe(true);
    expect(can('DirectProducer', 'UpdateItem', 'id-of-payments/3')).toBe(false);
    expect(can('DirectProducer', 'UpdateItem', 'topics')).toBe(false);
    expect(can('DirectProducer', 'GetItem', 'topics')).toBe(true);
    expect(can('DirectConsumer', 'GetItem', 'id-of-orders/3')).toBe(true);
    expect(can('DirectConsumer', 'GetItem', 'id-of-payments/3')).toBe(false);
    expect(can('DirectConsumer', 'UpdateItem', 'id-of-orders/3')).toBe(false);
    expect(can('DirectConsumer', 'Scan', 'id-of-orders/3')).toBe(false);

    const object = (role: string, action: string) =>
      allows(stacks.roles[role] ?? '', {
        action: `s3:${action}`,
        resource: `arn:aws:s3:::${stacks.bucket}/0/0190`,
        context: { 's3:if-none-match': ['*'] },
      });
    expect(['PutObject', 'GetObject', 'DeleteObject'].filter((name) => object('DirectProducer', name))).toEqual([
      'PutObject',
    ]);
    expect(['PutObject', 'GetObject', 'ListBucket'].filter((name) => object('DirectConsumer', name))).toEqual([
      'GetObject',
    ]);
  });

  test('a member by direct access reaches its own group, puts groups into their list, and reads topics', () => {
    const { allows } = policiesOf(team);
    const can = (action: string, ...leadingKeys: readonly string[]) =>
      allows(stacks.roles.DirectMember ?? '', {
        action: `dynamodb:${action}`,
        resource: `arn:aws:dynamodb:us-east-1:123456789012:table/${stacks.table}`,
        context: { 'dynamodb:LeadingKeys': leadingKeys },
      });
    for (const action of ['GetItem', 'BatchGetItem', 'Query', 'UpdateItem', 'PutItem', 'DeleteItem']) {
      expect([action, can(action, 'group/billing')]).toEqual([action, true]);
      expect([action, can(action, 'group/audit')]).toEqual([action, false]);
      expect([action, can(action, 'group/billing2')]).toEqual([action, false]);
    }
    expect(can('BatchGetItem', 'group/billing', 'group/audit')).toBe(false);
    expect(can('Scan', 'group/billing')).toBe(false);
    expect(['PutItem', 'DeleteItem', 'Query', 'GetItem'].filter((name) => can(name, 'groups'))).toEqual([
      'PutItem',
      'DeleteItem',
    ]);
    expect(['PutItem', 'UpdateItem', 'DeleteItem', 'Query'].filter((name) => can(name, 'topics'))).toEqual(['Query']);
    expect(['GetItem', 'UpdateItem'].filter((name) => can(name, 'id-of-orders/3'))).toEqual(['GetItem']);
    expect(can('GetItem', 'id-of-payments/3')).toBe(false);
  });

  test('a name that could not be a group is refused at synth, a wildcard above all', () => {
    const stack = new Stack(new App(), 'Groups');
    const millrace = new Millrace(stack, 'Log');
    const role = new Role(stack, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    for (const name of ['*', 'bill*', 'a/b', '..', '']) {
      for (const via of ['http', 'invoke', 'direct'] as const) {
        expect(() => millrace.grantGroup(role, name, { via }), name).toThrow(`group id ${JSON.stringify(name)}`);
      }
    }
  });

  test('direct access to a topic whose id is not known is refused, since it would reach every topic', () => {
    const stack = new Stack(new App(), 'Unknown');
    const millrace = new Millrace(stack, 'Log');
    const role = new Role(stack, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    const orders = Topic.fromTopicName(stack, 'Orders', { millrace, topicName: 'orders' });
    expect(() => orders.grantConsume(role, { via: 'direct' })).toThrow('direct access to topic orders needs its id');
    const known = Topic.fromTopicName(stack, 'Known', { millrace, topicName: 'orders', topicId: 'the-id' });
    known.grantConsume(role, { via: 'direct' });
    Template.fromStack(stack).hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({ Condition: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['the-id/*'] } } }),
        ]),
      },
    });
  });
});

describe('metrics and alarms', () => {
  test('each metric is the one the functions publish under the name of the table', () => {
    const stack = new Stack(new App(), 'Metrics');
    const millrace = new Millrace(stack, 'Log');
    const named = Object.getOwnPropertyNames(Millrace.prototype).filter((name) => /^metric[A-Z]/.test(name));
    expect(named.length).toBeGreaterThan(5);
    for (const name of named) {
      const method = millrace[name as 'metricRecordsIn'];
      const { namespace, metricName, dimensions } = method.call(millrace);
      expect(Object.keys(metrics)).toContain(metricName);
      expect(name).toBe(`metric${metricName}`);
      expect(namespace).toBe('Millrace');
      expect(stack.resolve(dimensions)).toEqual({ service: { Ref: expect.stringMatching(/^LogTable/) } });
    }
    const topic = Topic.fromTopicName(stack, 'Orders', { millrace, topicName: 'orders' });
    expect(stack.resolve(topic.metric('RecordsIn').dimensions)).toMatchObject({ topic: 'orders' });
    const p99 = { statistic: 'p99' } satisfies Partial<Metric>;
    expect(millrace.metricProduceLatency()).toMatchObject(p99);
    // Undefined means the default; CDK's own is the average.
    expect(millrace.metricProduceLatency({ statistic: undefined } as object)).toMatchObject(p99);
  });

  test('without metrics of topics functions send none, and nobody is given one', () => {
    const stack = new Stack(new App(), 'Few');
    const millrace = new Millrace(stack, 'Log', { topicMetrics: false });
    const topic = Topic.fromTopicName(stack, 'Orders', { millrace, topicName: 'orders' });
    expect(() => topic.metric('RecordsIn')).toThrow(
      'topic orders has no metric RecordsIn: its log was made with topicMetrics',
    );
    Template.fromStack(stack).allResourcesProperties('AWS::Lambda::Function', {
      Environment: { Variables: Match.objectLike({ MILLRACE_TOPIC_METRICS: '0' }) },
    });
  });

  test('alarms tell an SNS topic when they begin and when they end, and a log at rest is well', () => {
    const stack = new Stack(new App(), 'Alarms');
    const alarms = new Millrace(stack, 'Log').addAlarms({ snsTopic: new SnsTopic(stack, 'Pager') });
    const template = Template.fromStack(stack);
    template.resourceCountIs('AWS::CloudWatch::Alarm', alarms.length);
    const pager = [{ Ref: Match.stringLikeRegexp('^Pager') }];
    template.allResourcesProperties('AWS::CloudWatch::Alarm', {
      AlarmActions: pager,
      OKActions: pager,
      EvaluationPeriods: 3,
      TreatMissingData: 'notBreaching',
      AlarmDescription: Match.anyValue(),
    });
    const seen = Object.values(template.findResources('AWS::CloudWatch::Alarm')).map(({ Properties }) => [
      `${Properties.Namespace} ${Properties.MetricName}`,
      Properties.Threshold,
    ]);
    expect(seen.sort()).toEqual([
      ['AWS/ApiGateway 5XXError', 0.01],
      ['AWS/DynamoDB ReadThrottleEvents', 1],
      ['AWS/DynamoDB WriteThrottleEvents', 1],
      ['AWS/Lambda Throttles', 1],
      ['AWS/Lambda Throttles', 1],
      ['AWS/Lambda Throttles', 1],
      ['AWS/Lambda Throttles', 1],
      ['Millrace Errors', 1],
      ['Millrace ProduceLatency', 1000],
    ]);
  });
});
