/** Reading a metric's values, gathered by period. */
import { sql } from 'kysely';
import type { Reader } from '../../platform/platform.ts';
import type { Bucket } from './statistics.ts';
import './tables.ts';

export interface Range {
  /** Seconds since 1970: the first included, the second not. Periods count from the first. */
  start: number;
  end: number;
  /** Seconds. */
  period: number;
}

export interface Wanted extends Range {
  metric: string;
  /** Default: values of all units. */
  unit?: string | undefined;
  /** Whether values of different units are told apart. */
  byUnit: boolean;
  distribution: boolean;
  now: Date;
}

const THREE_HOURS_S = 3 * 3_600;
const FIFTEEN_DAYS_S = 15 * 86_400;
const SIXTY_THREE_DAYS_S = 63 * 86_400;

/** The beginning as AWS rounds it: to the period below a minute, else to the minute; to coarser steps the further back it is. */
export function roundedStart(start: Date, period: number, now: Date): number {
  const at = Math.floor(start.getTime() / 1000);
  const age = now.getTime() / 1000 - at;
  const step = period < 60 ? period : age > SIXTY_THREE_DAYS_S ? 3_600 : age > FIFTEEN_DAYS_S ? 300 : 60;
  return at - (at % step);
}

/** Those periods in which there were values, in order. Values that are kept only by coarser periods than asked for are left out, as on AWS. */
export async function readBuckets(read: Reader, wanted: Wanted): Promise<Bucket[]> {
  const { metric, start, end, period, unit, byUnit, distribution, now } = wanted;
  if (period < 60 && now.getTime() / 1000 - start > THREE_HOURS_S) return [];
  const { rows } = await sql<{
    at: number;
    unit: string | null;
    count: number;
    sum: number;
    min: number;
    max: number;
    distribution: number[] | null;
  }>`
    select ${start}::bigint + (at - ${start}::bigint) / ${period}::integer * ${period}::integer as at, ${byUnit ? sql`unit` : sql`min(unit)`} as unit,
      sum(count) as count, sum(sum) as sum, min(min) as min, max(max) as max,
      ${distribution ? sql`case when bool_and(distribution is not null) then cloudwatch.merge(distribution) end` : sql`null`} as distribution
    from cloudwatch.points
    where metric = ${metric} and at >= ${start}::bigint and at < ${end}::bigint and resolution <= greatest(${period}::integer, 60)
      ${unit === undefined ? sql`` : sql`and unit = ${unit}`}
    group by 1 ${byUnit ? sql`, unit` : sql``} order by 1`.execute(read as never);
  return rows.map((row) => ({ ...row, at: Number(row.at), unit: row.unit ?? 'None' }));
}

/** What is wrong with a period, in AWS's words. */
export function periodProblem(period: number): string | undefined {
  if (period >= 60 ? period % 60 === 0 : [1, 5, 10, 20, 30].includes(period)) return undefined;
  return `The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.`;
}
