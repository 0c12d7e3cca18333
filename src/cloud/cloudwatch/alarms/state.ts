/** A change of state: the row, its history, the event, its actions, and the composite alarms above it, all in one transaction. */
import type { Transaction } from '../../../platform/platform.ts';
import type { Alarm, StateValue } from '../tables.ts';
import { ALARM_KIND } from './alarm.ts';
import { historyState, remember } from './history.ts';
import { notification, stateChangeEvent, stateOf } from './messages.ts';

export interface NewState {
  value: StateValue;
  reason: string;
  reasonData?: string | undefined;
}

export const ACTION_JOB = 'cloudwatch.action';
/** With the pauses between them these last for a day. */
const ACTION_ATTEMPTS = 20;

/** `alarm` is locked. Of the state that it has already only the reason is new. */
export async function setState(tx: Transaction, alarm: Alarm, { value, reason, reasonData }: NewState, at: Date): Promise<void> {
  const before = stateOf(alarm);
  const changed = value !== alarm.state;
  const after: Alarm = {
    ...alarm,
    state: value,
    state_reason: reason.slice(0, 1_023),
    state_reason_data: reasonData ?? null,
    state_at: at,
    transitioned_at: changed ? at : alarm.transitioned_at,
  };
  const { state, state_reason, state_reason_data, state_at, transitioned_at } = after;
  await tx.sql
    .updateTable('cloudwatch.alarms')
    .set({ state, state_reason, state_reason_data, state_at, transitioned_at })
    .where('id', '=', alarm.id)
    .execute();
  if (!changed) return;
  const summary = `Alarm updated from ${before.value} to ${value}`;
  await remember(
    tx,
    alarm,
    { at, item: 'StateUpdate', summary },
    { oldState: historyState(before), newState: historyState(stateOf(after)) },
  );
  await tx.emit(stateChangeEvent(after, before));
  for (const action of actionsOf(after)) {
    const { account, region, name, type } = alarm;
    const payload = { alarm: { account, region, name, type }, action, ...notification(after, before) };
    await tx.enqueue(ACTION_JOB, payload, { maxAttempts: ACTION_ATTEMPTS });
  }
  const parents = await tx.sql.selectFrom('cloudwatch.children').select('parent').where('child', '=', alarm.id).execute();
  for (const { parent } of parents) await tx.reconcile(ALARM_KIND, parent);
}

function actionsOf({ state, definition }: Alarm): string[] {
  const { ActionsEnabled = true, OKActions = [], AlarmActions = [], InsufficientDataActions = [] } = definition;
  if (!ActionsEnabled) return [];
  return [...new Set({ OK: OKActions, ALARM: AlarmActions, INSUFFICIENT_DATA: InsufficientDataActions }[state])];
}
