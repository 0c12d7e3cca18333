/** GetPipelineState: every stage and action as it stands now. */
import { operation, type ShapeOf } from '../../platform/service.ts';
import { arnOf } from './arns.ts';
import { declarationOf, findPipeline } from './find-pipeline.ts';
import type { ActionDeclaration, ActionRunRow, StageDeclaration, StageRunRow } from './tables.ts';
import './tables.ts';

type StageState = ShapeOf<'codepipeline', 'StageState'>;

export const getPipelineState = operation('codepipeline', 'GetPipelineState', {
  authorize: ({ name }, ctx) => arnOf(ctx, name),
  async handle(ctx, { name }) {
    const pipeline = await findPipeline(ctx, name);
    const declaration = (await declarationOf(ctx.read, pipeline.id, pipeline.version))!;
    const transitions = await ctx.read.selectFrom('codepipeline.transitions').selectAll().where('pipeline_id', '=', pipeline.id).execute();
    const waiting = await ctx.read
      .selectFrom('codepipeline.executions')
      .selectAll()
      .where((eb) => eb.and({ pipeline_id: pipeline.id, inside: false }))
      .where('status', 'in', ['InProgress', 'Stopping'])
      .orderBy('sequence', 'desc')
      .execute();
    const stageStates: StageState[] = [];
    for (const [index, stage] of declaration.stages.entries()) {
      const latest = await latestIn(ctx, pipeline.id, stage.name);
      const inbound = waiting
        .filter((execution) => execution.stage === index)
        .map((execution) => ({ pipelineExecutionId: execution.id, status: 'InProgress' as const }));
      const transition = transitions.find((row) => row.stage === stage.name);
      stageStates.push({
        stageName: stage.name,
        inboundExecution: inbound[0],
        inboundExecutions: inbound,
        inboundTransitionState: {
          enabled: transition?.enabled ?? true,
          lastChangedBy: transition?.changed_by,
          lastChangedAt: transition?.changed_at,
          disabledReason: transition?.reason ?? undefined,
        },
        actionStates: await actionStates(ctx, latest?.execution_id, stage),
        latestExecution: latest && { pipelineExecutionId: latest.execution_id, status: latest.status, type: 'STANDARD' },
      });
    }
    return {
      pipelineName: name,
      pipelineVersion: pipeline.version,
      stageStates,
      created: pipeline.created_at,
      updated: pipeline.updated_at,
    };
  },
});

type Reading = Parameters<Parameters<typeof operation>[2]['handle']>[0];

/** The execution that was in the stage last. */
function latestIn(ctx: Pick<Reading, 'read'>, pipelineId: string, stage: string): Promise<StageRunRow | undefined> {
  return ctx.read
    .selectFrom('codepipeline.stage_runs')
    .innerJoin('codepipeline.executions', 'codepipeline.executions.id', 'codepipeline.stage_runs.execution_id')
    .selectAll('codepipeline.stage_runs')
    .where('codepipeline.executions.pipeline_id', '=', pipelineId)
    .where('codepipeline.stage_runs.stage', '=', stage)
    .orderBy('codepipeline.executions.sequence', 'desc')
    .limit(1)
    .executeTakeFirst();
}

async function actionStates(
  ctx: Pick<Reading, 'read'>,
  executionId: string | undefined,
  stage: StageDeclaration,
): Promise<ShapeOf<'codepipeline', 'ActionState'>[]> {
  const rows = executionId
    ? await ctx.read
        .selectFrom('codepipeline.action_runs')
        .selectAll()
        .where((eb) => eb.and({ execution_id: executionId, stage: stage.name }))
        .orderBy('sequence')
        .execute()
    : [];
  const latest = new Map(rows.map((row) => [row.action, row]));
  return stage.actions.map((action) => actionState(action, latest.get(action.name)));
}

function actionState(action: ActionDeclaration, run: ActionRunRow | undefined): ShapeOf<'codepipeline', 'ActionState'> {
  if (!run) return { actionName: action.name };
  const waiting = run.status === 'InProgress';
  return {
    actionName: action.name,
    currentRevision: run.revision
      ? {
          revisionId: run.revision.id,
          revisionChangeId: run.revision.id.slice(0, 100),
          created: new Date(run.revision.created ?? run.updated_at),
        }
      : undefined,
    latestExecution: {
      actionExecutionId: run.id,
      status: run.status,
      summary: run.summary ?? undefined,
      lastStatusChange: run.updated_at,
      token: waiting ? (run.token ?? undefined) : undefined,
      lastUpdatedBy: run.updated_by ?? undefined,
      externalExecutionId: externalId(run),
      externalExecutionUrl: run.external_url ?? undefined,
      errorDetails: run.error ?? undefined,
    },
  };
}

/** An approval's own id stands in for what is outside; nobody else needs to see it. */
export function externalId(run: ActionRunRow): string | undefined {
  return run.external_id === run.id ? undefined : (run.external_id ?? undefined);
}
