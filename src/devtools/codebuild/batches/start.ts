/** StartBuildBatch and RetryBuildBatch: from a project and the caller's overrides to a batch that its reconciler drives. */
import type { Transaction } from '../../../platform/platform.ts';
import { operation, type RequestContext } from '../../../platform/service.ts';
import { reportBatchStatus } from '../build-status/report.ts';
import { checkQueue } from '../engine/queue.ts';
import { once } from '../idempotency.ts';
import { initiatorOf } from '../initiator.ts';
import { projectNameOf } from '../names.ts';
import { onProject } from '../projects.ts';
import { invalid } from '../rules.ts';
import { checkServiceRole } from '../service-role.ts';
import { lockProject } from '../start-build.ts';
import { describeBatch } from './describe.ts';
import { emitBatchChange } from './events.ts';
import { batchNotFound, onBatch } from './find.ts';
import { parseBatchId } from './names.ts';
import { drive, queueBatch } from './queue-batch.ts';
import { lockBatch, pending, turn, updateBatch } from './record.ts';
import type { BatchRow } from './tables.ts';

const MINUTE_MS = 60_000;

export const startBuildBatch = operation('codebuild', 'StartBuildBatch', {
  authorize: ({ projectName }, ctx) => onProject(ctx, projectName),
  partial: 'debugSessionEnabled is refused',
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
            return queueBatch(tx, ctx, project, { request: input, initiator: initiatorOf(ctx) });
          },
        },
      ),
    );
    return { buildBatch: describeBatch(row) };
  },
});

function findBatch(tx: Transaction, id: string): Promise<BatchRow | undefined> {
  return tx.sql.selectFrom('codebuild.build_batches').selectAll().where('id', '=', id).executeTakeFirst();
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
  await reportBatchStatus(tx, row);
  await drive(tx, row);
  return row;
}
