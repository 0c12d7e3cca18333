/**
 * Keeping values as long as AWS does: by the second for three hours, by the minute for 15 days, by five minutes for 63 days, by the hour for
 * 455 days. Rows that are past their time are put together to the next coarser ones, in the statement that deletes them.
 */
import { sql } from 'kysely';
import type { Platform } from '../../platform/platform.ts';
import type { Reconciler } from '../../platform/service.ts';
import './tables.ts';

const EVERYTHING = 'all';
const ROWS_AT_ONCE = 2_000;
const DAY_S = 86_400;
/** Rows of a minute wait until a good number can be put together at once. */
const SLACK_S = 3_600;

/** A job is tried again within hours. */
const COUNTED_S = 2 * DAY_S;
/** Of what happened to alarms. */
const HISTORY_S = 30 * DAY_S;

const STEPS = [
  { resolution: 1, seconds: 3 * 3_600, next: 60 },
  { resolution: 60, seconds: 15 * DAY_S, next: 300 },
  { resolution: 300, seconds: 63 * DAY_S, next: 3_600 },
  { resolution: 3_600, seconds: 455 * DAY_S, next: undefined },
];

function secondsNow(platform: Platform): number {
  return Math.floor(platform.now().getTime() / 1000);
}

function oldestHistory(platform: Platform, slack = 0): Date {
  return new Date((secondsNow(platform) - HISTORY_S - slack) * 1000);
}

/** How many rows it took away. */
async function moveOn(platform: Platform, { resolution, seconds, next }: (typeof STEPS)[number]): Promise<number> {
  const old = sql`delete from cloudwatch.points where (metric, at, unit, resolution) in (
      select metric, at, unit, resolution from cloudwatch.points
      where resolution = ${resolution}::integer and at < ${secondsNow(platform) - seconds}::bigint
      order by at limit ${ROWS_AT_ONCE}::integer for update skip locked)`;
  return platform.transaction(async (tx) => {
    if (next === undefined) return Number((await old.execute(tx.sql)).numAffectedRows ?? 0);
    const { rows } = await sql<{ gone: number }>`with gone as (${old} returning *), kept as (
        insert into cloudwatch.points as known (metric, at, unit, resolution, count, sum, min, max, distribution)
        select metric, at - at % ${next}::integer, unit, ${next}::integer, sum(count), sum(sum), min(min), max(max),
          case when bool_and(distribution is not null) then cloudwatch.merge(distribution) end
        from gone group by 1, 2, 3 order by 1, 2, 3
        on conflict (metric, at, unit, resolution) do update set
          count = known.count + excluded.count, sum = known.sum + excluded.sum,
          min = least(known.min, excluded.min), max = greatest(known.max, excluded.max),
          distribution = cloudwatch.merged(known.distribution, excluded.distribution))
      select count(*)::integer as gone from gone`.execute(tx.sql);
    return rows[0]!.gone;
  });
}

export const retention: Reconciler = {
  async run(platform, _id, signal) {
    for (const step of STEPS) {
      while (!signal.aborted && (await moveOn(platform, step)) === ROWS_AT_ONCE);
    }
    const oldest = secondsNow(platform) - STEPS.at(-1)!.seconds - DAY_S;
    await platform.transaction((tx) => tx.sql.deleteFrom('cloudwatch.metrics').where('last_at', '<', oldest).execute());
    await platform.transaction(async (tx) => {
      await tx.sql.deleteFrom('cloudwatch.alarm_history').where('at', '<', oldestHistory(platform)).execute();
      await tx.sql
        .deleteFrom('cloudwatch.counted_events')
        .where('at', '<', new Date((secondsNow(platform) - COUNTED_S) * 1000))
        .execute();
    });
  },
  async pending(platform) {
    const now = secondsNow(platform);
    const due = await Promise.all(
      STEPS.map(({ resolution, seconds }) =>
        platform.read
          .selectFrom('cloudwatch.points')
          .select('at')
          .where('resolution', '=', resolution)
          .where('at', '<', now - seconds - SLACK_S)
          .limit(1)
          .executeTakeFirst(),
      ),
    );
    const history = await platform.read
      .selectFrom('cloudwatch.alarm_history')
      .select('id')
      .where('at', '<', oldestHistory(platform, SLACK_S))
      .limit(1)
      .executeTakeFirst();
    return [...due, history].some((row) => row !== undefined) ? [EVERYTHING] : [];
  },
};
