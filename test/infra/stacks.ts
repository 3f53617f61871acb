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
import type { Attributes, Template } from '../support/template.ts';

/** Logical ids of what `Millrace` makes. */
export interface Parts {
  readonly bucket: string;
  readonly table: string;
  readonly functions: Readonly<Record<'produce' | 'fetch' | 'topics' | 'group', string>>;
}

export interface Stacks extends Parts {
  readonly app: App;
  readonly defaults: Template;
  readonly choices: Template;
  /** Of `choices`, where there is a role that may manage all topics; its parts beside it are those of `team`. */
  readonly choicesParts: Parts & { readonly operator: string };
  /** Roles, each by the id its grant is told by: `OrdersProducer`, `DirectConsumer`, `Operator`... */
  readonly team: Template;
  /** Logical ids of the roles of `team`, by those ids. */
  readonly roles: Readonly<Record<string, string>>;
  /** Logical id of a function that was told where the log is. */
  readonly connected: string;
  /** What only a deployment of `team` would know. */
  readonly attributes: Attributes;
  remove(): void;
}

export async function synthesize(): Promise<Stacks> {
  const outdir = mkdtempSync(join(tmpdir(), 'millrace-synth-'));
  const app = new App({ outdir });

  new Millrace(new Stack(app, 'Defaults'), 'Log');

  const choices = new Stack(app, 'Choices');
  const chosen = new Millrace(choices, 'Log', {
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
  const chosenOperator = new Role(choices, 'Operator', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
  chosen.grantManage(chosenOperator);

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
  log.grantManage(role('InvokingOperator'), { via: 'invoke' });
  log.grantGroup(role('BillingMember'), 'billing');
  orders.grantConsume(roles.BillingMember as Role);
  log.grantGroup(role('InvokingMember'), 'billing', { via: 'invoke' });
  orders.grantConsume(roles.InvokingMember as Role, { via: 'invoke' });
  log.grantGroup(role('DirectMember'), 'billing', { via: 'direct' });
  orders.grantConsume(roles.DirectMember as Role, { via: 'direct' });
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
  const logicalId = (construct: Construct) =>
    Stack.of(construct).getLogicalId(construct.node.defaultChild as CfnElement);
  const partsOf = ({
    bucket,
    table,
    produceFunction,
    fetchFunction,
    topicsFunction,
    groupFunction,
  }: Millrace): Parts => ({
    bucket: logicalId(bucket),
    table: logicalId(table),
    functions: {
      produce: logicalId(produceFunction),
      fetch: logicalId(fetchFunction),
      topics: logicalId(topicsFunction),
      group: logicalId(groupFunction),
    },
  });
  return {
    app,
    defaults: template('Defaults'),
    choices: template('Choices'),
    choicesParts: { ...partsOf(chosen), operator: logicalId(chosenOperator) },
    team: template('Team'),
    ...partsOf(log),
    roles: Object.fromEntries(Object.entries(roles).map(([id, construct]) => [id, logicalId(construct)])),
    connected: logicalId(connected),
    attributes: { [`${logicalId(orders.node.findChild('Resource') as Construct)}.topicId`]: 'id-of-orders' },
    remove: () => rmSync(outdir, { recursive: true, force: true }),
  };
}
