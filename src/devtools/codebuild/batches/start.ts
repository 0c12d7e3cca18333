/** StartBuildBatch and RetryBuildBatch: from a project and the caller's overrides to a batch that its reconciler drives. */
import { randomUUID } from 'node:crypto';
import type { Transaction } from '../../../platform/platform.ts';
import { type Input, operation, type RequestContext } from '../../../platform/service.ts';
import { checkQueue } from '../engine/queue.ts';
import { once } from '../idempotency.ts';
import { initiatorOf } from '../initiator.ts';
import { projectNameOf } from '../names.ts';
import { mergeOverrides } from '../overrides.ts';
import { onProject } from '../projects.ts';
import { invalid } from '../rules.ts';
import { checkServiceRole } from '../service-role.ts';
import { lockProject } from '../start-build.ts';
import type { ProjectRow, StartRequest } from '../tables.ts';
import { mergeBatchConfig } from './config.ts';
import { describeBatch } from './describe.ts';
import { emitBatchChange } from './events.ts';
import { batchNotFound, onBatch } from './find.ts';
import { BATCH_RECONCILER, DOWNLOAD_SOURCE, parseBatchId } from './names.ts';
import { lockBatch, pending, turn, updateBatch } from './record.ts';
import type { BatchRow, StoredGroup } from './tables.ts';

type BatchRequest = Input<'codebuild', 'StartBuildBatch'>;

const MINUTE_MS = 60_000;

export const startBuildBatch = operation('codebuild', 'StartBuildBatch', {
  authorize: ({ projectName }, ctx) => onProject(ctx, projectName),
  partial: 'debugSessionEnabled is refused; batchReportMode is stored, statuses of batches are not reported to git providers',
  async handle(ctx, { idempotencyToken, ...input }) {
    if (input.debugSessionEnabled) throw invalid('Debug sessions are not available in this installation');
    const name = projectNameOf(ctx, input.projectName);
    if (input.serviceRoleOverride !== undefined) await checkServiceRole(ctx, input.serviceRoleOverride);
    const batchRole = input.buildBatchConfigOverride?.serviceRole;
    if (batchRole !== undefined) await checkServiceRole(ctx, batchRole);
    const row = await ctx.transaction((tx) =>
      once(
        tx,
        ctx,
        idempotencyToken,
        { batch: input },
        {
          find: (id) => findBatch(tx, id),
          async start() {
            const project = await lockProject(tx, ctx, name);
            await checkQueue(tx, ctx, ctx.account);
            return insertBatch(tx, ctx, project, input);
          },
        },
      ),
    );
    return { buildBatch: describeBatch(row) };
  },
});

function findBatch(tx: Transaction, id: string): Promise<BatchRow> {
  return tx.sql.selectFrom('codebuild.build_batches').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
}

async function insertBatch(tx: Transaction, ctx: RequestContext, project: ProjectRow, input: BatchRequest): Promise<BatchRow> {
  const request = asStartRequest(input);
  const definition = mergeOverrides(project, request);
  const config = mergeBatchConfig(project.definition.buildBatchConfig, input.buildBatchConfigOverride);
  const now = ctx.now();
  const row = await tx.sql
    .insertInto('codebuild.build_batches')
    .values({
      id: randomUUID(),
      account: project.account,
      region: project.region,
      project: project.name,
      project_id: project.id,
      number: await nextNumber(tx, project),
      definition: JSON.stringify(definition),
      config: JSON.stringify(config),
      request: JSON.stringify(request),
      status: 'IN_PROGRESS',
      phases: JSON.stringify([{ phaseType: 'SUBMITTED', startTime: now.toISOString() }]),
      groups: JSON.stringify([downloadGroup(now)]),
      initiator: initiatorOf(ctx),
      started_at: now,
      deadline: new Date(now.getTime() + config.timeoutInMins * MINUTE_MS),
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  await emitBatchChange(tx, row);
  await drive(tx, row);
  return row;
}

function downloadGroup(now: Date): StoredGroup {
  return { identifier: DOWNLOAD_SOURCE, ignoreFailure: false, overrides: { variables: [] }, build: pending(now), prior: [] };
}

async function drive(tx: Transaction, { id, deadline }: BatchRow): Promise<void> {
  await tx.reconcile(BATCH_RECONCILER, id);
  await tx.reconcile(BATCH_RECONCILER, id, deadline);
}

/** A project made anew under an old name goes on counting after the batches that are still listed. */
async function nextNumber(tx: Transaction, project: ProjectRow): Promise<number> {
  const { batches } = await tx.sql
    .updateTable('codebuild.projects')
    .set((eb) => ({ batches: eb('batches', '+', 1) }))
    .where('id', '=', project.id)
    .returning('batches')
    .executeTakeFirstOrThrow();
  const { highest } = await tx.sql
    .selectFrom('codebuild.build_batches')
    .select((eb) => eb.fn.max('number').as('highest'))
    .where('account', '=', project.account)
    .where('region', '=', project.region)
    .where('project', '=', project.name)
    .executeTakeFirstOrThrow();
  return Math.max(batches, (highest ?? 0) + 1);
}

/** The overrides of a batch are those of a build, but for two names and what is the batch's own. */
function asStartRequest(input: BatchRequest): StartRequest {
  const { buildTimeoutInMinutesOverride, reportBuildBatchStatusOverride, buildBatchConfigOverride: _, ...same } = input;
  return {
    ...same,
    ...(buildTimeoutInMinutesOverride === undefined ? {} : { timeoutInMinutesOverride: buildTimeoutInMinutesOverride }),
    ...(reportBuildBatchStatusOverride === undefined ? {} : { reportBuildStatusOverride: reportBuildBatchStatusOverride }),
  };
}

/** The same batch again, with its builds of before as the prior ones. */
export const retryBuildBatch = operation('codebuild', 'RetryBuildBatch', {
  authorize: ({ id = '' }, ctx) => onBatch(ctx, [id]),
  async handle(ctx, { id = '', idempotencyToken, retryType = 'RETRY_ALL_BUILDS' }) {
    const parsed = parseBatchId(ctx, id);
    if (!parsed) throw invalid('Invalid build batch ID provided');
    const row = await ctx.transaction((tx) =>
      once(
        tx,
        ctx,
        idempotencyToken,
        { retryBatch: parsed.id, retryType },
        {
          find: (known) => findBatch(tx, known),
          async start() {
            const batch = await lockBatch(tx, parsed.id);
            if (batch?.account !== ctx.account || batch.region !== ctx.region || batch.project !== parsed.project)
              throw batchNotFound(ctx, parsed);
            if (batch.status === 'IN_PROGRESS') throw invalid(`Cannot retry build batch ${id}: it is still in progress`);
            if (batch.status === 'SUCCEEDED') throw invalid(`Cannot retry build batch ${id}: only batches that have failed can be retried`);
            await lockProject(tx, ctx, batch.project);
            return beginAgain(tx, ctx, batch, retryType === 'RETRY_FAILED_BUILDS');
          },
        },
      ),
    );
    return { buildBatch: describeBatch(row) };
  },
});

async function beginAgain(tx: Transaction, ctx: RequestContext, batch: BatchRow, failedOnly: boolean): Promise<BatchRow> {
  const now = ctx.now();
  const builds = await tx.sql.selectFrom('codebuild.builds').select('id').where('batch', '=', batch.id).execute();
  const begun = new Set(builds.map(({ id }) => id));
  const groups = batch.groups.map((group) => {
    if (failedOnly && group.build.status === 'SUCCEEDED') return group;
    // A build that never began has left nothing to be shown.
    const prior = begun.has(group.build.id) ? [...group.prior, group.build] : group.prior;
    return { ...group, build: pending(now), prior };
  });
  const row = await updateBatch(tx, batch.id, {
    status: 'IN_PROGRESS',
    ended_at: null,
    ending: null,
    artifacts: null,
    groups: JSON.stringify(groups),
    phases: JSON.stringify(turn(batch.phases, 'SUBMITTED', { status: 'FAILED', contexts: [] }, now)),
    deadline: new Date(now.getTime() + batch.config.timeoutInMins * MINUTE_MS),
  });
  await emitBatchChange(tx, row);
  await drive(tx, row);
  return row;
}
