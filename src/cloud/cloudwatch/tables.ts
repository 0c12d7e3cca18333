/** The rows of `schema/`. */
import type { JSONColumnType, Selectable } from 'kysely';

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
export type MetricRow = Selectable<MetricsTable>;

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

declare module '../../platform/platform.ts' {
  interface Tables {
    'cloudwatch.metrics': MetricsTable;
    'cloudwatch.points': PointsTable;
  }
}
