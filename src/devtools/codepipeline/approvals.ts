/** PutApprovalResult: somebody's yes or no to a waiting approval. */
import { type ErrorCode, type OperationContext, operation } from '../../platform/service.ts';
import { arnOf } from './arns.ts';
import { actionEvent } from './events.ts';
import { declarationOf, findPipeline } from './find-pipeline.ts';
import { PIPELINE } from './kinds.ts';
import './tables.ts';

export const putApprovalResult = operation('codepipeline', 'PutApprovalResult', {
  authorize: ({ pipelineName, stageName, actionName }, ctx) => arnOf(ctx, pipelineName, stageName, actionName),
  async handle(ctx, { pipelineName, stageName, actionName, result, token }) {
    const pipeline = await findPipeline(ctx, pipelineName);
    const run = await ctx.read
      .selectFrom('codepipeline.action_runs')
      .innerJoin('codepipeline.executions', 'codepipeline.executions.id', 'codepipeline.action_runs.execution_id')
      .selectAll('codepipeline.action_runs')
      .where((eb) => eb.and({ 'codepipeline.executions.pipeline_id': pipeline.id, 'codepipeline.action_runs.token': token }))
      .executeTakeFirst();
    if (!run || run.stage !== stageName || run.action !== actionName)
      return refuse(ctx, pipeline.id, pipeline.version, stageName, actionName);
    const execution = await ctx.read
      .selectFrom('codepipeline.executions')
      .selectAll()
      .where('id', '=', run.execution_id)
      .executeTakeFirstOrThrow();
    const declaration = (await declarationOf(ctx.read, pipeline.id, execution.version))!;
    const action = declaration.stages.find(({ name }) => name === stageName)!.actions.find(({ name }) => name === actionName)!;
    const approved = result.status === 'Approved';
    const approvedAt = ctx.now();
    const error = approved ? null : { code: 'JobFailed', message: `Approval rejected: ${result.summary}` };
    await ctx.transaction(async (tx) => {
      const { numUpdatedRows } = await tx.sql
        .updateTable('codepipeline.action_runs')
        .set({
          status: approved ? 'Succeeded' : 'Failed',
          summary: result.summary,
          error: error && JSON.stringify(error),
          updated_by: ctx.principal.arn,
          updated_at: approvedAt,
        })
        .where((eb) => eb.and({ id: run.id, status: 'InProgress' }))
        .executeTakeFirst();
      if (numUpdatedRows === 0n) {
        throw ctx.error(
          'ApprovalAlreadyCompletedException',
          `The approval action '${actionName}' of stage '${stageName}' has been completed already.`,
        );
      }
      await tx.emit(
        actionEvent(
          pipeline,
          execution,
          action,
          { ...run, external_id: null, summary: result.summary, error },
          approved ? 'SUCCEEDED' : 'FAILED',
          approvedAt,
        ),
      );
      await tx.reconcile(PIPELINE, pipeline.id);
    });
    return { approvedAt };
  },
});

/** Says which of the names is wrong; with all of them right, it is the token. */
async function refuse(
  ctx: OperationContext<ErrorCode<'codepipeline', 'PutApprovalResult'>>,
  pipelineId: string,
  version: number,
  stageName: string,
  actionName: string,
): Promise<never> {
  const stage = (await declarationOf(ctx.read, pipelineId, version))!.stages.find(({ name }) => name === stageName);
  if (!stage) throw ctx.error('StageNotFoundException', `The pipeline does not have a stage '${stageName}'.`);
  const action = stage.actions.find(({ name }) => name === actionName);
  if (action?.actionTypeId.category !== 'Approval')
    throw ctx.error('ActionNotFoundException', `Stage '${stageName}' does not have an approval action '${actionName}'.`);
  throw ctx.error('InvalidApprovalTokenException', 'The approval token is not valid: it belongs to no waiting approval of this action.');
}
