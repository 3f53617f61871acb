import { App, Duration, Stack } from 'aws-cdk-lib';
import { Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { Millrace, Topic } from '../../infra/index.ts';

const app = new App();
const stack = new Stack(app, 'Shop');

const log = new Millrace(stack, 'Log');
const orders = new Topic(stack, 'Orders', { millrace: log, topicName: 'orders', partitions: 3 });
log.addAlarms();

const yours = { runtime: Runtime.NODEJS_24_X, handler: 'index.handler', timeout: Duration.seconds(30) };

// Over HTTP, the default: it may produce to orders, and nothing else.
const orderHandler = new LambdaFunction(stack, 'OrderHandler', {
  ...yours,
  code: Code.fromAsset('dist/order-handler'),
});
log.connect(orderHandler);
orders.grantProduce(orderHandler);

// By a grant on bucket and table: no hop, and no request to pay for but those of S3 and DynamoDB.
const orderReport = new LambdaFunction(stack, 'OrderReport', {
  ...yours,
  code: Code.fromAsset('dist/order-report'),
  memorySize: 512,
});
log.connect(orderReport, { via: 'direct' });
orders.grantConsume(orderReport, { via: 'direct' });

app.synth();
