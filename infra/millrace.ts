/**
 * A log of your own account: a bucket, a table, four functions and an API in front of them.
 *
 * ```ts
 * const log = new Millrace(this, 'Log');
 * const orders = new Topic(this, 'Orders', { millrace: log, topicName: 'orders', partitions: 12 });
 * log.connect(fn);
 * orders.grantProduce(fn);
 * ```
 */

import { Stack } from 'aws-cdk-lib';
import type { RestApi } from 'aws-cdk-lib/aws-apigateway';
import type { Alarm, Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import type { MetricName } from '../lib/metrics.ts';
import { type AlarmsProps, createAlarms } from './alarms.ts';
import { type ApiProps, createApi } from './api.ts';
import { createFunction, createLogGroup, type FunctionsProps } from './functions.ts';
import { type GrantOptions, grantAccess } from './grants.ts';
import { grantGroup, grantGroups } from './grants-group.ts';
import { logMetric } from './metrics.ts';
import { createBucket, createTable, type StorageProps } from './storage.ts';

export interface MillraceProps extends StorageProps, FunctionsProps, ApiProps {}

export class Millrace extends Construct {
  readonly bucket: Bucket;
  readonly table: Table;
  readonly encryptionKey: IKey | undefined;
  readonly produceFunction: LambdaFunction;
  readonly fetchFunction: LambdaFunction;
  /** Serves topics, and as a custom resource the construct `Topic`. */
  readonly topicsFunction: LambdaFunction;
  /** Serves consumer groups. */
  readonly groupFunction: LambdaFunction;
  readonly api: RestApi;
  /** What clients are given, without a slash at its end: `https://….execute-api.….amazonaws.com/prod`. */
  readonly endpoint: string;
  /** Whether topics have metrics of their own. */
  readonly topicMetrics: boolean;

  constructor(scope: Construct, id: string, props: MillraceProps = {}) {
    super(scope, id);
    const { responseStreaming = false, accessLog = true, tracing = false, topicMetrics = true } = props;
    this.topicMetrics = topicMetrics;
    this.encryptionKey = props.encryptionKey;
    this.bucket = createBucket(this, props);
    this.table = createTable(this, props);

    const environment = {
      MILLRACE_BUCKET: this.bucket.bucketName,
      MILLRACE_TABLE: this.table.tableName,
      ...(!topicMetrics && { MILLRACE_TOPIC_METRICS: '0' }),
    };
    this.produceFunction = createFunction(this, 'produce', { ...props, environment });
    this.fetchFunction = createFunction(this, 'fetch', {
      ...props,
      environment: { ...environment, ...(responseStreaming && { MILLRACE_RESPONSE_STREAMING: '1' }) },
    });
    this.topicsFunction = createFunction(this, 'topics', { ...props, environment });
    this.groupFunction = createFunction(this, 'group', { ...props, environment });

    this.api = createApi(this, {
      ...props,
      functions: {
        produce: this.produceFunction,
        fetch: this.fetchFunction,
        topics: this.topicsFunction,
        group: this.groupFunction,
      },
      logGroup: accessLog ? createLogGroup(this, 'AccessLog', props) : undefined,
      tracing,
    });
    const { region, urlSuffix } = Stack.of(this);
    const { stageName } = this.api.deploymentStage;
    this.endpoint = `https://${this.api.restApiId}.execute-api.${region}.${urlSuffix}/${stageName}`;

    grantAccess(this, 'produce', undefined, this.produceFunction, { via: 'direct' });
    grantAccess(this, 'consume', undefined, this.fetchFunction, { via: 'direct' });
    grantAccess(this, 'manage', undefined, this.topicsFunction, { via: 'direct' });
    grantGroups(this, this.groupFunction);
    // S3 tells an object that is gone from one that is forbidden only to those who may list.
    for (const grantee of [this.fetchFunction, this.groupFunction]) {
      Grant.addToPrincipal({ grantee, actions: ['s3:ListBucket'], resourceArns: [this.bucket.bucketArn] });
    }
  }

  /** What a program needs to find this log by one door, under the names that `fromEnvironment` looks for. */
  environment({ via = 'http' }: GrantOptions = {}): Record<string, string> {
    if (via === 'http') return { MILLRACE_ENDPOINT: this.endpoint };
    if (via === 'direct') {
      return { MILLRACE_BUCKET: this.bucket.bucketName, MILLRACE_TABLE: this.table.tableName };
    }
    return {
      MILLRACE_PRODUCE_FUNCTION: this.produceFunction.functionName,
      MILLRACE_FETCH_FUNCTION: this.fetchFunction.functionName,
      MILLRACE_TOPICS_FUNCTION: this.topicsFunction.functionName,
      MILLRACE_GROUP_FUNCTION: this.groupFunction.functionName,
    };
  }

  /** Tells a function where the log is, by the door of its grants. What it may do there, they say. */
  connect(fn: LambdaFunction, options?: GrantOptions): void {
    for (const [name, value] of Object.entries(this.environment(options))) fn.addEnvironment(name, value);
  }

  /**
   * All that is done with one group: be a member, commit and reset offsets, describe and delete it. Over HTTP of this group
   * and no other; an `invoke` reaches every group. A consumer needs `grantConsume` of its topics too.
   */
  grantGroup(grantee: IGrantable, group: string, options?: GrantOptions): Grant {
    return grantGroup(this, group, grantee, options);
  }

  /**
   * Create and list topics; describe, alter and delete every one. List groups; describe, reset and delete every one. Over
   * HTTP this reaches what lies below the path of a topic too, with the same methods: who may describe every topic may
   * fetch from it.
   */
  grantManage(grantee: IGrantable, options?: GrantOptions): Grant {
    return grantAccess(this, 'manage', undefined, grantee, options);
  }

  /** One of the metrics of `lib/metrics.ts`, which says how to read each; of all topics together. */
  metric(name: MetricName, options?: MetricOptions): Metric {
    return logMetric(name, { service: this.table.tableName }, options);
  }

  /** Records appended; duplicates that were sent again are not counted. Sum. */
  metricRecordsIn(options?: MetricOptions): Metric {
    return this.metric('RecordsIn', options);
  }

  /** Bytes of the record batches appended, as they are stored. Sum. */
  metricBytesIn(options?: MetricOptions): Metric {
    return this.metric('BytesIn', options);
  }

  /** Records handed out. Sum: with three readers of everything it is three times `metricRecordsIn`. */
  metricRecordsOut(options?: MetricOptions): Metric {
    return this.metric('RecordsOut', options);
  }

  /** Bytes of the record batches handed out, as they are stored. Sum. */
  metricFetchBytes(options?: MetricOptions): Metric {
    return this.metric('FetchBytes', options);
  }

  /** Milliseconds from the start of an invoke to the answer of a produce, failed ones included. p99. */
  metricProduceLatency(options?: MetricOptions): Metric {
    return this.metric('ProduceLatency', options);
  }

  /** Invokes that ended with a status of 5xx. Sum; someone must act. */
  metricErrors(options?: MetricOptions): Metric {
    return this.metric('Errors', options);
  }

  /** Invokes that ended with 429. Sum; Lambda and API Gateway count their own refusals elsewhere. */
  metricThrottles(options?: MetricOptions): Metric {
    return this.metric('Throttles', options);
  }

  /** Alarms for what someone must act on; once for each log. */
  addAlarms(props: AlarmsProps = {}): Alarm[] {
    return createAlarms(this, props);
  }
}
