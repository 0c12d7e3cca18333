/** ListActionExecutions: every run of every action, newest first. */
import { operation, type ShapeOf } from '../../platform/service.ts';
import { arnOf } from './arns.ts';
import { findExecution } from './executions.ts';
import { declarationOf, findPipeline } from './find-pipeline.ts';
import { externalId } from './state.ts';
import type { ActionDeclaration, ActionRunRow, Artifact, Declaration } from './tables.ts';
import './tables.ts';

const PAGE = 100;

export const listActionExecutions = operation('codepipeline', 'ListActionExecutions', {
  authorize: ({ pipelineName }, ctx) => arnOf(ctx, pipelineName),
  async handle(ctx, { pipelineName, filter, maxResults = PAGE, nextToken }) {
    const pipeline = await findPipeline(ctx, pipelineName);
    const latest = filter?.latestInPipelineExecution;
    const executionId = latest?.pipelineExecutionId ?? filter?.pipelineExecutionId;
    if (filter?.pipelineExecutionId && latest)
      throw ctx.error('ValidationException', 'Only one of pipelineExecutionId and latestInPipelineExecution can be given.');
    if (executionId !== undefined) await findExecution(ctx, pipeline, executionId);
    const scope = `codepipeline:ListActionExecutions:${pipeline.id}:${executionId ?? ''}:${latest?.startTimeRange ?? ''}`;
    const before = nextToken === undefined ? Number.MAX_SAFE_INTEGER : ctx.paging.open<number>(scope, nextToken);
    if (before === undefined) throw ctx.error('InvalidNextTokenException', 'The next token is not valid.');
    let query = ctx.read
      .selectFrom('codepipeline.action_runs')
      .innerJoin('codepipeline.executions', 'codepipeline.executions.id', 'codepipeline.action_runs.execution_id')
      .selectAll('codepipeline.action_runs')
      .select('codepipeline.executions.version')
      .where('codepipeline.executions.pipeline_id', '=', pipeline.id)
      .where('codepipeline.action_runs.sequence', '<', before);
    if (executionId !== undefined) query = query.where('codepipeline.action_runs.execution_id', '=', executionId);
    // Latest: of each action only the newest run, so without those that a retry has replaced.
    if (latest?.startTimeRange === 'Latest') {
      query = query.where('codepipeline.action_runs.sequence', 'in', (eb) =>
        eb
          .selectFrom('codepipeline.action_runs as newest')
          .select((inner) => inner.fn.max('newest.sequence').as('sequence'))
          .where('newest.execution_id', '=', latest.pipelineExecutionId)
          .groupBy(['newest.stage', 'newest.action']),
      );
    }
    const rows = await query
      .orderBy('codepipeline.action_runs.sequence', 'desc')
      .limit(maxResults + 1)
      .execute();
    const page = rows.slice(0, maxResults);
    const declarations = new Map<number, Declaration>();
    for (const version of new Set(page.map((row) => row.version)))
      declarations.set(version, (await declarationOf(ctx.read, pipeline.id, version))!);
    return {
      actionExecutionDetails: page.map((row) => detail(row, actionOf(declarations.get(row.version)!, row), pipeline.region)),
      nextToken: rows.length > maxResults ? ctx.paging.seal(scope, page.at(-1)!.sequence) : undefined,
    };
  },
});

function actionOf({ stages }: Declaration, run: ActionRunRow): ActionDeclaration {
  return stages.find(({ name }) => name === run.stage)!.actions.find(({ name }) => name === run.action)!;
}

const artifactDetails = (list: Artifact[]) => list.map(({ name, bucket, key }) => ({ name, s3location: { bucket, key } }));

function detail(
  run: ActionRunRow & { version: number },
  action: ActionDeclaration,
  region: string,
): ShapeOf<'codepipeline', 'ActionExecutionDetail'> {
  return {
    pipelineExecutionId: run.execution_id,
    actionExecutionId: run.id,
    pipelineVersion: run.version,
    stageName: run.stage,
    actionName: run.action,
    startTime: run.started_at,
    lastUpdateTime: run.updated_at,
    updatedBy: run.updated_by ?? undefined,
    status: run.status,
    input: {
      actionTypeId: action.actionTypeId,
      configuration: action.configuration,
      resolvedConfiguration: run.configuration ?? undefined,
      roleArn: action.roleArn,
      region: action.region ?? region,
      inputArtifacts: artifactDetails(run.input_artifacts),
      namespace: action.namespace,
    },
    output: {
      outputArtifacts: artifactDetails(run.output_artifacts),
      executionResult: {
        externalExecutionId: externalId(run),
        externalExecutionSummary: run.summary ?? undefined,
        externalExecutionUrl: run.external_url ?? undefined,
        errorDetails: run.error ?? undefined,
      },
      outputVariables: run.variables,
    },
  };
}
