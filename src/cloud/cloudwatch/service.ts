/** CloudWatch: metrics, what is computed from them, and alarms that watch them. */
import { defineService } from '../../platform/service.ts';
import { runAction } from './alarms/actions.ts';
import { ALARM_KIND } from './alarms/alarm.ts';
import * as changes from './alarms/change-alarms.ts';
import { describeAlarms, describeAlarmsForMetric } from './alarms/describe.ts';
import { describeAlarmHistory } from './alarms/history.ts';
import { putCompositeAlarm, putMetricAlarm } from './alarms/put-alarm.ts';
import { alarmReconciler } from './alarms/reconcile.ts';
import { ACTION_JOB } from './alarms/state.ts';
import * as tags from './alarms/tags.ts';
import { onBuildEnd } from './codebuild-metrics.ts';
import { getMetricData } from './get-metric-data.ts';
import { getMetricStatistics } from './get-metric-statistics.ts';
import { listMetrics } from './list-metrics.ts';
import { putMetricData } from './put-metric-data.ts';
import { retention } from './retention.ts';

export const cloudwatch = defineService('cloudwatch', {
  operations: {
    putMetricData,
    getMetricData,
    getMetricStatistics,
    listMetrics,
    putMetricAlarm,
    putCompositeAlarm,
    describeAlarms,
    describeAlarmsForMetric,
    describeAlarmHistory,
    deleteAlarms: changes.deleteAlarms,
    setAlarmState: changes.setAlarmState,
    enableAlarmActions: changes.enableAlarmActions,
    disableAlarmActions: changes.disableAlarmActions,
    tagResource: tags.tagResource,
    untagResource: tags.untagResource,
    listTagsForResource: tags.listTagsForResource,
  },
  jobs: { [ACTION_JOB]: runAction },
  reconcilers: { 'cloudwatch.retention': retention, [ALARM_KIND]: alarmReconciler },
  subscriptions: { 'aws.codebuild/CodeBuild Build State Change': onBuildEnd },
  schema: new URL('./schema/', import.meta.url),
  validationErrors: 'ValidationError',
});
