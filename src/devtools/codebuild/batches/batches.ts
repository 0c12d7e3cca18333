/** Batches that were started: found, listed, stopped, deleted. */
import { operation, type RequestContext } from '../../../platform/service.ts';
import { requestStop } from '../engine/stop.ts';
import { buildArn, buildId, type Place, projectArn, projectNameOf } from '../names.ts';
import { DIRECTIONS, PAGE, pageOf, startOf } from '../pages.ts';
import { findProject, onProject } from '../projects.ts';
import { invalid } from '../rules.ts';
import { describeBatch } from './describe.ts';
import { batchNotFound, findBatches, onBatch } from './find.ts';
import { BATCH_RECONCILER, batchOverTopic, parseBatchId } from './names.ts';
import { lockBatch, updateBatch } from './record.ts';
import type { BatchRow } from './tables.ts';

export const batchGetBuildBatches = operation('codebuild', 'BatchGetBuildBatches', {
  authorize: ({ ids }, ctx) => onBatch(ctx, ids),
  async handle(ctx, { ids }) {
    const wanted = [...new Set(ids)];
    const found = await findBatches(ctx, wanted);
    return {
      buildBatches: wanted.flatMap((id) => {
        const row = found.get(id);
        return row ? [describeBatch(row)] : [];
      }),
      buildBatchesNotFound: wanted.filter((id) => !found.has(id)),
    };
  },
});

export const listBuildBatches = operation('codebuild', 'ListBuildBatches', {
  authorize: () => '*',
  handle: (ctx, input) => listPage(ctx, undefined, input),
});

export const listBuildBatchesForProject = operation('codebuild', 'ListBuildBatchesForProject', {
  authorize: ({ projectName }, ctx) => (projectName === undefined ? '*' : onProject(ctx, projectName)),
  async handle(ctx, { projectName, ...input }) {
    if (projectName === undefined) throw invalid('Invalid project name: projectName is a required field');
    const name = projectNameOf(ctx, projectName);
    if (!(await findProject(ctx, ctx, name)))
      throw ctx.error('ResourceNotFoundException', `Project cannot be found: ${projectArn(ctx, name)}`);
    return listPage(ctx, name, input);
  },
});

interface ListInput {
  filter?: { status?: BatchRow['status'] };
  maxResults?: number;
  sortOrder?: 'ASCENDING' | 'DESCENDING';
  nextToken?: string;
}

async function listPage(ctx: RequestContext, project: string | undefined, input: ListInput) {
  const { filter, maxResults = PAGE, sortOrder = 'DESCENDING', nextToken } = input;
  const scope = `codebuild:ListBuildBatches:${ctx.account}:${ctx.region}:${project ?? ''}:${filter?.status ?? ''}:${sortOrder}`;
  const after = startOf<{ order: string }>(ctx, scope, nextToken);
  const [direction, behind] = DIRECTIONS[sortOrder];
  let query = ctx.read
    .selectFrom('codebuild.build_batches')
    .select(['id', 'project', 'batch_order'])
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region);
  if (project !== undefined) query = query.where('project', '=', project);
  if (filter?.status !== undefined) query = query.where('status', '=', filter.status);
  if (after) query = query.where('batch_order', behind, after.order);
  const rows = await query
    .orderBy('batch_order', direction)
    .limit(maxResults + 1)
    .execute();
  const { page, nextToken: next } = pageOf(ctx, scope, rows, maxResults, (row) => ({ order: String(row.batch_order) }));
  return { ids: page.map(buildId), nextToken: next };
}

/** How long StopBuildBatch waits for the batch to be over, so that its answer shows it STOPPED as on AWS. */
const STOP_WAIT_MS = 2_000;

export const stopBuildBatch = operation('codebuild', 'StopBuildBatch', {
  authorize: ({ id }, ctx) => onBatch(ctx, [id]),
  async handle(ctx, { id }) {
    const parsed = parseBatchId(ctx, id);
    if (!parsed) throw invalid('Invalid build batch ID provided');
    const row = (await findBatches(ctx, [id])).get(id);
    if (!row) throw batchNotFound(ctx, parsed);
    if (row.status === 'IN_PROGRESS') await stopAndWait(ctx, row.id);
    return { buildBatch: describeBatch((await findBatches(ctx, [id])).get(id) ?? row) };
  },
});

/** From the commit on no further build starts; those that run are told here, and once more by the reconciler. */
async function stopAndWait(ctx: RequestContext, id: string): Promise<void> {
  const over = ctx.signals.wait(batchOverTopic(id), STOP_WAIT_MS);
  await ctx.transaction(async (tx) => {
    const batch = await lockBatch(tx, id);
    if (batch?.status !== 'IN_PROGRESS') return;
    if (batch.ending === null) await updateBatch(tx, id, { ending: 'STOPPED' });
    await tx.reconcile(BATCH_RECONCILER, id);
  });
  const running = await ctx.read
    .selectFrom('codebuild.builds')
    .select('id')
    .where('batch', '=', id)
    .where('status', '=', 'IN_PROGRESS')
    .execute();
  await Promise.all(running.map((build) => requestStop(ctx, build.id)));
  const now = await ctx.read.selectFrom('codebuild.build_batches').select('status').where('id', '=', id).executeTakeFirst();
  if (now?.status === 'IN_PROGRESS') await over;
}

/** Takes the batch's builds along, as on AWS. */
export const deleteBuildBatch = operation('codebuild', 'DeleteBuildBatch', {
  authorize: ({ id }, ctx) => onBatch(ctx, [id]),
  async handle(ctx, { id }) {
    const parsed = parseBatchId(ctx, id);
    if (!parsed) throw invalid('Invalid build batch ID provided');
    const row = (await findBatches(ctx, [id])).get(id);
    if (!row) throw invalid(`Build batch cannot be found: ${id}`);
    const deleted = await ctx.transaction(async (tx) => {
      const batch = await lockBatch(tx, row.id);
      if (batch?.status === 'IN_PROGRESS') throw invalid(`Cannot delete build batch ${id}: it is still in progress`);
      await tx.sql.deleteFrom('codebuild.build_batches').where('id', '=', row.id).execute();
      return tx.sql.deleteFrom('codebuild.builds').where('batch', '=', row.id).returning(['id', 'project', 'account', 'region']).execute();
    });
    return {
      statusCode: 'BATCH_DELETED',
      buildsDeleted: deleted.map((build: Place & { project: string; id: string }) => buildArn(build)),
      buildsNotDeleted: [],
    };
  },
});
