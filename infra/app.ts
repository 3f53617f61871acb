/** The app of this repository: one stack with one log, as `npx cdk deploy` puts it into an account. */

import { App, CfnOutput, Stack, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { Millrace } from './millrace.ts';

const app = new App();
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));

const stack = new Stack(app, 'Millrace', { description: 'A durable, ordered, replayable log' });
const log = new Millrace(stack, 'Log');

const outputs = {
  Endpoint: log.endpoint,
  Bucket: log.bucket.bucketName,
  Table: log.table.tableName,
  ProduceFunction: log.produceFunction.functionName,
  FetchFunction: log.fetchFunction.functionName,
  TopicsFunction: log.topicsFunction.functionName,
  GroupFunction: log.groupFunction.functionName,
};
for (const [name, value] of Object.entries(outputs)) new CfnOutput(stack, name, { value });

// Said and not left to the end of the process: there a finding of the security check would not fail the synth.
app.synth();
