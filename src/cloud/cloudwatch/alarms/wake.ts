/** Which alarms are looked at when values come in; the others wait for their time. */
import type { Transaction } from '../../../platform/platform.ts';
import { ALARM_KIND } from './alarm.ts';

/** `late` are the metrics that got values of a minute that has ended: those may change what was found when it ended. */
export async function wakeAlarms(tx: Transaction, metrics: string[], late: string[]): Promise<void> {
  const watching = await tx.sql
    .selectFrom('cloudwatch.watched')
    .select('alarm')
    .distinct()
    .where('metric', 'in', metrics)
    .where((eb) => (late.length === 0 ? eb('eager', '=', true) : eb.or([eb('eager', '=', true), eb('metric', 'in', late)])))
    .orderBy('alarm')
    .execute();
  for (const { alarm } of watching) await tx.reconcile(ALARM_KIND, alarm);
}
