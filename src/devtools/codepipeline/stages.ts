/** Transitions between stages, and trying a failed stage again. */
import { type OperationContext, operation } from '../../platform/service.ts';
import { arnOf } from './arns.ts';
import { lockPipeline } from './engine.ts';
import { pipelineEvent, stageEvent } from './events.ts';
import { declarationOf, findPipeline } from './find-pipeline.ts';
import { PIPELINE } from './kinds.ts';
import type { ActionDeclaration, Declaration, ExecutionRow, PipelineRow } from './tables.ts';
import './tables.ts';

async function requireStage(
  ctx: OperationContext<'PipelineNotFoundException' | 'StageNotFoundException'>,
  pipelineName: string,
  stageName: string,
): Promise<{ pipeline: PipelineRow; index: number }> {
  const pipeline = await findPipeline(ctx, pipelineName);
  const declaration = await declarationOf(ctx.read, pipeline.id, pipeline.version);
  const index = declaration!.stages.findIndex(({ name }) => name === stageName);
  if (index < 0) throw ctx.error('StageNotFoundException', `Pipeline '${pipelineName}' does not have a stage '${stageName}'`);
  return { pipeline, index };
}

async function setTransition(
  ctx: OperationContext<'PipelineNotFoundException' | 'StageNotFoundException'>,
  input: { pipelineName: string; stageName: string; transitionType: 'Inbound' | 'Outbound'; reason?: string },
): Promise<Record<string, never>> {
  const { pipeline, index } = await requireStage(ctx, input.pipelineName, input.stageName);
  // AWS documents "Outbound" and has never offered it.
  if (input.transitionType !== 'Inbound') throw ctx.error('ValidationException', 'Only the transition type Inbound is supported.');
  if (index === 0) throw ctx.error('ValidationException', `The first stage '${input.stageName}' has no inbound transition.`);
  const values = {
    enabled: input.reason === undefined,
    reason: input.reason ?? null,
    changed_by: ctx.principal.arn,
    changed_at: ctx.now(),
  };
  await ctx.transaction(async (tx) => {
    await tx.sql
      .insertInto('codepipeline.transitions')
      .values({ pipeline_id: pipeline.id, stage: input.stageName, ...values })
      .onConflict((conflict) => conflict.columns(['pipeline_id', 'stage']).doUpdateSet(values))
      .execute();
    await tx.reconcile(PIPELINE, pipeline.id);
  });
  return {};
}

export const disableStageTransition = operation('codepipeline', 'DisableStageTransition', {
  authorize: ({ pipelineName, stageName }, ctx) => arnOf(ctx, pipelineName, stageName),
  handle: (ctx, input) => setTransition(ctx, input),
});

export const enableStageTransition = operation('codepipeline', 'EnableStageTransition', {
  authorize: ({ pipelineName, stageName }, ctx) => arnOf(ctx, pipelineName, stageName),
  handle: (ctx, { pipelineName, stageName, transitionType }) => setTransition(ctx, { pipelineName, stageName, transitionType }),
});

export const retryStageExecution = operation('codepipeline', 'RetryStageExecution', {
  authorize: ({ pipelineName, stageName }, ctx) => arnOf(ctx, pipelineName, stageName),
  async handle(ctx, { pipelineName, stageName, pipelineExecutionId, retryMode }) {
    const { pipeline } = await requireStage(ctx, pipelineName, stageName);
    await ctx.transaction(async (tx) => {
      // One writer at a time on a pipeline's executions: the engine takes the same lock.
      await lockPipeline(tx, pipeline.id);
      const execution = await tx.sql
        .selectFrom('codepipeline.executions')
        .selectAll()
        .where((eb) => eb.and({ pipeline_id: pipeline.id, id: pipelineExecutionId }))
        .executeTakeFirst();
      const run = await tx.sql
        .selectFrom('codepipeline.stage_runs')
        .selectAll()
        .where((eb) => eb.and({ execution_id: pipelineExecutionId, stage: stageName }))
        .executeTakeFirst();
      if (!execution || !run || (run.status !== 'Failed' && run.status !== 'Stopped')) {
        throw ctx.error(
          'StageNotRetryableException',
          `Stage '${stageName}' of execution '${pipelineExecutionId}' is not in a failed or stopped state.`,
        );
      }
      await requireSameStructure(ctx, tx.sql, pipeline, execution, stageName);
      await requireLatest(ctx, tx.sql, pipeline, execution, stageName);
      await requireFree(ctx, tx.sql, pipeline, execution, stageName);
      await tx.sql
        .updateTable('codepipeline.stage_runs')
        .set({ status: 'InProgress', attempt: run.attempt + 1, updated_at: ctx.now() })
        .where((eb) => eb.and({ execution_id: execution.id, stage: stageName }))
        .execute();
      if (retryMode === 'ALL_ACTIONS') {
        // Runs of earlier attempts count only while they succeeded: what is to run again must not.
        await tx.sql
          .updateTable('codepipeline.action_runs')
          .set({ attempt: 0 })
          .where((eb) => eb.and({ execution_id: execution.id, stage: stageName }))
          .execute();
      }
      const resumed: ExecutionRow = { ...execution, status: 'InProgress', inside: true, stop: null, stop_reason: null };
      await tx.sql
        .updateTable('codepipeline.executions')
        .set({ status: 'InProgress', inside: true, stop: null, stop_reason: null, updated_at: ctx.now() })
        .where('id', '=', execution.id)
        .execute();
      await tx.emit(pipelineEvent(pipeline, resumed, 'RESUMED', ctx.now()));
      await tx.emit(stageEvent(pipeline, resumed, stageName, 'RESUMED', ctx.now()));
      await tx.reconcile(PIPELINE, pipeline.id);
    });
    return { pipelineExecutionId };
  },
});

type Reads = Pick<OperationContext<never>['read'], 'selectFrom'>;

const skeleton = ({ stages }: Declaration): string => JSON.stringify(stages.map(({ name, actions }) => [name, actions.map(nameAndType)]));
const nameAndType = ({ name, actionTypeId }: ActionDeclaration) => [name, actionTypeId.category, actionTypeId.provider];

/** An execution goes on in its own version of the pipeline, so it may not differ in stages and actions from the current one. */
async function requireSameStructure(
  ctx: OperationContext<'StageNotRetryableException'>,
  read: Reads,
  pipeline: PipelineRow,
  execution: ExecutionRow,
  stage: string,
): Promise<void> {
  if (execution.version === pipeline.version) return;
  const mine = await declarationOf(read, pipeline.id, execution.version);
  const current = await declarationOf(read, pipeline.id, pipeline.version);
  if (skeleton(mine!) === skeleton(current!)) return;
  throw ctx.error(
    'StageNotRetryableException',
    `Stage '${stage}' cannot be retried: the structure of the pipeline has changed since execution '${execution.id}' was started.`,
  );
}

/** After a change of the execution mode, an execution of the former mode may still hold the stage. */
async function requireFree(
  ctx: OperationContext<'StageNotRetryableException'>,
  read: Reads,
  pipeline: PipelineRow,
  execution: ExecutionRow,
  stage: string,
): Promise<void> {
  if (execution.mode === 'PARALLEL') return;
  const holder = await read
    .selectFrom('codepipeline.stage_runs')
    .innerJoin('codepipeline.executions', 'codepipeline.executions.id', 'codepipeline.stage_runs.execution_id')
    .select('codepipeline.executions.id')
    .where('codepipeline.executions.pipeline_id', '=', pipeline.id)
    .where('codepipeline.executions.inside', '=', true)
    .where('codepipeline.executions.mode', '!=', 'PARALLEL')
    .where('codepipeline.stage_runs.stage', '=', stage)
    .where('codepipeline.stage_runs.status', 'in', ['InProgress', 'Stopping'])
    .executeTakeFirst();
  if (holder) throw ctx.error('StageNotRetryableException', `Stage '${stage}' is in use by execution '${holder.id}'.`);
}

/** Only the execution that was last in the stage may go on there. */
async function requireLatest(
  ctx: OperationContext<'NotLatestPipelineExecutionException'>,
  read: Reads,
  pipeline: PipelineRow,
  execution: ExecutionRow,
  stage: string,
): Promise<void> {
  const newer = await read
    .selectFrom('codepipeline.stage_runs')
    .innerJoin('codepipeline.executions', 'codepipeline.executions.id', 'codepipeline.stage_runs.execution_id')
    .select('codepipeline.executions.id')
    .where('codepipeline.executions.pipeline_id', '=', pipeline.id)
    .where('codepipeline.stage_runs.stage', '=', stage)
    .where('codepipeline.executions.sequence', '>', execution.sequence)
    .executeTakeFirst();
  if (!newer || execution.mode === 'PARALLEL') return;
  throw ctx.error(
    'NotLatestPipelineExecutionException',
    `Execution '${execution.id}' is not the latest execution of stage '${stage}': '${newer.id}' has entered it since.`,
  );
}
