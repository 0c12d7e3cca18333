/** The deployment's reconciler: looks at the rows, does what is due, and is called again when anything changes. */
import { sql } from 'kysely';
import type { Platform, Transaction } from '../../../platform/platform.ts';
import type { Reconciler } from '../../../platform/service.ts';
import type { Deployment } from '../deployment-rows.ts';
import { judge, type Progress } from '../health.ts';
import { agentIssue, DEPLOYMENT_LIMIT_MS, RUN_LIMIT_MS, runTimeout, START_LIMIT_MS } from '../lifecycle.ts';
import { ACTIVE_STATUSES } from '../tables.ts';
import { activeAlarm } from './alarms.ts';
import { endDeployment, type Problem } from './ending.ts';
import { outsideProblem, startDeployment } from './start.ts';
import { beginTargets, endEvent, endTargets, type Target } from './target-progress.ts';

/** The sweep comes at least as often; only what is due before needs a timer. */
const SWEEP_MS = 60_000;

export const deploymentReconciler: Reconciler = {
  async run(platform, id) {
    const deployment = await platform.read.selectFrom('codedeploy.deployments').selectAll().where('id', '=', id).executeTakeFirst();
    if (!deployment || !ACTIVE_STATUSES.includes(deployment.status)) return;
    if (deployment.status !== 'InProgress') {
      const queued = await inDeployment(platform, id, (tx, current) => queue(tx, current, platform.now()));
      if (!queued) return;
      await stopOnAlarm(platform, deployment);
      const problem = await outsideProblem(platform, deployment);
      await inDeployment(platform, id, (tx, current) => start(tx, current, problem, platform.now()));
    }
    if (deployment.status === 'InProgress') await stopOnAlarm(platform, deployment);
    await inDeployment(platform, id, (tx, current) => goOn(tx, current, platform.now()));
  },

  async pending({ read }) {
    const rows = await read.selectFrom('codedeploy.deployments').select('id').where('status', 'in', ACTIVE_STATUSES).execute();
    return rows.map(({ id }) => id);
  },
};

/** Works on an active deployment alone: whoever else would change it waits. Does nothing once the deployment has ended. */
async function inDeployment<T>(
  platform: Platform,
  id: string,
  work: (tx: Transaction, deployment: Deployment) => Promise<T>,
): Promise<T | undefined> {
  return platform.transaction(async (tx) => {
    const deployment = await tx.sql.selectFrom('codedeploy.deployments').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
    if (!deployment || !ACTIVE_STATUSES.includes(deployment.status)) return undefined;
    return work(tx, deployment);
  });
}

/** From then on it is a deployment that is to be stopped, like one that a user stopped. */
async function stopOnAlarm(platform: Platform, deployment: Deployment): Promise<void> {
  if (deployment.stop_requested_at) return;
  const reason = await activeAlarm(platform, deployment);
  if (reason === undefined) return;
  await inDeployment(platform, deployment.id, async (tx, current) => {
    if (current.stop_requested_at) return;
    await tx.sql
      .updateTable('codedeploy.deployments')
      .set({ stop_requested_at: platform.now(), stopped_by_alarm: reason })
      .where('id', '=', deployment.id)
      .execute();
  });
}

/** False when it was stopped before it began. */
async function queue(tx: Transaction, deployment: Deployment, now: Date): Promise<boolean> {
  if (deployment.stop_requested_at) {
    await endDeployment(tx, deployment, { status: 'Stopped' }, now);
    return false;
  }
  if (deployment.status === 'Created') {
    await tx.sql.updateTable('codedeploy.deployments').set({ status: 'Queued' }).where('id', '=', deployment.id).execute();
  }
  return true;
}

async function start(tx: Transaction, deployment: Deployment, outside: Problem | undefined, now: Date): Promise<void> {
  if (deployment.status !== 'Queued') return;
  if (deployment.stop_requested_at) return endDeployment(tx, deployment, { status: 'Stopped' }, now);
  const problem = (await missingProblem(tx, deployment)) ?? outside ?? (await startDeployment(tx, deployment, now));
  if (problem) await endDeployment(tx, deployment, { status: 'Failed', problem }, now);
}

/** Users may delete what a deployment stands on. */
async function missingProblem(tx: Transaction, deployment: Deployment): Promise<Problem | undefined> {
  const group = await tx.sql.selectFrom('codedeploy.groups').select('id').where('id', '=', deployment.group_id).executeTakeFirst();
  if (group) return undefined;
  const application = await tx.sql
    .selectFrom('codedeploy.applications')
    .select('id')
    .where('id', '=', deployment.application_id)
    .executeTakeFirst();
  if (application) return { code: 'DEPLOYMENT_GROUP_MISSING', message: `The deployment group ${deployment.group_name} was deleted.` };
  return { code: 'APPLICATION_MISSING', message: `The application ${deployment.application_name} was deleted.` };
}

async function goOn(tx: Transaction, deployment: Deployment, now: Date): Promise<void> {
  if (deployment.status !== 'InProgress') return;
  const missing = await missingProblem(tx, deployment);
  const late = now.getTime() - deployment.started_at!.getTime() > DEPLOYMENT_LIMIT_MS;
  const problem: Problem | undefined =
    missing ?? (late ? { code: 'TIMEOUT', message: 'The deployment did not end within 8 hours.' } : undefined);
  if (problem) {
    await endTargets(tx, deployment, await lockTargets(tx, deployment, ['InProgress']), 'Failed', now);
    return endDeployment(tx, deployment, { status: 'Failed', problem }, now);
  }
  await leaveBehind(tx, deployment, now);
  await endOverdue(tx, deployment, now);
  if (deployment.stop_requested_at) return stop(tx, deployment, now);

  const progress = await progressOf(tx, deployment);
  const verdict = judge(deployment.minimum_healthy_hosts, progress);
  if (verdict.next === 'succeed') return endDeployment(tx, deployment, { status: 'Succeeded' }, now);
  if (verdict.next === 'fail') {
    return endDeployment(tx, deployment, { status: 'Failed', problem: await failureOf(tx, deployment) }, now);
  }
  if (verdict.start > 0) {
    await beginTargets(tx, deployment, await lockTargets(tx, deployment, ['Pending'], verdict.start), now);
  }
  await wakeWhenDue(tx, deployment, now);
}

function lockTargets(tx: Transaction, deployment: Deployment, statuses: Target['status'][], limit?: number): Promise<Target[]> {
  const query = tx.sql
    .selectFrom('codedeploy.targets')
    .selectAll()
    .where('deployment_id', '=', deployment.id)
    .where('status', 'in', statuses)
    .orderBy('position')
    .forUpdate();
  return (limit === undefined ? query : query.limit(limit)).execute();
}

/** Instances that were deregistered meanwhile count neither as succeeded nor as failed. */
async function leaveBehind(tx: Transaction, deployment: Deployment, now: Date): Promise<void> {
  const gone = await tx.sql
    .selectFrom('codedeploy.targets as target')
    .selectAll()
    .where('deployment_id', '=', deployment.id)
    .where('status', 'in', ['Pending', 'InProgress'])
    .where(({ exists, not, selectFrom }) =>
      not(
        exists(
          selectFrom('codedeploy.instances as instance')
            .select('instance.name')
            .where('instance.account', '=', deployment.account)
            .where('instance.region', '=', deployment.region)
            .whereRef('instance.name', '=', 'target.name')
            .where('instance.deregistered_at', 'is', null)
            .where(sql<boolean>`target.arn like '%_' || instance.suffix`),
        ),
      ),
    )
    .orderBy('position')
    .forUpdate()
    .execute();
  await endTargets(tx, deployment, gone, 'Skipped', now);
}

/** Commands that no agent took in time, and commands that an agent began and never ended. */
async function endOverdue(tx: Transaction, deployment: Deployment, now: Date): Promise<void> {
  const before = (ms: number): Date => new Date(now.getTime() - ms);
  const overdue = await tx.sql
    .selectFrom('codedeploy.events')
    .select(['target'])
    .where('deployment_id', '=', deployment.id)
    .where('queued_at', 'is not', null)
    .where('ended_at', 'is', null)
    .where(({ and, eb, or }) =>
      or([
        and([eb('started_at', 'is', null), eb('queued_at', '<=', before(START_LIMIT_MS))]),
        eb('started_at', '<=', before(RUN_LIMIT_MS)),
      ]),
    )
    .execute();
  if (overdue.length === 0) return;
  const late = new Set(overdue.map(({ target }) => target));
  for (const target of await lockTargets(tx, deployment, ['InProgress'])) {
    if (late.has(target.position)) await endIfOverdue(tx, deployment, target, now);
  }
}

async function endIfOverdue(tx: Transaction, deployment: Deployment, target: Target, now: Date): Promise<void> {
  const event = await openEvent(tx, target);
  if (!event) return;
  const since = (time: Date): number => now.getTime() - time.getTime();
  if (event.started_at ? since(event.started_at) < RUN_LIMIT_MS : since(event.queued_at!) < START_LIMIT_MS) return;
  const agent = await tx.sql.selectFrom('codedeploy.agents').select('last_seen_at').where('host', '=', target.host).executeTakeFirst();
  const diagnostics = event.started_at ? runTimeout(event.name, agent?.last_seen_at) : agentIssue(agent?.last_seen_at);
  await endEvent(tx, deployment, target, event, { status: 'Failed', diagnostics, startedAt: event.started_at }, now);
}

/** The command that a target's host has or is to get. */
function openEvent(tx: Transaction, target: Target) {
  return tx.sql
    .selectFrom('codedeploy.events')
    .selectAll()
    .where('deployment_id', '=', target.deployment_id)
    .where('target', '=', target.position)
    .where('queued_at', 'is not', null)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
}

/** Commands that no host has begun are taken back; the deployment has stopped when no host is at work. */
async function stop(tx: Transaction, deployment: Deployment, now: Date): Promise<void> {
  const targets = await lockTargets(tx, deployment, ['InProgress']);
  const open = await tx.sql
    .selectFrom('codedeploy.events')
    .select(['target', 'position', 'started_at'])
    .where('deployment_id', '=', deployment.id)
    .where('queued_at', 'is not', null)
    .where('ended_at', 'is', null)
    .execute();
  const eventOf = new Map(open.map((event) => [event.target, event]));
  const atWork = targets.filter(({ position }) => eventOf.get(position)?.started_at);
  const idle = targets.filter(({ position }) => !eventOf.get(position)?.started_at);
  // A target whose very first command was not begun is as it was before.
  const untouched = idle.filter(({ position }) => eventOf.get(position)?.position === 0);
  await endTargets(tx, deployment, untouched, 'Skipped', now);
  await endTargets(
    tx,
    deployment,
    idle.filter((target) => !untouched.includes(target)),
    'Failed',
    now,
  );
  if (atWork.length === 0) await endDeployment(tx, deployment, { status: 'Stopped' }, now);
  else await wakeWhenDue(tx, deployment, now);
}

async function progressOf(tx: Transaction, deployment: Deployment): Promise<Progress> {
  const rows = await tx.sql
    .selectFrom('codedeploy.targets')
    .select(({ fn }) => ['status', fn.countAll<number>().as('count')])
    .where('deployment_id', '=', deployment.id)
    .groupBy('status')
    .execute();
  const count = (status: Target['status']): number => rows.find((row) => row.status === status)?.count ?? 0;
  return { pending: count('Pending'), inProgress: count('InProgress'), succeeded: count('Succeeded'), failed: count('Failed') };
}

/** If every failure is that of an agent that took no command, that is what is wrong; else it is the health of the group. */
async function failureOf(tx: Transaction, deployment: Deployment): Promise<Problem> {
  const failures = await tx.sql
    .selectFrom('codedeploy.events as event')
    .innerJoin('codedeploy.targets as target', (join) =>
      join.onRef('target.deployment_id', '=', 'event.deployment_id').onRef('target.position', '=', 'event.target'),
    )
    .select(['event.started_at', 'event.diagnostics', 'target.name'])
    .where('event.deployment_id', '=', deployment.id)
    .where('event.status', '=', 'Failed')
    .where('target.status', '=', 'Failed')
    .orderBy('event.target')
    .execute();
  const [first] = failures;
  if (first && failures.every(({ started_at }) => started_at === null)) {
    return { code: 'AGENT_ISSUE', message: `On ${first.name}: ${first.diagnostics?.message}` };
  }
  return {
    code: 'HEALTH_CONSTRAINTS',
    message:
      'The overall deployment failed because too many individual instances failed deployment, too few healthy instances are available for ' +
      'deployment, or some instances in your deployment group are experiencing problems.',
  };
}

/** A timer for the first time-out, if the sweep would come too late for it. */
async function wakeWhenDue(tx: Transaction, deployment: Deployment, now: Date): Promise<void> {
  const first = await tx.sql
    .selectFrom('codedeploy.events')
    .select(({ fn }) => [fn.min('started_at').as('started'), fn.min('queued_at').filterWhere('started_at', 'is', null).as('waiting')])
    .where('deployment_id', '=', deployment.id)
    .where('queued_at', 'is not', null)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  const due = Math.min(
    first?.started ? first.started.getTime() + RUN_LIMIT_MS : Number.POSITIVE_INFINITY,
    first?.waiting ? first.waiting.getTime() + START_LIMIT_MS : Number.POSITIVE_INFINITY,
  );
  if (due - now.getTime() < SWEEP_MS) await tx.reconcile('codedeploy.deployment', deployment.id, new Date(due));
}
