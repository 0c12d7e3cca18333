/** CodeDeploy: what it is made of, and the service of its host agents. */
import { defineService } from '../../platform/service.ts';
import * as applications from './applications.ts';
import { answerPollsOnStop, commandOperations } from './commands.ts';
import * as configs from './configs.ts';
import * as deployments from './deployments.ts';
import { onAlarmChange } from './engine/alarms.ts';
import { deploymentReconciler } from './engine/reconcile.ts';
import { DELIVER_TRIGGER, deliverTrigger } from './engine/triggers.ts';
import * as groups from './groups.ts';
import * as instances from './on-premises.ts';
import * as revisions from './revisions.ts';
import * as tags from './tags.ts';
import * as targets from './targets.ts';

export const codedeploy = defineService('codedeploy', {
  operations: {
    createApplication: applications.createApplication,
    getApplication: applications.getApplication,
    batchGetApplications: applications.batchGetApplications,
    listApplications: applications.listApplications,
    updateApplication: applications.updateApplication,
    deleteApplication: applications.deleteApplication,

    registerApplicationRevision: revisions.registerApplicationRevision,
    getApplicationRevision: revisions.getApplicationRevision,
    batchGetApplicationRevisions: revisions.batchGetApplicationRevisions,
    listApplicationRevisions: revisions.listApplicationRevisions,

    createDeploymentGroup: groups.createDeploymentGroup,
    getDeploymentGroup: groups.getDeploymentGroup,
    batchGetDeploymentGroups: groups.batchGetDeploymentGroups,
    listDeploymentGroups: groups.listDeploymentGroups,
    updateDeploymentGroup: groups.updateDeploymentGroup,
    deleteDeploymentGroup: groups.deleteDeploymentGroup,

    createDeploymentConfig: configs.createDeploymentConfig,
    getDeploymentConfig: configs.getDeploymentConfig,
    listDeploymentConfigs: configs.listDeploymentConfigs,
    deleteDeploymentConfig: configs.deleteDeploymentConfig,

    createDeployment: deployments.createDeployment,
    getDeployment: deployments.getDeployment,
    batchGetDeployments: deployments.batchGetDeployments,
    listDeployments: deployments.listDeployments,
    stopDeployment: deployments.stopDeployment,
    continueDeployment: deployments.continueDeployment,
    skipWaitTimeForInstanceTermination: deployments.skipWaitTimeForInstanceTermination,
    putLifecycleEventHookExecutionStatus: deployments.putLifecycleEventHookExecutionStatus,

    getDeploymentTarget: targets.getDeploymentTarget,
    batchGetDeploymentTargets: targets.batchGetDeploymentTargets,
    listDeploymentTargets: targets.listDeploymentTargets,
    getDeploymentInstance: targets.getDeploymentInstance,
    batchGetDeploymentInstances: targets.batchGetDeploymentInstances,
    listDeploymentInstances: targets.listDeploymentInstances,

    registerOnPremisesInstance: instances.registerOnPremisesInstance,
    deregisterOnPremisesInstance: instances.deregisterOnPremisesInstance,
    getOnPremisesInstance: instances.getOnPremisesInstance,
    batchGetOnPremisesInstances: instances.batchGetOnPremisesInstances,
    listOnPremisesInstances: instances.listOnPremisesInstances,
    addTagsToOnPremisesInstances: instances.addTagsToOnPremisesInstances,
    removeTagsFromOnPremisesInstances: instances.removeTagsFromOnPremisesInstances,

    tagResource: tags.tagResource,
    untagResource: tags.untagResource,
    listTagsForResource: tags.listTagsForResource,
    listGitHubAccountTokenNames: tags.listGitHubAccountTokenNames,
    deleteGitHubAccountToken: tags.deleteGitHubAccountToken,
    deleteResourcesByExternalId: tags.deleteResourcesByExternalId,
  },
  jobs: { [DELIVER_TRIGGER]: deliverTrigger },
  reconcilers: { 'codedeploy.deployment': deploymentReconciler },
  subscriptions: { 'aws.cloudwatch/CloudWatch Alarm State Change': onAlarmChange },
  schema: new URL('./schema/', import.meta.url),
  validationErrors: 'named',
});

/** Without a public model: written from what AWS's agent sends and reads. */
export const codedeployCommands = defineService('codedeploy-commands', {
  operations: commandOperations('codedeploy-commands'),
  start: answerPollsOnStop,
});

/** The same for agents with `enable_auth_policy`. */
export const codedeployCommandsSecure = defineService('codedeploy-commands-secure', {
  operations: commandOperations('codedeploy-commands-secure'),
});
