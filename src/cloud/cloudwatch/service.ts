/** CloudWatch: metrics, what is computed from them, and alarms that watch them. */
import { defineService } from '../../platform/service.ts';
import { getMetricData } from './get-metric-data.ts';
import { getMetricStatistics } from './get-metric-statistics.ts';
import { listMetrics } from './list-metrics.ts';
import { putMetricData } from './put-metric-data.ts';
import { retention } from './retention.ts';

export const cloudwatch = defineService('cloudwatch', {
  operations: { putMetricData, getMetricData, getMetricStatistics, listMetrics },
  reconcilers: { 'cloudwatch.retention': retention },
  schema: new URL('./schema/', import.meta.url),
  validationErrors: 'ValidationError',
});
