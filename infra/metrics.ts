/** The metrics of `lib/metrics.ts` as CloudWatch knows them. */

import { Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { type MetricName, type metrics, metricsNamespace } from '../lib/metrics.ts';

/** What a number is mostly looked at by; `MetricOptions.statistic` chooses another. */
const statistics: Partial<Record<MetricName, string>> = {
  ProduceLatency: Stats.p(99),
  EmptyFetches: Stats.AVERAGE,
  S3Requests: Stats.AVERAGE,
  DynamoDbRequests: Stats.AVERAGE,
};

/** `service` is the name of the log's table; with `topic` the metric is of that topic alone. */
export function logMetric(
  name: MetricName,
  { service, topic }: { readonly service: string; readonly topic?: string },
  options: MetricOptions = {},
): Metric {
  const { statistic = statistics[name] ?? Stats.SUM, ...others } = options;
  return new Metric({
    namespace: metricsNamespace,
    metricName: name,
    dimensionsMap: { service, ...(topic !== undefined && { topic }) },
    statistic,
    ...(topic !== undefined && { label: `${topic} ${name}` }),
    ...others,
  });
}

/** Those that stand once more for each topic. */
export type TopicMetricName = {
  [Name in MetricName]: (typeof metrics)[Name]['perTopic'] extends true ? Name : never;
}[MetricName];
