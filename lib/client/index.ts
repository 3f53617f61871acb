/** `millrace`: the client. It knows the HTTP protocol, and nothing of where the log lives. */

export { type Effect, type ErrorCode, isLogError, LogError } from '../errors.ts';
export type { GroupDescription, GroupOffset, GroupSummary, TopicDescription, TopicSummary } from '../log.ts';
export type { RecordHeader } from '../record/record.ts';
export type { Codec } from '../record/record-batch.ts';
export { Admin, type ConfigChanges, type OffsetReset } from './admin.ts';
export type { AwsAuth, AwsCredentials } from './aws-auth.ts';
export { type ConsumedBatch, ConsumedRecord } from './consumed-record.ts';
export { Consumer, type ConsumerOptions } from './consumer.ts';
export { type Environment, type EnvironmentOptions, fromEnvironment } from './environment.ts';
export { GroupConsumer } from './group-consumer.ts';
export type {
  GroupConsumerOptions,
  LostPartition,
  PartitionLag,
  Subscription,
  TopicPartition,
} from './group-options.ts';
export { type HttpOptions, Millrace, type MillraceOptions } from './millrace.ts';
export { Producer, type RecordPlace } from './producer.ts';
export type { ProducerOptions } from './producer-options.ts';
export type { ProducerRecord } from './producer-record.ts';
export type { Transport, TransportLimits, TransportRequest, TransportResponse } from './transport.ts';
export type { InvokeClient, InvokeOptions } from './transport-invoke.ts';
