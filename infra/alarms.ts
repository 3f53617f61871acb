/** Alarms on what someone must act on, each over 15 minutes, so that a single hiccup wakes nobody. */

import { Duration } from 'aws-cdk-lib';
import { Alarm, type IMetric, Stats, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { ITopic as ISnsTopic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import type { Millrace } from './millrace.ts';

export interface AlarmsProps {
  /**
   * Where alarms are told, when they begin and when they end.
   * @default nowhere: the alarms only show
   */
  readonly snsTopic?: ISnsTopic;
  /**
   * The slowest hundredth of produces takes longer than this in all of three periods.
   * @default 1 second
   */
  readonly produceLatencyMax?: Duration;
}

export function createAlarms(log: Millrace, props: AlarmsProps): Alarm[] {
  const scope = new Construct(log, 'Alarms');
  const { snsTopic, produceLatencyMax = Duration.seconds(1) } = props;
  const period = Duration.minutes(5);
  const sum = { period, statistic: Stats.SUM };

  /** `id`, what is seen, from which value on, in how many of three periods, and what to do. */
  const rows: readonly (readonly [id: string, metric: IMetric, threshold: number, of3: number, description: string])[] =
    [
      ['Errors', log.metricErrors({ period }), 1, 2, 'The log answers with 5xx; its log lines of level error say why.'],
      [
        'ApiErrors',
        log.api.metricServerError({ period, statistic: Stats.AVERAGE }),
        0.01,
        2,
        'A hundredth of the HTTP requests or more fail, functions that crash or run out of time included.',
      ],
      [
        'ProduceLatency',
        log.metricProduceLatency({ period }),
        produceLatencyMax.toMilliseconds(),
        3,
        'Produces are slow; see how long S3 and DynamoDB take.',
      ],
      ['ProduceThrottles', log.produceFunction.metricThrottles(sum), 1, 2, throttled('produce')],
      ['FetchThrottles', log.fetchFunction.metricThrottles(sum), 1, 2, throttled('fetch')],
      ['TopicsThrottles', log.topicsFunction.metricThrottles(sum), 1, 2, throttled('topics')],
      ['GroupThrottles', log.groupFunction.metricThrottles(sum), 1, 2, throttled('group')],
      ['TableWriteThrottles', log.table.metric('WriteThrottleEvents', sum), 1, 2, throttledTable],
      ['TableReadThrottles', log.table.metric('ReadThrottleEvents', sum), 1, 2, throttledTable],
    ];
  return rows.map(([id, metric, threshold, datapointsToAlarm, alarmDescription]) => {
    const alarm = new Alarm(scope, id, {
      metric,
      threshold,
      evaluationPeriods: 3,
      datapointsToAlarm,
      alarmDescription,
      // A log that nobody uses sends nothing, and is well.
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    if (snsTopic !== undefined) {
      alarm.addAlarmAction(new SnsAction(snsTopic));
      alarm.addOkAction(new SnsAction(snsTopic));
    }
    return alarm;
  });
}

const throttled = (name: string) =>
  `Invocations of the ${name} function are refused: raise its reserved concurrency, or the quota of the account.`;
const throttledTable =
  'DynamoDB refuses requests: a partition of a topic takes more than about a thousand appends a second, or the table grows.';
