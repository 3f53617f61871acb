/** The stacks the tests look at, synthesized once a file: defaults, every choice, and a team with topics and grants. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, type CfnElement, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import { Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { Millrace, Topic } from '../../infra/index.ts';
import { ensureBundles } from '../support/bundles.ts';
import type { Attributes, Template } from '../support/template.ts';

export interface Stacks {
  readonly app: App;
  readonly defaults: Template;
  readonly choices: Template;
  /** Roles, each by the id its grant is told by: `OrdersProducer`, `OrdersConsumerDirect`, `Operator`... */
  readonly team: Template;
  /** Logical ids of the roles of `team`, by those ids. */
  readonly roles: Readonly<Record<string, string>>;
  /** Logical ids in `team`. */
  readonly functions: Readonly<Record<'produce' | 'fetch' | 'topics' | 'connected', string>>;
  /** Logical ids in `team`. */
  readonly bucket: string;
  readonly table: string;
  /** What only a deployment of `team` would know. */
  readonly attributes: Attributes;
  remove(): void;
}

export async function synthesize(): Promise<Stacks> {
  await ensureBundles();
  const outdir = mkdtempSync(join(tmpdir(), 'millrace-synth-'));
  const app = new App({ outdir });

  new Millrace(new Stack(app, 'Defaults'), 'Log');

  const choices = new Stack(app, 'Choices');
  new Millrace(choices, 'Log', {
    encryptionKey: new Key(choices, 'Key', { enableKeyRotation: true }),
    removalPolicy: RemovalPolicy.DESTROY,
    responseStreaming: true,
    tracing: true,
    logRetention: RetentionDays.ONE_WEEK,
    produce: { memorySize: 1769, reservedConcurrentExecutions: 50 },
    throttlingRateLimit: 100,
    throttlingBurstLimit: 20,
    cloudWatchRole: false,
  });

  const team = new Stack(app, 'Team');
  const log = new Millrace(team, 'Log');
  const orders = new Topic(team, 'Orders', {
    millrace: log,
    topicName: 'orders',
    partitions: 12,
    config: { 'max.message.bytes': 65_536, 'compression.type': 'zstd' },
  });
  new Topic(team, 'Scratch', { millrace: log, removalPolicy: RemovalPolicy.DESTROY });
  const payments = Topic.fromTopicName(team, 'Payments', { millrace: log, topicName: 'payments' });

  const roles: Record<string, Role> = {};
  const role = (id: string) => {
    roles[id] = new Role(team, id, { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    return roles[id];
  };
  orders.grantProduce(role('OrdersProducer'));
  orders.grantConsume(role('OrdersConsumer'));
  orders.grantManage(role('OrdersManager'));
  payments.grantProduce(role('PaymentsProducer'));
  orders.grantProduce(role('InvokingProducer'), { via: 'invoke' });
  orders.grantConsume(role('InvokingConsumer'), { via: 'invoke' });
  orders.grantManage(role('InvokingManager'), { via: 'invoke' });
  orders.grantProduce(role('DirectProducer'), { via: 'direct' });
  orders.grantConsume(role('DirectConsumer'), { via: 'direct' });
  log.grantManage(role('Operator'));
  role('Nobody');

  const connected = new LambdaFunction(team, 'Connected', {
    runtime: Runtime.NODEJS_24_X,
    handler: 'index.handler',
    code: Code.fromInline('export const handler = async () => {};'),
    role: role('ConnectedRole'),
  });
  log.connect(connected);
  orders.grantProduce(connected);

  const assembly = app.synth();
  const template = (name: string) => assembly.getStackByName(name).template as Template;
  const logicalId = ({ node }: Construct) => team.getLogicalId(node.defaultChild as CfnElement);
  return {
    app,
    defaults: template('Defaults'),
    choices: template('Choices'),
    team: template('Team'),
    roles: Object.fromEntries(Object.entries(roles).map(([id, construct]) => [id, logicalId(construct)])),
    functions: {
      produce: logicalId(log.produceFunction),
      fetch: logicalId(log.fetchFunction),
      topics: logicalId(log.topicsFunction),
      connected: logicalId(connected),
    },
    bucket: logicalId(log.bucket),
    table: logicalId(log.table),
    attributes: { [`${logicalId(orders.node.findChild('Resource') as Construct)}.topicId`]: 'id-of-orders' },
    remove: () => rmSync(outdir, { recursive: true, force: true }),
  };
}
