/** Changes of alarms that are there: DeleteAlarms, SetAlarmState, EnableAlarmActions, DisableAlarmActions. */
import { sql } from 'kysely';
import { operation, type RequestContext } from '../../../platform/service.ts';
import { invalid } from '../errors.ts';
import { alarmArn, findAlarms, lockAlarm, onAlarms } from './alarm.ts';
import { remember } from './history.ts';
import { configurationChangeEvent } from './messages.ts';
import { setState } from './state.ts';

export const deleteAlarms = operation('cloudwatch', 'DeleteAlarms', {
  authorize: ({ AlarmNames }, ctx) => onAlarms(ctx, AlarmNames),
  async handle(ctx, { AlarmNames }) {
    const found = await findAlarms(ctx.read, ctx, AlarmNames);
    if (found.filter(({ type }) => type === 'CompositeAlarm').length > 1) {
      throw invalid('At most one composite alarm can be deleted in one operation.');
    }
    const now = ctx.now();
    await ctx.transaction(async (tx) => {
      for (const { name } of found) {
        const alarm = await lockAlarm(tx, ctx, name);
        if (!alarm) continue;
        const parent = await tx.sql
          .selectFrom('cloudwatch.children')
          .innerJoin('cloudwatch.alarms', 'cloudwatch.alarms.id', 'cloudwatch.children.parent')
          .select('cloudwatch.alarms.name')
          .where('cloudwatch.children.child', '=', alarm.id)
          .executeTakeFirst();
        if (parent) throw ctx.error('ResourceConflict', `The alarm ${name} is in the rule of the composite alarm ${parent.name}.`);
        await tx.sql.deleteFrom('cloudwatch.alarms').where('id', '=', alarm.id).execute();
        await remember(tx, alarm, { at: now, item: 'ConfigurationUpdate', summary: `Alarm "${name}" deleted` }, { type: 'Delete' });
        await tx.emit(configurationChangeEvent(alarm, 'delete', undefined, now));
      }
    });
    return {};
  },
});

export const setAlarmState = operation('cloudwatch', 'SetAlarmState', {
  authorize: ({ AlarmName }, ctx) => onAlarms(ctx, [AlarmName]),
  async handle(ctx, { AlarmName, StateValue, StateReason, StateReasonData }) {
    if (StateReasonData !== undefined && !isJson(StateReasonData)) throw ctx.error('InvalidFormat', 'StateReasonData must be valid JSON.');
    if (`${StateReason}${StateReasonData}`.includes('\0'))
      throw ctx.error('InvalidFormat', 'StateReason holds characters that are not allowed.');
    await ctx.transaction(async (tx) => {
      const alarm = AlarmName.includes('\0') ? undefined : await lockAlarm(tx, ctx, AlarmName);
      if (!alarm) throw ctx.error('ResourceNotFound', `Alarm ${alarmArn(ctx, AlarmName)} does not exist`);
      await setState(tx, alarm, { value: StateValue, reason: StateReason, reasonData: StateReasonData }, ctx.now());
    });
    return {};
  },
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

export const enableAlarmActions = operation('cloudwatch', 'EnableAlarmActions', {
  authorize: ({ AlarmNames }, ctx) => onAlarms(ctx, AlarmNames),
  async handle(ctx, { AlarmNames }) {
    await switchActions(ctx, AlarmNames, true);
    return {};
  },
});

export const disableAlarmActions = operation('cloudwatch', 'DisableAlarmActions', {
  authorize: ({ AlarmNames }, ctx) => onAlarms(ctx, AlarmNames),
  async handle(ctx, { AlarmNames }) {
    await switchActions(ctx, AlarmNames, false);
    return {};
  },
});

/** Alarms that do not exist are passed over, as on AWS. */
async function switchActions(ctx: RequestContext, names: string[], on: boolean): Promise<void> {
  const found = await findAlarms(ctx.read, ctx, names);
  const now = ctx.now();
  await ctx.transaction(async (tx) => {
    for (const { name } of found) {
      const before = await lockAlarm(tx, ctx, name);
      if (!before || (before.definition.ActionsEnabled ?? true) === on) continue;
      const after = await tx.sql
        .updateTable('cloudwatch.alarms')
        .set({ definition: sql`definition || ${JSON.stringify({ ActionsEnabled: on })}::jsonb`, configured_at: now })
        .where('id', '=', before.id)
        .returningAll()
        .executeTakeFirstOrThrow();
      const summary = `Alarm "${name}" updated`;
      await remember(tx, after, { at: now, item: 'ConfigurationUpdate', summary }, { type: 'Update', actionsEnabled: on });
      await tx.emit(configurationChangeEvent(after, 'update', before, now));
    }
  });
}
