/** Sandboxes: started, stopped, found and listed. */
import { randomUUID } from 'node:crypto';
import type { Transaction } from '../../../platform/platform.ts';
import { type OperationContext, operation, type RequestContext } from '../../../platform/service.ts';
import { once } from '../idempotency.ts';
import { type Place, projectArn, projectNameOf } from '../names.ts';
import { mergeOverrides } from '../overrides.ts';
import { DIRECTIONS, PAGE, pageOf, startOf } from '../pages.ts';
import { findProject, onProject } from '../projects.ts';
import { invalid } from '../rules.ts';
import { lockProject } from '../start-build.ts';
import type { StoredPhase } from '../tables.ts';
import { describeSandbox, parseSandboxId, sandboxArn, sandboxId } from './describe.ts';
import { endLocked } from './record.ts';
import { SANDBOX_QUEUE_TOPIC, SANDBOX_RECONCILER, SANDBOX_STOP_TOPIC, type SandboxPhase, type SandboxRow } from './tables.ts';

const MINUTE_MS = 60_000;

export const startSandbox = operation('codebuild', 'StartSandbox', {
  authorize: ({ projectName = '*' }, ctx) => onProject(ctx, projectName),
  partial: 'sandboxes of a project with a fleet run outside of it',
  async handle(ctx, { projectName, idempotencyToken }) {
    if (projectName === undefined) throw invalid('Invalid input: projectName is a required field');
    const name = projectNameOf(ctx, projectName);
    const row = await ctx.transaction((tx) =>
      once(
        tx,
        ctx,
        idempotencyToken,
        { sandbox: name },
        {
          start: () => queueSandbox(tx, ctx, name),
          find: (id) => tx.sql.selectFrom('codebuild.sandboxes').selectAll().where('id', '=', id).executeTakeFirst(),
        },
      ),
    );
    return { sandbox: describeSandbox(row) };
  },
});

async function queueSandbox(tx: Transaction, ctx: RequestContext, name: string): Promise<SandboxRow> {
  const project = await lockProject(tx, ctx, name);
  const definition = mergeOverrides(project, { projectName: name });
  const now = ctx.now();
  const time = now.toISOString();
  const phases: StoredPhase<SandboxPhase>[] = [
    { phaseType: 'SUBMITTED', phaseStatus: 'SUCCEEDED', startTime: time, endTime: time, durationInSeconds: 0 },
    { phaseType: 'QUEUED', startTime: time },
  ];
  const row = await tx.sql
    .insertInto('codebuild.sandboxes')
    .values({
      id: randomUUID(),
      account: project.account,
      region: project.region,
      project: project.name,
      project_id: project.id,
      session: randomUUID(),
      definition: JSON.stringify(definition),
      phases: JSON.stringify(phases),
      requested_at: now,
      queue_deadline: new Date(now.getTime() + (definition.queuedTimeoutInMinutes ?? 480) * MINUTE_MS),
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  await tx.signal(SANDBOX_QUEUE_TOPIC);
  await tx.reconcile(SANDBOX_RECONCILER, row.id, row.queue_deadline);
  return row;
}

/** One that is over stays as it is. */
export const stopSandbox = operation('codebuild', 'StopSandbox', {
  authorize: ({ id }, ctx) => onSandboxes(ctx, [id]),
  async handle(ctx, { id }) {
    const { id: uuid } = await requireSandbox(ctx, id);
    const row = await ctx.transaction(async (tx) => {
      const found = await tx.sql.selectFrom('codebuild.sandboxes').selectAll().where('id', '=', uuid).forUpdate().executeTakeFirstOrThrow();
      if (found.ended_at) return found;
      if (found.owner === null && found.machine === null) {
        await endLocked(tx, ctx, found, { status: 'STOPPED', outcome: { status: 'STOPPED', contexts: [] } });
      } else {
        await tx.sql.updateTable('codebuild.sandboxes').set({ stop_requested_at: ctx.now() }).where('id', '=', uuid).execute();
        await tx.signal(SANDBOX_STOP_TOPIC, uuid);
        await tx.reconcile(SANDBOX_RECONCILER, uuid);
      }
      return tx.sql.selectFrom('codebuild.sandboxes').selectAll().where('id', '=', uuid).executeTakeFirstOrThrow();
    });
    return { sandbox: describeSandbox(row) };
  },
});

export const batchGetSandboxes = operation('codebuild', 'BatchGetSandboxes', {
  authorize: ({ ids }, ctx) => onSandboxes(ctx, ids),
  async handle(ctx, { ids }) {
    if (ids.length > PAGE) throw invalid(`Invalid input: ids must not have more than ${PAGE} items`);
    const wanted = [...new Set(ids)];
    const rows = await Promise.all(wanted.map((id) => findSandbox(ctx, id)));
    return {
      sandboxes: rows.flatMap((row) => (row ? [describeSandbox(row)] : [])),
      sandboxesNotFound: wanted.filter((_, index) => !rows[index]),
    };
  },
});

export const listSandboxes = operation('codebuild', 'ListSandboxes', {
  authorize: () => '*',
  handle: (ctx, input) => listPage(ctx, undefined, input),
});

export const listSandboxesForProject = operation('codebuild', 'ListSandboxesForProject', {
  authorize: ({ projectName }, ctx) => onProject(ctx, projectName),
  async handle(ctx, { projectName, ...input }) {
    const name = projectNameOf(ctx, projectName);
    if (!(await findProject(ctx, ctx, name)))
      throw ctx.error('ResourceNotFoundException', `Project cannot be found: ${projectArn(ctx, name)}`);
    return listPage(ctx, name, input);
  },
});

/** By id or ARN. Another account's, another region's or a malformed one finds nothing. */
export async function findSandbox(ctx: RequestContext, given: string): Promise<SandboxRow | undefined> {
  const parsed = parseSandboxId(ctx, given);
  if (!parsed) return undefined;
  return ctx.read
    .selectFrom('codebuild.sandboxes')
    .selectAll()
    .where('id', '=', parsed.id)
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .where('project', '=', parsed.project)
    .executeTakeFirst();
}

/** Throws InvalidInputException for what is no id of a sandbox, ResourceNotFoundException when there is none. */
export async function requireSandbox(ctx: OperationContext<'ResourceNotFoundException'>, given: string): Promise<SandboxRow> {
  const parsed = parseSandboxId(ctx, given);
  if (!parsed) throw invalid('Invalid sandbox ID provided');
  const row = await findSandbox(ctx, given);
  if (!row) throw ctx.error('ResourceNotFoundException', `Sandbox cannot be found: ${sandboxArn({ ...placeOf(ctx), ...parsed })}`);
  return row;
}

function placeOf({ account, region }: Place): Place {
  return { account, region };
}

/** A sandbox belongs to its project, which is what policies name. */
export function onSandboxes(ctx: RequestContext, ids: string[]) {
  const projects = new Set(ids.map((id) => parseSandboxId(ctx, id)?.project ?? '*'));
  return Promise.all([...projects].map((name) => onProject(ctx, name)));
}

interface ListInput {
  maxResults?: number;
  sortOrder?: 'ASCENDING' | 'DESCENDING';
  nextToken?: string;
}

async function listPage(
  ctx: RequestContext,
  project: string | undefined,
  { maxResults = PAGE, sortOrder = 'DESCENDING', nextToken }: ListInput,
): Promise<{ ids: string[]; nextToken: string | undefined }> {
  const scope = `codebuild:ListSandboxes:${ctx.account}:${ctx.region}:${project ?? ''}:${sortOrder}`;
  const after = startOf<{ order: string }>(ctx, scope, nextToken);
  const [direction, behind] = DIRECTIONS[sortOrder];
  let query = ctx.read
    .selectFrom('codebuild.sandboxes')
    .select(['id', 'project', 'sandbox_order'])
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region);
  if (project !== undefined) query = query.where('project', '=', project);
  if (after) query = query.where('sandbox_order', behind, after.order);
  const rows = await query
    .orderBy('sandbox_order', direction)
    .limit(maxResults + 1)
    .execute();
  const { page, nextToken: next } = pageOf(ctx, scope, rows, maxResults, (row) => ({ order: String(row.sandbox_order) }));
  return { ids: page.map(sandboxId), nextToken: next };
}
