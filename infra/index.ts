/** `millrace/cdk`: the log as constructs of the AWS CDK. */

export type { AlarmsProps } from './alarms.ts';
export type { ApiProps } from './api.ts';
export type { FunctionOptions, FunctionsProps } from './functions.ts';
export type { GrantOptions } from './grants.ts';
export type { TopicMetricName } from './metrics.ts';
export { Millrace, type MillraceProps } from './millrace.ts';
export type { StorageProps } from './storage.ts';
export { type ITopic, Topic, type TopicAttributes, type TopicProps } from './topic.ts';
