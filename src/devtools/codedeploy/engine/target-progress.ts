/**
 * How one target of a deployment goes on. Every function here runs in a transaction that holds the target's row (or has just made it), so
 * that a host's report, a time-out and a stop never meet half-way.
 */
import type { Selectable } from 'kysely';
import type { Transaction } from '../../../platform/platform.ts';
import type { Deployment } from '../deployment-rows.ts';
import { LIFECYCLE_EVENTS } from '../lifecycle.ts';
import { hostTopic } from '../names.ts';
import type { Diagnostics, EventsTable, TargetStatus, TargetsTable } from '../tables.ts';
import { tellInstance } from './notifications.ts';

export type Target = Selectable<TargetsTable>;
export type LifecycleEvent = Selectable<EventsTable>;

/** Failures of these hooks of the old revision may be ignored, so that a broken one does not hold up its own repair. */
const OLD_REVISION_EVENTS = ['ApplicationStop', 'BeforeBlockTraffic', 'AfterBlockTraffic'];

/** The target's first event becomes a command for its host. */
export async function beginTarget(tx: Transaction, deployment: Deployment, target: Target, now: Date): Promise<void> {
  await setStatus(tx, target, 'InProgress', now);
  await queueEvent(tx, target, 0, now);
  await tellInstance(tx, deployment, target.name, 'START', now);
}

async function queueEvent(tx: Transaction, target: Target, position: number, now: Date): Promise<void> {
  await tx.sql
    .updateTable('codedeploy.events')
    .set({ queued_at: now })
    .where('deployment_id', '=', target.deployment_id)
    .where('target', '=', target.position)
    .where('position', '=', position)
    .execute();
  await tx.signal(hostTopic(target.host));
}

/** An event has ended: the next begins, or the target has ended too. */
export async function endEvent(
  tx: Transaction,
  deployment: Deployment,
  target: Target,
  event: LifecycleEvent,
  ended: { status: 'Succeeded' | 'Failed'; diagnostics: Diagnostics; startedAt: Date | null },
  now: Date,
): Promise<void> {
  await tx.sql
    .updateTable('codedeploy.events')
    .set({ status: ended.status, diagnostics: JSON.stringify(ended.diagnostics), started_at: ended.startedAt, ended_at: now })
    .where('command_id', '=', event.command_id)
    .execute();
  const ignored = deployment.options.ignoreApplicationStopFailures === true && OLD_REVISION_EVENTS.includes(event.name);
  if (ended.status === 'Failed' && !ignored) return endTarget(tx, deployment, target, 'Failed', now);
  if (event.position === LIFECYCLE_EVENTS.length - 1) return endTarget(tx, deployment, target, 'Succeeded', now);
  // A stopped deployment gives no more commands; what it leaves half done is not in order.
  if (deployment.stop_requested_at) return endTarget(tx, deployment, target, 'Failed', now);
  await queueEvent(tx, target, event.position + 1, now);
}

/** Nothing more will happen on the target: its other events are skipped, and a waiting host looks for other work. */
export async function endTarget(
  tx: Transaction,
  deployment: Deployment,
  target: Target,
  status: 'Succeeded' | 'Failed' | 'Skipped',
  now: Date,
): Promise<void> {
  await tx.sql
    .updateTable('codedeploy.events')
    .set({ status: 'Skipped', ended_at: now })
    .where('deployment_id', '=', target.deployment_id)
    .where('target', '=', target.position)
    .where('ended_at', 'is', null)
    .execute();
  await setStatus(tx, target, status, now);
  if (status !== 'Skipped') {
    await rememberInstalled(tx, deployment, target, status === 'Succeeded', now);
    await tellInstance(tx, deployment, target.name, status === 'Succeeded' ? 'SUCCESS' : 'FAILURE', now);
  }
  await tx.signal(hostTopic(target.host));
  await tx.reconcile('codedeploy.deployment', deployment.id);
}

async function setStatus(tx: Transaction, target: Target, status: TargetStatus, now: Date): Promise<void> {
  await tx.sql
    .updateTable('codedeploy.targets')
    .set({ status, updated_at: now })
    .where('deployment_id', '=', target.deployment_id)
    .where('position', '=', target.position)
    .execute();
}

async function rememberInstalled(tx: Transaction, deployment: Deployment, target: Target, healthy: boolean, now: Date): Promise<void> {
  const group = await tx.sql.selectFrom('codedeploy.groups').select('id').where('id', '=', deployment.group_id).executeTakeFirst();
  if (!group) return;
  const state = { healthy, updated_at: now, ...(healthy && { revision_digest: deployment.revision_digest }) };
  await tx.sql
    .insertInto('codedeploy.installed')
    .values({ group_id: deployment.group_id, instance: target.name, ...state })
    .onConflict((conflict) => conflict.columns(['group_id', 'instance']).doUpdateSet(state))
    .execute();
}
