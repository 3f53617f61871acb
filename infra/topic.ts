/** A topic as a resource of a stack: created and altered with it, and kept when it goes, unless told otherwise. */

import { CustomResource, Duration, Names, RemovalPolicy, Token } from 'aws-cdk-lib';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import type { Grant, IGrantable } from 'aws-cdk-lib/aws-iam';
import { Construct, type IConstruct } from 'constructs';
import { parseTopicName } from '../lib/ids.ts';
import { partitionCountMax } from '../lib/limits.ts';
import { changeConfig } from '../lib/topic/topic-config.ts';
import { type GrantOptions, grantAccess } from './grants.ts';
import { logMetric, type TopicMetricName } from './metrics.ts';
import type { Millrace } from './millrace.ts';

export interface ITopic extends IConstruct {
  readonly millrace: Millrace;
  readonly topicName: string;
  /** Undefined of a topic that was made elsewhere, unless it was given. */
  readonly topicId: string | undefined;
  /** Produce to this topic. Over HTTP to nothing else; `GrantOptions.via` tells what other doors reach. */
  grantProduce(grantee: IGrantable, options?: GrantOptions): Grant;
  /** Fetch from this topic and list its offsets. Over HTTP from nothing else; see `GrantOptions.via`. */
  grantConsume(grantee: IGrantable, options?: GrantOptions): Grant;
  /** Describe, alter and delete this topic. Over HTTP nothing else; see `GrantOptions.via`. */
  grantManage(grantee: IGrantable, options?: GrantOptions): Grant;
  /** As `Millrace.metric`, of this topic alone. Throws where the log has no `topicMetrics`. */
  metric(name: TopicMetricName, options?: MetricOptions): Metric;
}

export interface TopicAttributes {
  readonly millrace: Millrace;
  readonly topicName: string;
  /**
   * What tells the topic apart from one of the same name that is made after it; direct access is granted by it.
   * @default not known: direct access cannot be granted
   */
  readonly topicId?: string;
}

export interface TopicProps {
  readonly millrace: Millrace;
  /**
   * 1 to 249 of the characters a-z A-Z 0-9 . _ -. Another name makes another topic.
   * @default a name made from the place of this construct in the app
   */
  readonly topicName?: string;
  /**
   * Partitions can be added later, never removed; keys then go to other partitions.
   * @default 1
   */
  readonly partitions?: number;
  /**
   * By Kafka's names, for example `{ 'max.message.bytes': 1_048_588 }`. What is not named has its default.
   * @default no config of its own
   */
  readonly config?: Readonly<Record<string, string | number>>;
  /**
   * DESTROY deletes the topic with all its records when this construct leaves the stack, or when it gets another name.
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;
}

abstract class TopicBase extends Construct implements ITopic {
  abstract readonly millrace: Millrace;
  abstract readonly topicName: string;
  abstract readonly topicId: string | undefined;

  grantProduce(grantee: IGrantable, options?: GrantOptions): Grant {
    return grantAccess(this.millrace, 'produce', this, grantee, options);
  }

  grantConsume(grantee: IGrantable, options?: GrantOptions): Grant {
    return grantAccess(this.millrace, 'consume', this, grantee, options);
  }

  grantManage(grantee: IGrantable, options?: GrantOptions): Grant {
    return grantAccess(this.millrace, 'manage', this, grantee, options);
  }

  metric(name: TopicMetricName, options?: MetricOptions): Metric {
    if (!this.millrace.topicMetrics) {
      throw new Error(`topic ${this.topicName} has no metric ${name}: its log was made with topicMetrics: false`);
    }
    return logMetric(name, { service: this.millrace.table.tableName, topic: this.topicName }, options);
  }
}

export class Topic extends TopicBase {
  /** A topic that is made elsewhere: through the API, or by another stack. */
  static fromTopicName(scope: Construct, id: string, attributes: TopicAttributes): ITopic {
    checkName(attributes.topicName);
    class Import extends TopicBase {
      readonly millrace = attributes.millrace;
      readonly topicName = attributes.topicName;
      readonly topicId = attributes.topicId;
    }
    return new Import(scope, id);
  }

  readonly millrace: Millrace;
  readonly topicName: string;
  readonly topicId: string;

  constructor(scope: Construct, id: string, props: TopicProps) {
    super(scope, id);
    const { millrace, partitions = 1, config = {}, removalPolicy = RemovalPolicy.RETAIN } = props;
    this.millrace = millrace;
    this.topicName = props.topicName ?? Names.uniqueResourceName(this, { maxLength: 249 });
    checkName(this.topicName);
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > partitionCountMax) {
      throw new Error(`topic ${this.topicName}: partitions is ${partitions}, allowed is 1 to ${partitionCountMax}`);
    }

    const resource = new CustomResource(this, 'Resource', {
      resourceType: 'Custom::MillraceTopic',
      serviceToken: millrace.topicsFunction.functionArn,
      properties: {
        topic: this.topicName,
        partitions,
        config: changeConfig({}, config),
        removal: removalPolicy === RemovalPolicy.DESTROY ? 'delete' : 'retain',
      },
      // Else CloudFormation waits for an hour when the function cannot answer.
      serviceTimeout: Duration.seconds((millrace.topicsFunction.timeout?.toSeconds() ?? 0) + 60),
    });
    this.topicId = resource.getAttString('topicId');
  }
}

function checkName(topicName: string): void {
  if (!Token.isUnresolved(topicName)) parseTopicName(topicName);
}
