/**
 * The metrics the functions publish, in the namespace below. Infrastructure and alarms read them by these names.
 *
 * All of them have the dimension `service`, the name of the log's table. Those `perTopic` stand there once more with
 * `service` and `topic`; not all do, since CloudWatch counts every metric of every topic at its price. No metric has the
 * partition as a dimension, for the same reason.
 */

export const metricsNamespace = 'Millrace';

export interface Metric {
  readonly unit: 'Count' | 'Bytes' | 'Milliseconds';
  readonly perTopic: boolean;
  /** How to read it. */
  readonly meaning: string;
}

export const metrics = {
  RecordsIn: {
    unit: 'Count',
    perTopic: true,
    meaning: 'Records appended. Sum; duplicates that were sent again are not counted.',
  },
  BytesIn: { unit: 'Bytes', perTopic: true, meaning: 'Bytes of the record batches appended, as they are stored. Sum.' },
  ProduceLatency: {
    unit: 'Milliseconds',
    perTopic: false,
    meaning: 'From the start of the invoke to the answer of a produce, failed ones included. p50, p99.',
  },
  RecordsOut: {
    unit: 'Count',
    perTopic: true,
    meaning: 'Records in the batches handed out. Sum; a fetch from the midst of a batch counts the whole batch.',
  },
  FetchBytes: { unit: 'Bytes', perTopic: true, meaning: 'Bytes of the record batches handed out, as stored. Sum.' },
  EmptyFetches: {
    unit: 'Count',
    perTopic: false,
    meaning: 'Average: the share of fetches that found nothing. Near 1, readers poll too often: raise maxWaitMs.',
  },
  Errors: {
    unit: 'Count',
    perTopic: false,
    meaning: 'Invokes that ended with a status of 5xx. Sum; someone must act.',
  },
  Throttles: { unit: 'Count', perTopic: false, meaning: 'Invokes that ended with 429. Sum.' },
  S3Requests: {
    unit: 'Count',
    perTopic: false,
    meaning: 'Requests sent to S3, every attempt one. Average per invoke.',
  },
  DynamoDbRequests: {
    unit: 'Count',
    perTopic: false,
    meaning: 'Requests sent to DynamoDB, every attempt one. Average per invoke.',
  },
  ReadUnits: {
    unit: 'Count',
    perTopic: false,
    meaning: 'Read capacity units that DynamoDB reported. Sum: what is paid.',
  },
  WriteUnits: {
    unit: 'Count',
    perTopic: false,
    meaning: 'Write capacity units that DynamoDB reported. Sum: what is paid.',
  },
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof metrics;
