/** An alarm's reconciler: finds the state that it should have, sets it, and asks to be called again when the next period has ended. */
import { AwsError } from '../../../platform/errors.ts';
import type { Platform, Transaction } from '../../../platform/platform.ts';
import type { Reconciler } from '../../../platform/service.ts';
import type { Alarm, MetricDefinition } from '../tables.ts';
import { ALARM_KIND, isMetricAlarm } from './alarm.ts';
import { evaluateAlarm, tickOf } from './evaluate.ts';
import { compositeState } from './rule.ts';
import { type NewState, setState } from './state.ts';
import { queriesOf } from './watched-metrics.ts';

/** Values that were put in the last moment of a period are to be seen when it is looked at. */
const SETTLE_MS = 500;

export const alarmReconciler: Reconciler = {
  async run(platform, id) {
    const alarm = await platform.read.selectFrom('cloudwatch.alarms').selectAll().where('id', '=', id).executeTakeFirst();
    if (!alarm) return;
    const found = isMetricAlarm(alarm) ? await lookAt(platform, alarm) : undefined;
    await platform.transaction(async (tx) => {
      const current = await tx.sql.selectFrom('cloudwatch.alarms').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
      if (!current) return;
      // It was put anew meanwhile: whoever did so called for another look.
      if (current.configured_at.getTime() !== alarm.configured_at.getTime()) return;
      const now = platform.now();
      const next = isMetricAlarm(current) ? found : await compositeState(tx, current);
      if (next && next.value !== current.state) await setState(tx, current, next, now);
      if (isMetricAlarm(current)) await setTimer(tx, current, now);
    });
  },

  async pending({ read, now }) {
    const rows = await read.selectFrom('cloudwatch.alarms').select('id').where('next_at', '<=', now()).execute();
    return rows.map(({ id }) => id);
  },
};

async function lookAt(platform: Platform, alarm: Alarm & { definition: MetricDefinition }): Promise<NewState | undefined> {
  try {
    return await evaluateAlarm(platform.read, alarm, platform.now());
  } catch (error) {
    // An expression that was taken may still meet series that it does not fit.
    if (!(error instanceof AwsError)) throw error;
    platform.log.warn({ alarm: alarm.name, error: error.message }, 'an alarm cannot be evaluated');
    return undefined;
  }
}

/** One timer at a time: calls in between leave it as it is. */
async function setTimer(tx: Transaction, alarm: Alarm & { definition: MetricDefinition }, now: Date): Promise<void> {
  if (alarm.next_at && alarm.next_at > now) return;
  const tick = tickOf(queriesOf(alarm, alarm.definition).period) * 1000;
  const next = new Date((Math.floor(now.getTime() / tick) + 1) * tick + SETTLE_MS);
  await tx.sql.updateTable('cloudwatch.alarms').set({ next_at: next }).where('id', '=', alarm.id).execute();
  await tx.reconcile(ALARM_KIND, alarm.id, next);
}
