/** CodeBuild: projects, and builds that really run. */
import { defineService } from '../../platform/service.ts';
import { batchGetBuildBatches, deleteBuildBatch, listBuildBatches, listBuildBatchesForProject, stopBuildBatch } from './batches/batches.ts';
import { BATCH_RECONCILER } from './batches/names.ts';
import { batchReconciler } from './batches/reconcile.ts';
import { retryBuildBatch, startBuildBatch } from './batches/start.ts';
import { startBatchedBuild } from './batches/start-batched-build.ts';
import { REPORT_STATUS, reportStatusJob } from './build-status/report.ts';
import { batchDeleteBuilds, batchGetBuilds, listBuilds, listBuildsForProject, stopBuild } from './builds.ts';
import { buildReconciler } from './engine/reconcile.ts';
import { BuildWorkers } from './engine/workers.ts';
import { batchGetFleets, createFleet, deleteFleet, listFleets, updateFleet } from './fleets/fleets.ts';
import { fleetReconciler } from './fleets/reconcile.ts';
import { FLEET_RECONCILER } from './fleets/tables.ts';
import { listCuratedEnvironmentImages } from './images/curated-images.ts';
import { batchGetProjects, createProject, deleteProject, invalidateProjectCache, listProjects, updateProject } from './projects.ts';
import { updateProjectVisibility } from './public/visibility.ts';
import { REPORT_GROUP_RECONCILER, REPORT_RECONCILER, reportGroupReconciler, reportReconciler } from './reports/deletion.ts';
import { batchPutCodeCoverages, batchPutTestCases, createReport, updateReport } from './reports/handing-in.ts';
import { describeCodeCoverages, describeTestCases } from './reports/report-contents.ts';
import {
  batchGetReportGroups,
  createReportGroup,
  deleteReportGroup,
  listReportGroups,
  listSharedReportGroups,
  updateReportGroup,
} from './reports/report-groups.ts';
import { batchGetReports, deleteReport, listReports, listReportsForReportGroup } from './reports/reports.ts';
import { getReportGroupTrend } from './reports/trend.ts';
import { batchGetCommandExecutions, listCommandExecutionsForSandbox, startCommandExecution } from './sandboxes/commands.ts';
import { sandboxReconciler } from './sandboxes/reconcile.ts';
import { batchGetSandboxes, listSandboxes, listSandboxesForProject, startSandbox, stopSandbox } from './sandboxes/sandboxes.ts';
import { startSandboxConnection } from './sandboxes/session/connections.ts';
import { SANDBOX_RECONCILER } from './sandboxes/tables.ts';
import { SandboxWorkers } from './sandboxes/workers.ts';
import { deleteResourcePolicy, getResourcePolicy, listSharedProjects, putResourcePolicy } from './sharing/resource-policies.ts';
import { deleteSourceCredentials, importSourceCredentials, listSourceCredentials } from './sources/source-credentials.ts';
import { RECONCILER, retryBuild, startBuild } from './start-build.ts';
import { startLocalCaches } from './storage/local-cache.ts';
import { ASK_FOR_APPROVAL, askForApprovalJob } from './webhooks/approval.ts';
import { webhookReconciler } from './webhooks/reconcile.ts';
import { WEBHOOK_RECONCILER } from './webhooks/rows.ts';
import { createWebhook, deleteWebhook, updateWebhook } from './webhooks/webhooks.ts';

export const codebuild = defineService('codebuild', {
  operations: {
    createProject,
    updateProject,
    deleteProject,
    batchGetProjects,
    listProjects,
    invalidateProjectCache,
    startBuild,
    stopBuild,
    retryBuild,
    batchGetBuilds,
    listBuilds,
    listBuildsForProject,
    batchDeleteBuilds,
    startBuildBatch,
    stopBuildBatch,
    retryBuildBatch,
    deleteBuildBatch,
    batchGetBuildBatches,
    listBuildBatches,
    listBuildBatchesForProject,
    startBatchedBuild,
    importSourceCredentials,
    listSourceCredentials,
    deleteSourceCredentials,
    createWebhook,
    updateWebhook,
    deleteWebhook,
    putResourcePolicy,
    getResourcePolicy,
    deleteResourcePolicy,
    listSharedProjects,
    createReportGroup,
    updateReportGroup,
    deleteReportGroup,
    batchGetReportGroups,
    listReportGroups,
    listSharedReportGroups,
    batchGetReports,
    listReports,
    listReportsForReportGroup,
    deleteReport,
    describeTestCases,
    describeCodeCoverages,
    getReportGroupTrend,
    createReport,
    batchPutTestCases,
    batchPutCodeCoverages,
    updateReport,
    updateProjectVisibility,
    listCuratedEnvironmentImages,
    createFleet,
    updateFleet,
    deleteFleet,
    batchGetFleets,
    listFleets,
    startSandbox,
    stopSandbox,
    batchGetSandboxes,
    listSandboxes,
    listSandboxesForProject,
    startCommandExecution,
    batchGetCommandExecutions,
    listCommandExecutionsForSandbox,
    startSandboxConnection,
  },
  jobs: { [REPORT_STATUS]: reportStatusJob, [ASK_FOR_APPROVAL]: askForApprovalJob },
  reconcilers: {
    [REPORT_RECONCILER]: reportReconciler,
    [REPORT_GROUP_RECONCILER]: reportGroupReconciler,
    [RECONCILER]: buildReconciler,
    [BATCH_RECONCILER]: batchReconciler,
    [FLEET_RECONCILER]: fleetReconciler,
    [SANDBOX_RECONCILER]: sandboxReconciler,
    [WEBHOOK_RECONCILER]: webhookReconciler,
  },
  schema: new URL('./schema/', import.meta.url),
  validationErrors: 'InvalidInputException',
  async start(platform, signal) {
    startLocalCaches(platform, signal);
    const ends = [new BuildWorkers(platform).start(signal), new SandboxWorkers(platform).start(signal)];
    return async () => {
      await Promise.all(ends.map((end) => end()));
    };
  },
});
