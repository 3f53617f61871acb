/**
 * One line for each invoke: what was asked, what came of it, what it cost. The same line carries the metrics of
 * `lib/metrics.ts` in CloudWatch's embedded format, since CloudWatch is paid by the byte of what is written.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 *
 * Keys, values and headers of records are never written.
 */

import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics } from '@aws-lambda-powertools/metrics';
import type { EmfOutput } from '@aws-lambda-powertools/metrics/types';
import { type MetricName, metrics, metricsNamespace } from '../lib/metrics.ts';
import type { Invoke } from './invoke.ts';

export interface FinishedInvoke {
  readonly invoke: Invoke;
  readonly status: number;
  /** Kafka's name of the failure, if it is one. */
  readonly code: string | undefined;
  readonly answerBytes: number;
  readonly durationMs: number;
  readonly isColdStart: boolean;
}

export interface Telemetry {
  finished(invoke: FinishedInvoke): void;
  /** Bugs and failures that answer with 5xx: someone must act. */
  failed(error: unknown): void;
}

/**
 * `service` tells logs in one account apart: the name of the table. Without `hasTopicMetrics` no metric stands for a topic;
 * the request line names it all the same.
 */
export function createTelemetry(service: string, hasTopicMetrics: boolean): Telemetry {
  const logger = new Logger({ serviceName: service });
  const ofLog = new Metrics({ namespace: metricsNamespace, serviceName: service });
  const ofTopic = new Metrics({ namespace: metricsNamespace, serviceName: service });

  return {
    finished(finished) {
      const { topic } = finished.invoke.line ?? {};
      // A name that anyone can make up must not make metrics.
      const isCounted = hasTopicMetrics && topic !== undefined && finished.status < 400;
      for (const [name, value] of Object.entries(valuesOf(finished)) as [MetricName, number][]) {
        const { unit, perTopic } = metrics[name];
        ofLog.addMetric(name, unit, value);
        if (perTopic && isCounted) ofTopic.addMetric(name, unit, value);
      }
      const published = [embedded(ofLog)];
      if (ofTopic.hasStoredMetrics() && topic !== undefined)
        published.push(embedded(ofTopic.addDimension('topic', topic)));
      logger.info('request', { ...requestLine(finished), ...joined(published) });
    },

    failed: (error) => logger.error('request failed', error instanceof Error ? error : new Error(String(error))),
  };
}

function valuesOf({ invoke, status, durationMs }: FinishedInvoke): Partial<Record<MetricName, number>> {
  const { recordsIn, bytesIn, recordsOut, bytesOut, ...requests } = invoke.usage;
  const { line } = invoke;
  const isProduce = line?.api.startsWith('produce') === true;
  const isFetch = line?.api.startsWith('fetch') === true && status < 400;
  return {
    ...(isProduce && { RecordsIn: recordsIn, BytesIn: bytesIn, ProduceLatency: durationMs }),
    ...(isFetch && { RecordsOut: recordsOut, FetchBytes: bytesOut, EmptyFetches: recordsOut === 0 ? 1 : 0 }),
    Errors: status >= 500 ? 1 : 0,
    Throttles: status === 429 ? 1 : 0,
    S3Requests: requests.s3Requests,
    DynamoDbRequests: requests.dynamoDbRequests,
    ReadUnits: requests.readUnits,
    WriteUnits: requests.writeUnits,
  };
}

function requestLine(finished: FinishedInvoke) {
  const { invoke, status, code, answerBytes, durationMs, isColdStart } = finished;
  const { line } = invoke;
  return {
    requestId: invoke.requestId,
    api: line?.api ?? 'none',
    ...(line?.method !== undefined && { method: line.method }),
    ...(line?.topic !== undefined && { topic: line.topic }),
    ...(line?.partition !== undefined && { partition: line.partition }),
    ...(line?.groupId !== undefined && { groupId: line.groupId }),
    ...(line?.memberEpoch !== undefined && { memberEpoch: line.memberEpoch }),
    status,
    ...(code !== undefined && { code }),
    durationMs,
    ...(line?.bytes !== undefined && { bytes: line.bytes }),
    answerBytes,
    ...invoke.usage,
    coldStart: isColdStart,
  };
}

function embedded(metrics: Metrics): EmfOutput {
  const output = metrics.serializeMetrics();
  metrics.clearMetrics();
  metrics.clearDimensions();
  return output;
}

/** Several metric directives in one line: each names its own metrics and dimensions, the values stand beside them. */
function joined(outputs: readonly EmfOutput[]): EmfOutput {
  // The logger writes the service itself.
  const { service: _, ...all }: EmfOutput = Object.assign({}, ...outputs);
  const CloudWatchMetrics = outputs.flatMap(({ _aws }) => _aws.CloudWatchMetrics);
  return { ...all, _aws: { ...all._aws, CloudWatchMetrics } };
}
