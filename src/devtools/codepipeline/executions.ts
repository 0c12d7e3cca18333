/** Starting, stopping and looking at executions. */
import type { Reader, Transaction } from '../../platform/platform.ts';
import { type OperationContext, operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { arnOf } from './arns.ts';
import { lockPipeline } from './engine.ts';
import { pipelineEvent } from './events.ts';
import { declarationOf, findPipeline, pipelineNotFound } from './find-pipeline.ts';
import { PIPELINE } from './kinds.ts';
import { startExecution, type Trigger } from './start.ts';
import type { ActionRunRow, Declaration, ExecutionRow, PipelineRow } from './tables.ts';
import './tables.ts';

/** QUEUED and PARALLEL executions that may be under way at once. */
const MAX_CONCURRENT = 50;
const PAGE = 100;

/** Who starts: a rule of EventBridge acts inside Penstock, in a session named after the rule. */
function triggerOf(ctx: RequestContext): Trigger {
  const { principal } = ctx;
  if (!ctx.http && ctx.userAgent === 'events.amazonaws.com' && principal.type === 'AssumedRole') {
    return { type: 'CloudWatchEvent', detail: `arn:aws:events:${ctx.region}:${ctx.account}:rule/${principal.sessionName}` };
  }
  return { type: 'StartPipelineExecution', detail: principal.arn };
}

export const startPipelineExecution = operation('codepipeline', 'StartPipelineExecution', {
  authorize: ({ name }, ctx) => arnOf(ctx, name),
  async handle(ctx, { name, variables = [], clientRequestToken, sourceRevisions = [] }) {
    const pipeline = await findPipeline(ctx, name);
    const declaration = (await declarationOf(ctx.read, pipeline.id, pipeline.version))!;
    checkVariables(ctx, declaration, variables);
    checkRevisions(ctx, declaration, sourceRevisions);
    const pipelineExecutionId = await ctx.transaction(async (tx) => {
      if (!(await lockPipeline(tx, pipeline.id))) throw pipelineNotFound(ctx, name);
      await requireRoom(ctx, tx, pipeline, clientRequestToken);
      return startExecution(tx, pipeline, declaration, triggerOf(ctx), ctx.now(), {
        clientToken: clientRequestToken,
        variables: Object.fromEntries(variables.map((variable) => [variable.name, variable.value])),
        sourceRevisions,
      });
    });
    return { pipelineExecutionId };
  },
});

/** A repeated request is not another execution, however many are under way. */
async function requireRoom(
  ctx: OperationContext<'ConcurrentPipelineExecutionsLimitExceededException'>,
  tx: Transaction,
  pipeline: PipelineRow,
  token: string | undefined,
): Promise<void> {
  if (pipeline.execution_mode === 'SUPERSEDED') return;
  const active = await tx.sql
    .selectFrom('codepipeline.executions')
    .select('client_token')
    .where('pipeline_id', '=', pipeline.id)
    .where((eb) => eb.or([eb('status', 'in', ['InProgress', 'Stopping']), eb('client_token', '=', token ?? null)]))
    .execute();
  if (active.length < MAX_CONCURRENT || (token !== undefined && active.some(({ client_token }) => client_token === token))) return;
  throw ctx.error(
    'ConcurrentPipelineExecutionsLimitExceededException',
    `Pipeline '${pipeline.name}' has ${MAX_CONCURRENT} executions under way, which is the most it may have.`,
  );
}

function checkVariables(ctx: OperationContext<'ValidationException'>, declaration: Declaration, given: { name: string }[]): void {
  const declared = declaration.variables ?? [];
  const unknown = given.find(({ name }) => !declared.some((variable) => variable.name === name));
  if (unknown) throw ctx.error('ValidationException', `Variable '${unknown.name}' is not declared in pipeline '${declaration.name}'.`);
  const missing = declared.find(
    ({ name, defaultValue }) => defaultValue === undefined && !given.some((variable) => variable.name === name),
  );
  if (missing) throw ctx.error('ValidationException', `Variable '${missing.name}' has no default value and was not given one.`);
}

const REVISION_TYPES: Record<string, string[]> = { CodeCommit: ['COMMIT_ID'], S3: ['S3_OBJECT_VERSION_ID', 'S3_OBJECT_KEY'] };

function checkRevisions(
  ctx: OperationContext<'ValidationException'>,
  { stages }: Declaration,
  given: ShapeOf<'codepipeline', 'SourceRevisionOverride'>[],
): void {
  for (const { actionName, revisionType } of given) {
    const source = stages[0]!.actions.find((action) => action.name === actionName);
    if (!source) throw ctx.error('ValidationException', `The pipeline has no source action '${actionName}'.`);
    if (!REVISION_TYPES[source.actionTypeId.provider]?.includes(revisionType)) {
      throw ctx.error('ValidationException', `Source action '${actionName}' does not take revisions of type ${revisionType}.`);
    }
    if (revisionType === 'S3_OBJECT_KEY' && source.configuration?.AllowOverrideForS3ObjectKey !== 'true') {
      throw ctx.error(
        'ValidationException',
        `Source action '${actionName}' does not allow S3_OBJECT_KEY: AllowOverrideForS3ObjectKey is not true.`,
      );
    }
  }
}

export async function findExecution(
  ctx: OperationContext<'PipelineExecutionNotFoundException'>,
  pipeline: PipelineRow,
  id: string,
): Promise<ExecutionRow> {
  const row = await ctx.read
    .selectFrom('codepipeline.executions')
    .selectAll()
    .where((eb) => eb.and({ pipeline_id: pipeline.id, id }))
    .executeTakeFirst();
  if (row) return row;
  throw ctx.error('PipelineExecutionNotFoundException', `Execution '${id}' of pipeline '${pipeline.name}' does not exist.`);
}

export const stopPipelineExecution = operation('codepipeline', 'StopPipelineExecution', {
  authorize: ({ pipelineName }, ctx) => arnOf(ctx, pipelineName),
  async handle(ctx, { pipelineName, pipelineExecutionId, abandon = false, reason }) {
    const pipeline = await findPipeline(ctx, pipelineName);
    const notStoppable = (why: string): Error => ctx.error('PipelineExecutionNotStoppableException', why);
    await ctx.transaction(async (tx) => {
      const execution = await tx.sql
        .selectFrom('codepipeline.executions')
        .selectAll()
        .where((eb) => eb.and({ pipeline_id: pipeline.id, id: pipelineExecutionId }))
        .forUpdate()
        .executeTakeFirst();
      if (!execution) throw notStoppable(`The execution '${pipelineExecutionId}' of pipeline '${pipelineName}' does not exist.`);
      if (execution.status !== 'InProgress' && execution.status !== 'Stopping') {
        throw notStoppable(`The execution '${pipelineExecutionId}' is in the status ${execution.status} and cannot be stopped.`);
      }
      if (execution.stop === 'abandon' || (execution.stop === 'wait' && !abandon)) {
        throw ctx.error('DuplicatedStopRequestException', `The execution '${pipelineExecutionId}' is being stopped already.`);
      }
      const stopping: ExecutionRow = { ...execution, status: 'Stopping', stop: abandon ? 'abandon' : 'wait', stop_reason: reason ?? null };
      await tx.sql
        .updateTable('codepipeline.executions')
        .set({ status: stopping.status, stop: stopping.stop, stop_reason: stopping.stop_reason, updated_at: ctx.now() })
        .where('id', '=', execution.id)
        .execute();
      if (execution.status === 'InProgress') await tx.emit(pipelineEvent(pipeline, stopping, 'STOPPING', ctx.now()));
      await tx.reconcile(PIPELINE, pipeline.id);
    });
    return { pipelineExecutionId };
  },
});

function triggerShape(row: ExecutionRow): ShapeOf<'codepipeline', 'ExecutionTrigger'> {
  return { triggerType: row.trigger_type, triggerDetail: row.trigger_detail };
}

/** The latest run of each source action. */
async function sourceRuns(read: Reader, executionIds: string[]): Promise<ActionRunRow[]> {
  if (executionIds.length === 0) return [];
  const rows = await read
    .selectFrom('codepipeline.action_runs')
    .selectAll()
    .where('execution_id', 'in', executionIds)
    .where('revision', 'is not', null)
    .orderBy('sequence')
    .execute();
  const latest = new Map(rows.map((row) => [`${row.execution_id}/${row.action}`, row]));
  return [...latest.values()];
}

export const getPipelineExecution = operation('codepipeline', 'GetPipelineExecution', {
  authorize: ({ pipelineName }, ctx) => arnOf(ctx, pipelineName),
  async handle(ctx, { pipelineName, pipelineExecutionId }) {
    const pipeline = await findPipeline(ctx, pipelineName);
    const row = await findExecution(ctx, pipeline, pipelineExecutionId);
    const runs = await sourceRuns(ctx.read, [row.id]);
    return {
      pipelineExecution: {
        pipelineName,
        pipelineVersion: row.version,
        pipelineExecutionId: row.id,
        status: row.status,
        statusSummary: row.status_summary ?? undefined,
        artifactRevisions: runs.map(({ revision, output_artifacts }) => ({
          name: output_artifacts[0]?.name,
          revisionId: revision!.id,
          revisionSummary: revision!.summary,
          revisionUrl: revision!.url,
          created: revision!.created ? new Date(revision!.created) : undefined,
        })),
        variables: Object.entries(row.variables).map(([name, resolvedValue]) => ({ name, resolvedValue })),
        trigger: triggerShape(row),
        executionMode: row.mode,
        executionType: 'STANDARD' as const,
      },
    };
  },
});

export const listPipelineExecutions = operation('codepipeline', 'ListPipelineExecutions', {
  authorize: ({ pipelineName }, ctx) => arnOf(ctx, pipelineName),
  async handle(ctx, { pipelineName, maxResults = PAGE, nextToken, filter }) {
    const pipeline = await findPipeline(ctx, pipelineName);
    const succeededIn = filter?.succeededInStage?.stageName;
    const scope = `codepipeline:ListPipelineExecutions:${pipeline.id}:${succeededIn ?? ''}`;
    const before = nextToken === undefined ? Number.MAX_SAFE_INTEGER : ctx.paging.open<number>(scope, nextToken);
    if (before === undefined) throw ctx.error('InvalidNextTokenException', 'The next token is not valid.');
    let query = ctx.read
      .selectFrom('codepipeline.executions')
      .selectAll()
      .where('pipeline_id', '=', pipeline.id)
      .where('sequence', '<', before);
    if (succeededIn !== undefined) {
      query = query.where('id', 'in', (eb) =>
        eb
          .selectFrom('codepipeline.stage_runs')
          .select('execution_id')
          .where((inner) => inner.and({ stage: succeededIn, status: 'Succeeded' })),
      );
    }
    const rows = await query
      .orderBy('sequence', 'desc')
      .limit(maxResults + 1)
      .execute();
    const page = rows.slice(0, maxResults);
    const runs = await sourceRuns(
      ctx.read,
      page.map((row) => row.id),
    );
    return {
      pipelineExecutionSummaries: page.map((row) => ({
        pipelineExecutionId: row.id,
        status: row.status,
        statusSummary: row.status_summary ?? undefined,
        startTime: row.started_at,
        lastUpdateTime: row.updated_at,
        sourceRevisions: runs
          .filter((run) => run.execution_id === row.id)
          .map(({ action, revision }) => ({
            actionName: action,
            revisionId: revision!.id,
            revisionSummary: revision!.summary,
            revisionUrl: revision!.url,
          })),
        trigger: triggerShape(row),
        stopTrigger: row.stop ? { reason: row.stop_reason ?? undefined } : undefined,
        executionMode: row.mode,
        executionType: 'STANDARD' as const,
      })),
      nextToken: rows.length > maxResults ? ctx.paging.seal(scope, page.at(-1)!.sequence) : undefined,
    };
  },
});
