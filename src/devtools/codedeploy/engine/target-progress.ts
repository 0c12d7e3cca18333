/**
 * How one target of a deployment goes on. Every function here runs in a transaction that holds the target's row (or has just made it), so
 * that a host's report, a time-out and a stop never meet half-way.
 */
import type { Selectable } from 'kysely';
import type { Transaction } from '../../../platform/platform.ts';
import type { Deployment } from '../deployment-rows.ts';
import { LIFECYCLE_EVENTS } from '../lifecycle.ts';
import { hostTopic } from '../names.ts';
import type { Diagnostics, EventsTable, TargetsTable } from '../tables.ts';
import { tellInstance } from './notifications.ts';

export type Target = Selectable<TargetsTable>;
export type LifecycleEvent = Selectable<EventsTable>;

/** Failures of these hooks of the old revision may be ignored, so that a broken one does not hold up its own repair. */
const OLD_REVISION_EVENTS = ['ApplicationStop', 'BeforeBlockTraffic', 'AfterBlockTraffic'];

/** The first event of each of these targets becomes a command for its host. */
export async function beginTargets(tx: Transaction, deployment: Deployment, targets: Target[], now: Date): Promise<void> {
  const positions = targets.map(({ position }) => position);
  await tx.sql
    .updateTable('codedeploy.targets')
    .set({ status: 'InProgress', updated_at: now })
    .where('deployment_id', '=', deployment.id)
    .where('position', 'in', positions)
    .execute();
  await queueEvents(tx, deployment.id, positions, 0, now);
  for (const target of targets) {
    await tx.signal(hostTopic(target.host));
    await tellInstance(tx, deployment, target.name, 'START', now);
  }
}

async function queueEvents(tx: Transaction, deploymentId: string, targets: number[], position: number, now: Date): Promise<void> {
  await tx.sql
    .updateTable('codedeploy.events')
    .set({ queued_at: now })
    .where('deployment_id', '=', deploymentId)
    .where('target', 'in', targets)
    .where('position', '=', position)
    .execute();
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
  if (ended.status === 'Failed' && !ignored) return endTargets(tx, deployment, [target], 'Failed', now);
  if (event.position === LIFECYCLE_EVENTS.length - 1) return endTargets(tx, deployment, [target], 'Succeeded', now);
  // A stopped deployment gives no more commands; what it leaves half done is not in order.
  if (deployment.stop_requested_at) return endTargets(tx, deployment, [target], 'Failed', now);
  await queueEvents(tx, deployment.id, [target.position], event.position + 1, now);
  await tx.signal(hostTopic(target.host));
}

/** Nothing more will happen on these targets: their other events are skipped, and waiting hosts look for other work. */
export async function endTargets(
  tx: Transaction,
  deployment: Deployment,
  targets: Target[],
  status: 'Succeeded' | 'Failed' | 'Skipped',
  now: Date,
): Promise<void> {
  if (targets.length === 0) return;
  const positions = targets.map(({ position }) => position);
  await tx.sql
    .updateTable('codedeploy.events')
    .set({ status: 'Skipped', ended_at: now })
    .where('deployment_id', '=', deployment.id)
    .where('target', 'in', positions)
    .where('ended_at', 'is', null)
    .execute();
  await tx.sql
    .updateTable('codedeploy.targets')
    .set({ status, updated_at: now })
    .where('deployment_id', '=', deployment.id)
    .where('position', 'in', positions)
    .execute();
  if (status !== 'Skipped') await rememberInstalled(tx, deployment, targets, status === 'Succeeded', now);
  for (const target of targets) {
    if (status !== 'Skipped') await tellInstance(tx, deployment, target.name, status === 'Succeeded' ? 'SUCCESS' : 'FAILURE', now);
    await tx.signal(hostTopic(target.host));
  }
  await tx.reconcile('codedeploy.deployment', deployment.id);
}

async function rememberInstalled(tx: Transaction, deployment: Deployment, targets: Target[], healthy: boolean, now: Date): Promise<void> {
  const group = await tx.sql.selectFrom('codedeploy.groups').select('id').where('id', '=', deployment.group_id).executeTakeFirst();
  if (!group) return;
  const state = { healthy, updated_at: now, ...(healthy && { revision_digest: deployment.revision_digest }) };
  await tx.sql
    .insertInto('codedeploy.installed')
    .values(targets.map(({ name }) => ({ group_id: deployment.group_id, instance: name, ...state })))
    .onConflict((conflict) => conflict.columns(['group_id', 'instance']).doUpdateSet(state))
    .execute();
}
