/** StartBuild and RetryBuild: from a project and the caller's overrides to a build in the queue. */
import { randomUUID } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import type { Platform, Transaction } from '../../platform/platform.ts';
import { operation } from '../../platform/service.ts';
import type { BatchedBuild } from './batches/tables.ts';
import { reportStatus } from './build-status/report.ts';
import { describeBuild } from './describe.ts';
import { checkProjectLimit, checkQueue, nextTurn } from './engine/queue.ts';
import { emitPhaseChange, emitStateChange } from './events.ts';
import { enterFleet, requireFleet } from './fleets/find.ts';
import { once } from './idempotency.ts';
import { initiatorOf } from './initiator.ts';
import { buildArn, type Place, parseBuildId, projectArn, projectNameOf } from './names.ts';
import { mergeOverrides } from './overrides.ts';
import { onProject } from './projects.ts';
import { checkLimits, invalid } from './rules.ts';
import { checkServiceRole } from './service-role.ts';
import type { BuildDefinition, BuildRow, ProjectRow, RetryState, StartRequest, StoredPhase } from './tables.ts';
import { QUEUE_TOPIC } from './topics.ts';
import type { WebhookOrigin } from './webhooks/tables.ts';

export const RECONCILER = 'codebuild.build';

const MINUTE_MS = 60_000;

export const startBuild = operation('codebuild', 'StartBuild', {
  authorize: ({ projectName }, ctx) => onProject(ctx, projectName),
  partial: 'debugSessionEnabled is refused; imageOverride and privilegedModeOverride have no effect on the host’s tools',
  async handle(ctx, input) {
    if (input.debugSessionEnabled) throw invalid('Debug sessions are not available in this installation');
    const name = projectNameOf(ctx, input.projectName);
    checkLimits({ autoRetryLimit: input.autoRetryLimitOverride });
    if (input.serviceRoleOverride !== undefined) await checkServiceRole(ctx, input.serviceRoleOverride);
    const { idempotencyToken, ...request } = input;
    const row = await ctx.transaction((tx) =>
      once(tx, ctx, idempotencyToken, request, {
        find: (id) => findBuild(tx, id),
        async start() {
          const project = await lockProject(tx, ctx, name);
          await checkQueue(tx, ctx, ctx.account);
          await checkProjectLimit(tx, project);
          const definition = mergeOverrides(project, request);
          await requireFleet(tx.sql, ctx, definition.environment);
          return queueBuild(tx, ctx, project, { definition, request, initiator: initiatorOf(ctx) });
        },
      }),
    );
    return { build: describeBuild(row) };
  },
});

export const retryBuild = operation('codebuild', 'RetryBuild', {
  authorize: ({ id = '' }, ctx) => onProject(ctx, parseBuildId(ctx, id)?.project ?? '*'),
  async handle(ctx, { id = '', idempotencyToken }) {
    const parsed = parseBuildId(ctx, id);
    if (!parsed) throw invalid('Invalid build ID provided');
    const retried = { retry: parsed.id };
    const row = await ctx.transaction((tx) =>
      once(tx, ctx, idempotencyToken, retried, {
        find: (id) => findBuild(tx, id),
        async start() {
          const former = await tx.sql.selectFrom('codebuild.builds').selectAll().where('id', '=', parsed.id).executeTakeFirst();
          if (!former || former.account !== ctx.account || former.region !== ctx.region || former.project !== parsed.project) {
            throw ctx.error(
              'ResourceNotFoundException',
              `Build cannot be found: ${buildArn({ ...parsed, account: ctx.account, region: ctx.region })}`,
            );
          }
          if (former.status === 'IN_PROGRESS') throw invalid(`Cannot retry build ${id}: it is still in progress`);
          const project = await lockProject(tx, ctx, former.project);
          await checkQueue(tx, ctx, ctx.account);
          await checkProjectLimit(tx, project);
          const { definition, request, webhook } = former;
          await requireFleet(tx.sql, ctx, definition.environment);
          return queueBuild(tx, ctx, project, { definition, request, initiator: initiatorOf(ctx), webhook });
        },
      }),
    );
    return { build: describeBuild(row) };
  },
});

interface NewBuild {
  definition: BuildDefinition;
  request: StartRequest;
  initiator: string;
  retry?: RetryState | null;
  /** Where a batch has given it one already. */
  id?: string;
  batch?: string | null;
  batch_build?: BatchedBuild | null;
  /** The event that started it. */
  webhook?: WebhookOrigin | null;
}

function findBuild(tx: Transaction, id: string): Promise<BuildRow | undefined> {
  return tx.sql.selectFrom('codebuild.builds').selectAll().where('id', '=', id).executeTakeFirst();
}

/** In the transaction of whoever starts it, so that a build is either queued with its events or not there. */
export async function queueBuild(
  tx: Transaction,
  platform: Pick<Platform, 'now'>,
  project: ProjectRow,
  build: NewBuild,
): Promise<BuildRow> {
  const now = platform.now();
  const time = now.toISOString();
  const submitted: StoredPhase = { phaseType: 'SUBMITTED', phaseStatus: 'SUCCEEDED', startTime: time, endTime: time, durationInSeconds: 0 };
  const { builds } = await tx.sql
    .updateTable('codebuild.projects')
    .set((eb) => ({ builds: eb('builds', '+', 1) }))
    .where('id', '=', project.id)
    .returning('builds')
    .executeTakeFirstOrThrow();
  // A project made anew under an old name goes on counting after the builds that are still listed.
  const { highest } = await tx.sql
    .selectFrom('codebuild.builds')
    .select((eb) => eb.fn.max('number').as('highest'))
    .where('account', '=', project.account)
    .where('region', '=', project.region)
    .where('project', '=', project.name)
    .executeTakeFirstOrThrow();
  const number = Math.max(builds, (highest ?? 0) + 1);
  const { fleet, definition } = await enterFleet(tx, project, build.definition);
  const row = await tx.sql
    .insertInto('codebuild.builds')
    .values({
      id: build.id ?? randomUUID(),
      account: project.account,
      region: project.region,
      project: project.name,
      project_id: project.id,
      number,
      definition: JSON.stringify(definition),
      request: JSON.stringify(build.request),
      status: 'IN_PROGRESS',
      phases: JSON.stringify([submitted, { phaseType: 'QUEUED', startTime: time }]),
      initiator: build.initiator,
      started_at: now,
      queue_deadline: new Date(now.getTime() + (build.definition.queuedTimeoutInMinutes ?? 480) * MINUTE_MS),
      retry: build.retry ? JSON.stringify(build.retry) : null,
      turn: nextTurn(project),
      fleet,
      batch: build.batch ?? null,
      batch_build: build.batch_build ? JSON.stringify(build.batch_build) : null,
      webhook: build.webhook ? JSON.stringify(build.webhook) : null,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  await emitStateChange(tx, row);
  await reportStatus(tx, row);
  await emitPhaseChange(tx, row, submitted);
  await tx.signal(QUEUE_TOPIC);
  await tx.reconcile(RECONCILER, row.id, row.queue_deadline);
  return row;
}

export async function lockProject(tx: Transaction, place: Place, name: string): Promise<ProjectRow> {
  const project = await tx.sql
    .selectFrom('codebuild.projects')
    .selectAll()
    .where('account', '=', place.account)
    .where('region', '=', place.region)
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst();
  if (!project) throw new AwsError('ResourceNotFoundException', `Project cannot be found: ${projectArn(place, name)}`);
  return project;
}
