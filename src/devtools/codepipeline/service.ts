/** CodePipeline: from a change to a release, stage by stage. */
import { defineService } from '../../platform/service.ts';
import { listActionTypes } from './action-types.ts';
import { actions } from './actions.ts';
import { putApprovalResult } from './approvals.ts';
import { pipelines as engine } from './engine.ts';
import { getPipelineExecution, listPipelineExecutions, startPipelineExecution, stopPipelineExecution } from './executions.ts';
import { onBatchChange, onBuildChange, onDeploymentChange } from './followed.ts';
import { listActionExecutions } from './history.ts';
import { ACTION, PIPELINE } from './kinds.ts';
import { createPipeline, deletePipeline, getPipeline, listPipelines, updatePipeline } from './pipelines.ts';
import { disableStageTransition, enableStageTransition, retryStageExecution } from './stages.ts';
import { getPipelineState } from './state.ts';
import { listTagsForResource, tagResource, untagResource } from './tags.ts';
import { onObjectCreated, onRepositoryChange, pollBuckets } from './watches.ts';

export const codepipeline = defineService('codepipeline', {
  operations: {
    createPipeline,
    getPipeline,
    updatePipeline,
    deletePipeline,
    listPipelines,
    startPipelineExecution,
    stopPipelineExecution,
    getPipelineExecution,
    listPipelineExecutions,
    listActionExecutions,
    getPipelineState,
    enableStageTransition,
    disableStageTransition,
    retryStageExecution,
    putApprovalResult,
    listActionTypes,
    tagResource,
    untagResource,
    listTagsForResource,
  },
  reconcilers: { [PIPELINE]: engine, [ACTION]: actions },
  subscriptions: {
    'aws.codecommit/CodeCommit Repository State Change': onRepositoryChange,
    'aws.s3/Object Created': onObjectCreated,
    'aws.codebuild/CodeBuild Build State Change': onBuildChange,
    'aws.codebuild/CodeBuild Build Batch State Change': onBatchChange,
    'aws.codedeploy/CodeDeploy Deployment State-change Notification': onDeploymentChange,
  },
  schema: new URL('./schema/', import.meta.url),
  start: pollBuckets,
});
