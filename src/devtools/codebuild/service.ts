/** CodeBuild: projects, and builds that really run. */
import { defineService } from '../../platform/service.ts';
import { batchDeleteBuilds, batchGetBuilds, listBuilds, listBuildsForProject, stopBuild } from './builds.ts';
import { buildReconciler } from './engine/reconcile.ts';
import { BuildWorkers } from './engine/workers.ts';
import { batchGetProjects, createProject, deleteProject, invalidateProjectCache, listProjects, updateProject } from './projects.ts';
import { deleteResourcePolicy, getResourcePolicy, listSharedProjects, putResourcePolicy } from './sharing/resource-policies.ts';
import { RECONCILER, retryBuild, startBuild } from './start-build.ts';

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
    putResourcePolicy,
    getResourcePolicy,
    deleteResourcePolicy,
    listSharedProjects,
  },
  reconcilers: { [RECONCILER]: buildReconciler },
  schema: new URL('./schema/', import.meta.url),
  validationErrors: 'InvalidInputException',
  async start(platform, signal) {
    new BuildWorkers(platform).start(signal);
  },
});
