/** GetPipelineState: every stage and action as it stands now. */
import type { Reader } from '../../platform/platform.ts';
import { operation, type ShapeOf } from '../../platform/service.ts';
import { arnOf } from './arns.ts';
import { declarationOf, findPipeline } from './find-pipeline.ts';
import type { ActionDeclaration, ActionRunRow, StageRunRow } from './tables.ts';
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
    const latest = await latestInStages(ctx.read, pipeline.id);
    const runs = await runsOf(ctx.read, [...latest.values()]);
    const stageStates = declaration.stages.map((stage, index): StageState => {
      const execution = latest.get(stage.name);
      const inbound = waiting
        .filter((one) => one.stage === index)
        .map(({ id }) => ({ pipelineExecutionId: id, status: 'InProgress' as const }));
      const transition = transitions.find((row) => row.stage === stage.name);
      return {
        stageName: stage.name,
        inboundExecution: inbound[0],
        inboundExecutions: inbound,
        inboundTransitionState: {
          enabled: transition?.enabled ?? true,
          lastChangedBy: transition?.changed_by,
          lastChangedAt: transition?.changed_at,
          disabledReason: transition?.reason ?? undefined,
        },
        actionStates: stage.actions.map((action) =>
          actionState(
            action,
            runs.findLast((run) => run.stage === stage.name && run.action === action.name && run.execution_id === execution?.execution_id),
          ),
        ),
        latestExecution: execution && { pipelineExecutionId: execution.execution_id, status: execution.status, type: 'STANDARD' },
      };
    });
    return {
      pipelineName: name,
      pipelineVersion: pipeline.version,
      stageStates,
      created: pipeline.created_at,
      updated: pipeline.updated_at,
    };
  },
});

/** By stage, the execution that was in it last. */
async function latestInStages(read: Reader, pipelineId: string): Promise<Map<string, StageRunRow>> {
  const rows = await read
    .selectFrom('codepipeline.stage_runs')
    .innerJoin('codepipeline.executions', 'codepipeline.executions.id', 'codepipeline.stage_runs.execution_id')
    .selectAll('codepipeline.stage_runs')
    .distinctOn('codepipeline.stage_runs.stage')
    .where('codepipeline.executions.pipeline_id', '=', pipelineId)
    .orderBy('codepipeline.stage_runs.stage')
    .orderBy('codepipeline.executions.sequence', 'desc')
    .execute();
  return new Map(rows.map((row) => [row.stage, row]));
}

/** Every action run of these executions, the oldest first. */
async function runsOf(read: Reader, stageRuns: StageRunRow[]): Promise<ActionRunRow[]> {
  if (stageRuns.length === 0) return [];
  const ids = [...new Set(stageRuns.map((run) => run.execution_id))];
  return read.selectFrom('codepipeline.action_runs').selectAll().where('execution_id', 'in', ids).orderBy('sequence').execute();
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
