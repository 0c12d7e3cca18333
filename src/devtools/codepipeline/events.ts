/** What CodePipeline tells EventBridge of pipelines, stages and actions. Facts: user guide, "Monitoring CodePipeline events". */
import type { AwsEvent } from '../../platform/platform.ts';
import { pipelineArn } from './arns.ts';
import type { ActionDeclaration, ActionRunRow, ExecutionRow, PipelineRow } from './tables.ts';

type State = 'STARTED' | 'SUCCEEDED' | 'RESUMED' | 'FAILED' | 'CANCELED' | 'STOPPING' | 'STOPPED' | 'SUPERSEDED' | 'ABANDONED';

function event(pipeline: PipelineRow, detailType: string, detail: Record<string, unknown>, time: Date): AwsEvent {
  return {
    account: pipeline.account,
    region: pipeline.region,
    source: 'aws.codepipeline',
    detailType,
    resources: [pipelineArn(pipeline)],
    detail: { pipeline: pipeline.name, ...detail },
    time,
  };
}

export function pipelineEvent(pipeline: PipelineRow, execution: ExecutionRow, state: State, time: Date): AwsEvent {
  const trigger = { 'trigger-type': execution.trigger_type, 'trigger-detail': execution.trigger_detail };
  return event(
    pipeline,
    'CodePipeline Pipeline Execution State Change',
    {
      'execution-id': execution.id,
      ...(state === 'STARTED' ? { 'execution-trigger': trigger } : {}),
      ...(state === 'STOPPING' || state === 'STOPPED' ? { 'stop-execution-comments': execution.stop_reason ?? '' } : {}),
      state,
      version: execution.version,
    },
    time,
  );
}

export function stageEvent(pipeline: PipelineRow, execution: ExecutionRow, stage: string, state: State, time: Date): AwsEvent {
  return event(
    pipeline,
    'CodePipeline Stage Execution State Change',
    { 'execution-id': execution.id, stage, state, version: execution.version },
    time,
  );
}

export function actionEvent(
  pipeline: PipelineRow,
  execution: Pick<ExecutionRow, 'id' | 'version'>,
  declaration: ActionDeclaration,
  run: Pick<
    ActionRunRow,
    'id' | 'stage' | 'action' | 'external_id' | 'external_url' | 'summary' | 'error' | 'input_artifacts' | 'output_artifacts'
  >,
  state: State,
  time: Date,
): AwsEvent {
  const { category, owner, provider, version } = declaration.actionTypeId;
  const artifacts = (list: ActionRunRow['input_artifacts']) => list.map(({ name, bucket, key }) => ({ name, s3location: { bucket, key } }));
  const result =
    run.external_id || run.error
      ? {
          'execution-result': {
            'external-execution-id': run.external_id ?? undefined,
            'external-execution-url': run.external_url ?? undefined,
            'external-execution-summary': run.summary ?? run.error?.message,
            'error-code': run.error?.code,
          },
        }
      : {};
  return event(
    pipeline,
    'CodePipeline Action Execution State Change',
    {
      'execution-id': execution.id,
      'action-execution-id': run.id,
      stage: run.stage,
      action: run.action,
      ...result,
      'input-artifacts': artifacts(run.input_artifacts),
      'output-artifacts': artifacts(run.output_artifacts),
      state,
      region: declaration.region ?? pipeline.region,
      type: { owner, provider, category, version },
      version: execution.version,
    },
    time,
  );
}
