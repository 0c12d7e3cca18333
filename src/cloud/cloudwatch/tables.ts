/** The rows of `schema/`. */
import type { Generated, JSONColumnType, Selectable } from 'kysely';
import type { ShapeOf } from '../../platform/service.ts';

export interface Dimension {
  Name: string;
  Value: string;
}

export interface MetricsTable {
  id: string;
  account: string;
  region: string;
  namespace: string;
  name: string;
  dimensions: JSONColumnType<Dimension[]>;
  last_at: number;
}

export interface PointsTable {
  metric: string;
  at: number;
  unit: string;
  resolution: number;
  count: number;
  sum: number;
  min: number;
  max: number;
  distribution: number[] | null;
}

export type StateValue = 'OK' | 'ALARM' | 'INSUFFICIENT_DATA';

/** What was put, without name and tags; of either type. */
export type MetricDefinition = Omit<ShapeOf<'cloudwatch', 'PutMetricAlarmInput'>, 'AlarmName' | 'Tags'>;
export type CompositeDefinition = Omit<ShapeOf<'cloudwatch', 'PutCompositeAlarmInput'>, 'AlarmName' | 'Tags'>;

export interface AlarmsTable {
  id: string;
  account: string;
  region: string;
  name: string;
  type: 'MetricAlarm' | 'CompositeAlarm';
  definition: JSONColumnType<MetricDefinition | CompositeDefinition>;
  tags: JSONColumnType<Record<string, string>>;
  state: StateValue;
  state_reason: string;
  state_reason_data: string | null;
  state_at: Date;
  transitioned_at: Date;
  configured_at: Date;
  next_at: Date | null;
}
export type Alarm = Selectable<AlarmsTable>;

export interface HistoryTable {
  id: Generated<number>;
  account: string;
  region: string;
  alarm: string;
  type: Alarm['type'];
  at: Date;
  item: 'ConfigurationUpdate' | 'StateUpdate' | 'Action';
  summary: string;
  data: string;
}

declare module '../../platform/platform.ts' {
  interface Tables {
    'cloudwatch.metrics': MetricsTable;
    'cloudwatch.points': PointsTable;
    'cloudwatch.alarms': AlarmsTable;
    'cloudwatch.watched': { metric: string; alarm: string; eager: boolean };
    'cloudwatch.children': { parent: string; child: string };
    'cloudwatch.counted_events': { id: string; at: Date };
    'cloudwatch.alarm_history': HistoryTable;
  }
}
