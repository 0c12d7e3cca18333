/** What happened to alarms: kept for 30 days, also of alarms that are gone. */
import type { Transaction } from '../../../platform/platform.ts';
import { operation, type RequestContext } from '../../../platform/service.ts';
import type { Alarm, HistoryTable } from '../tables.ts';
import { alarmArn, onAlarms } from './alarm.ts';
import type { AlarmState } from './messages.ts';

const PAGE = 50;
const MAX_DATA = 4_095;

/** Something that happened to an alarm, with what AWS shows as its data. */
export async function remember(
  tx: Transaction,
  alarm: Pick<Alarm, 'account' | 'region' | 'name' | 'type'>,
  event: Pick<HistoryTable, 'at' | 'item' | 'summary'>,
  data: object,
): Promise<void> {
  const { account, region, name, type } = alarm;
  const text = JSON.stringify({ version: '1.0', ...data });
  const row = { account, region, alarm: name, type, ...event, summary: event.summary.slice(0, 255) };
  await tx.sql
    .insertInto('cloudwatch.alarm_history')
    .values({ ...row, data: text.length > MAX_DATA ? JSON.stringify({ version: '1.0', type: event.item, truncated: true }) : text })
    .execute();
}

export function historyState({ value, reason, reasonData }: AlarmState) {
  return { stateValue: value, stateReason: reason, ...(reasonData !== null && { stateReasonData: parsed(reasonData) }) };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

interface Position {
  at: string;
  id: number;
}

export const describeAlarmHistory = operation('cloudwatch', 'DescribeAlarmHistory', {
  authorize: ({ AlarmName }, ctx) => (AlarmName === undefined ? alarmArn(ctx, '*') : onAlarms(ctx, [AlarmName])),
  partial: 'there are no contributors, and no log alarms',
  async handle(ctx, input) {
    const { AlarmName, AlarmTypes, HistoryItemType, StartDate, EndDate, MaxRecords = PAGE, NextToken, ScanBy, AlarmContributorId } = input;
    if (AlarmContributorId !== undefined) return { AlarmHistoryItems: [] };
    const scope = scopeOf(ctx, AlarmName);
    const after = NextToken === undefined ? undefined : ctx.paging.open<Position>(scope, NextToken);
    if (NextToken !== undefined && !after) throw ctx.error('InvalidNextToken', 'The specified nextToken is invalid.');
    if (AlarmName?.includes('\0')) return { AlarmHistoryItems: [] };
    const [direction, behind] = ScanBy === 'TimestampAscending' ? (['asc', '>'] as const) : (['desc', '<'] as const);
    let query = ctx.read
      .selectFrom('cloudwatch.alarm_history')
      .selectAll()
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region)
      .where('type', 'in', (AlarmTypes ?? ['MetricAlarm']) as Alarm['type'][]);
    if (AlarmName !== undefined) query = query.where('alarm', '=', AlarmName);
    if (HistoryItemType !== undefined) query = query.where('item', '=', HistoryItemType as HistoryTable['item']);
    if (StartDate) query = query.where('at', '>=', StartDate);
    if (EndDate) query = query.where('at', '<', EndDate);
    if (after) query = query.where((eb) => eb(eb.refTuple('at', 'id'), behind, eb.tuple(new Date(after.at), after.id)));
    const rows = await query
      .orderBy('at', direction)
      .orderBy('id', direction)
      .limit(MaxRecords + 1)
      .execute();
    const page = rows.slice(0, MaxRecords);
    const last = page.at(-1);
    return {
      AlarmHistoryItems: page.map((row) => ({
        AlarmName: row.alarm,
        AlarmType: row.type,
        Timestamp: row.at,
        HistoryItemType: row.item,
        HistorySummary: row.summary,
        HistoryData: row.data,
      })),
      NextToken:
        rows.length > MaxRecords && last
          ? ctx.paging.seal(scope, { at: last.at.toISOString(), id: last.id } satisfies Position)
          : undefined,
    };
  },
});

function scopeOf({ account, region }: RequestContext, name: string | undefined): string {
  return `cloudwatch:DescribeAlarmHistory:${account}:${region}:${name ?? ''}`;
}
